"""Filters along the sides of pictures, as products of matrices.

A CPU convolves pictures of one channel slowly. Along a side a filter is a matrix with a narrow
band, and a product with it gives the same values many times sooner; along a long side the band is
cut into blocks, so that few zeros are multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["SideFilter", "Taps", "filtered", "side_filter"]

Taps = tuple[float, ...]
_BLOCK = 64  # rows of a matrix that are multiplied at once


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows of a matrix, without the columns that are zero in all of them."""

    first: int
    end: int
    rows: Float[Tensor, "r c"]


@dataclass(frozen=True, eq=False)
class SideFilter:
    """A filter along a side of a certain length; made by `side_filter`.

    Attributes:
        blocks: Of its matrix.
        back: Of the matrix transposed, for gradients.
    """

    blocks: tuple[_Block, ...]
    back: tuple[_Block, ...]


@lru_cache(maxsize=256)
def side_filter(
    taps: Taps,
    side: int,
    dtype: torch.dtype,
    device: torch.device,
    whole: bool = False,
    stride: int = 1,
) -> SideFilter:
    """Make a filter of an odd number of taps; beyond the ends the last value is repeated.

    Args:
        taps: Its values, as `conv2d` takes them.
        side: Length of what is filtered.
        dtype: Of what is filtered.
        device: Where that lies.
        whole: Give values only where all taps lie within.
        stride: Give every so manieth value.
    """
    matrix = _banded(torch.tensor(taps, dtype=torch.float64), side)
    rest = len(taps) // 2 if whole else 0
    kept = matrix[rest : side - rest : stride].to(device, dtype)
    return SideFilter(_blocks(kept), _blocks(kept.T.contiguous()))


def filtered(
    maps: Float[Tensor, "... h w"],
    down: SideFilter | None = None,
    across: SideFilter | None = None,
) -> Float[Tensor, "... y x"]:
    """Filter maps along their columns by `down` and along their rows by `across`."""
    found: Tensor = _Filtered.apply(maps, down, across)  # type: ignore[no-untyped-call]
    return found


class _Filtered(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, down: SideFilter | None, across: SideFilter | None
    ) -> Tensor:
        ctx.filters = down, across
        return _multiply(maps, *(f.blocks if f is not None else None for f in (down, across)))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        down, across = (f.back if f is not None else None for f in ctx.filters)
        return _multiply(gradients[0], down, across), None, None


def _multiply(
    maps: Float[Tensor, "... h w"],
    down: tuple[_Block, ...] | None,
    across: tuple[_Block, ...] | None,
) -> Float[Tensor, "... y x"]:
    planes = maps.reshape(-1, *maps.shape[-2:])
    if across is not None:
        rows = planes.flatten(0, 1)
        rows = torch.cat([rows[:, b.first : b.end] @ b.rows.T for b in across], 1)
        planes = torch.unflatten(rows, 0, planes.shape[:2])
    if down is not None:
        planes = torch.cat([b.rows @ planes[:, b.first : b.end] for b in down], 1)
    return planes.reshape(*maps.shape[:-2], *planes.shape[1:])


def _blocks(matrix: Float[Tensor, "r c"]) -> tuple[_Block, ...]:
    made = []
    for start in range(0, len(matrix), _BLOCK):
        rows = matrix[start : start + _BLOCK]
        used = rows.any(0).nonzero()
        first, end = int(used[0]), int(used[-1]) + 1
        made.append(_Block(first, end, rows[:, first:end].contiguous()))
    return tuple(made)


def _banded(taps: Float[Tensor, " t"], side: int) -> Float[Tensor, "s s"]:
    """A filter along one side as a matrix."""
    rows = torch.arange(side).repeat_interleave(len(taps))
    reach = torch.arange(len(taps)) - len(taps) // 2
    columns = (torch.arange(side)[:, None] + reach).clamp(0, side - 1).flatten()
    matrix = taps.new_zeros(side, side)
    return matrix.index_put((rows, columns), taps.repeat(side), accumulate=True)
