"""Drivers of composers and readers: one by one as a stream, or many together."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mien.llm.composer import Step
from mien.llm.decoder import Decoder

CAPACITY = 640  # positions; a cache grows when it must


def stream_steps(
    decoder: Decoder, steps: Generator[Step, Tensor, Any]
) -> Generator[int, None, Any]:
    """Drive one coroutine, yielding its codes as they come; return what it returns."""
    decoder.start(1, CAPACITY)
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        answer = None
        if step.code is not None:
            yield step.code
        if step.x is not None:
            if step.is_fresh:
                decoder.clear(0)
            answer = decoder.append(step.x[None], [len(step.x)])[0]


def run_steps(decoder: Decoder, steps: Generator[Step, Tensor, Any]) -> tuple[list[int], Any]:
    """Drive one coroutine to its end; give its codes and what it returns."""
    stream = stream_steps(decoder, steps)
    codes: list[int] = []
    while True:
        try:
            codes.append(next(stream))
        except StopIteration as stop:
            return codes, stop.value


def run_batch(
    decoder: Decoder, jobs: Sequence[Generator[Step, Tensor, Any]]
) -> list[tuple[list[int], Any]]:
    """Drive many coroutines in step; give each one's codes and what it returns."""
    decoder.start(len(jobs), CAPACITY)
    codes: list[list[int]] = [[] for _ in jobs]
    results: list[Any] = [None] * len(jobs)
    waiting: dict[int, Step] = {}
    for row, job in enumerate(jobs):
        _advance(job, None, row, waiting, codes, results)
    while waiting:
        for row, step in waiting.items():
            if step.is_fresh:
                decoder.clear(row)
        hidden = _append(decoder, waiting, len(jobs))
        rows, waiting = list(waiting), {}
        for row in rows:
            _advance(jobs[row], hidden[row], row, waiting, codes, results)
    return list(zip(codes, results, strict=True))


def _advance(
    job: Generator[Step, Tensor, Any],
    answer: Any,
    row: int,
    waiting: dict[int, Step],
    codes: list[list[int]],
    results: list[Any],
) -> None:
    """Send an answer and go on until the coroutine wants to read, or ends."""
    while True:
        try:
            step = job.send(answer)
        except StopIteration as stop:
            results[row] = stop.value
            return
        if step.code is not None:
            codes[row].append(step.code)
        if step.x is not None:
            waiting[row] = step
            return
        answer = None


def _append(decoder: Decoder, waiting: dict[int, Step], batch: int) -> Tensor:
    chunks = {row: step.x for row, step in waiting.items() if step.x is not None}
    longest = max(len(x) for x in chunks.values())
    width = next(iter(chunks.values())).shape[-1]
    padded = torch.zeros(batch, longest, width)
    counts = [0] * batch
    for row, x in chunks.items():
        padded[row, : len(x)] = x
        counts[row] = len(x)
    return decoder.append(padded, counts)


def iterate(values: Generator[int, None, Any]) -> Iterator[int]:
    """Forget what a generator returns."""
    yield from values
