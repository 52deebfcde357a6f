"""`UVLayout`: where a learned avatar's texels and Gaussians lie on one person's mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mien.avatar.sizes import DecoderSize
from mien.avatar.uv_grid import barycentric, rasterize_uv
from mien.head import Head
from mien.rotations import rotmat_to_quat

SPREAD = 0.8  # standard deviation over the distance to the next Gaussian: no gaps, little blur
THINNESS = 0.25  # third standard deviation over the mean of the other two
_FINER, _FINE_MAPS = 2, 1.1  # grid where steps are longer; maps' side over the grid's
_FEW = 2000  # Gaussians, which are wide everywhere
_MOST_STEPS = 2.0  # longest axis over the mean step of the whole surface: no spikes
_MOVED_M = 5e-4  # by one whole expression component; less is not seen
_CARRIED = 0.05  # share of jaw and eyes in the skinning


@dataclass(frozen=True, eq=False)
class Texels:
    """The centers of a square grid over the texture that lie on triangles.

    Attributes:
        ids: Their places in the flattened grid; rows are v, columns are u.
        faces: The triangle under each.
        weights: Barycentric position on it.
        uv: Texture coordinates, 0 to 1.
    """

    ids: Int[Tensor, " m"]
    faces: Int[Tensor, " m"]
    weights: Float[Tensor, "m 3"]
    uv: Float[Tensor, "m 2"]

    @classmethod
    def of(cls, head: Head, side: int) -> Texels:
        """Find them for a grid of `side` by `side`."""
        return cls.under(_face_map(head, side), head.uv[head.uv_faces], side)

    @classmethod
    def under(
        cls, face_map: Int[Tensor, " rr"], uv_corners: Float[Tensor, "f 3 2"], side: int
    ) -> Texels:
        """Find them for a grid whose triangles are known, -1 where there is none."""
        corners, ids = uv_corners.double(), (face_map >= 0).nonzero().squeeze(-1)
        uv = (torch.stack([ids % side, ids // side], -1) + 0.5).double() / side
        faces = face_map[ids]
        weights = torch.from_numpy(barycentric(corners[faces].numpy(), uv.numpy()))
        return cls(ids, faces, weights.to(uv_corners), uv.to(uv_corners))


@lru_cache(maxsize=8)
def _face_map(head: Head, side: int) -> Int[Tensor, " rr"]:
    """The triangle under each texel; kept, since all people share a head and its texture."""
    corners = head.uv[head.uv_faces].double().numpy()
    return torch.from_numpy(rasterize_uv(corners, side)).long().flatten()


def surface_mask(head: Head, side: int) -> Bool[Tensor, "r r"]:
    """Which texels of a grid lie on the head at all."""
    return (_face_map(head, side) >= 0).reshape(side, side)


class UVLayout(nn.Module):
    """What follows from a head, a person and a size; nothing in it is learned or saved.

    Args:
        head: With texture coordinates.
        person: The same head with the person's identity baked in.
        size: Of the maps, and how many Gaussians.

    Raises:
        ValueError: If the head has no texture coordinates.
    """

    texel_ids: Tensor
    texel_corners: Tensor
    texel_weights: Tensor
    drawn_ids: Tensor
    drawn_corners: Tensor
    drawn_weights: Tensor
    dynamic: Tensor
    corners: Tensor
    weights: Tensor
    grid: Tensor
    lbs_weights: Tensor
    base_quats: Tensor
    base_scales: Tensor
    neutral: Tensor

    def __init__(self, head: Head, person: Head, size: DecoderSize) -> None:
        super().__init__()
        if not len(head.uv_faces):
            raise ValueError(
                f"A learned avatar needs texture coordinates; the head {head.name!r} has none."
            )
        self.resolution, self.network_side = size.resolution, size.network_side
        texels = Texels.of(head, self.resolution)
        drawn = texels if size.coarser == 1 else Texels.of(head, self.network_side)
        sides = face_sides(head, size)
        samples = _samples(head, sides)
        corners = head.faces[samples.faces]
        quats, scales = discs(head, person, samples, sides)
        buffers = {
            "texel_ids": texels.ids,
            "texel_corners": head.faces[texels.faces],
            "texel_weights": texels.weights,
            "drawn_ids": drawn.ids,
            "drawn_corners": head.faces[drawn.faces],
            "drawn_weights": drawn.weights,
            "dynamic": _dynamic_map(head, texels, size.resolution),
            "corners": corners,
            "weights": samples.weights,
            "grid": (samples.uv * 2 - 1)[None, None],  # as grid_sample wants it
            "lbs_weights": (head.lbs_weights[corners] * samples.weights.unsqueeze(-1)).sum(1),
            "base_quats": quats,
            "base_scales": scales,
            "neutral": person.v_template,
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    @property
    def num_gaussians(self) -> int:
        """How many Gaussians there are, N."""
        return len(self.corners)

    def draw(self, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, "b 3 s s"]:
        """Write a mesh's surface onto the texture as the network sees it; zero off the surface."""
        points = _between(vertices, self.drawn_corners, self.drawn_weights)
        return write_texels(points, self.drawn_ids, self.network_side)

    def surface(self, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, "b n 3"]:
        """Points of a mesh that the Gaussians sit on."""
        return _between(vertices, self.corners, self.weights)

    def read(self, maps: Float[Tensor, "b c r r"]) -> Float[Tensor, "b n c"]:
        """Read maps at the Gaussians, bilinearly."""
        grid = self.grid.expand(len(maps), -1, -1, -1)
        read = nn.functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)
        return read[:, :, 0].transpose(1, 2)


def write_texels(
    values: Float[Tensor, "b m c"], ids: Int[Tensor, " m"], side: int
) -> Float[Tensor, "b c s s"]:
    """Write values at some texels of a grid, by their places in it flattened; zero elsewhere."""
    blank = values.new_zeros(len(values), side**2, values.shape[-1])
    written = blank.index_copy(1, ids, values)
    return torch.unflatten(written.transpose(1, 2), -1, (side, side))


def _between(vertices: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
    return (vertices[:, corners] * weights.unsqueeze(-1)).sum(2)


def _side_for(head: Head, count: int) -> int:
    """Side of the grid of which about `count` texels lie on triangles."""
    edges = head.uv[head.uv_faces].double()
    u, v = (edges[:, 1:] - edges[:, :1]).unbind(1)
    area = float((u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).abs().sum() / 2)
    return max(1, round(math.sqrt(count / area)))


def _dynamic_map(head: Head, texels: Texels, side: int) -> Float[Tensor, "r r"]:
    """1 where expressions, the jaw or the eyes move the surface, else 0."""
    moves = moving_vertices(head).float()
    reached = (moves[head.faces[texels.faces]] * texels.weights).sum(-1) > 1e-6
    drawn = torch.zeros(side * side)
    drawn[texels.ids] = reached.float()
    return drawn.reshape(side, side)


def moving_vertices(head: Head) -> Bool[Tensor, " v"]:
    """Tell which vertices move by expressions, the jaw or the eyes."""
    shown = head.shapedirs[..., head.num_shape :].norm(dim=1)  # [V, E]
    carried = head.lbs_weights[:, 2:].sum(-1) > _CARRIED
    return carried if not head.num_expr else carried | (shown.amax(-1) > _MOVED_M)


def face_sides(head: Head, size: DecoderSize) -> Int[Tensor, " f"]:
    """Side of the grid whose texels each triangle's Gaussians are.

    Where the texture is so squeezed that Gaussians would lie far apart, as on ears, the grid is
    finer, if the maps are finer than it too and there are not few of them all.
    """
    side = _side_for(head, size.num_gaussians)
    if size.resolution < _FINE_MAPS * side or size.num_gaussians < _FEW:
        return torch.full((len(head.faces),), side)
    steps = _stretch(head, head.v_template, torch.arange(len(head.faces))).norm(dim=1) / side
    texture = head.uv[head.uv_faces].double()
    area = torch.linalg.det(texture[:, 1:] - texture[:, :1]).abs()
    usual = (steps.prod(-1) * area).sum().div(area.sum()).sqrt()
    return torch.where(steps.amax(-1) > _MOST_STEPS * usual, _FINER * side, side)


def _samples(head: Head, sides: Int[Tensor, " f"]) -> Texels:
    """The texels of each triangle's own grid."""
    parts = []
    for side in sorted(set(sides.tolist())):
        texels = Texels.of(head, side)
        kept = sides[texels.faces] == side
        parts.append(Texels(*(value[kept] for value in vars(texels).values())))
    return Texels(
        *(torch.cat(each) for each in zip(*(vars(p).values() for p in parts), strict=True))
    )


def _stretch(head: Head, vertices: Float[Tensor, "v 3"], faces: Tensor) -> Float[Tensor, "n 3 2"]:
    """How far a step across the whole texture goes in space on some triangles, metres."""
    in_space = vertices[head.faces[faces]].double()
    in_texture = head.uv[head.uv_faces[faces]].double()
    space, texture = (x[:, 1:] - x[:, :1] for x in (in_space, in_texture))  # edges, [F, 2, .]
    solved: Tensor = torch.linalg.solve(texture, space)
    return solved.transpose(1, 2)


def discs(
    head: Head, person: Head, samples: Texels, sides: Int[Tensor, " f"]
) -> tuple[Float[Tensor, "n 4"], Float[Tensor, "n 3"]]:
    """Flat Gaussians that cover the neutral surface: rotations and standard deviations."""
    faces, of_sample = torch.unique(samples.faces, return_inverse=True)
    stretch = _stretch(head, person.v_template, faces) / sides[faces, None, None]
    axes, steps, _ = torch.linalg.svd(stretch, full_matrices=False)  # metres a step
    third = torch.linalg.cross(axes[..., 0], axes[..., 1])
    quats = rotmat_to_quat(torch.cat([axes, third.unsqueeze(-1)], -1))
    mean_step = steps.prod(-1)[of_sample].mean().sqrt()
    wide = SPREAD * torch.minimum(steps.clamp_min(1e-6), _MOST_STEPS * mean_step)
    thin = THINNESS * wide.prod(-1, keepdim=True).sqrt()
    scales = torch.cat([wide, thin], -1)
    return quats[of_sample].to(head.uv), scales[of_sample].to(head.uv)
