"""Pack the head's islands into one texture."""

import logging

import numpy as np

from bake.assembly import Assembly
from bake.chart import (
    Box,
    boundary_angles,
    boundary_loops,
    embed,
    fit_box,
    grid_cells,
    rounded_rectangle,
    sphere_chart,
)
from bake.cut import rungs, triangles, uv_islands
from bake.makehuman import Array, Ids

_log = logging.getLogger(__name__)

FACE = Box(0.004, 0.304, 0.992, 0.692)
NECK = Box(0.004, 0.004, 0.330, 0.290)
EYES = {"eye_left": Box(0.345, 0.154, 0.14, 0.14), "eye_right": Box(0.490, 0.154, 0.14, 0.14)}
SOCKETS = {
    "socket_left": Box(0.345, 0.004, 0.06, 0.06),
    "socket_right": Box(0.345, 0.074, 0.06, 0.06),
}
TONGUE = Box(0.412, 0.004, 0.075, 0.14)
MOUTH_BAG = Box(0.495, 0.004, 0.135, 0.14)
CROWNS = Box(0.640, 0.094, 0.356, 0.202)
GUMS = {
    "gums_upper": Box(0.640, 0.050, 0.356, 0.036),
    "gums_lower": Box(0.640, 0.006, 0.356, 0.036),
}
CELLS = (7, 4)  # columns and rows of the 28 crowns

SPEAKING_RADIUS = 0.012  # metres: how far importance reaches from a lip or lid line


def build_texture(assembly: Assembly, template: Array, num_base_uv: int) -> tuple[Array, Ids]:
    """Give texture coordinates `[U, 2]` and the triangles' corners in them `[F, 3]`.

    The order of the triangles is that of `assembly.faces()`.
    """
    quads, uv_quads = assembly.quads, assembly.uv_quads.copy()
    for name in (*EYES, *SOCKETS):  # no seam: one corner a vertex
        rows = np.isin(quads, assembly.parts[name]).all(1)
        uv_quads[rows] = num_base_uv + quads[rows]
    num_uv = num_base_uv + len(template)
    vertex_of = np.zeros(num_uv, dtype=np.int64)
    vertex_of[uv_quads.ravel()] = quads.ravel()
    uv = np.full((num_uv, 2), np.nan)
    islands = uv_islands(uv_quads, num_uv)
    importance = face_importance(assembly, template)
    extra: list[Ids] = []
    for island in np.unique(islands):
        rows = islands == island
        ids = np.unique(uv_quads[rows])
        _log.info("island of %d corners", len(ids))
        uv[ids] = _island(
            assembly, template, quads[rows], uv_quads[rows], ids, vertex_of, importance
        )
    used = np.unique(uv_quads)
    faces = triangles(np.searchsorted(used, uv_quads))
    parts = [uv[used]]
    for (teeth, _), label in zip(assembly.teeth, ("upper", "lower"), strict=True):
        first = sum(len(part) for part in parts)
        parts.append(_teeth_uv(teeth.uv, teeth.crown_of, label))
        extra.append(teeth.triangles + first)
    return np.concatenate(parts), np.concatenate([faces, *extra])


def face_importance(assembly: Assembly, template: Array) -> Array:
    """Give each vertex's wanted share of the texture relative to its surface, `[V]`."""
    x, y, z = template.T
    front = _step(z, -0.030, 0.000) * _step(-y, -0.070, -0.045) * _step(y, -0.125, -0.105)
    weight = 0.35 + 1.4 * front
    brow = np.exp(-(((np.abs(x) - 0.030) / 0.022) ** 2) - ((y - 0.022) / 0.012) ** 2)
    nose = np.exp(-((x / 0.020) ** 2) - ((y + 0.030) / 0.022) ** 2)
    weight = weight + front * (2.0 * brow + 1.5 * nose)
    for name in ("mouth_bag", "socket_left", "socket_right"):
        line = template[assembly.rings[name][0]]
        distance = np.sqrt(((template[:, None] - line[None]) ** 2).sum(-1).min(1))
        weight = weight + 5.0 * np.exp(-((distance / SPEAKING_RADIUS) ** 2))
    return np.asarray(weight)


def _step(value: Array, low: float, high: float) -> Array:
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _island(
    assembly: Assembly,
    template: Array,
    quads: Ids,
    uv_quads: Ids,
    ids: Ids,
    vertex_of: Ids,
    importance: Array,
) -> Array:
    """Lay out one island of the base mesh's texture anew and place it in its box."""
    members = set(quads.ravel().tolist())
    vertices = vertex_of[ids]
    faces = np.searchsorted(ids, triangles(uv_quads))
    inside = {n: members <= set(p.tolist()) for n, p in assembly.parts.items()}
    if any(inside[name] for name in EYES):
        name = next(n for n in EYES if inside[n])
        points = template[vertices]
        return EYES[name].place(sphere_chart(points - template[assembly.parts[name]].mean(0)))
    if any(inside[name] for name in SOCKETS):
        name = next(n for n in SOCKETS if inside[n])
        return SOCKETS[name].place(_annulus(assembly.rings[name], quads, template, vertices))
    if inside["tongue"] or inside["mouth_bag"]:
        box = TONGUE if inside["tongue"] else MOUTH_BAG
        return box.place(_disc(template[vertices], faces, np.ones(len(ids)), 1.0))
    box = NECK if inside["neck"] else FACE
    aspect = box.width / box.height
    weight = np.ones(len(ids)) if inside["neck"] else importance[vertices]
    return box.place(_disc(template[vertices], faces, weight, aspect))


def _disc(points: Array, faces: Ids, weight: Array, aspect: float) -> Array:
    """Embed an island; its upper front boundary vertex on the midline goes to the top's middle."""
    loop = boundary_loops(faces)[0]
    line = points[loop]
    top = int(np.argmax(line[:, 1] + 2 * line[:, 2] - 5 * np.abs(line[:, 0])))
    angles = boundary_angles(line, top, weight[loop])
    return embed(points, faces, weight, loop, rounded_rectangle(-angles), aspect)


def _annulus(rings: tuple[Ids, ...], quads: Ids, template: Array, vertices: Ids) -> Array:
    """Lay a two-ring socket out as a flat ring, the lid margin outside."""
    outer, inner = rings
    middle = template[outer].mean(0)
    angle = {}
    for vertex in outer:
        offset = template[vertex] - middle
        angle[int(vertex)] = np.arctan2(offset[1], offset[0])
    angle |= {vertex: angle[outside] for vertex, outside in rungs(quads, outer, inner).items()}
    radius = np.where(np.isin(vertices, outer), 0.5, 0.2)
    around = np.array([angle[int(v)] for v in vertices])
    return np.asarray(0.5 + radius[:, None] * np.stack([np.cos(around), np.sin(around)], 1))


def _teeth_uv(unit: Array, crown_of: Ids, label: str) -> Array:
    """Give every crown a cell of its own and the gum its strip."""
    cells = list(grid_cells(CROWNS, *CELLS, margin=0.02))
    uv = np.zeros_like(unit)
    offset = 0 if label == "upper" else 14
    for crown in range(14):
        uv[crown_of == crown] = cells[offset + crown].place(unit[crown_of == crown])
    uv[crown_of < 0] = GUMS[f"gums_{label}"].place(fit_box(unit[crown_of < 0])[:, ::-1])
    return uv


def check_texture(uv: Array, uv_faces: Ids) -> None:
    """Refuse a texture whose triangles overlap or leave the unit square."""
    if not (np.isfinite(uv).all() and uv.min() >= 0 and uv.max() <= 1):
        raise ValueError("Texture coordinates must lie in [0, 1].")
    corner = uv[uv_faces]
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2
    _log.info(
        "texture: %.1f %% used, %d of %d flipped",
        100 * np.abs(area).sum(),
        (area < 0).sum(),
        len(area),
    )
