"""What a drawn picture is judged by, and what keeps Gaussians where they belong."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.learned import Decoded
from mien.avatar.perceptual import Perceptual

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
    means = _windowed(torch.cat([x, y, x * x, y * y, x * y], 1)).chunk(5, 1)
    mean_x, mean_y = means[0], means[1]
    var_x, var_y = means[2] - mean_x**2, means[3] - mean_y**2
    both = means[4] - mean_x * mean_y
    low, high = _SSIM_FLOORS
    alike = (2 * mean_x * mean_y + low) * (2 * both + high)
    apart = (mean_x**2 + mean_y**2 + low) * (var_x + var_y + high)
    return (alike / apart).flatten(1).mean(1)


def _windowed(maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c x y"]:
    steps = torch.arange(SSIM_WINDOW, dtype=maps.dtype, device=maps.device)
    window = torch.exp(-0.5 * ((steps - SSIM_WINDOW // 2) / _SSIM_SIGMA) ** 2)
    window = window / window.sum()
    planes = maps.flatten(0, 1).unsqueeze(1)
    planes = torch.nn.functional.conv2d(planes, window.reshape(1, 1, -1, 1))
    planes = torch.nn.functional.conv2d(planes, window.reshape(1, 1, 1, -1))
    return torch.unflatten(planes.squeeze(1), 0, maps.shape[:2])


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
