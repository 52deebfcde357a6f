"""Fixtures that all tests share, and one thread for all numerics."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

# Our tensors are small: threads wait for each other, on busy cores for most of the time. Read when
# torch and numpy load, and by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jaxtyping
import pytest
import torch

Refuses = Callable[[str], AbstractContextManager[None]]


def shared_folder() -> Path:
    """The folder of real recordings that lies beside a checkout, where there is one."""
    return Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = shared_folder() / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real recordings in {folder}")
    return folder


@pytest.fixture
def refuses() -> Refuses:
    """As `pytest.raises(ValueError, match=...)`, for wrong shapes.

    Where the tests run under jaxtyping's import hook, it refuses wrong shapes before we do.
    """

    @contextmanager
    def refusal(match: str) -> Iterator[None]:
        try:
            yield
        except jaxtyping.TypeCheckError:
            return
        except ValueError as error:
            assert re.search(match, str(error)), f"{match!r} is not in {str(error)!r}"
            return
        pytest.fail(f"nothing was refused, wanted {match!r}")

    return refusal


@pytest.fixture
def generator() -> torch.Generator:
    """Seeded anew for every test."""
    return torch.Generator().manual_seed(0)
