"""`SkinDetail`: what a face's expressions do to the color of one painted person's skin, learned.

After the dynamic part of FlexAvatar (Peng et al.): a UNet over the texture sees the driven head,
where it is and how far from neutral, beside features that are learned for each texel. It gives
factors on the colors of the painting's skin: creases that darken and redden, skin that pales where
it stretches, shadows that a jaw or a brow casts.

Part of what it gives are gates, by which the same features are put upon the skin as patterns: a
crease lies where it lies, and only how deep it is follows the face. So the network may be coarser
than the patterns.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mien.avatar.learned import DRIVING_CHANNELS, driving_maps
from mien.avatar.placing import corner_shares
from mien.avatar.quick_unet import AsDrawn
from mien.avatar.splats import Kind, Splats
from mien.avatar.unet import UNet
from mien.avatar.uv_grid import rasterize_uv
from mien.avatar.uv_layout import Texels, moving_vertices, write_texels
from mien.head import Head

__all__ = ["DetailLayout", "DetailSize", "SkinDetail"]

_FEATURES = 0.1  # standard deviation before learning
_TINT = (0.6, 1.1, 1.1)  # of patterns before learning: what lies in shadow is redder
_MOST_LOG = 1.5  # a factor of 4.5 either way


@dataclass(frozen=True)
class DetailSize:
    """How large the network is.

    Attributes:
        side: Texels along one side of the part of the texture that it sees; a multiple of 16.
        finer: How many times finer the patterns are.
        features: Learned numbers a texel, each a pattern with a gate of its own.
        widths: Channels of the UNet at the full side and after each halving.
    """

    side: int = 80
    finer: int = 2
    features: int = 16
    widths: tuple[int, int, int, int, int] = (16, 24, 32, 48, 64)

    def __post_init__(self) -> None:
        least = min(self.finer, self.features, *self.widths)
        if self.side < 16 or self.side % 16 or least < 1:
            raise ValueError(
                "`side` must be a multiple of 16, `finer`, `features` and `widths` 1 or more, got "
                f"{self.side}, {self.finer}, {self.features} and {self.widths}."
            )


@dataclass(frozen=True, eq=False)
class DetailLayout:
    """Where one person's moving skin lies in the part of the texture that it fills.

    Attributes:
        side: Texels along one side of the grid that the network sees.
        ids: Texels on moving skin, in the flattened grid; rows are v, columns are u.
        corners: Vertices of the triangle under each.
        weights: Barycentric position on it.
        splats: Which of the painting's splats are moving skin.
        grid: Where these lie, as `grid_sample` wants it.
        neutral: The person's mesh at rest, metres.
    """

    side: int
    ids: Int[Tensor, " m"]
    corners: Int[Tensor, "m 3"]
    weights: Float[Tensor, "m 3"]
    splats: Int[Tensor, " n"]
    grid: Float[Tensor, "1 1 n 2"]
    neutral: Float[Tensor, "v 3"]

    @classmethod
    def of(cls, head: Head, person: Head, splats: Splats, side: int) -> DetailLayout:
        """Lay out a painting.

        Args:
            head: With texture coordinates and parts.
            person: The same head with the person's identity baked in.
            splats: The painting.
            side: Of the network's grid.
        """
        on_skin = torch.isin(head.faces, head.parts["skin"]).all(1)
        moving = on_skin & moving_vertices(head)[head.faces].any(1)
        corners = head.uv[head.uv_faces]
        low, high = corners[moving].amin((0, 1)), corners[moving].amax((0, 1))
        window = (corners - low) / (high - low)
        face_map = torch.full((side * side,), -1)
        chosen = moving.nonzero()[:, 0]
        found = torch.from_numpy(rasterize_uv(window[chosen].double().numpy(), side)).flatten()
        face_map[found >= 0] = chosen[found[found >= 0].long()]
        texels = Texels.under(face_map, window, side)
        own = ((splats.kinds == int(Kind.SKIN)) & moving[splats.faces]).nonzero()[:, 0]
        share = corner_shares(splats.bary[own]).unsqueeze(-1)
        places = (window[splats.faces[own]] * share).sum(1)
        return cls(
            side,
            texels.ids,
            head.faces[texels.faces],
            texels.weights,
            own,
            (places * 2 - 1)[None, None],
            person.v_template,
        )

    def to(self, device: torch.device | str) -> DetailLayout:
        """The same on another device."""
        tensors = (getattr(self, field.name).to(device) for field in fields(self)[1:])
        return DetailLayout(self.side, *tensors)

    def draw(self, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, "b 3 s s"]:
        """Write a mesh's moving skin onto the grid; zero beside it."""
        points = (vertices[:, self.corners] * self.weights.unsqueeze(-1)).sum(2)
        return write_texels(points, self.ids, self.side)

    def read(self, maps: Float[Tensor, "b c r r"]) -> Float[Tensor, "b n c"]:
        """Read maps of any side at the splats of moving skin, bilinearly."""
        grid = self.grid.expand(len(maps), -1, -1, -1)
        read = nn.functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)
        return read[:, :, 0].transpose(1, 2)


class SkinDetail(nn.Module):
    """One person's features and network; changes nothing until it has learned something.

    Args:
        size: Of both.

    Attributes:
        features: Of each texel of the patterns.
        tints: What each feature, as a pattern, does to red, green and blue.
        unet: The network.
        card: What made it, and its figures.
    """

    card: dict[str, Any]

    def __init__(self, size: DetailSize) -> None:
        super().__init__()
        self.size, self.card = size, {}
        side = size.side * size.finer
        self.features = nn.Parameter(_FEATURES * torch.randn(size.features, side, side))
        self.tints = nn.Parameter(torch.tensor(_TINT).repeat(size.features, 1))
        channels = (size.features + DRIVING_CHANNELS, 3 + size.features)
        self.unet = UNet(*channels, size.widths)
        self._as_drawn = AsDrawn()

    def forward(
        self, canonical: Float[Tensor, "b v 3"], layout: DetailLayout
    ) -> Float[Tensor, "b n 3"]:
        """Give logarithms of the factors on the colors, sRGB, of the layout's splats.

        Args:
            canonical: The driven mesh, head straight and in place, metres.
            layout: Of the person, of this size.
        """
        features = nn.functional.avg_pool2d(self.features, self.size.finer)
        features = features.expand(len(canonical), -1, -1, -1)
        seen = torch.cat([features, *driving_maps(layout, canonical)], 1)
        drawing = not torch.is_grad_enabled() and seen.device.type == "cpu"
        given = self._as_drawn(self.unet, seen) if drawing else self.unet(seen)
        side = self.features.shape[1:]
        given = nn.functional.interpolate(given.float(), side, mode="bilinear")
        shade, gates = given[:, :3], given[:, 3:]
        tints = self.tints.T[..., None, None]
        maps = shade + nn.functional.conv2d(gates * self.features, tints)
        return layout.read(maps).clamp(-_MOST_LOG, _MOST_LOG)
