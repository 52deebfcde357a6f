"""What a drawn picture is judged by, and what keeps Gaussians where they belong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.learned import Decoded
from mien.avatar.perceptual import Perceptual
from mien.avatar.side_filters import Taps, filtered, side_filter

SSIM_WINDOW = 11
_SSIM_SIGMA = 1.5
_SSIM_FLOORS = (0.01**2, 0.03**2)  # for values between 0 and 1


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; the defaults are the paper's.

    Attributes:
        l1: Of the mean absolute difference.
        ssim: Of one minus the structural similarity.
        perceptual: Of the perceptual difference.
        mouth: Of the perceptual difference with all but the mouth blacked out.
        position: Of squared drift, centimetres squared; the paper names no unit.
        scale: Of squared growth, centimetres squared; the paper names no unit.

    Raises:
        ValueError: If a weight is negative.

    Source:
        FlexAvatar (Peng et al.), section 4.
    """

    l1: float = 1.0
    ssim: float = 0.1
    perceptual: float = 0.2
    mouth: float = 10.0
    position: float = 0.01
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"The weight `{name}` must not be negative, got {value}.")


def l1_loss(
    drawn: Float[Tensor, "b h w c"], wanted: Float[Tensor, "b h w c"]
) -> Float[Tensor, " b"]:
    """Mean absolute difference of each picture."""
    return (drawn - wanted).abs().flatten(1).mean(1)


def ssim(drawn: Float[Tensor, "b h w c"], wanted: Float[Tensor, "b h w c"]) -> Float[Tensor, " b"]:
    """Mean structural similarity of each picture, 1 where they agree; whole windows only.

    Raises:
        ValueError: If the pictures are smaller than the window.

    Source:
        Wang et al. 2004, Image quality assessment (doi:10.1109/TIP.2003.819861), with its window
        of 11 pixels and standard deviation 1.5.
    """
    if min(drawn.shape[1:3]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs pictures of {SSIM_WINDOW}x{SSIM_WINDOW} pixels or more, "
            f"got {drawn.shape[2]}x{drawn.shape[1]}."
        )
    x, y = drawn.movedim(-1, 1), wanted.movedim(-1, 1)
    down, across = (
        side_filter(_window(), side, x.dtype, x.device, whole=True) for side in x.shape[2:]
    )
    mean_x, mean_y, xx, yy, xy = (
        filtered(maps, down, across) for maps in (x, y, x * x, y * y, x * y)
    )
    var_x, var_y, both = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    low, high = _SSIM_FLOORS
    alike = (2 * mean_x * mean_y + low) * (2 * both + high)
    apart = (mean_x**2 + mean_y**2 + low) * (var_x + var_y + high)
    return (alike / apart).flatten(1).mean(1)


@lru_cache(maxsize=1)
def _window() -> Taps:
    """Weights of SSIM's window along one side."""
    steps = range(-(SSIM_WINDOW // 2), SSIM_WINDOW // 2 + 1)
    bell = [math.exp(-0.5 * (step / _SSIM_SIGMA) ** 2) for step in steps]
    return tuple(value / sum(bell) for value in bell)


def picture_terms(
    drawn: Float[Tensor, "b h w 3"],
    wanted: Float[Tensor, "b h w 3"],
    mouth: Float[Tensor, "b h w"],
    perceptual: Perceptual,
) -> dict[str, Float[Tensor, " b"]]:
    """The terms of each picture, by their names in `LossWeights`.

    Args:
        drawn: sRGB, 0 to 1.
        wanted: sRGB, 0 to 1.
        mouth: 1 on the mouth, else 0.
        perceptual: From `mien.avatar.perceptual`.
    """
    inside = mouth.unsqueeze(-1)
    return {
        "l1": l1_loss(drawn, wanted),
        "ssim": 1.0 - ssim(drawn, wanted),
        "perceptual": perceptual(drawn, wanted),
        "mouth": perceptual(drawn * inside, wanted * inside),
    }


def shape_terms(decoded: Decoded) -> dict[str, Float[Tensor, " b"]]:
    """Squared drift and growth of each frame, mean over the Gaussians, by name."""
    return {
        "position": decoded.drift.square().sum(-1).mean(-1),
        "scale": decoded.growth.square().sum(-1).mean(-1),
    }


def weighted(terms: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Add terms by their weights."""
    parts = [getattr(weights, name) * value for name, value in terms.items()]
    return torch.stack(parts).sum(0)
