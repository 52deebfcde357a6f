"""Signs of life on stderr; stdout is for results."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def say(text: str) -> None:
    """One line to the user, on stderr."""
    print(f"mien: {text}", file=sys.stderr, flush=True)


def track(items: Iterable[T], total: int, text: str, unit: str = "frame") -> Iterator[T]:
    """Pass items on with a bar that appears after a second and goes when done."""
    from tqdm import tqdm

    bar = tqdm(
        total=total, desc=f"mien: {text}", unit=unit, delay=1.0, leave=False, file=sys.stderr
    )
    with bar:
        for item in items:
            yield item
            bar.update()
