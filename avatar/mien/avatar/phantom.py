"""A phantom: a head-like shell of Gaussians, for benchmarks and tests of renderers.

It needs no assets and is the same on every machine up to rounding: flat, nearly opaque skin,
a nose, two eyes, and long thin hair, about as large and as dense as an avatar of that count.
"""

import math

import torch
from torch import Tensor

from mien.avatar.gaussians import Gaussians

_RADII_M = (0.075, 0.11, 0.095)
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
_SKIN, _HAIR, _EYE = (0.80, 0.58, 0.47), (0.20, 0.13, 0.09), (0.93, 0.93, 0.95)
_OVERLAP = 0.6  # standard deviation against the spacing of neighbors


def phantom(count: int, seed: int = 0) -> Gaussians:
    """Gives `count` Gaussians in the shape of a head of adult size around the origin.

    Raises:
        ValueError: If `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1, got {count}.")
    generator = torch.Generator().manual_seed(seed)
    vary = torch.rand(count, 3, generator=generator)
    directions = _sphere(count)
    radii = torch.tensor(_RADII_M)
    x, y, z = directions.unbind(-1)
    nose = 0.2 * torch.exp(-((x / 0.13) ** 2) - ((y + 0.05) / 0.22) ** 2) * (z > 0)
    means = directions * radii * (1 + nose[:, None])
    is_hair = (y > 0.45 + 0.5 * z) | ((z < -0.1) & (y > -0.3))
    is_eye = (((x.abs() - 0.38) / 0.15) ** 2 + ((y - 0.2) / 0.07) ** 2 < 1) & (z > 0)
    spacing = math.sqrt(4 * math.pi * 0.0087 / count)  # 0.0087 m^2: mean squared radius
    sizes = _OVERLAP * spacing * (0.7 + 0.6 * vary[:, :1])
    stretch = torch.tensor([[1.0, 1.0, 0.1], [0.4, 3.0, 0.3]])[is_hair.long()]
    colors = torch.tensor([_SKIN, _HAIR])[is_hair.long()]
    colors = torch.where(is_eye[:, None], torch.tensor(_EYE), colors)
    shade = 0.55 + 0.4 * (0.3 * x + 0.4 * y + 0.85 * z).clamp(min=0)[:, None]
    colors = colors * shade * (0.9 + 0.2 * vary[:, 1:2])
    normals = torch.nn.functional.normalize(directions / radii, dim=-1)
    return Gaussians(
        means=means,
        quats=_facing(normals),
        scales=sizes * stretch,
        opacities=0.6 + 0.39 * vary[:, 2],
        colors=colors.clamp(0, 1),
    )


def _sphere(count: int) -> Tensor:
    """Gives evenly spread unit vectors, `[count, 3]`: a Fibonacci lattice about the y axis."""
    steps = torch.arange(count, dtype=torch.float64) + 0.5
    y = 1 - 2 * steps / count
    ring, angle = (1 - y * y).sqrt(), _GOLDEN_ANGLE * steps
    return torch.stack([ring * angle.cos(), y, ring * angle.sin()], -1).float()


def _facing(normals: Tensor) -> Tensor:
    """Gives the shortest rotations, wxyz, that turn +z to `normals [N, 3]`."""
    nx, ny, nz = normals.unbind(-1)
    quats = torch.stack([1 + nz, -ny, nx, torch.zeros_like(nz)], -1)
    half_turn = torch.tensor([0.0, 1.0, 0.0, 0.0])
    quats = torch.where(quats.norm(dim=-1, keepdim=True) < 1e-4, half_turn, quats)
    return torch.nn.functional.normalize(quats, dim=-1)
