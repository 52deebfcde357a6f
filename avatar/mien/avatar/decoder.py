"""The seam for a learned decoder: maps of the driven head in, changes of the Gaussians out.

After FlexAvatar (Peng et al.), a network may look at the position map of the posed head and at
the painting's attribute maps, and change offset, size, color and opacity of what it sees. No such
network is trained or shipped yet; `IdentityDecoder` changes nothing, and without a decoder
nothing is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mien.avatar.placing import Placed
from mien.avatar.splats import Splats
from mien.avatar.uv_grid import barycentric, rasterize_uv
from mien.head import Head

STATIC_CHANNELS = 7  # albedo (3), opacity, occlusion, key_light, gloss


@dataclass(frozen=True, eq=False)
class AttributeDeltas:
    """What a decoder changes, as maps over the texture; rows are v, columns are u.

    Attributes:
        offset: Added to the center along long axis, wide axis and normal, metres.
        log_scale: Added to the logarithm of the three standard deviations.
        color: Added to sRGB, after light.
        opacity: Added to the opacity.
    """

    offset: Float[Tensor, "r r 3"]
    log_scale: Float[Tensor, "r r 3"]
    color: Float[Tensor, "r r 3"]
    opacity: Float[Tensor, "r r 1"]

    @classmethod
    def zeros(cls, resolution: int) -> AttributeDeltas:
        """Deltas that change nothing."""
        return cls(*(torch.zeros(resolution, resolution, width) for width in (3, 3, 3, 1)))


class AppearanceDecoder(Protocol):
    """A network, or any function, from maps to deltas."""

    @property
    def resolution(self) -> int:
        """Side of the maps that it takes and gives."""
        ...

    def __call__(
        self, position: Float[Tensor, "r r 3"], static: Float[Tensor, "r r 7"]
    ) -> AttributeDeltas:
        """Decode one frame.

        Args:
            position: Posed surface points, metres; zero off the surface.
            static: Albedo, opacity, occlusion, key light and gloss of the painting.
        """
        ...


@dataclass(frozen=True)
class IdentityDecoder:
    """The decoder that changes nothing."""

    resolution: int = 128

    def __call__(
        self, position: Float[Tensor, "r r 3"], static: Float[Tensor, "r r 7"]
    ) -> AttributeDeltas:
        """Give zero deltas."""
        return AttributeDeltas.zeros(self.resolution)


@dataclass(frozen=True, eq=False)
class Atlas:
    """A head's texture at one resolution, and where an avatar's splats lie in it.

    Attributes:
        on_surface: Texels whose center a triangle covers.
        corner_ids: Vertices of that triangle, `[M, 3]` for the M texels on the surface.
        weights: Barycentric position in it.
        splat_uv: Texture coordinates of the splats, 0 to 1.
        static: Attribute maps of the painting.
    """

    on_surface: Bool[Tensor, "r r"]
    corner_ids: Int[Tensor, "m 3"]
    weights: Float[Tensor, "m 3"]
    splat_uv: Float[Tensor, "n 2"]
    static: Float[Tensor, "r r 7"]

    @classmethod
    def of(cls, head: Head, splats: Splats, resolution: int) -> Atlas:
        """Lay out the texture of a head and read the splats onto it."""
        uv_corners = head.uv[head.uv_faces]
        face_map = torch.from_numpy(rasterize_uv(uv_corners.double().numpy(), resolution)).long()
        on_surface = face_map >= 0
        row, column = on_surface.nonzero().unbind(-1)
        faces = face_map[on_surface]
        center = (torch.stack([column, row], -1) + 0.5) / resolution
        weights = barycentric(uv_corners[faces].double().numpy(), center.double().numpy())
        share = torch.cat([1 - splats.bary.sum(-1, keepdim=True), splats.bary], -1)
        splat_uv = (uv_corners[splats.faces] * share.unsqueeze(-1)).sum(1)
        static = _read_onto(splats, splat_uv, resolution)
        corner_weights = torch.from_numpy(weights).to(head.uv)
        return cls(on_surface, head.faces[faces], corner_weights, splat_uv, static)

    def position_map(self, vertices: Float[Tensor, "v 3"]) -> Float[Tensor, "r r 3"]:
        """Positions of the posed surface at each texel."""
        drawn = vertices.new_zeros(*self.on_surface.shape, 3)
        drawn[self.on_surface] = (vertices[self.corner_ids] * self.weights.unsqueeze(-1)).sum(1)
        return drawn

    def read(self, maps: Float[Tensor, "r r c"]) -> Float[Tensor, "n c"]:
        """Read maps at the splats, bilinearly."""
        grid = (self.splat_uv * 2 - 1)[None, None]
        picture = maps.permute(2, 0, 1)[None]
        read = torch.nn.functional.grid_sample(
            picture, grid, padding_mode="border", align_corners=False
        )
        return read[0, :, 0].T


def apply_deltas(
    placed: Placed, colors: Tensor, opacities: Tensor, deltas: AttributeDeltas, atlas: Atlas
) -> tuple[Placed, Tensor, Tensor]:
    """Change placed splats, colors and opacities by a decoder's maps.

    Raises:
        ValueError: If the maps do not have the atlas's resolution.
    """
    side = len(atlas.on_surface)
    for f in fields(deltas):
        value = getattr(deltas, f.name)
        if tuple(value.shape[:2]) != (side, side):
            raise ValueError(
                f"The decoder's `{f.name}` must be a map of {side}x{side}, "
                f"got {list(value.shape)}."
            )
    offset = (placed.rotmats @ atlas.read(deltas.offset).unsqueeze(-1)).squeeze(-1)
    scales = placed.scales * atlas.read(deltas.log_scale).exp()
    moved = Placed(placed.means + offset, placed.rotmats, scales)
    colors = (colors + atlas.read(deltas.color)).clamp(0, 1)
    shown = (opacities + atlas.read(deltas.opacity).squeeze(-1)).clamp(0, 1)
    return moved, colors, torch.where(opacities > 0, shown, opacities)


def _read_onto(splats: Splats, uv: Tensor, resolution: int) -> Tensor:
    """Average the splats' attributes in each texel; texels without splats stay zero."""
    columns = [splats.albedo] + [
        getattr(splats, name).unsqueeze(-1)
        for name in ("opacity", "occlusion", "key_light", "gloss")
    ]
    values = torch.cat([*columns, torch.ones_like(columns[1])], -1)
    texel = (uv * resolution).long().clamp(0, resolution - 1)
    summed = values.new_zeros(resolution**2, values.shape[1])
    summed.index_add_(0, texel[:, 1] * resolution + texel[:, 0], values)
    mean = summed[:, :-1] / summed[:, -1:].clamp_min(1)
    return mean.reshape(resolution, resolution, STATIC_CHANNELS)
