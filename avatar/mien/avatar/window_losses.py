"""The picture losses of training, on windows, by products of matrices.

`mien.avatar.losses` and `perceptual` filter pictures by convolutions of one channel, which a CPU
does slowly. Along one side of a small square every such filter is a matrix, edges repeated: the
same values come from products of matrices, many times sooner.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.avatar.losses import _SSIM_FLOORS, _SSIM_SIGMA, SSIM_WINDOW
from mien.avatar.perceptual import (
    _LEVELS,
    _MASKING,
    _OPPONENT,
    _PHASE,
    SMALLEST,
    _filters,
)

_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
_RANK_TOLERANCE = 1e-6  # of the filters' largest singular value: below is rounding


def cut(
    pictures: Float[Tensor, "b h w c"], corners: Int[Tensor, "b 2"], side: int
) -> Float[Tensor, "b s s c"]:
    """Cut a square out of each picture; `corners` are its first row and column."""
    parts = [
        picture[top : top + side, left : left + side]
        for picture, (top, left) in zip(pictures, corners.tolist(), strict=True)
    ]
    return torch.stack(parts)


def window_ssim(
    drawn: Float[Tensor, "b s s c"], wanted: Float[Tensor, "b s s c"]
) -> Float[Tensor, " b"]:
    """The value of `mien.avatar.losses.ssim`."""
    along = _gaussian(drawn.shape[1]).to(drawn)
    x, y = drawn.movedim(-1, 1), wanted.movedim(-1, 1)
    mean_x, mean_y, xx, yy, xy = (along @ maps @ along.T for maps in (x, y, x * x, y * y, x * y))
    var_x, var_y = xx - mean_x**2, yy - mean_y**2
    low, high = _SSIM_FLOORS
    alike = (2 * mean_x * mean_y + low) * (2 * (xy - mean_x * mean_y) + high)
    apart = (mean_x**2 + mean_y**2 + low) * (var_x + var_y + high)
    return (alike / apart).flatten(1).mean(1)


def window_difference(
    drawn: Float[Tensor, "b s s 3"], wanted: Float[Tensor, "b s s 3"]
) -> Float[Tensor, " b"]:
    """The value of `mien.avatar.perceptual.steerable_difference`.

    Raises:
        ValueError: If the windows are not square, or have fewer than 16 pixels along a side.
    """
    side = drawn.shape[1]
    if side < SMALLEST or drawn.shape[2] != side:
        raise ValueError(
            f"Windows must be square, of {SMALLEST} pixels or more along a side, "
            f"got {drawn.shape[2]}x{side}."
        )
    mixing = torch.tensor(_OPPONENT, dtype=drawn.dtype, device=drawn.device)
    x, y = ((picture @ mixing.T).movedim(-1, 1) for picture in (drawn, wanted))
    levels: list[Tensor] = []
    while len(levels) < _LEVELS and x.shape[-1] >= SMALLEST // 2:
        pairs = zip(_describe(x), _describe(y), strict=True)
        response, energy = ((a - b).abs().flatten(1).mean(1) for a, b in pairs)
        levels.append(_PHASE * response + energy)
        halving = _halving(x.shape[-1]).to(x)
        x, y = (halving @ maps @ halving.T for maps in (x, y))
    return torch.stack(levels).mean(0)


def _describe(
    maps: Float[Tensor, "b c s s"],
) -> tuple[Float[Tensor, "b c 2 o s s"], Float[Tensor, "b c o s s"]]:
    """Even and odd responses and their energies, both divided by the contrast around them."""
    side = maps.shape[-1]
    across, down = (matrix.to(maps) for matrix in _oriented(side))
    smoothing = _smoothing(side).to(maps)
    rows = torch.unflatten(maps @ across.T, -1, (-1, side)).transpose(-3, -2).flatten(-3, -2)
    at = torch.unflatten(down @ rows, -2, (2, -1, side))
    energy = (at.square().sum(2) + 1e-8).sqrt()
    around = smoothing @ energy.mean(2, keepdim=True) @ smoothing.T + _MASKING
    return at / around.unsqueeze(2), (smoothing @ energy @ smoothing.T) / around


@lru_cache(maxsize=16)
def _oriented(side: int) -> tuple[Float[Tensor, "rs s"], Float[Tensor, "eos rs"]]:
    """All oriented filters as two matrices: R filters along rows, then sums of them along columns.

    A filter of two dimensions is a sum of products of filters of one; the few along rows are the
    same for all.
    """
    kernels = torch.cat(_filters())[:, 0].double()  # [2 O, taps, taps]
    _, sizes, along = torch.linalg.svd(kernels.flatten(0, 1), full_matrices=False)
    along = along[sizes > _RANK_TOLERANCE * sizes[0]]  # [R, taps]
    across = torch.cat([_banded(taps, side) for taps in along])
    down = [torch.cat([_banded(taps, side) for taps in (k @ along.T).T], 1) for k in kernels]
    return across.float(), torch.cat(down).float()


@lru_cache(maxsize=16)
def _smoothing(side: int) -> Float[Tensor, "s s"]:
    return _banded(torch.tensor(_BINOMIAL, dtype=torch.float64), side).float()


def _halving(side: int) -> Float[Tensor, "h s"]:
    return _smoothing(side)[::2]


@lru_cache(maxsize=16)
def _gaussian(side: int) -> Float[Tensor, "w s"]:
    """The window of SSIM along one side, whole windows only."""
    steps = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    taps = torch.exp(-0.5 * (steps / _SSIM_SIGMA) ** 2)
    rest = SSIM_WINDOW // 2
    return _banded(taps / taps.sum(), side)[rest : side - rest].float()


def _banded(taps: Float[Tensor, " t"], side: int) -> Float[Tensor, "s s"]:
    """A filter along one side as a matrix; beyond the ends the last value is repeated."""
    rows = torch.arange(side).repeat_interleave(len(taps))
    reach = torch.arange(len(taps)) - len(taps) // 2
    columns = (torch.arange(side)[:, None] + reach).clamp(0, side - 1).flatten()
    matrix = taps.new_zeros(side, side)
    return matrix.index_put((rows, columns), taps.repeat(side), accumulate=True)
