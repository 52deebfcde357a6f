"""Where splats sit: points spread over the head's surface, as densely as the painter asks.

Every point knows its triangle, and so its place in the texture, where a decoder reads its maps.
The points themselves are not texels: a texture of a whole head stretches (the default head's
chart by 4 to 1 at the median and 20 to 1 at its worst), so a regular grid on it would spend most
of its Gaussians where nobody looks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

_CANDIDATES = 9  # per point that is kept
_ROUNDS = 6  # of Lloyd's relaxation
_NORMAL_WEIGHT = 2.0  # keeps points of touching surfaces, as of closed lips, apart; in spacings


@dataclass(frozen=True, eq=False)
class Cells:
    """Discs that cover a surface.

    Attributes:
        faces: Triangle under each disc's center.
        bary: Barycentric position of the center in it.
        axes: Two orthogonal radii, as multiples of the triangle's first two edges (corner 1 -
            corner 0, corner 2 - corner 0); their cross product points outward.
        sizes: Radii: half the distance of neighbors, in the unit of the surface.
    """

    faces: Int[np.ndarray, " n"]
    bary: Float[np.ndarray, "n 3"]
    axes: Float[np.ndarray, "n 2 2"]
    sizes: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.faces)


def sample_surface(
    corners: Float[np.ndarray, "f 3 3"], spacing: Float[np.ndarray, " f"], seed: int
) -> Cells:
    """Spread points over triangles, about `spacing` apart.

    Args:
        corners: The triangles, in any unit of length.
        spacing: Wanted distance of points on each triangle; infinite leaves it empty.
        seed: Of the random start.

    Raises:
        ValueError: If no triangle is to carry a point.

    Source:
        Lloyd's relaxation of samples drawn by density; see Du, Faber and Gunzburger 1999,
        Centroidal Voronoi Tessellations.
    """
    edges = corners[:, 1:] - corners[:, :1]
    across = np.cross(edges[:, 0], edges[:, 1])
    area = np.linalg.norm(across, axis=-1) / 2
    density = np.where(np.isfinite(spacing), area / spacing**2, 0.0)
    count = int(np.ceil(density.sum()))
    if count < 1:
        raise ValueError(f"None of the {len(corners)} triangles is to carry a point.")
    faces, bary = _draw(density, count * _CANDIDATES, np.random.default_rng(seed))
    points = (corners[faces] * bary[..., None]).sum(1)
    normals = across / np.maximum(2 * area, 1e-12)[:, None]
    separated = np.concatenate(
        [points, normals[faces] * (_NORMAL_WEIGHT * spacing[faces])[:, None]], -1
    )
    centers = _relax(separated, count)
    chosen = np.unique(cKDTree(separated).query(centers)[1])
    faces, bary = faces[chosen], bary[chosen]
    sizes = _half_distance(separated[chosen], spacing[faces])
    return Cells(faces, bary, _radii(edges[faces], sizes), sizes)


def _draw(
    density: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw points evenly by density, neighbors in order next to each other."""
    level = np.cumsum(density)
    asked = (np.arange(count) + rng.uniform(size=count)) / count * level[-1]
    faces = np.minimum(np.searchsorted(level, asked), len(density) - 1)
    first, second = rng.uniform(size=(2, count))
    root = np.sqrt(first)
    return faces, np.stack([1 - root, root * (1 - second), root * second], -1)


def _relax(points: np.ndarray, count: int) -> np.ndarray:
    """Move `count` centers to the middle of the points nearest to each."""
    step = len(points) / count
    centers = points[(np.arange(count) * step + step / 2).astype(int)]
    for _ in range(_ROUNDS):
        nearest = cKDTree(centers).query(points)[1]
        members = np.bincount(nearest, minlength=count)
        sums = [np.bincount(nearest, column, minlength=count) for column in points.T]
        means = np.stack(sums, -1) / np.maximum(members, 1)[:, None]
        centers = np.where(members[:, None] > 0, means, centers)
    return np.asarray(centers)


def _half_distance(centers: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Half the mean distance to the nearest six, near half the wanted spacing."""
    neighbors = min(7, len(centers))
    if neighbors < 2:
        return np.asarray(spacing / 2)
    distance = cKDTree(centers).query(centers, k=neighbors)[0][:, 1:].mean(-1)
    return np.asarray(np.clip(distance / 1.07, 0.8 * spacing, 1.5 * spacing) / 2)


def _radii(edges: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Two orthogonal vectors of the given length in each triangle's plane, in edge multiples."""
    first, second = edges[:, 0], edges[:, 1]
    along = np.maximum(np.linalg.norm(first, axis=-1), 1e-12)
    shear = (second * first).sum(-1) / along
    height = np.sqrt(np.maximum((second**2).sum(-1) - shear**2, 1e-18))
    zero = np.zeros_like(along)
    axis_one = np.stack([1 / along, zero], -1)
    axis_two = np.stack([-shear / (along * height), 1 / height], -1)
    return np.asarray(np.stack([axis_one, axis_two], 1) * sizes[:, None, None])
