"""Spread a job over processes, or over the machines of a Ray cluster, a few items at a time."""

import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

__all__ = ["in_processes", "on_ray", "spread"]

T = TypeVar("T")
Results = Iterator[tuple[int, T]]
LOCAL = "local"
_WINDOW = 2  # items under way for each worker: results do not pile up
_MISSING = "A cluster needs Ray: pip install 'mien[ray]' (or pip install 'ray>=2.40,<3')."


def spread(
    job: Callable[[int], T], items: Sequence[int], workers: int = 1, cluster: str = ""
) -> "Results[T]":
    """Give (item, job(item)) for all items, in any order.

    Args:
        job: What is done; it must pickle unless there is one worker and no cluster.
        items: What it is done to.
        workers: Processes on this machine.
        cluster: A Ray cluster's address instead, "auto", or "local" to start Ray here.

    Raises:
        ValueError: If Ray is wanted and not installed, or the cluster is not reached.
    """
    if cluster:
        return on_ray(job, items, cluster)
    if workers > 1 and len(items) > 1:
        return in_processes(job, items, min(workers, len(items)))
    return ((item, job(item)) for item in items)


def in_processes(job: Callable[[int], T], items: Sequence[int], workers: int) -> "Results[T]":
    """The same on processes of this machine, which end with this one even if it is killed."""
    waiting = list(reversed(items))
    pool = ProcessPoolExecutor(workers, initializer=_begin_worker)
    running: dict[Future[T], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < _WINDOW * workers:
                item = waiting.pop()
                running[pool.submit(job, item)] = item
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def on_ray(job: Callable[[int], T], items: Sequence[int], address: str) -> "Results[T]":
    """The same as Ray tasks; a task whose machine is lost is done again elsewhere.

    Results come back to this machine, so that the others need no folder in common with it.

    Raises:
        ValueError: If Ray is not installed or the cluster is not reached.
    """
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise ValueError(_MISSING) from error
    began_here = not ray.is_initialized()
    if began_here:
        _join(ray, address)
    try:
        yield from _tasks(ray, job, items)
    finally:
        if began_here:
            ray.shutdown()


def _join(ray: Any, address: str) -> None:
    options = {} if address == LOCAL else {"address": address}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", **options)
    except (ConnectionError, RuntimeError, OSError) as error:
        raise ValueError(
            f"`cluster` must be local, auto or a Ray address that answers, got {address!r} "
            f"({error})."
        ) from error


def _tasks(ray: Any, job: Callable[[int], T], items: Sequence[int]) -> "Results[T]":
    shared, run = ray.put(job), ray.remote(_run)
    waiting = list(reversed(items))
    running: dict[Any, int] = {}
    window = _WINDOW * max(1, int(ray.cluster_resources().get("CPU", 1)))
    while waiting or running:
        while waiting and len(running) < window:
            item = waiting.pop()
            running[run.remote(shared, item)] = item
        for done in ray.wait(list(running), num_returns=1)[0]:
            yield running.pop(done), ray.get(done)


def _run(job: Callable[[int], T], item: int) -> T:
    return job(item)


def _begin_worker() -> None:
    """One thread a worker: those of several would wait for each other, four times as long."""
    _end_with_parent()
    os.environ["OMP_NUM_THREADS"] = "1"  # where torch comes later
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _end_with_parent() -> None:
    """Watch the process that began this one; a killed one cannot tell its workers to stop."""
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
