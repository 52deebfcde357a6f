from collections.abc import Iterator

import pytest
import torch

from mien.apps.threads import on_one_thread, one_thread


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_the_block_has_one_thread_and_gives_the_others_back_even_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="bug"), one_thread():
        assert torch.get_num_threads() == 1
        raise RuntimeError("bug")
    assert torch.get_num_threads() == 3


def test_items_are_made_on_one_thread_and_taken_on_all() -> None:
    made = (torch.get_num_threads() for _ in range(3))
    taken = [(threads, torch.get_num_threads()) for threads in on_one_thread(made)]
    assert taken == [(1, 3)] * 3
