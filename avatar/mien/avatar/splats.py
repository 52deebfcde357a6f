"""Splats: the static half of an avatar, Gaussians bound to the triangles of a head.

A splat stores where it sits on its triangle and its axes as multiples of the triangle's own edges
and normal. Whatever identity or expression moves the triangle, the splat follows and stretches
with it, and one painting of the adult mean fits every head of the same topology.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Self

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor


class Kind(IntEnum):
    """What a splat is made of; splats of one kind share a material."""

    SKIN = 0
    CLOTH = 1
    EYE = 2
    MOUTH = 3
    HAIR = 4
    BRISTLE = 5  # brow and lash hairs


@dataclass(frozen=True, eq=False)
class Splats:
    """N Gaussians bound to a head's triangles, before any motion.

    Attributes:
        kinds: `Kind` of each, ascending.
        faces: Triangle that carries it.
        bary: Barycentric position on it; the first corner's share is one minus the sum.
        offset: From there to its center: multiples of the triangle's first two edges, laid onto
            the smooth tangent plane, and metres along the smooth normal.
        long_axis: Longest standard deviation as a vector, likewise.
        wide_axis: Second axis, likewise; only its part across `long_axis` counts.
        thickness: Third standard deviation, metres.
        albedo: Diffuse color, sRGB 0 to 1.
        opacity: 0 to 1.
        occlusion: Ambient light that reaches it at rest, 0 to 1.
        key_light: Share of the key light that reaches it at rest, 0 to 1.
        gloss: Strength of its highlight, 0 to 1.
        bump: Tilt of its shading normal along the two axes, -1 to 1.

    Raises:
        ValueError: If the shapes disagree or a value is out of its range.
    """

    kinds: UInt8[Tensor, " n"]
    faces: Int[Tensor, " n"]
    bary: Float[Tensor, "n 2"]
    offset: Float[Tensor, "n 3"]
    long_axis: Float[Tensor, "n 3"]
    wide_axis: Float[Tensor, "n 3"]
    thickness: Float[Tensor, " n"]
    albedo: Float[Tensor, "n 3"]
    opacity: Float[Tensor, " n"]
    occlusion: Float[Tensor, " n"]
    key_light: Float[Tensor, " n"]
    gloss: Float[Tensor, " n"]
    bump: Float[Tensor, "n 2"]

    def __post_init__(self) -> None:
        self._check_shapes()
        self._check_values()

    def __len__(self) -> int:
        return self.kinds.shape[0]

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Join parts and sort them by kind; the order within a kind stays."""
        if not parts:
            raise ValueError("`parts` must hold at least one Splats, got none.")
        joined = cls._join(parts)
        order = torch.argsort(joined["kinds"], stable=True)
        return cls(**{name: value[order] for name, value in joined.items()})

    @staticmethod
    def _join(parts: Sequence[Splats]) -> dict[str, Tensor]:
        names = [f.name for f in fields(Splats)]
        return {name: torch.cat([getattr(part, name) for part in parts]) for name in names}

    def span(self, kind: Kind) -> slice:
        """Where the splats of one kind stand."""
        start = int((self.kinds < kind).sum())
        return slice(start, start + int((self.kinds == kind).sum()))

    def to(self, device: torch.device | str) -> Self:
        """The same splats on another device."""
        return type(self)(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def _check_shapes(self) -> None:
        widths = {"bary": 2, "offset": 3, "long_axis": 3, "wide_axis": 3, "albedo": 3, "bump": 2}
        count = len(self)
        for f in fields(self):
            shape = tuple(getattr(self, f.name).shape)
            wanted = (count, widths[f.name]) if f.name in widths else (count,)
            if shape != wanted:
                raise ValueError(f"`{f.name}` must be {list(wanted)}, got {list(shape)}.")

    def _check_values(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise ValueError(f"`{f.name}` must be finite, got NaN or infinity.")
        for name in ("bary", "albedo", "opacity", "occlusion", "key_light", "gloss"):
            value = getattr(self, name)
            if value.numel() and not (float(value.min()) >= 0 and float(value.max()) <= 1):
                low, high = float(value.min()), float(value.max())
                raise ValueError(f"`{name}` must lie in [0, 1], got {low:.3g} to {high:.3g}.")
        if len(self) and not bool((self.kinds.int().diff() >= 0).all()):
            raise ValueError("`kinds` must ascend; build splats with `Splats.concatenate`.")
        if len(self) and not 0 <= int(self.kinds.min()) <= int(self.kinds.max()) < len(Kind):
            raise ValueError(f"`kinds` must be 0 to {len(Kind) - 1}, got {int(self.kinds.max())}.")
        if len(self) and int(self.faces.min()) < 0:
            raise ValueError(f"`faces` must not be negative, got {int(self.faces.min())}.")
