"""Cut the head out of the base mesh and name its parts."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from bake.makehuman import Array, BaseMesh, Ids

NECK_WEIGHT = 0.02  # skin weight of the neck's subtree from which a vertex belongs to the head


@dataclass(frozen=True)
class Cut:
    """The head's part of the base mesh.

    Attributes:
        keep: Base-mesh ids of the head's vertices, in the order of the head.
        quads: `[F, 4]` in head ids.
        uv: `[U, 2]` of the base mesh, only the rows in use.
        uv_quads: `[F, 4]`.
        parts: Head vertex ids by part; "skin" shares ring 0 with sockets and mouth bag.
        rings: Head vertex ids by part and ring of the bags; ring 0 is the lid margin or lip line.
    """

    keep: Ids
    quads: Ids
    uv: Array
    uv_quads: Ids
    parts: dict[str, Ids]
    rings: dict[str, tuple[Ids, ...]]


def cut_head(mesh: BaseMesh, neck_weight: Array) -> Cut:
    """Cut skin, eyeballs and tongue; the crude helper teeth stay behind."""
    groups = mesh.groups
    wanted = np.zeros(len(mesh.vertices), dtype=bool)
    wanted[groups["body"]] = neck_weight[groups["body"]] > NECK_WEIGHT
    pieces = {
        "eye_left": groups["helper-l-eye"],
        "eye_right": groups["helper-r-eye"],
        "tongue": groups["helper-tongue"],
    }
    for ids in pieces.values():
        wanted[ids] = True
    rows = wanted[mesh.quads].all(1)
    keep = np.flatnonzero(wanted)
    new_id = np.full(len(mesh.vertices), -1)
    new_id[keep] = np.arange(len(keep))
    quads = new_id[mesh.quads[rows]]
    used_uv, uv_quads = np.unique(mesh.uv_quads[rows], return_inverse=True)
    uv_quads = uv_quads.reshape(quads.shape)
    parts = {name: new_id[ids] for name, ids in pieces.items()}
    parts |= _name_skin(mesh.vertices[keep], quads, uv_quads, len(used_uv), parts)
    rings = {
        name: _rings(quads, parts[name], parts["skin"])
        for name in ("socket_left", "socket_right", "mouth_bag")
    }
    return Cut(keep, quads, mesh.uv[used_uv], uv_quads, parts, rings)


def uv_islands(uv_quads: Ids, num_uv: int) -> Ids:
    """Label each quad by its connected island in the texture, `[F]`."""
    start = uv_quads.ravel()
    end = np.roll(uv_quads, -1, axis=1).ravel()
    graph = coo_matrix((np.ones(len(start)), (start, end)), shape=(num_uv, num_uv))
    return np.asarray(connected_components(graph, directed=False)[1])[uv_quads[:, 0]]


def _name_skin(
    vertices: Array, quads: Ids, uv_quads: Ids, num_uv: int, pieces: dict[str, Ids]
) -> dict[str, Ids]:
    """Tell face, neck, sockets and mouth bag apart: each is one island of the texture."""
    body = ~np.isin(quads, np.concatenate(list(pieces.values()))).any(1)
    islands = uv_islands(uv_quads, num_uv)
    found: dict[int, Ids] = {i: np.unique(quads[islands == i]) for i in np.unique(islands[body])}
    by_size = sorted(found.values(), key=len)
    socket_a, socket_b, neck, mouth_bag, face = by_size
    if not (len(socket_a) == len(socket_b) == 308 and len(face) > 3000):
        raise ValueError(
            f"Wanted two sockets of 308 vertices and one face, got islands of "
            f"{[len(ids) for ids in by_size]}: the base mesh is not hm08."
        )
    if len(mouth_bag) != 418:
        neck, mouth_bag = mouth_bag, neck
    left, right = (socket_a, socket_b)
    if vertices[left, 0].mean() < 0:
        left, right = right, left
    return {
        "skin": np.union1d(face, neck),
        "neck": neck,
        "socket_left": left,
        "socket_right": right,
        "mouth_bag": mouth_bag,
    }


def _rings(quads: Ids, part: Ids, skin: Ids) -> tuple[Ids, ...]:
    """Walk a bag inwards from the ring it shares with the skin."""
    inside = quads[np.isin(quads, part).all(1)]
    seen = np.intersect1d(part, skin)
    rings = [seen]
    while len(seen) < len(part):
        touched = _edge_neighbors(inside, rings[-1])
        ring = np.setdiff1d(touched, seen)
        rings.append(ring)
        seen = np.union1d(seen, ring)
    return tuple(rings)


def _edge_neighbors(quads: Ids, ids: Ids) -> Ids:
    following = np.roll(quads, -1, axis=1)
    hit, hit_next = np.isin(quads, ids), np.isin(following, ids)
    return np.unique(np.concatenate([following[hit], quads[hit_next]]))


def rungs(quads: Ids, outer: Ids, inner: Ids) -> dict[int, int]:
    """Match each vertex of a ring to its neighbor on the ring outside it: inner -> outer."""
    following = np.roll(quads, -1, axis=1)
    forward = np.isin(quads, inner) & np.isin(following, outer)
    backward = np.isin(quads, outer) & np.isin(following, inner)
    found = dict(zip(quads[forward].tolist(), following[forward].tolist(), strict=True))
    return found | dict(zip(following[backward].tolist(), quads[backward].tolist(), strict=True))


def triangles(quads: Ids) -> Ids:
    """Split quads into triangles; one that repeats its last corner gives one triangle."""
    first, second = quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]
    real = quads[:, 2] != quads[:, 3]
    order = np.concatenate([np.arange(len(quads)), np.flatnonzero(real) + 0.5])
    both = np.concatenate([first, second[real]])
    return np.asarray(both[np.argsort(order, kind="stable")])
