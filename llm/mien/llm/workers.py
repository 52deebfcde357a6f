"""Several processes that train together: who writes, and who takes what."""

from collections.abc import Callable
from typing import Any


def share(count: int) -> int:
    """One worker's part of a batch, at least one."""
    return max(1, count // int(_state().num_processes))


def my_part() -> slice:
    """This worker's items of a list that all of them have."""
    state = _state()
    return slice(state.process_index, None, state.num_processes)


def once(write: Callable[[], object]) -> None:
    """Let the first of several workers write while the others wait."""
    state = _state()
    if state.is_main_process:
        write()
    state.wait_for_everyone()


def _state() -> Any:
    """What accelerate knows of the workers; made here, it must be told of a lack of GPUs."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())
