"""Where learning begins: a painted avatar, read onto maps."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from torch import Tensor

from mien.avatar.learned import LearnedHead, make_unet
from mien.avatar.placing import place, surface_frame, vertex_normals
from mien.avatar.prepared import bake_identity
from mien.avatar.shading import MaterialTable, shade
from mien.avatar.sizes import DecoderSize
from mien.avatar.splats import Kind
from mien.avatar.static_maps import StaticMaps
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
    return dataclasses.replace(avatar, learned=LearnedHead(size, layout, maps, unet))


def read_painting(
    avatar: Avatar, layout: UVLayout, features: Float[Tensor, "f r r"]
) -> StaticMaps:
    """Give maps with the color, opacity and place of a painting at rest.

    Where hair lies over the skin, texels become hair. Light is that of a face at rest seen from
    the front, without the shadows of lids and lips. Rotation and scale start as the surface's.
    """
    at_texels = _nearest_paint(avatar, layout)  # [M, 7]
    grid = at_texels.new_zeros(layout.resolution**2, at_texels.shape[1])
    grid[layout.texel_ids] = at_texels
    on_surface = torch.zeros(layout.resolution**2, dtype=torch.bool)
    on_surface[layout.texel_ids] = True
    filled = _spread(grid, on_surface.reshape(layout.resolution, -1))
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


def _nearest_paint(avatar: Avatar, layout: UVLayout) -> Float[Tensor, "m 7"]:
    """Color, opacity and shift off the surface, metres, of the splats nearest to each texel."""
    head, splats, vertices = avatar.head, avatar.splats, layout.neutral
    normals = vertex_normals(vertices, head.faces)
    placed = place(splats, vertices, normals, head.faces)
    lit = shade(
        splats,
        placed,
        MaterialTable.of(splats),
        vertices.new_tensor([0.0, 0.0, 1.0]),
        torch.ones_like(splats.opacity),
        avatar.studio,
    )
    frame = surface_frame(splats.faces, splats.bary, vertices, normals, head.faces)
    share = torch.cat([1 - splats.bary.sum(-1, keepdim=True), splats.bary], -1).unsqueeze(-1)
    roots = (vertices[head.faces[splats.faces]] * share).sum(1)
    shift = ((placed.means - roots) * frame.normal).sum(-1, keepdim=True) * frame.normal
    paint = torch.cat([lit, splats.opacity[:, None], shift], -1)
    keys = torch.cat([roots, _TURN_M * frame.normal], -1)
    asked = _texel_keys(layout, vertices, normals)
    hair, span = splats.kinds == Kind.HAIR, splats.span(Kind.HAIR)
    found, _ = _average(keys[~hair], paint[~hair], asked)
    if span.stop - span.start < _NEAREST:
        return found
    feet = _nearest_points(asked[:, :3], placed.means[span])  # strands hang far from their roots
    strands = torch.cat([paint[span, :4], placed.means[span] - feet], -1)
    covering, distance = _average(feet, strands, asked[:, :3])
    return torch.where((distance < _HAIR_M).unsqueeze(-1), covering, found)


def _texel_keys(layout: UVLayout, vertices: Tensor, normals: Tensor) -> Float[Tensor, "m 6"]:
    weights = layout.texel_weights.unsqueeze(-1)
    points, facing = ((x[layout.texel_corners] * weights).sum(1) for x in (vertices, normals))
    return torch.cat([points, _TURN_M * torch.nn.functional.normalize(facing, dim=-1)], -1)


def _nearest_points(points: Float[Tensor, "m 3"], to: Float[Tensor, "n 3"]) -> Tensor:
    """The one of `points` that is nearest to each of `to`."""
    return points[torch.from_numpy(cKDTree(points.double().numpy()).query(to.double().numpy())[1])]


def _average(keys: Tensor, paint: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Mean paint of the nearest keys, near ones more, and the distance to the last of them."""
    distance, near = cKDTree(keys.double().numpy()).query(asked.double().numpy(), _NEAREST)
    weights = torch.from_numpy(1.0 / (distance + 2e-4)).to(paint)
    weights = weights / weights.sum(-1, keepdim=True)
    mean = (paint[torch.from_numpy(near)] * weights.unsqueeze(-1)).sum(1)
    return mean, torch.from_numpy(distance[:, -1]).to(paint)


def _spread(grid: Float[Tensor, "rr c"], on_surface: Tensor) -> Float[Tensor, "c r r"]:
    """Give texels off the surface the values of the nearest texel on it."""
    row, column = distance_transform_edt(
        ~on_surface.numpy(), return_distances=False, return_indices=True
    )
    ids = torch.from_numpy(np.asarray(row * on_surface.shape[1] + column)).long()
    return grid[ids].permute(2, 0, 1)
