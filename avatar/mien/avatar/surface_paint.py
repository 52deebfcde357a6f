"""An avatar's colors as points of the head, painted or learned: for textures of meshes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.static_maps import WIDTHS
from mien.avatar.uv_layout import Texels
from mien.motion import Motion


@dataclass(frozen=True, eq=False)
class SurfacePaint:
    """Colored points of a head's surface.

    Attributes:
        faces: The triangle of each.
        bary: Shares of the triangle's second and third corner.
        colors: sRGB, 0 to 1.
        opacities: How much each covers, 0 to 1.
    """

    faces: Int[Tensor, " n"]
    bary: Float[Tensor, "n 2"]
    colors: Float[Tensor, "n 3"]
    opacities: Float[Tensor, " n"]


@torch.no_grad()
def surface_paint(avatar: Avatar) -> SurfacePaint:
    """Give the colors of a painting, or of a learned head at rest.

    A painting's colors are those of its materials, without light; a learned head's have the light
    of the pictures that it was learned from.
    """
    learned, splats = avatar.learned, avatar.splats
    if learned is None:
        return SurfacePaint(splats.faces, splats.bary, splats.albedo, splats.opacity)
    texels = Texels.of(avatar.head, learned.size.resolution)
    maps = learned.attributes(avatar.driven(Motion.rest(1)))[0]
    parts = dict(zip(WIDTHS, torch.split(maps, list(WIDTHS.values())), strict=True))
    colors, opacities = (
        parts[name].flatten(1).T[texels.ids].sigmoid() for name in ("color", "opacity")
    )
    return SurfacePaint(texels.faces, texels.weights[:, 1:], colors, opacities[:, 0])
