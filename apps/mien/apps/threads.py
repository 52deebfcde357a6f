"""One thread for small tensors: spreading them over cores costs more than it gains."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work on one thread inside the block.

    Our models and heads are small. On two busy cores the drawing of a frame took 0.53 s of
    processor time with two threads, most of it waiting for each other, and 0.04 s with one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def on_one_thread(items: Iterable[T]) -> Iterator[T]:
    """Pass items on, each made with torch on one thread; the taker keeps its own number."""
    source = iter(items)
    while True:
        with one_thread():
            try:
                item = next(source)
            except StopIteration:
                return
        yield item
