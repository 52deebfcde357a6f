"""Where learning begins: a painted avatar, read onto maps."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from mien.avatar.learned import LearnedHead, make_unet
from mien.avatar.placing import corner_shares, place, surface_frame, vertex_normals
from mien.avatar.prepared import bake_identity
from mien.avatar.shading import MaterialTable, shade
from mien.avatar.sizes import DecoderSize
from mien.avatar.splats import Kind
from mien.avatar.static_maps import StaticMaps
from mien.avatar.texel_sheet import spread_over
from mien.avatar.unet import UNet
from mien.avatar.uv_layout import UVLayout

if TYPE_CHECKING:
    from mien.avatar.avatar import Avatar

_NEAREST = 4  # splats that a texel takes after
_TURN_M = 5e-3  # what facing the other way counts for: lips are not teeth
_HAIR_M = 6e-3  # hair bound this near lies over the skin
_FEATURES = 0.1  # standard deviation of identity features before learning


def learned_layout(avatar: Avatar, size: DecoderSize) -> UVLayout:
    """Lay out an avatar's person for a size."""
    return UVLayout(avatar.head, bake_identity(avatar.head, avatar.shape), size)


def start_from(
    avatar: Avatar, size: DecoderSize, seed: int = 0, unet: UNet | None = None
) -> Avatar:
    """Give the avatar a learned head that looks like its painting and has learned nothing yet.

    What was learned of the painting's skin goes: from here on its own network moves it.

    Args:
        avatar: Painted.
        size: Of the learned head.
        seed: Of its features and, unless given, of its network.
        unet: A network to share.
    """
    generator = torch.Generator().manual_seed(seed)
    layout = learned_layout(avatar, size)
    side = (size.network_side, size.network_side)
    features = _FEATURES * torch.randn(size.features, *side, generator=generator)
    maps = read_painting(avatar, layout, features)
    if unet is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            unet = make_unet(size)
    learned = LearnedHead(size, layout, maps, unet)
    return dataclasses.replace(avatar, learned=learned, detail=None)


def read_painting(
    avatar: Avatar, layout: UVLayout, features: Float[Tensor, "f r r"]
) -> StaticMaps:
    """Give maps with the color, opacity and place of a painting at rest.

    Where hair lies over the skin, texels become hair. Light is that of a face at rest seen from
    the front, without the shadows of lids and lips. Rotation and scale start as the surface's.
    """
    filled = spread_over(layout, _nearest_paint(avatar, layout))
    color, opacity, shift = torch.split(filled, [3, 1, 3])
    maps = StaticMaps.plain(layout.resolution, features)
    return StaticMaps(
        100.0 * shift,
        opacity.clamp(0.02, 0.98).logit(),
        maps.scale.detach(),
        color.clamp(0.01, 0.99).logit(),
        maps.rotation.detach(),
        features,
    )


class SplatReader:
    """Reads what a painting's splats have at the texels of a layout: of the nearest ones at rest.

    Args:
        avatar: The painting.
        layout: Of the same person.
    """

    def __init__(self, avatar: Avatar, layout: UVLayout) -> None:
        head, splats, vertices = avatar.head, avatar.splats, layout.neutral
        self.normals = vertex_normals(vertices, head.faces)
        self.placed = place(splats, vertices, self.normals, head.faces)
        frame = surface_frame(splats.faces, splats.bary, vertices, self.normals, head.faces)
        share = corner_shares(splats.bary).unsqueeze(-1)
        roots = (vertices[head.faces[splats.faces]] * share).sum(1)
        off = ((self.placed.means - roots) * frame.normal).sum(-1, keepdim=True)
        self.shift = off * frame.normal  # off the surface, metres
        keys = torch.cat([roots, _TURN_M * frame.normal], -1)
        asked = _texel_keys(layout, vertices, self.normals)
        hair, span = splats.kinds == Kind.HAIR, splats.span(Kind.HAIR)
        self._bare, self._hair = (~hair).nonzero()[:, 0], span
        self._on_skin = _Nearest.of(keys[~hair], asked)
        self._in_hair: _Nearest | None = None
        self.is_covered = torch.zeros(len(asked), dtype=torch.bool)  # by hair
        if span.stop - span.start >= _NEAREST:  # strands hang far from their roots
            feet = _nearest_points(asked[:, :3], self.placed.means[span])
            self.shift[span] = self.placed.means[span] - feet
            self._in_hair = _Nearest.of(feet, asked[:, :3])
            self.is_covered = self._in_hair.farthest < _HAIR_M

    def read(self, values: Float[Tensor, "n c"]) -> Float[Tensor, "m c"]:
        """Read anything that has a row a splat."""
        found = self._on_skin.mean(values[self._bare])
        if self._in_hair is None:
            return found
        covering = self._in_hair.mean(values[self._hair])
        return torch.where(self.is_covered.unsqueeze(-1), covering, found)


def _nearest_paint(avatar: Avatar, layout: UVLayout) -> Float[Tensor, "m 7"]:
    """Color, opacity and shift off the surface, metres, of the splats nearest to each texel."""
    splats, reader = avatar.splats, SplatReader(avatar, layout)
    lit = shade(
        splats,
        reader.placed,
        MaterialTable.of(splats),
        layout.neutral.new_tensor([0.0, 0.0, 1.0]),
        torch.ones_like(splats.opacity),
        avatar.studio,
    )
    return reader.read(torch.cat([lit, splats.opacity[:, None], reader.shift], -1))


def _texel_keys(layout: UVLayout, vertices: Tensor, normals: Tensor) -> Float[Tensor, "m 6"]:
    weights = layout.texel_weights.unsqueeze(-1)
    points, facing = ((x[layout.texel_corners] * weights).sum(1) for x in (vertices, normals))
    return torch.cat([points, _TURN_M * torch.nn.functional.normalize(facing, dim=-1)], -1)


def _nearest_points(points: Float[Tensor, "m 3"], to: Float[Tensor, "n 3"]) -> Tensor:
    """The one of `points` that is nearest to each of `to`."""
    return points[torch.from_numpy(cKDTree(points.double().numpy()).query(to.double().numpy())[1])]


@dataclass(frozen=True, eq=False)
class _Nearest:
    """The keys nearest to each place, how much each counts, and how far the last of them is."""

    ids: Tensor
    weights: Tensor
    farthest: Tensor

    @classmethod
    def of(cls, keys: Tensor, asked: Tensor) -> _Nearest:
        distance, near = cKDTree(keys.double().numpy()).query(asked.double().numpy(), _NEAREST)
        weights = torch.from_numpy(1.0 / (distance + 2e-4)).to(keys)
        weights = weights / weights.sum(-1, keepdim=True)
        return cls(torch.from_numpy(near), weights, torch.from_numpy(distance[:, -1]).to(keys))

    def mean(self, values: Tensor) -> Tensor:
        """Of what the keys have, near ones more."""
        return (values[self.ids] * self.weights.unsqueeze(-1)).sum(1)
