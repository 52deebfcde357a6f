"""SSIM and the steerable difference by convolutions, as defined: what the quick ones must give."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_MIXING = ((0.299, 0.587, 0.114), (0.5, -0.5, 0.0), (0.25, 0.25, -0.5))


def plain_ssim(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Of each picture: a window of 11 pixels and standard deviation 1.5, whole windows only."""
    steps = torch.arange(11, dtype=drawn.dtype) - 5
    window = torch.exp(-0.5 * (steps / 1.5) ** 2)
    window = window / window.sum()
    x, y = drawn.movedim(-1, 1), wanted.movedim(-1, 1)
    maps = torch.cat([x, y, x * x, y * y, x * y], 1)
    planes = functional.conv2d(maps.flatten(0, 1).unsqueeze(1), window.reshape(1, 1, -1, 1))
    planes = functional.conv2d(planes, window.reshape(1, 1, 1, -1))
    a, b, aa, bb, ab = torch.unflatten(planes.squeeze(1), 0, maps.shape[:2]).chunk(5, 1)
    alike = (2 * a * b + 0.01**2) * (2 * (ab - a * b) + 0.03**2)
    apart = (a * a + b * b + 0.01**2) * (aa - a * a + bb - b * b + 0.03**2)
    return (alike / apart).flatten(1).mean(1)


def plain_difference(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Of each picture: contrast by four directions at five scales, divided by what is around."""
    mixing = torch.tensor(_MIXING, dtype=drawn.dtype)
    x, y = ((picture @ mixing.T).movedim(-1, 1) for picture in (drawn, wanted))
    levels: list[Tensor] = []
    while len(levels) < 5 and min(x.shape[2:]) >= 8:
        (at_x, strength_x), (at_y, strength_y) = _describe(x), _describe(y)
        of_response = (at_x - at_y).abs().flatten(1).mean(1)
        levels.append(0.25 * of_response + (strength_x - strength_y).abs().flatten(1).mean(1))
        x, y = _smooth(x)[..., ::2, ::2], _smooth(y)[..., ::2, ::2]
    return torch.stack(levels).mean(0)


def _describe(maps: Tensor) -> tuple[Tensor, Tensor]:
    planes = functional.pad(maps.flatten(0, 1).unsqueeze(1), [3] * 4, mode="replicate")
    even, odd = (functional.conv2d(planes, f.to(maps)) for f in _filters())
    energy = (even.square() + odd.square() + 1e-8).sqrt()
    around = _smooth(energy.mean(1, keepdim=True)) + 0.05
    parts = torch.cat([even, odd], 1) / around, _smooth(energy) / around
    response, strength = (torch.unflatten(part, 0, maps.shape[:2]) for part in parts)
    return response, strength


def _filters() -> tuple[Tensor, Tensor]:
    """Waves of 4 pixels under a bell of 1.8, `[4, 1, 7, 7]`; mean 0 and absolute sum 1."""
    steps = torch.arange(7, dtype=torch.float64) - 3
    bell = torch.exp(-(steps[:, None] ** 2 + steps**2) / (2 * 1.8**2))
    even: list[Tensor] = []
    odd: list[Tensor] = []
    for turn in range(4):
        angle = turn * math.pi / 4
        along = math.cos(angle) * steps + math.sin(angle) * steps[:, None]
        for kept, wave in (
            (even, (math.pi / 2 * along).cos()),
            (odd, (math.pi / 2 * along).sin()),
        ):
            made = (wave - (wave * bell).sum() / bell.sum()) * bell
            kept.append(made / made.abs().sum())
    return torch.stack(even)[:, None], torch.stack(odd)[:, None]


def _smooth(maps: Tensor) -> Tensor:
    taps = maps.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    planes = functional.pad(maps.flatten(0, 1).unsqueeze(1), [2] * 4, mode="replicate")
    planes = functional.conv2d(planes, taps.reshape(1, 1, -1, 1))
    planes = functional.conv2d(planes, taps.reshape(1, 1, 1, -1))
    return torch.unflatten(planes.squeeze(1), 0, maps.shape[:2])
