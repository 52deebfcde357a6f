"""A triangle mesh as a surface: normals, its rim, and the closest point on it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

__all__ = ["ClosestPoints", "Surface", "check_mesh"]

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

_FIRST_CANDIDATES = 8
_AT_EDGE = 1e-9


@dataclass(frozen=True, eq=False)
class ClosestPoints:
    """Points on a surface.

    Attributes:
        face_ids: The triangle each lies on.
        vertex_ids: Its corners.
        weights: Barycentric, non-negative, rows sum to one.
        positions: Where they are.
        distance: How far from what was asked for.
        is_on_rim: Whether they lie on an edge that only one triangle has.
    """

    face_ids: Int[Ids, " n"]
    vertex_ids: Int[Ids, "n 3"]
    weights: Float[Array, "n 3"]
    positions: Float[Array, "n 3"]
    distance: Float[Array, " n"]
    is_on_rim: Bool[NDArray[np.bool_], " n"]


def check_mesh(vertices: ArrayLike, faces: ArrayLike, name: str) -> tuple[Array, Ids]:
    """The arrays of a triangle mesh as float64 and int64; open meshes are welcome.

    Raises:
        ValueError: If they are no such mesh.
    """
    points, triangles = np.asarray(vertices, dtype=np.float64), np.asarray(faces)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ValueError(
            f"The {name} mesh's vertices must be [V, 3] and finite, got {list(points.shape)}"
            f"{'' if np.isfinite(points).all() else ' with values that are not'}."
        )
    if triangles.ndim != 2 or triangles.shape[1] != 3 or len(triangles) < 1:
        raise ValueError(
            f"The {name} mesh's faces must be triangles, [F, 3] with F >= 1, "
            f"got {list(triangles.shape)}."
        )
    if triangles.dtype.kind not in "iu":
        raise ValueError(f"The {name} mesh's faces must be whole numbers, got {triangles.dtype}.")
    if triangles.min() < 0 or triangles.max() >= len(points):
        raise ValueError(
            f"The {name} mesh's faces must name vertices 0 to {len(points) - 1}, "
            f"got {triangles.min()} to {triangles.max()}."
        )
    return points, triangles.astype(np.int64)


class Surface:
    """A triangle mesh to measure against; it may be open and in several pieces.

    Args:
        vertices: `[V, 3]`.
        faces: Triangles, `[F, 3]`.
        name: What errors call it.

    Raises:
        ValueError: If it is not such a mesh.
    """

    def __init__(self, vertices: ArrayLike, faces: ArrayLike, name: str = "given") -> None:
        self.vertices, self.faces = check_mesh(vertices, faces, name)
        corners = self.vertices[self.faces]
        self._scaled_normals = np.cross(
            corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        )

    @cached_property
    def face_normals(self) -> Float[Array, "f 3"]:
        """Unit normals; zero where a triangle has no area."""
        length = np.linalg.norm(self._scaled_normals, axis=1, keepdims=True)
        return np.asarray(self._scaled_normals / np.maximum(length, 1e-30))

    def vertex_normals(self) -> Float[Array, "v 3"]:
        """Unit normals, each the mean of the faces round it by area."""
        total = np.zeros_like(self.vertices)
        for corner in range(3):
            for axis in range(3):
                total[:, axis] += np.bincount(
                    self.faces[:, corner],
                    self._scaled_normals[:, axis],
                    minlength=len(self.vertices),
                )
        length = np.linalg.norm(total, axis=1, keepdims=True)
        return np.asarray(total / np.maximum(length, 1e-30))

    @cached_property
    def rim(self) -> Bool[NDArray[np.bool_], "f 3"]:
        """Whether the edge across from each corner belongs to that triangle alone."""
        sides = np.stack([np.roll(self.faces, -1 - k, axis=1)[:, :2] for k in range(3)], axis=1)
        edges = np.sort(sides.reshape(-1, 2), axis=1)
        key = edges[:, 0] * len(self.vertices) + edges[:, 1]
        _, back, count = np.unique(key, return_inverse=True, return_counts=True)
        return np.asarray((count[back] == 1).reshape(-1, 3))

    def closest(self, points: Float[Array, "n 3"]) -> ClosestPoints:
        """The nearest point of the surface to each of some points; exact."""
        best = np.full(len(points), np.inf)
        face_ids = np.zeros(len(points), dtype=np.int64)
        for group in self._groups:
            group.improve(points, best, face_ids)
        weights = _barycentric(points, self.vertices[self.faces[face_ids]])
        corners = self.faces[face_ids]
        positions = (self.vertices[corners] * weights[..., None]).sum(1)
        is_on_rim = np.asarray(((weights < _AT_EDGE) & self.rim[face_ids]).any(1))
        distance = np.linalg.norm(positions - points, axis=1)
        return ClosestPoints(face_ids, corners, weights, positions, distance, is_on_rim)

    @cached_property
    def _groups(self) -> tuple["_TriangleGroup", ...]:
        """The triangles by size, so that one large one does not slow the search for small ones."""
        corners = self.vertices[self.faces]
        radius = np.linalg.norm(corners - corners.mean(1, keepdims=True), axis=2).max(1)
        size = np.ceil(np.log2(np.maximum(radius, 1e-12)))
        size = np.maximum(size, np.median(size))
        return tuple(
            _TriangleGroup(np.flatnonzero(size == each), corners[size == each])
            for each in np.unique(size)
        )


class _TriangleGroup:
    """Triangles of like size, found by their centers."""

    def __init__(self, ids: Ids, corners: Array) -> None:
        self.ids, self.corners = ids, corners
        centers = corners.mean(1)
        self.radii = np.linalg.norm(corners - centers[:, None], axis=2).max(1)
        self.radius = float(self.radii.max())
        self.tree = cKDTree(centers)

    def improve(self, points: Array, best: Array, face_ids: Ids) -> None:
        """Lower `best` and set `face_ids`, in place, where a triangle here is nearer."""
        asked = np.arange(len(points))
        done, count = 0, min(_FIRST_CANDIDATES, len(self.ids))
        while len(asked):
            reach, near = self.tree.query(points[asked], k=np.arange(1, count + 1))
            for part in (slice(done, done + 1), slice(done + 1, count)):
                self._compare(points, asked, reach[:, part], near[:, part], best, face_ids)
            if count == len(self.ids):
                return
            asked = asked[reach[:, -1] - self.radius < best[asked]]
            done, count = count, min(3 * count, len(self.ids))

    def _compare(
        self, points: Array, asked: Ids, reach: Array, near: Ids, best: Array, face_ids: Ids
    ) -> None:
        """Measure those of some candidates that may be nearer, and keep the nearest."""
        rows, columns = np.nonzero(reach - self.radii[near] < best[asked, None])
        if not len(rows):
            return
        which, chosen = asked[rows], near[rows, columns]
        distance = _distance(points[which], self.corners[chosen])
        order = np.lexsort((distance, which))
        which, distance, chosen = which[order], distance[order], chosen[order]
        first = np.flatnonzero(np.diff(which, prepend=-1))
        is_better = distance[first] < best[which[first]]
        kept = first[is_better]
        best[which[kept]] = distance[kept]
        face_ids[which[kept]] = self.ids[chosen[kept]]


def _distance(points: Array, corners: Array) -> Array:
    nearest = np.einsum("nk,nka->na", _barycentric(points, corners), corners)
    return np.asarray(np.linalg.norm(points - nearest, axis=1))


def _dot(first: Array, second: Array) -> Array:
    return np.asarray(np.einsum("na,na->n", first, second))


def _barycentric(points: Float[Array, "n 3"], corners: Float[Array, "n 3 3"]) -> Array:
    """The weights of each triangle's point nearest to each point."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    offset = points - corners[:, 0]
    aa, ab, bb = (_dot(u, v) for u, v in ((first, first), (first, second), (second, second)))
    ap, bp = _dot(first, offset), _dot(second, offset)
    area = np.maximum(aa * bb - ab * ab, 1e-30)
    v, w = (bb * ap - ab * bp) / area, (aa * bp - ab * ap) / area
    inside = np.stack([1 - v - w, v, w], axis=1)
    choices = [_on_edge(points, corners, start, (start + 1) % 3) for start in range(3)]
    distances = np.stack([each[1] for each in choices], axis=1)
    nearest = np.stack([each[0] for each in choices], axis=1)
    edge = nearest[np.arange(len(points)), distances.argmin(1)]
    is_flat = aa * bb - ab * ab <= 1e-14 * aa * bb
    return np.where(((inside < 0).any(1) | is_flat)[:, None], edge, inside)


def _on_edge(points: Array, corners: Array, start: int, stop: int) -> tuple[Array, Array]:
    """The nearest point of one edge: its weights and its squared distance."""
    along = corners[:, stop] - corners[:, start]
    length = np.maximum(_dot(along, along), 1e-30)
    share = np.clip(_dot(points - corners[:, start], along) / length, 0.0, 1.0)
    weights = np.zeros((len(points), 3))
    weights[:, start], weights[:, stop] = 1 - share, share
    offset = corners[:, start] + share[:, None] * along - points
    return weights, _dot(offset, offset)
