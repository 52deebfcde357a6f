"""Non-rigid registration: bend one mesh onto another, and find points on a surface.

The same face on two meshes: landmarks bring them together, then every vertex is drawn to the
closest point of the other surface while neighbors keep moving alike, less and less strictly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from mien.surface import Surface, check_mesh

__all__ = ["Similarity", "fit_similarity", "register"]

Array = NDArray[np.float64]

STIFFNESS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.5)
"""How strictly neighbors move alike, in units of one vertex's pull, stage by stage."""

_STEPS_PER_STAGE = 3
_LANDMARK_PULL = 20.0
_SMALLEST_COSINE = 0.5  # a vertex is drawn only to where the surface faces its way
_FARTHEST = 0.15  # of the target's size: beyond, a closest point says nothing
_RIGID_STEPS = 20
_ANCHOR = 1e-6  # keeps parts that nothing pulls where they are


@dataclass(frozen=True, eq=False)
class Similarity:
    """A turn, a scale and a shift: `scale * rotmat @ x + translation`."""

    rotmat: Float[Array, "3 3"]
    scale: float
    translation: Float[Array, " 3"]

    def apply(self, points: Float[Array, "*n 3"]) -> Float[Array, "*n 3"]:
        """Move points."""
        return np.asarray(self.scale * points @ self.rotmat.T + self.translation)


def fit_similarity(source: Float[Array, "n 3"], target: Float[Array, "n 3"]) -> Similarity:
    """The similarity that takes `source` nearest to `target`, in least squares.

    Raises:
        ValueError: If there are fewer than three points, or they lie on one line.

    Source:
        Umeyama 1991, "Least-squares estimation of transformation parameters between two point
        patterns".
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 3:
        raise ValueError(
            f"`source` and `target` must both be [N, 3], got {source.shape} and {target.shape}."
        )
    center, goal = source.mean(0), target.mean(0)
    spread = np.linalg.svd(source - center, compute_uv=False)
    if len(source) < 3 or spread[1] <= 1e-9 * spread[0]:
        raise ValueError("A similarity needs three points or more that are not on one line.")
    left, values, right = np.linalg.svd((target - goal).T @ (source - center))
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotmat = (left * flip) @ right
    scale = float((values * flip).sum() / (spread**2).sum())
    return Similarity(rotmat, scale, goal - scale * rotmat @ center)


def register(
    source_vertices: Float[Array, "v 3"],
    source_faces: Int[NDArray[np.int64], "f 3"],
    target_vertices: Float[Array, "w 3"],
    target_faces: Int[NDArray[np.int64], "g 3"],
    landmarks: Sequence[tuple[int, int]] = (),
    *,
    stiffness: Sequence[float] = STIFFNESS,
    landmark_pull: float = _LANDMARK_PULL,
) -> Float[Array, "v 3"]:
    """Bend the source mesh onto the target.

    Both may be open and of any size; where a source vertex would meet the target's rim, or a part
    of it that faces away, it follows its neighbors instead.

    Args:
        source_vertices: Any unit.
        source_faces: Triangles.
        target_vertices: Any unit.
        target_faces: Triangles.
        landmarks: Pairs of vertex ids, (source, target), that belong together. With fewer than
            three, both meshes must look the same way, and similar parts of them must be given.
        stiffness: One stage each, falling: how strictly neighbors move alike.
        landmark_pull: A landmark's pull against that of an ordinary vertex.

    Returns:
        The source's vertices where they lie on the target, in the target's unit.

    Raises:
        ValueError: If a mesh or a landmark is malformed.

    Source:
        After Amberg, Romdhani and Vetter 2007, "Optimal step nonrigid ICP algorithms for surface
        registration", with displacements and their Laplacian in place of affine maps.
    """
    source_vertices, source_faces = check_mesh(source_vertices, source_faces, "source")
    target = Surface(target_vertices, target_faces, "target")
    pairs = _check_landmarks(landmarks, len(source_vertices), len(target.vertices))
    aligned = _align(source_vertices, target, pairs).apply(source_vertices)
    pull = np.zeros(len(aligned))
    goal = aligned.copy()
    pull[pairs[:, 0]], goal[pairs[:, 0]] = landmark_pull, target.vertices[pairs[:, 1]]
    bending = _bending(source_faces, len(aligned))
    moved = _bend(aligned, bending, stiffness[0], pull, goal)
    for strength in stiffness:
        for _ in range(_STEPS_PER_STAGE):
            weights, places = _draw(moved, source_faces, target)
            weights, places = _with_landmarks(weights, places, pull, goal, strength / stiffness[0])
            moved = _bend(aligned, bending, strength, weights, places)
    return moved


def _check_landmarks(
    landmarks: Sequence[tuple[int, int]], num_source: int, num_target: int
) -> NDArray[np.int64]:
    pairs = np.asarray(list(landmarks), dtype=np.int64).reshape(-1, 2)
    if len(pairs) and (
        pairs.min() < 0 or pairs[:, 0].max() >= num_source or pairs[:, 1].max() >= num_target
    ):
        raise ValueError(
            f"`landmarks` must pair source vertices 0 to {num_source - 1} with target vertices "
            f"0 to {num_target - 1}, got ids up to {pairs.max(0).tolist()}."
        )
    return pairs


def _align(source: Array, target: Surface, pairs: NDArray[np.int64]) -> Similarity:
    """Bring the source near, by landmarks or else by size and then closest vertices."""
    if len(pairs) >= 3:
        return fit_similarity(source[pairs[:, 0]], target.vertices[pairs[:, 1]])
    center, goal = source.mean(0), target.vertices.mean(0)
    scale = float(np.std(target.vertices) / max(float(np.std(source)), 1e-12))
    found = Similarity(np.eye(3), scale, goal - scale * center)
    tree = cKDTree(target.vertices)
    for _ in range(_RIGID_STEPS):
        distance, nearest = tree.query(found.apply(source))
        kept = distance <= np.quantile(distance, 0.9)
        found = fit_similarity(source[kept], target.vertices[nearest[kept]])
    return found


def _bending(faces: NDArray[np.int64], count: int) -> sparse.csc_matrix:
    """The squared Laplacian: zero for displacements that all neighbors share."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ones = np.ones(2 * len(edges))
    both = np.concatenate([edges, edges[:, ::-1]]).T
    adjacency = sparse.coo_matrix((ones, (both[0], both[1])), shape=(count, count)).tocsr()
    adjacency.data[:] = 1.0
    degree = np.maximum(np.asarray(adjacency.sum(1)).ravel(), 1.0)
    laplacian = sparse.identity(count) - sparse.diags(1 / degree) @ adjacency
    return (laplacian.T @ laplacian).tocsc()


def _bend(
    rest: Array, bending: sparse.csc_matrix, strength: float, pull: Array, goal: Array
) -> Array:
    """The displaced vertices that balance the pulls with the bending."""
    system = (strength * bending + sparse.diags(pull + _ANCHOR)).tocsc()
    solver = splu(system, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return np.asarray(rest + solver.solve(pull[:, None] * (goal - rest)))


def _draw(vertices: Array, faces: NDArray[np.int64], target: Surface) -> tuple[Array, Array]:
    """Each vertex's closest point on the target, and how much it counts."""
    found = target.closest(vertices)
    normals = Surface(vertices, faces, "source").vertex_normals()
    facing = (normals * target.face_normals[found.face_ids]).sum(1)
    size = float(np.ptp(target.vertices, axis=0).max())
    counts = (facing > _SMALLEST_COSINE) & ~found.is_on_rim & (found.distance < _FARTHEST * size)
    return counts.astype(np.float64), found.positions


def _with_landmarks(
    weights: Array, places: Array, pull: Array, goal: Array, share: float
) -> tuple[Array, Array]:
    """Add the landmarks' pull, which ends at that of an ordinary vertex."""
    pull = np.where(pull > 0, np.maximum(pull * share, 1.0), 0.0)
    total = weights + pull
    mixed = weights[:, None] * places + pull[:, None] * goal
    return total, np.where(total[:, None] > 0, mixed / np.maximum(total, 1e-12)[:, None], goal)
