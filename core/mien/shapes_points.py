"""Where the face points lie on a head that nobody has seen before."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from mien.face_points import PointSet
from mien.head import Head
from mien.landmarks68 import LOWER_LIP, UPPER_LIP, lip_halves, match_landmarks
from mien.registration import Similarity, fit_similarity, register
from mien.surface import ClosestPoints, Surface

__all__ = ["FoundPoints", "find_points"]

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

_BEHIND, _BELOW = -0.9, -2.1  # in eye distances from the eyes: what lies farther is no face
_SIDES = (("left", 3), ("right", 4))


@dataclass(frozen=True, eq=False)
class FoundPoints:
    """Attributes.

    points: The face points; those that the head lacks weigh nothing.
    joints: Where the default head's five joints belong.
    """

    points: PointSet
    joints: Float[Array, "5 3"]


def find_points(
    vertices: Float[Array, "v 3"],
    faces: Int[Ids, "f 3"],
    parts: Mapping[str, Int[Ids, " n"]],
    landmarks: Mapping[int, int] | None,
) -> FoundPoints:
    """Find the face points by bending the default head's face onto a mesh.

    Args:
        vertices: Metres; Y up, +Z where the face looks, +X the subject's left.
        faces: Triangles.
        parts: Vertex ids: "skin", and "eye_left", "eye_right" and "tongue" if the head has them.
        landmarks: Vertex ids by iBUG number; without them the mesh must be a whole head.
    """
    head = Head.default()
    skin = _inside(faces, parts["skin"])
    bent, near = _bend(head, vertices, skin, landmarks)
    points = head.require_points()
    positions = points.gather(head.v_template).numpy().astype(np.float64)
    places = Surface(vertices, skin, "skin").closest(bent[points.vertex_ids[:, 0].numpy()])
    vertex_ids, weights = places.vertex_ids, places.weights
    if landmarks is not None:
        _keep_lips_apart(vertices, skin, landmarks, bent, vertex_ids, weights)
    joints = near.apply(head.joint_template.numpy().astype(np.float64))
    loss_weights = points.loss_weights.clone()
    for side, joint in _SIDES:
        ids = points.regions[f"iris_{side}"].numpy()
        joints[joint] = _eye_center(head, bent, side)
        if f"eye_{side}" not in parts:
            loss_weights[ids] = 0.0
            continue
        ball = parts[f"eye_{side}"]
        joints[joint], radius = _fit_sphere(vertices[ball])
        around = positions[ids] - head.joint_template[joint].numpy()
        around = around @ near.rotmat.T / np.linalg.norm(around, axis=1).mean()
        found = _on_part(vertices, faces, ball, joints[joint] + radius * around)
        vertex_ids[ids], weights[ids] = found.vertex_ids, found.weights
    tongue = points.regions["tongue"].numpy()
    if "tongue" in parts:
        found = _on_part(vertices, faces, parts["tongue"], near.apply(positions[tongue]))
        vertex_ids[tongue], weights[tongue] = found.vertex_ids, found.weights
    else:
        loss_weights[tongue] = 0.0
    found_points = PointSet(
        torch.from_numpy(vertex_ids),
        torch.from_numpy(weights.astype(np.float32)),
        points.regions,
        points.mirror,
        loss_weights,
    )
    return FoundPoints(found_points, joints)


def _bend(
    head: Head, vertices: Array, skin: Ids, landmarks: Mapping[int, int] | None
) -> tuple[Array, Similarity]:
    """The default head's vertices on the mesh, and the similarity nearest to that."""
    own = head.v_template.numpy().astype(np.float64)
    faces = _inside(head.faces.numpy(), head.parts["skin"].numpy())
    if landmarks is None:
        kept, compact = _compact(faces)
        bent = own.copy()
        bent[kept] = register(own[kept], compact, vertices, skin)
        face = kept[_is_face(own[kept], head.ipd)]
        near = fit_similarity(own[face], bent[face])
        return _with_rest(own, bent, kept, near), near
    matched = match_landmarks({number: vertices[vertex] for number, vertex in landmarks.items()})
    near = fit_similarity(own[matched.vertex_ids], matched.positions)
    face = faces[_is_face(own, head.ipd)[faces].all(1)]
    kept, compact = _compact(face)
    is_used = np.isin(matched.vertex_ids, kept)
    sources = np.searchsorted(kept, matched.vertex_ids[is_used])
    with_places = np.concatenate([vertices, matched.positions[is_used]])
    pairs = [(int(source), len(vertices) + row) for row, source in enumerate(sources)]
    bent = own.copy()
    bent[kept] = register(own[kept], compact, with_places, skin, pairs)
    return _with_rest(own, bent, kept, near), near


def _keep_lips_apart(
    vertices: Array,
    skin: Ids,
    landmarks: Mapping[int, int],
    bent: Array,
    vertex_ids: Ids,
    weights: Array,
) -> None:
    """Place each lip's points on that lip, in place: where lips touch, the nearest may not be."""
    if UPPER_LIP not in landmarks or LOWER_LIP not in landmarks:
        return
    upper, lower = (
        _distances(vertices, skin, landmarks[number]) for number in (UPPER_LIP, LOWER_LIP)
    )
    own = Head.default().require_points().vertex_ids[:, 0].numpy()
    for half, is_nearer in zip(lip_halves(), (upper < lower, lower < upper), strict=True):
        side = skin[is_nearer[skin].all(1)]
        points = np.flatnonzero(np.isin(own, half))
        if len(side):
            found = Surface(vertices, side, "lip").closest(bent[own[points]])
            vertex_ids[points], weights[points] = found.vertex_ids, found.weights


def _distances(vertices: Array, faces: Ids, start: int) -> Array:
    """How far each vertex is from one, along edges."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    count = len(vertices)
    graph = sparse.csr_matrix((length, (edges[:, 0], edges[:, 1])), shape=(count, count))
    return np.asarray(dijkstra(graph, directed=False, indices=start))


def _with_rest(own: Array, bent: Array, kept: Ids, near: Similarity) -> Array:
    """Where nothing was bent, what the similarity gives."""
    found = near.apply(own)
    found[kept] = bent[kept]
    return np.asarray(found)


def _is_face(vertices: Array, ipd: float) -> NDArray[np.bool_]:
    return np.asarray((vertices[:, 2] > _BEHIND * ipd) & (vertices[:, 1] > _BELOW * ipd))


def _inside(faces: Ids, part: Ids) -> Ids:
    """The triangles whose corners all belong to a part."""
    return np.asarray(faces[np.isin(faces, part).all(1)])


def _compact(faces: Ids) -> tuple[Ids, Ids]:
    """The vertices in use, and the triangles in their numbers."""
    kept, renumbered = np.unique(faces, return_inverse=True)
    return kept, renumbered.reshape(faces.shape)


def _on_part(vertices: Array, faces: Ids, part: Ids, positions: Array) -> ClosestPoints:
    return Surface(vertices, _inside(faces, part), "part").closest(positions)


def _eye_center(head: Head, bent: Array, side: str) -> Array:
    """The center of an eye whose ball is not given, from how its lids were placed."""
    points = head.require_points()
    lids = points.vertex_ids[points.regions[f"lid_{side}"], 0].numpy()
    own = head.v_template.numpy().astype(np.float64)
    joint = head.joint_template[dict(_SIDES)[side]].numpy().astype(np.float64)
    return fit_similarity(own[lids], bent[lids]).apply(joint)


def _fit_sphere(points: Array) -> tuple[Array, float]:
    """The center and radius of the sphere nearest to some points."""
    rows = np.concatenate([2 * points, np.ones((len(points), 1))], axis=1)
    solution = np.linalg.lstsq(rows, (points**2).sum(1), rcond=None)[0]
    center = solution[:3]
    return center, float(np.sqrt(solution[3] + center @ center))
