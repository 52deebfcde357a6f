"""Placing: carry splats along with the posed triangles they are bound to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.avatar.splats import Splats

ROUNDNESS = 0.75  # Phong tessellation's usual strength (Boubekeur and Alexa 2008, section 3)


@dataclass(frozen=True, eq=False)
class Placed:
    """Splats of one frame, before light.

    Attributes:
        means: Centers, metres.
        rotmats: World from splat: columns are the long axis, the wide axis, and their normal,
            which is the outward normal of a surface.
        scales: Standard deviations along those columns, metres.
    """

    means: Float[Tensor, "n 3"]
    rotmats: Float[Tensor, "n 3 3"]
    scales: Float[Tensor, "n 3"]

    @property
    def normals(self) -> Float[Tensor, "n 3"]:
        """Outward normals, unit length, without bump."""
        return self.rotmats[..., 2]


@dataclass(frozen=True, eq=False)
class Frame:
    """The local frame at a point of the smooth surface.

    Attributes:
        origin: The point, metres.
        edges: The triangle's first two edges laid onto the tangent plane, metres.
        normal: Smooth unit normal.
    """

    origin: Float[Tensor, "n 3"]
    edges: Float[Tensor, "n 2 3"]
    normal: Float[Tensor, "n 3"]

    def to_world(self, coordinates: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Edge multiples and height to a vector, metres."""
        along = coordinates[:, :1] * self.edges[:, 0] + coordinates[:, 1:2] * self.edges[:, 1]
        return along + coordinates[:, 2:] * self.normal

    def from_world(self, vectors: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Undo `to_world`."""
        columns = torch.cat([self.edges, self.normal[:, None]], 1).transpose(1, 2)
        solved: Tensor = torch.linalg.solve(columns, vectors)
        return solved


def vertex_normals(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]
) -> Float[Tensor, "v 3"]:
    """Unit normals of a triangle mesh, outward, weighted by the triangles' areas."""
    a, b, c = vertices[faces].unbind(1)
    of_faces = torch.linalg.cross(b - a, c - a)
    summed = torch.zeros_like(vertices)
    for corner in range(3):
        summed.index_add_(0, faces[:, corner], of_faces)
    return torch.nn.functional.normalize(summed, dim=-1, eps=1e-20)


def place(
    splats: Splats,
    vertices: Float[Tensor, "v 3"],
    normals: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
) -> Placed:
    """Put splats on a posed mesh.

    Positions follow Phong tessellation, so the outline is round although the triangles are flat.

    Args:
        splats: Bound to `faces`.
        vertices: Posed, metres.
        normals: `vertex_normals` of the posed mesh.
        faces: The head's triangles.

    Source:
        Boubekeur and Alexa 2008, Phong Tessellation (doi:10.1145/1409060.1409094), equation 3.
    """
    frame = surface_frame(splats.faces, splats.bary, vertices, normals, faces)
    long_axis = frame.to_world(splats.long_axis)
    wide_axis = frame.to_world(splats.wide_axis)
    rotmats, scales = _orthonormal(long_axis, wide_axis, splats.thickness)
    return Placed(frame.origin + frame.to_world(splats.offset), rotmats, scales)


def corner_shares(bary: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
    """Shares of all three corners, of those of the second and third."""
    return torch.cat([1.0 - bary.sum(-1, keepdim=True), bary], -1)


def surface_frame(
    on_faces: Int[Tensor, " n"],
    bary: Float[Tensor, "n 2"],
    vertices: Float[Tensor, "v 3"],
    normals: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
) -> Frame:
    """Give the frames at points on triangles; see `place`."""
    ids = faces[on_faces]  # [N, 3]
    corners, corner_normals = vertices[ids], normals[ids]
    weights = corner_shares(bary).unsqueeze(-1)
    flat = (corners * weights).sum(1)
    heights = ((flat.unsqueeze(1) - corners) * corner_normals).sum(-1, keepdim=True)
    rounded = flat - ROUNDNESS * (weights * heights * corner_normals).sum(1)
    smooth = unit((corner_normals * weights).sum(1))
    edges = corners[:, 1:] - corners[:, :1]
    edges = edges - (edges * smooth.unsqueeze(1)).sum(-1, keepdim=True) * smooth.unsqueeze(1)
    return Frame(rounded, edges, smooth)


def unit(vectors: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Scale to unit length; zero stays zero."""
    length: Tensor = vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return vectors / length


def _orthonormal(long_axis: Tensor, wide_axis: Tensor, thickness: Tensor) -> tuple[Tensor, Tensor]:
    length = long_axis.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    first = long_axis / length
    across = wide_axis - first * (wide_axis * first).sum(-1, keepdim=True)
    width = across.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    second = across / width
    third = torch.linalg.cross(first, second)
    rotmats = torch.stack([first, second, third], -1)
    return rotmats, torch.cat([length, width, thickness.unsqueeze(-1)], -1)
