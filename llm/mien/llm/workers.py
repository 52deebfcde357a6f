"""Several processes that train together: who writes, and who takes what."""

from collections.abc import Callable


def share(count: int) -> int:
    """One worker's part of a batch, at least one."""
    from accelerate import PartialState

    return max(1, count // int(PartialState().num_processes))


def my_part() -> slice:
    """This worker's items of a list that all of them have."""
    from accelerate import PartialState

    state = PartialState()
    return slice(state.process_index, None, state.num_processes)


def once(write: Callable[[], None]) -> None:
    """Let the first of several workers write while the others wait."""
    from accelerate import PartialState

    state = PartialState()
    if state.is_main_process:
        write()
    state.wait_for_everyone()
