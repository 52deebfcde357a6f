"""Rows of half floats in a file that is mapped: what is known of many people, read on demand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mien.files import whole_file

__all__ = ["MappedRows", "write_rows"]


class MappedRows:
    """An array of half floats that is opened without being read.

    Args:
        path: What `write_rows` wrote.
        wanted: Its shape, rows first.

    Raises:
        ValueError: If it is damaged, or of another shape or type.
    """

    def __init__(self, path: Path, wanted: tuple[int, ...]) -> None:
        try:
            self.values: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"{path} must hold known maps, but cannot be read.") from error
        if self.values.shape != wanted or self.values.dtype != np.float16:
            raise ValueError(
                f"{path} must hold maps {list(wanted)} of float16, "
                f"got {list(self.values.shape)} of {self.values.dtype}."
            )

    def __len__(self) -> int:
        return len(self.values)

    def of(self, rows: Sequence[int]) -> Tensor:
        """Some rows by their numbers, `[b, ...]`, as single floats."""
        return torch.from_numpy(self.values[list(rows)]).float()


def write_rows(
    path: Path, rows: Iterable[tuple[int, Tensor]], shape: tuple[int, ...], lacking: str
) -> None:
    """Write rows, whole or not at all.

    Args:
        path: Where.
        rows: Each with its number, in any order.
        shape: Of all of them.
        lacking: What to say where some are missing, with {} for how many.

    Raises:
        ValueError: If any row is missing.
    """
    missing = set(range(shape[0]))
    with whole_file(path) as part:
        kept = np.lib.format.open_memmap(part, "w+", np.float16, shape)
        for number, values in rows:
            kept[number] = values.numpy()
            missing.discard(number)
        if missing:
            raise ValueError(lacking.format(len(missing)))
        kept.flush()
