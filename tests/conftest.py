"""Fixtures that all tests share."""

from pathlib import Path

import pytest
import torch


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
def generator() -> torch.Generator:
    """Seeded anew for every test."""
    return torch.Generator().manual_seed(0)
