"""`TexelSheet`: the texels of an avatar's maps as points of the head, and what they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.hair import cover_at
from mien.avatar.learned import LearnedHead
from mien.avatar.placing import place, vertex_normals
from mien.avatar.regions import collar_distance
from mien.avatar.splats import Kind
from mien.avatar.uv_layout import UVLayout
from mien.head import Head

Array = np.ndarray

_MM = 1e-3
_NEIGHBORS = 8
_TURN_MM = 8.0  # what facing the other way counts for: one lip is not the other
_FAR_MM = 9.0  # no neighbors beyond it: the chart's holes
_HAIR_MM, _NEAR_HAIR_MM = 6.0, 10.0  # hair whose foot is this near lies, or may lie, over the skin
_STRANDS = 4
_GROWN = 0.5  # cover where hair grows
_INNER = ("socket_left", "socket_right", "mouth_bag")


@dataclass(frozen=True, eq=False)
class TexelSheet:
    """The texels that lie on the outer skin, M of them.

    Attributes:
        rows: Their places among the layout's texels.
        resting: Where they lie on the mean head, millimetres.
        is_hair: Whether hair covers them in the avatar's painting.
        near_hair: Whether hair is so near that it may have been read there.
        to_lids: Distance to the lids' edges on the mean head, millimetres.
        is_cloth: Whether they lie under the collar; never hair.
        mirror: The texel on the other side of the face.
        near: `[M, M]`, 1 where two texels are neighbors.
        spacing_m: Between neighbors on the face, metres.
    """

    rows: Int[Array, " m"]
    resting: Float[Array, "m 3"]
    is_hair: Bool[Array, " m"]
    near_hair: Bool[Array, " m"]
    to_lids: Float[Array, " m"]
    is_cloth: Bool[Array, " m"]
    mirror: Int[Array, " m"]
    near: csr_matrix
    spacing_m: float

    @classmethod
    def of(cls, avatar: Avatar, learned: LearnedHead) -> TexelSheet:
        """Lay out an avatar's texels."""
        head, layout = avatar.head, learned.layout
        rows = np.flatnonzero(_on_skin(head, layout))
        resting = read_texels(layout, head.v_template)[rows].double().numpy() / _MM
        normals = texel_normals(layout, head.v_template, head)[rows].double().numpy()
        to_hair = _to_hair(avatar, read_texels(layout, layout.neutral)[rows])
        to_lids = away_from_lids(head, resting)
        is_cloth = collar_distance(resting) < -1.0
        keys = np.concatenate([resting, _TURN_MM * normals], -1)
        flip = np.array([-1.0, 1.0, 1.0, -1.0, 1.0, 1.0])
        mirror = cKDTree(keys).query(keys * flip)[1]
        near, spacing = _neighbors(keys, resting)
        grown = cover_at(resting, avatar.look) > _GROWN
        is_hair = (grown | (to_hair < _HAIR_MM)) & ~is_cloth
        near_hair = (is_hair | (to_hair < _NEAR_HAIR_MM)) & ~is_cloth
        return cls(rows, resting, is_hair, near_hair, to_lids, is_cloth, mirror, near, spacing)

    def __len__(self) -> int:
        return len(self.rows)

    def same_stuff(self) -> csr_matrix:
        """`near`, where both are hair, both cloth, or both skin."""
        stuff = self.is_hair + 2 * self.is_cloth
        pairs = self.near.tocoo()
        kept = stuff[pairs.row] == stuff[pairs.col]
        return csr_matrix((pairs.data[kept], (pairs.row[kept], pairs.col[kept])), pairs.shape)

    def smooth(self, values: Float[Array, " m"], times: int) -> Float[Array, " m"]:
        """Average values with their neighbors'."""
        degree = np.asarray(self.near.sum(1)).ravel() + 1
        for _ in range(times):
            values = (values + self.near @ values) / degree
        return values


def read_texels(layout: UVLayout, vertices: Float[Tensor, "v c"]) -> Float[Tensor, "k c"]:
    """Read anything that has a row a vertex at the layout's texels."""
    return (vertices[layout.texel_corners] * layout.texel_weights.unsqueeze(-1)).sum(1)


def texels_of(learned: LearnedHead, maps: Float[Tensor, "c r r"]) -> Float[Tensor, "k c"]:
    """A learned head's maps at its layout's texels."""
    return maps.detach().flatten(1).T[learned.layout.texel_ids]


def texel_normals(
    layout: UVLayout, vertices: Float[Tensor, "v 3"], head: Head
) -> Float[Tensor, "k 3"]:
    """Smooth normals of a posed mesh at the layout's texels, unit length."""
    normals = read_texels(layout, vertex_normals(vertices, head.faces))
    return torch.nn.functional.normalize(normals, dim=-1)


def spread_over(layout: UVLayout, values: Float[Tensor, "k c"]) -> Float[Tensor, "c r r"]:
    """Write values at all of a layout's texels into maps; off the surface the nearest is taken."""
    side = layout.resolution
    grid = values.new_zeros(side * side, values.shape[1])
    grid[layout.texel_ids] = values
    on_surface = torch.zeros(side * side, dtype=torch.bool)
    on_surface[layout.texel_ids] = True
    row, column = distance_transform_edt(
        ~on_surface.reshape(side, side).numpy(), return_distances=False, return_indices=True
    )
    ids = torch.from_numpy(np.asarray(row * side + column)).long()
    return grid[ids].permute(2, 0, 1)


def _on_skin(head: Head, layout: UVLayout) -> Bool[Array, " k"]:
    corners = layout.texel_corners
    found = torch.isin(corners, head.parts["skin"]).all(1)
    for part in _INNER:
        found &= ~torch.isin(corners, head.parts[part]).all(1)
    return np.asarray(found.numpy())


def _to_hair(avatar: Avatar, points: Float[Tensor, "m 3"]) -> Float[Array, " m"]:
    """Distance to the feet of the painting's hair, millimetres."""
    span = avatar.splats.span(Kind.HAIR)
    if span.stop - span.start < _STRANDS:
        return np.full(len(points), np.inf)
    vertices = avatar.head.identity(avatar.shape)
    normals = vertex_normals(vertices, avatar.head.faces)
    strands = place(avatar.splats, vertices, normals, avatar.head.faces).means[span]
    places = points.double().numpy() / _MM
    feet = places[cKDTree(places).query(strands.double().numpy() / _MM)[1]]
    return np.asarray(cKDTree(feet).query(places, _STRANDS)[0][:, -1])


def away_from_lids(head: Head, resting: Float[Array, "m 3"]) -> Float[Array, " m"]:
    """How far points of the mean head are from the lids' edges, millimetres."""
    return np.asarray(cKDTree(_lid_edges(head)).query(resting)[0])


def _lid_edges(head: Head) -> Float[Array, "n 3"]:
    """Where the skin of the lids ends on the mean head, millimetres."""
    rings = [
        ids[torch.isin(ids, head.parts["skin"])]
        for ids in (head.parts["socket_left"], head.parts["socket_right"])
    ]
    return np.asarray(head.v_template[torch.cat(rings)].double().numpy() / _MM)


def _neighbors(keys: Array, resting: Array) -> tuple[csr_matrix, float]:
    """Pairs of near texels, and how far the nearest on the face are, metres."""
    distance, ids = cKDTree(keys).query(keys, _NEIGHBORS + 1)
    first = np.repeat(np.arange(len(keys)), _NEIGHBORS)
    second, apart = ids[:, 1:].ravel(), distance[:, 1:].ravel()
    kept = apart < _FAR_MM
    one = csr_matrix((np.ones(kept.sum()), (first[kept], second[kept])), (len(keys),) * 2)
    both = (one + one.T).sign()
    on_face = (resting[:, 2] > 0) & (np.abs(resting[:, 0]) < 50)
    return both.tocsr(), float(np.median(distance[on_face, 1])) * _MM
