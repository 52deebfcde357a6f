"""The UV grid: which cells of the texture carry a Gaussian, and how big each one is.

The texture square is a quadtree. A cell is halved until it is as small on the face as the painter
asks there, so eyes, lids and lips get many Gaussians and the back of the head few; every Gaussian
still is one cell of the grid, and maps of any resolution can be read at its `uv`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

RESOLUTION = 2048  # finest cells along one side of the texture
_COARSEST = 6  # the largest cell is 2**6 finest ones wide
_MIN_INSIDE = 0.12  # cells with a smaller share inside a triangle leave it to their neighbors
_MAX_ASPECT = 3.0


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of the UV grid that lie on the surface.

    Attributes:
        faces: Triangle of each cell.
        bary: Barycentric position of the cell's center in it.
        axes: Two vectors that span the cell's half widths, orthogonal on the surface at rest, as
            multiples of the triangle's first two edges (corner 1 - corner 0, corner 2 - corner 0).
        sizes: Lengths of the two axes at rest, metres.
    """

    faces: Int[np.ndarray, " n"]
    bary: Float[np.ndarray, "n 3"]
    axes: Float[np.ndarray, "n 2 2"]
    sizes: Float[np.ndarray, "n 2"]

    def __len__(self) -> int:
        return len(self.faces)


def sample_cells(
    corners: Float[np.ndarray, "f 3 3"],
    uv_corners: Float[np.ndarray, "f 3 2"],
    spacing: Float[np.ndarray, " f"],
    resolution: int = RESOLUTION,
) -> Cells:
    """Cut the texture into cells about `spacing` wide on the surface.

    Args:
        corners: The triangles at rest, metres.
        uv_corners: The same triangles in the texture, 0 to 1; they must not overlap.
        spacing: Wanted distance of cells on each triangle, metres; infinite leaves it empty.
        resolution: Finest cells along one side, a power of two.

    Raises:
        ValueError: If no triangle covers a cell's center.
    """
    face_map = rasterize_uv(uv_corners, resolution)
    if not (face_map >= 0).any():
        raise ValueError(
            f"None of the {len(corners)} triangles covers a cell center at resolution "
            f"{resolution}: check that `uv_corners` lies in [0, 1]."
        )
    width = _texel_width(corners, uv_corners, resolution)
    texels, levels = _quadtree(face_map, width, spacing)
    faces = face_map.reshape(-1)[texels]
    uv = np.stack([texels % resolution, texels // resolution], -1) + 0.5
    return _measure(corners[faces], uv_corners[faces], faces, uv / resolution, levels, resolution)


def rasterize_uv(
    uv_corners: Float[np.ndarray, "f 3 2"], resolution: int
) -> Int[np.ndarray, "r r"]:
    """Give the triangle at each texel's center, -1 where there is none; row is v, column is u."""
    face_map = np.full((resolution, resolution), -1, dtype=np.int32)
    scaled = uv_corners * resolution - 0.5
    low = np.clip(np.ceil(scaled.min(1)), 0, resolution).astype(int)
    high = np.clip(np.floor(scaled.max(1)), -1, resolution - 1).astype(int)
    for f in np.flatnonzero((high >= low).all(1)):
        u = np.arange(low[f, 0], high[f, 0] + 1)
        v = np.arange(low[f, 1], high[f, 1] + 1)
        grid = np.stack(np.meshgrid(u, v), -1)
        inside = (_barycentric(scaled[f][None, None], grid) >= -1e-9).all(-1)
        face_map[low[f, 1] : high[f, 1] + 1, low[f, 0] : high[f, 0] + 1][inside] = f
    return face_map


def _barycentric(triangle: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Barycentric coordinates [..., 3] of `point` [..., 2] in `triangle` [..., 3, 2]."""
    a, b, c = triangle[..., 0, :], triangle[..., 1, :], triangle[..., 2, :]
    area = _cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-14, 1e-14, area)
    second = _cross(point - a, c - a) / area
    third = _cross(b - a, point - a) / area
    return np.stack([1.0 - second - third, second, third], -1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _edges(corners: np.ndarray) -> np.ndarray:
    """Columns corner 1 - corner 0 and corner 2 - corner 0, [..., D, 2]."""
    origin = corners[..., 0, :]
    return np.stack([corners[..., 1, :] - origin, corners[..., 2, :] - origin], -1)


def _jacobian_parts(corners: np.ndarray, uv_corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edge coordinates per unit of uv [F, 2, 2], and position per unit of uv [F, 3, 2]."""
    uv_edges = _edges(uv_corners)
    determinant = np.linalg.det(uv_edges)
    flat = np.abs(determinant) < 1e-14
    uv_edges = np.where(flat[:, None, None], np.eye(2) * 1e3, uv_edges)
    edges_per_uv = np.linalg.inv(uv_edges)
    return edges_per_uv, _edges(corners) @ edges_per_uv


def _texel_width(corners: np.ndarray, uv_corners: np.ndarray, resolution: int) -> np.ndarray:
    """Width of a finest cell on each triangle, metres; between its longer and its mean side."""
    _, jacobian = _jacobian_parts(corners, uv_corners)
    singular = np.linalg.svd(jacobian, compute_uv=False)
    shorter = np.maximum(singular[:, 1], singular[:, 0] / _MAX_ASPECT)
    return np.asarray(singular[:, 0] ** 0.65 * shorter**0.35 / resolution)


def _quadtree(
    face_map: np.ndarray, width: np.ndarray, spacing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Choose leaves; give each one's flat representative texel and its level."""
    representatives, inside = _pyramid(face_map)
    flat_faces = face_map.reshape(-1)
    active = np.argwhere(inside[-1] > 0)
    texels, levels = [], []
    for level in range(len(inside) - 1, -1, -1):
        row, column = active.T
        texel = representatives[level][row, column]
        face = flat_faces[texel]
        share = inside[level][row, column]
        is_leaf = (2**level * width[face] <= 1.19 * spacing[face]) | (level == 0)
        kept = is_leaf & (share >= _MIN_INSIDE) & np.isfinite(spacing[face])
        texels.append(texel[kept])
        levels.append(np.full(int(kept.sum()), level))
        if level:
            children = active[~is_leaf][:, None] * 2 + np.array(list(np.ndindex(2, 2)))
            active = children.reshape(-1, 2)
            active = active[inside[level - 1][active[:, 0], active[:, 1]] > 0]
    return np.concatenate(texels), np.concatenate(levels)


def _pyramid(face_map: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Per level: the inside texel nearest to each cell's center (-1), and the share inside."""
    resolution = len(face_map)
    inside = [(face_map >= 0).astype(np.float32)]
    texel = np.where(face_map >= 0, np.arange(resolution**2).reshape(face_map.shape), -1)
    representatives = [texel]
    for level in range(1, _COARSEST + 1):
        side = resolution >> level
        blocks = representatives[-1].reshape(side, 2, side, 2).transpose(0, 2, 1, 3)
        candidates = blocks.reshape(side, side, 4)
        center = (np.arange(side) + 0.5) * 2**level - 0.5
        distance = np.hypot(
            candidates % resolution - center[None, :, None],
            candidates // resolution - center[:, None, None],
        )
        best = np.where(candidates >= 0, distance, np.inf).argmin(-1)
        representatives.append(np.take_along_axis(candidates, best[..., None], -1)[..., 0])
        inside.append(inside[-1].reshape(side, 2, side, 2).mean((1, 3)))
    return representatives, inside


def _measure(
    corners: np.ndarray,
    uv_corners: np.ndarray,
    faces: np.ndarray,
    uv: np.ndarray,
    levels: np.ndarray,
    resolution: int,
) -> Cells:
    """Turn chosen cells into axes on the surface, by the singular vectors of d position / d uv."""
    edges_per_uv, jacobian = _jacobian_parts(corners, uv_corners)
    _, singular, right = np.linalg.svd(jacobian, full_matrices=False)
    half = 0.5 * 2.0**levels / resolution
    lengths = singular * half[:, None]
    longest = np.minimum(lengths[:, 0], _MAX_ASPECT * lengths[:, 1])
    shrink = np.stack([longest / np.maximum(lengths[:, 0], 1e-12), np.ones(len(levels))], -1)
    axes = edges_per_uv @ right.transpose(0, 2, 1) * half[:, None, None] * shrink[:, None, :]
    axes[:, :, 1] *= np.sign(np.linalg.det(axes))[:, None]  # their cross product points outward
    bary = np.clip(_barycentric(uv_corners, uv), 0.0, 1.0)
    bary /= bary.sum(-1, keepdims=True)
    return Cells(faces, bary, axes.transpose(0, 2, 1), lengths * shrink)
