"""Jobs on processes and on Ray; Ray itself where it is installed, a stand-in of it always."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from mien.data_synth.spread import in_processes, on_ray, spread

CHILD = r"""
import os, sys, time
from mien.data_synth.spread import in_processes

def job(item):
    os.write(1, f"{os.getpid()}\n".encode())  # whole lines, whoever else writes
    time.sleep(60)

for _ in in_processes(job, [0, 1], 2):
    pass
"""


def threads(item: int) -> int:
    import torch

    return torch.get_num_threads()


def test_workers_have_one_thread_each() -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert {found for _, found in in_processes(threads, [0, 1, 2], 2)} == {1}
    finally:
        torch.set_num_threads(before)


def square(item: int) -> int:
    return item * item


class StandIn:
    """What `on_ray` uses of Ray, done at once in this process."""

    def __init__(self, cpus: int = 1) -> None:
        self.cpus, self.most, self.is_up = cpus, 0, False
        self.began: list[Any] = []

    def is_initialized(self) -> bool:
        return self.is_up

    def init(self, **options: Any) -> None:
        if options.get("address") == "nowhere:1":
            raise ConnectionError("no answer")
        self.is_up = True

    def shutdown(self) -> None:
        self.is_up = False

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(self.cpus)}

    def put(self, value: Any) -> Any:
        return value

    def remote(self, function: Callable[..., Any]) -> Any:
        def later(*args: Any) -> Any:
            self.began.append(args[-1])
            return (len(self.began), lambda: function(*args))

        return SimpleNamespace(remote=later)

    def wait(self, refs: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        self.most = max(self.most, len(refs))
        return refs[-num_returns:], refs[:-num_returns]

    def get(self, ref: Any) -> Any:
        return ref[1]()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    return stand_in


def test_processes_give_what_a_loop_gives() -> None:
    items = list(range(7))
    wanted = {i: i * i for i in items}
    assert dict(spread(square, items)) == wanted
    assert dict(in_processes(square, items, 2)) == wanted


def test_ray_tasks_give_what_a_loop_gives_and_do_not_pile_up(ray: StandIn) -> None:
    items = list(range(9))
    assert dict(spread(square, items, cluster="local")) == {i: i * i for i in items}
    assert sorted(ray.began) == items  # each once
    assert ray.most == 2 and not ray.is_up


def test_a_cluster_that_was_joined_before_stays_joined(ray: StandIn) -> None:
    ray.is_up = True
    assert dict(on_ray(square, [3], "auto")) == {3: 9}
    assert ray.is_up


def test_a_cluster_that_does_not_answer_is_refused_in_one_line(ray: StandIn) -> None:
    with pytest.raises(ValueError, match="nowhere:1.*no answer"):
        list(spread(square, [1], cluster="nowhere:1"))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"mien\[ray\]"):
        list(on_ray(square, [1], "local"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra `ray`")
def test_ray_itself_gives_what_a_loop_gives() -> None:
    assert dict(on_ray(square, [2, 3, 4], "local")) == {2: 4, 3: 9, 4: 16}


def test_workers_end_when_the_process_that_began_them_is_killed() -> None:
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    for _ in range(200):
        if not any(map(is_running, workers)):
            return
        time.sleep(0.1)
    pytest.fail("workers go on without the process that began them")


def is_running(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False if os.path.isdir("/proc/self") else pytest.skip("needs /proc")
