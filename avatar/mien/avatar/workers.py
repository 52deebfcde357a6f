"""Plain Python threads for kernels that run without the GIL."""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


@functools.cache
def _pool(num_threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_threads, thread_name_prefix=f"mien-render-{process}")


def thread_pool(num_threads: int) -> ThreadPoolExecutor:
    """Gives the worker threads of this process; a forked child has none of its parent's."""
    return _pool(num_threads, os.getpid())


def count_threads(num_threads: int | None) -> int:
    """Gives the number of threads to use: as asked, or `torch.get_num_threads()`.

    Raises:
        ValueError: If it is below 1.
    """
    threads = torch.get_num_threads() if num_threads is None else num_threads
    if threads < 1:
        raise ValueError(f"`num_threads` must be at least 1, got {threads}.")
    return threads


def run_jobs(job: Callable[[int], None], jobs: int, num_threads: int) -> None:
    """Runs `job(0)` to `job(jobs - 1)` on `num_threads` threads and waits for them."""
    if num_threads == 1 or jobs == 1:
        for k in range(jobs):
            job(k)
    else:
        list(thread_pool(num_threads).map(job, range(jobs)))


def run_shares(job: Callable[[int, int], None], count: int, num_threads: int) -> None:
    """Runs `job(start, stop)` on one even share of `range(count)` a thread."""
    edges = [count * k // num_threads for k in range(num_threads + 1)]
    run_jobs(lambda k: job(edges[k], edges[k + 1]), num_threads, num_threads)
