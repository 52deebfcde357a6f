"""From the base mesh's vertices to the head's: one linear map for positions and offsets alike.

Kept vertices pass through; sockets, mouth bag and tongue are mended; our own teeth ride on the
base mesh's helper teeth. The map is linear and its rows sum to one, so it applies to a person's
positions and to a target's offsets.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, lil_matrix

from bake.cut import Cut, rungs, triangles
from bake.makehuman import Array, Ids
from bake.regress import regress_point
from bake.teeth import Teeth, build_teeth

SOCKET_RINGS = 2  # deeper rings are dropped: cheekSquint pushes them through the lower lid
SOCKET_PULL = 0.3  # share of the way from the lid margin to the eyeball's center, for ring 1
TOOTH_WIDTH = 0.008  # metres: helper vertices within about this distance move a tooth
# Share by which the tongue sinks to its underside: the base mesh's fills the mouth to the palate.
TONGUE_DEPTHS, TONGUE_FLATTENING = (
    (-0.030, 0.010),
    (0.5, 0.12),
)  # (z in metres), share, back to tip
# Share by which each ring of the mouth bag shrinks to its own middle: a strong smile on some faces
# else pushes the bag out beside the nose.
BAG_SHRINK = (0.0, 0.0, 0.0, 0.03, 0.08, 0.14, 0.18, 0.2, 0.2, 0.2, 0.2)
EYE_BACK = 8  # vertices round an eyeball's back pole; the polygons between them are dropped


@dataclass(frozen=True)
class Assembly:
    """How the head is put together.

    Attributes:
        matrix: `[V, Vs]`, head vertices from source vertices (the cut's, then upper and lower
            helper teeth).
        kept: Cut ids of the head's first vertices; the teeth follow.
        parts: Head vertex ids by part.
        rings: Head vertex ids of the bags' rings.
        quads: Quads of everything but the teeth, in head ids.
        uv_quads: Their corners in the base mesh's texture.
        teeth: Upper and lower teeth, with the head id of their first vertex.
        eyes: Head ids of each eyeball and the unit directions of its vertices, `[72, 3]`.
    """

    matrix: csr_matrix
    kept: Ids
    parts: dict[str, Ids]
    rings: dict[str, tuple[Ids, ...]]
    quads: Ids
    uv_quads: Ids
    teeth: tuple[tuple[Teeth, int], tuple[Teeth, int]]
    eyes: tuple[tuple[Ids, Array], ...]

    def apply(self, source: Array) -> Array:
        """Map `[Vs, 3]` positions or offsets to the head's vertices `[V, 3]`.

        Eyeballs become spheres that look straight ahead: the targets turn them outwards, an
        infant's by 11 degrees. Their radius is read off linearly.
        """
        vertices = np.asarray(self.matrix @ source)
        for ids, directions in self.eyes:
            middle = vertices[ids].mean(0)
            radius = ((vertices[ids] - middle) * directions).sum(1).mean()
            vertices[ids] = middle + radius * directions
        return vertices

    def faces(self) -> Ids:
        """Give all triangles, the teeth's last."""
        extra = [teeth.triangles + first for teeth, first in self.teeth]
        return np.concatenate([triangles(self.quads), *extra])


def assemble(cut: Cut, base: Array, source: Array) -> Assembly:
    """Put the head together.

    Args:
        cut: The cut of the base mesh.
        base: Source vertices of the base mesh, whose eyes look straight ahead.
        source: Source vertices of the mean adult, normalized as the template is: the teeth are
            modelled in that space.
    """
    dropped = [
        ring for side in ("left", "right") for ring in cut.rings[f"socket_{side}"][SOCKET_RINGS:]
    ]
    kept = np.setdiff1d(np.arange(len(cut.keep)), np.concatenate(dropped))
    new_id = np.full(len(cut.keep), -1)
    new_id[kept] = np.arange(len(kept))
    upper, lower = build_teeth(is_upper=True), build_teeth(is_upper=False)
    firsts = (len(kept), len(kept) + len(upper.vertices))
    matrix = lil_matrix((firsts[1] + len(lower.vertices), len(source)))
    matrix[np.arange(len(kept)), kept] = 1.0
    for cut_id, row in _mended_rows(cut, source).items():
        matrix[new_id[cut_id]] = row
    helpers = np.arange(len(cut.keep), len(source)).reshape(2, -1)
    for teeth, first, ids in zip((upper, lower), firsts, helpers, strict=True):
        for i, point in enumerate(teeth.vertices):
            matrix[first + i] = regress_point(source, ids, point, TOOTH_WIDTH)
    parts = {name: _moved(new_id, ids) for name, ids in cut.parts.items()}
    for label, teeth, first in (("upper", upper, firsts[0]), ("lower", lower, firsts[1])):
        parts[f"teeth_{label}"] = first + np.flatnonzero(teeth.crown_of >= 0)
        parts[f"gums_{label}"] = first + np.flatnonzero(teeth.crown_of < 0)
    quads = new_id[cut.quads]
    rows = (quads >= 0).all(1) & ~np.isin(quads, _eye_backs(base[kept], parts)).all(1)
    rings = {
        name: tuple(_moved(new_id, ring) for ring in rings if (new_id[ring] >= 0).all())
        for name, rings in cut.rings.items()
    }
    return Assembly(
        csr_matrix(matrix),
        kept,
        parts,
        rings,
        quads[rows],
        cut.uv_quads[rows],
        ((upper, firsts[0]), (lower, firsts[1])),
        tuple(
            (parts[name], _directions(base[kept][parts[name]]))
            for name in ("eye_left", "eye_right")
        ),
    )


def _directions(sphere: Array) -> Array:
    offsets = sphere - sphere.mean(0)
    return np.asarray(offsets / np.linalg.norm(offsets, axis=1, keepdims=True))


def _moved(new_id: Ids, ids: Ids) -> Ids:
    found = new_id[ids]
    return found[found >= 0]


def _eye_backs(vertices: Array, parts: dict[str, Ids]) -> Ids:
    """Give the vertices round the back pole of both eyeballs."""
    eyes = [parts["eye_left"], parts["eye_right"]]
    return np.concatenate(
        [ids[np.argsort(vertices[ids, 2], kind="stable")[:EYE_BACK]] for ids in eyes]
    )


def _mended_rows(cut: Cut, source: Array) -> dict[int, Array]:
    """Give the rows, over source vertices, of what does not pass through unchanged."""
    rows: dict[int, Array] = {}
    for side in ("left", "right"):
        margin, ring = cut.rings[f"socket_{side}"][:2]
        for vertex, outside in rungs(cut.quads, margin, ring).items():
            rows[vertex] = _mix(len(source), outside, cut.parts[f"eye_{side}"], SOCKET_PULL)
    for ring, share in zip(cut.rings["mouth_bag"], BAG_SHRINK, strict=True):
        for vertex in ring if share else ():
            rows[int(vertex)] = _mix(len(source), vertex, ring, share)
    tongue = cut.parts["tongue"]
    for vertex in tongue:
        beside = np.abs(source[tongue][:, [0, 2]] - source[vertex, [0, 2]]).sum(1)
        below = tongue[np.argmin(beside + 0.25 * source[tongue, 1])]
        share = float(np.interp(source[vertex, 2], TONGUE_DEPTHS, TONGUE_FLATTENING))
        rows[int(vertex)] = _mix(len(source), vertex, np.array([below]), share)
    return rows


def _mix(count: int, vertex: int, others: Ids, share: float) -> Array:
    """Give a row: `1 - share` of one vertex, `share` of the mean of others."""
    row = np.zeros(count)
    row[vertex] = 1 - share
    row[others] += share / len(others)
    return row
