"""Drivers of composers and readers: one by one as a stream, or many together."""

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from mien.llm.composer import Step
from mien.llm.decoder import Decoder

CAPACITY = 640  # positions; a cache grows when it must


def stream_steps(
    decoder: Decoder, steps: Generator[Step, Tensor, Any], rows: int = 1
) -> Generator[int, None, Any]:
    """Drive one coroutine, yielding its codes as they come; return what it returns.

    Args:
        decoder: Its memory is used up.
        steps: The coroutine.
        rows: Rows that it reads in: 2 where its steps have shadows.
    """
    decoder.start(rows, CAPACITY)
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
            answer = _read(decoder, {0: step}, 1, rows)[0]


def run_steps(
    decoder: Decoder, steps: Generator[Step, Tensor, Any], rows: int = 1
) -> tuple[list[int], Any]:
    """Drive one coroutine to its end; give its codes and what it returns."""
    stream = stream_steps(decoder, steps, rows)
    codes: list[int] = []
    while True:
        try:
            codes.append(next(stream))
        except StopIteration as stop:
            return codes, stop.value


def run_batch(
    decoder: Decoder, jobs: Sequence[Generator[Step, Tensor, Any]], rows: int = 1
) -> list[tuple[list[int], Any]]:
    """Drive many coroutines in step; give each one's codes and what it returns."""
    decoder.start(rows * len(jobs), CAPACITY)
    codes: list[list[int]] = [[] for _ in jobs]
    results: list[Any] = [None] * len(jobs)
    waiting: dict[int, Step] = {}
    for index, job in enumerate(jobs):
        _advance(job, None, index, waiting, codes, results)
    while waiting:
        hidden = _read(decoder, waiting, len(jobs), rows)
        ready, waiting = list(waiting), {}
        for index in ready:
            _advance(jobs[index], hidden[index], index, waiting, codes, results)
    return list(zip(codes, results, strict=True))


def run_all(
    decoder: Decoder, jobs: Sequence[Generator[Step, Tensor, Any]], batch: int, rows: int = 1
) -> list[tuple[list[int], Any]]:
    """Drive coroutines, up to `batch` together; give each one's codes and what it returns."""
    if len(jobs) == 1:
        return [run_steps(decoder, jobs[0], rows)]
    found: list[tuple[list[int], Any]] = []
    for at in range(0, len(jobs), batch):
        found += run_batch(decoder, jobs[at : at + batch], rows)
    return found


def _advance(
    job: Generator[Step, Tensor, Any],
    answer: Any,
    index: int,
    waiting: dict[int, Step],
    codes: list[list[int]],
    results: list[Any],
) -> None:
    """Send an answer and go on until the coroutine wants to read, or ends."""
    while True:
        try:
            step = job.send(answer)
        except StopIteration as stop:
            results[index] = stop.value
            return
        if step.code is not None:
            codes[index].append(step.code)
        if step.x is not None:
            waiting[index] = step
            return
        answer = None


def _read(decoder: Decoder, waiting: dict[int, Step], jobs: int, rows: int) -> Tensor:
    """Let the decoder read what is waiting; give the last hidden states, [jobs, rows, d]."""
    chunks: dict[int, Tensor] = {}
    for index, step in waiting.items():
        for offset, x in enumerate((step.x, step.shadow)):
            if x is not None:
                chunks[index * rows + offset] = x
        if step.is_fresh:
            for offset in range(rows):
                decoder.clear(index * rows + offset)
    longest = max(len(x) for x in chunks.values())
    width = next(iter(chunks.values())).shape[-1]
    padded = torch.zeros(jobs * rows, longest, width)
    counts = [0] * (jobs * rows)
    for row, x in chunks.items():
        padded[row, : len(x)] = x
        counts[row] = len(x)
    hidden = decoder.append(padded, counts)
    return hidden.view(jobs, rows, -1)
