"""Any head that comes as a neutral mesh and named shapes, as a `Head` with face points."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from mien.arkit import canonical_name
from mien.head import PARENTS, Head
from mien.shapes_points import find_points
from mien.surface import check_mesh

__all__ = ["head_from_shapes"]

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

_NECK = 1
_EYES = ((3, "eye_left"), (4, "eye_right"))
_STILL = 1e-7  # metres
_FEWEST = 100  # vertices that a face needs


def head_from_shapes(
    neutral: ArrayLike,
    faces: ArrayLike,
    deltas: Mapping[str, ArrayLike],
    landmarks: Mapping[int, int] | None = None,
    *,
    parts: Mapping[str, ArrayLike] | None = None,
    unit_m: float = 1.0,
    name: str = "shapes",
) -> Head:
    """Build a head from a neutral mesh and named shapes.

    The face points are found by bending the default head's face onto the mesh, so that motion can
    go to and from it. Its rig is small: the neck turns everything, an eyeball that no shape moves
    turns about its center, and the jaw is what the shapes make of it.

    Args:
        neutral: `[V, 3]`, open or closed; Y up, +Z where the face looks, +X the subject's left.
        faces: Triangles, `[F, 3]`.
        deltas: What each shape adds to the neutral, `[V, 3]`. ARKit names in any spelling become
            ours.
        landmarks: Vertex ids by iBUG number, 0 to 67, as many as are known; the lines of lids and
            lips and the profile are used. Without any, the mesh must be a whole head, and the
            points are found less well.
        parts: Vertex ids of "skin", "eye_left", "eye_right" and "tongue". The skin is the largest
            piece if not given; points on other parts that are not given are left out of fits.
        unit_m: Metres in a unit of `neutral` and `deltas`.
        name: What motions for this head call it.

    Raises:
        ValueError: If the arrays do not fit together, hold NaN, or do not look along +Z.
    """
    points, triangles = check_mesh(neutral, faces, name)
    if not 0 < unit_m < np.inf:
        raise ValueError(f"`unit_m` must be a positive number of metres, got {unit_m}.")
    names, directions = _check_deltas(deltas, len(points))
    ids = _check_parts(parts or {}, triangles, len(points))
    marks = _check_landmarks(landmarks, points)
    vertices, directions = points * unit_m, directions * unit_m
    found = find_points(vertices, triangles, ids, marks)
    weights = _skinning(directions, ids)
    return Head(
        torch.from_numpy(vertices).float(),
        torch.from_numpy(directions).float(),
        torch.zeros(9 * (len(PARENTS) - 1), 3 * len(vertices)),
        torch.from_numpy(_regressor(vertices, directions, found.joints)).float(),
        torch.from_numpy(weights).float(),
        torch.from_numpy(triangles),
        num_shape=0,
        name=name,
        expr_names=names,
        parts={part: torch.from_numpy(which) for part, which in ids.items()},
        points=found.points,
    )


def _check_deltas(
    deltas: Mapping[str, ArrayLike], count: int
) -> tuple[tuple[str, ...], Float[Array, "v 3 e"]]:
    """Names in our spelling, and the shapes side by side."""
    if not deltas:
        raise ValueError("`deltas` must hold at least one named shape.")
    found: dict[str, Array] = {}
    for given, values in deltas.items():
        delta, name = np.asarray(values, dtype=np.float64), _our_name(given)
        if delta.shape != (count, 3):
            raise ValueError(
                f"The shape {given!r} must be [{count}, 3], as the neutral is, "
                f"got {list(delta.shape)}."
            )
        if not np.isfinite(delta).all():
            raise ValueError(f"The shape {given!r} must be finite.")
        if name in found:
            raise ValueError(f"Two shapes are called {name!r}; one of them is {given!r}.")
        found[name] = delta
    return tuple(found), np.stack(list(found.values()), axis=-1)


def _our_name(name: str) -> str:
    """ARKit's names as `mien.arkit` spells them; others with their side in words."""
    try:
        return canonical_name(name)
    except ValueError:
        for short, side in (("_L", "Left"), ("_R", "Right")):
            if name.endswith(short):
                return name.removesuffix(short) + side
        return name


def _check_parts(parts: Mapping[str, ArrayLike], faces: Ids, count: int) -> dict[str, Ids]:
    found = {}
    for name, values in parts.items():
        ids = np.asarray(values)
        fits = ids.ndim == 1 and len(ids) and ids.dtype.kind in "iu"
        if not fits or ids.min() < 0 or ids.max() >= count:
            raise ValueError(f"The part {name!r} must list vertex ids 0 to {count - 1}.")
        found[name] = np.unique(ids).astype(np.int64)
    found.setdefault("skin", _largest_piece(faces, count))
    for name, ids in found.items():
        if not np.isin(faces, ids).all(1).any():
            raise ValueError(f"The part {name!r} has no triangle of its own.")
    if len(found["skin"]) < _FEWEST:
        raise ValueError(
            f"The skin must have at least {_FEWEST} vertices, got {len(found['skin'])}."
        )
    return found


def _largest_piece(faces: Ids, count: int) -> Ids:
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]]).T
    graph = sparse.coo_matrix((np.ones(edges.shape[1]), (edges[0], edges[1])), (count, count))
    _, piece = connected_components(graph, directed=False)
    return np.flatnonzero(piece == np.bincount(piece).argmax())


def _check_landmarks(landmarks: Mapping[int, int] | None, points: Array) -> dict[int, int] | None:
    if landmarks is None:
        return None
    outside = [vertex for vertex in landmarks.values() if not 0 <= vertex < len(points)]
    if outside:
        raise ValueError(f"`landmarks` must name vertices 0 to {len(points) - 1}, got {outside}.")
    for right, left in ((36, 45), (48, 54), (60, 64)):
        if right in landmarks and left in landmarks:
            across = points[landmarks[left]] - points[landmarks[right]]
            if across[0] <= np.abs(across[1:]).max():
                raise ValueError(
                    f"The face must look along +Z with Y up and +X its own left: landmark {left} "
                    f"lies {across.round(3).tolist()} from {right}."
                )
    return {int(number): int(vertex) for number, vertex in landmarks.items()}


def _skinning(directions: Array, parts: Mapping[str, Ids]) -> Float[Array, "v 5"]:
    """Which joint turns a vertex: the neck, or an eye that nothing else turns."""
    weights = np.zeros((len(directions), len(PARENTS)))
    weights[:, _NECK] = 1.0
    for joint, name in _EYES:
        if name in parts and np.abs(directions[parts[name]]).max() < _STILL:
            weights[parts[name]] = 0.0
            weights[parts[name], joint] = 1.0
    return weights


def _regressor(vertices: Array, directions: Array, joints: Array) -> Float[Array, "5 v"]:
    """Rows that give the joints, by vertices that no shape moves where there are such."""
    ids = np.flatnonzero(np.abs(directions).max((1, 2)) < _STILL)
    if len(ids) < _FEWEST:
        ids = np.arange(len(vertices))
    center = vertices[ids].mean(0)
    offset = vertices[ids] - center
    spread = np.linalg.pinv(offset.T @ offset)
    rows = np.zeros((len(joints), len(vertices)))
    rows[:, ids] = 1 / len(ids) + (joints - center) @ spread @ offset.T
    return rows
