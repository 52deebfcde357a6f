"""What the default head and FLAME's mean head have in common: lines of lips and lids, a profile.

Lips and lid margins are closed lines of edges on both meshes, so they are matched line by line.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bake.makehuman import Array, Ids
from bake.mesh_curves import (
    OnEdges,
    boundary_edges,
    edge_graph,
    hops_from,
    match_halves,
    path_through,
    split_cycle,
    walk_cycle,
)
from mien.head import Head

Mask = NDArray[np.bool_]

EYES = {"left": (42, 48), "right": (36, 42)}  # of the 68 landmarks, named by the subject's side
LIP_LINES = {"lips_middle": (60, 68), "lips_outer": (48, 60)}
LIP_CONTACT_HOPS = 3  # rings between the mouth's open inner end and the line where lips meet
BEHIND = -0.75  # in eye distances from the eyes: farther back is not registered
BELOW = -2.1


@dataclass(frozen=True)
class Template:
    """FLAME's mean head: vertices `[5023, 3]`, head faces, joints `[5, 3]`, 68 landmark ids."""

    vertices: Array
    faces: Ids
    joints: Array
    landmarks: Ids

    @property
    def ipd(self) -> float:
        """Distance between the eye joints, metres."""
        return float(np.linalg.norm(self.joints[3] - self.joints[4]))


@dataclass(frozen=True)
class Source:
    """The default head's skin: vertices `[V, 3]`, faces, graph; its points by region, mirrored."""

    vertices: Array
    faces: Ids
    graph: csr_matrix
    regions: dict[str, Ids]
    point_vertices: Ids
    mirror: Ids


def read_template(folder: Path) -> Template:
    """Read the arrays of the folder's npz file."""
    with np.load(folder / "flame2023_open_template.npz", allow_pickle=False) as file:
        return Template(
            file["v_template"].astype(np.float64),
            file["faces_head"].astype(np.int64),
            file["joints"].astype(np.float64),
            file["landmarks68_vertex_ids"].astype(np.int64),
        )


def read_source(head: Head) -> Source:
    """Take the skin of the default head."""
    points = head.require_points()
    vertices = head.v_template.numpy().astype(np.float64)
    is_skin = np.zeros(len(vertices), dtype=bool)
    is_skin[head.parts["skin"].numpy()] = True
    faces = head.faces.numpy()
    faces = faces[is_skin[faces].all(1)]
    regions = {name: ids.numpy() for name, ids in points.regions.items()}
    if float(points.weights.max(1).values.min()) < 1:
        raise ValueError("The default head's face points must be vertices.")
    return Source(
        vertices,
        faces,
        edge_graph(vertices, faces),
        regions,
        points.vertex_ids[:, 0].numpy(),
        points.mirror.numpy(),
    )


def match_lines(source: Source, template: Template) -> tuple[Ids, OnEdges]:
    """Match lips and lid margins: source vertex ids, and their places on FLAME's edges."""
    graph = edge_graph(template.vertices, template.faces)
    marks = template.landmarks
    lines = {name: _closed(marks[slice(*span)]) for name, span in LIP_LINES.items()}
    cycles = {name: path_through(graph, line)[:-1] for name, line in lines.items()}
    cycles["lips_inner"] = walk_cycle(graph, _contact_ring(template, graph))
    outer = source.point_vertices[source.regions["lips_outer"]]
    ends = _extremes(source.vertices, outer), (int(marks[51]), int(marks[57]))
    ids, places = [], []
    for name, cycle in cycles.items():
        ring = walk_cycle(source.graph, source.point_vertices[source.regions[name]])
        pair = _match(source, ring, ends[0], template, graph, cycle, ends[1], center=0.0)
        ids.append(pair[0])
        places.append(pair[1])
    for side, span in EYES.items():
        cycle = path_through(graph, _closed(marks[slice(*span)]))[:-1]
        margin = np.concatenate(
            [source.regions[f"lid_{half}_{side}"] for half in ("upper", "lower")]
        )
        ring = walk_cycle(source.graph, source.point_vertices[margin])
        ends = _extremes(source.vertices, ring), _extremes(template.vertices, cycle)
        pair = _match(source, ring, ends[0], template, graph, cycle, ends[1], center=None)
        ids.append(pair[0])
        places.append(pair[1])
    return np.concatenate(ids), _joined(places)


def match_profile(source: Source, template: Template) -> tuple[Ids, Ids]:
    """Match nasion, nose tip, subnasale, the dent below the lip, and the chin on the midline."""
    eyes = template.joints[3:].mean(0)
    lips = template.vertices[template.landmarks[48:60]] - eyes
    own_lips = source.vertices[source.point_vertices[source.regions["lips_outer"]]]
    skin = np.unique(outside_faces(template, eyes))
    return (
        _profile(source.vertices, np.unique(source.faces), own_lips),
        _profile(template.vertices - eyes, skin, lips),
    )


def outside_faces(template: Template, eyes: Array) -> Ids:
    """Give the triangles of FLAME's face that are skin: no mouth's inside, no eye sockets."""
    graph = edge_graph(template.vertices, template.faces)
    inside = inside_vertices(template, graph)
    faces = template.faces[~inside[template.faces].any(1)]
    return face_only(template.vertices, faces, eyes, template.ipd)


def face_only(vertices: Array, faces: Ids, eyes: Array, unit: float) -> Ids:
    """Drop the triangles at the back of the head and below the chin."""
    place = (vertices[faces] - eyes) / unit
    return np.asarray(faces[(place[..., 2] > BEHIND).all(1) & (place[..., 1] > BELOW).all(1)])


def inside_vertices(template: Template, graph: csr_matrix) -> Mask:
    """Which vertices lie inside the mouth or behind the lids, `[5023]`."""
    inside = _mouth_hops(template, graph) < LIP_CONTACT_HOPS
    for span in EYES.values():
        loop = path_through(graph, _closed(template.landmarks[slice(*span)]))
        inside |= _enclosed(template, graph, loop, int(template.landmarks[30]))
    return np.asarray(inside)


def _mouth_hops(template: Template, graph: csr_matrix) -> Array:
    """Count the edges from the mouth's inner end."""
    edge = np.unique(boundary_edges(template.faces))
    place = template.vertices[edge]
    return hops_from(graph, edge[(place[:, 2] > 0.02) & (place[:, 1] > -0.1)])


def _match(
    source: Source,
    ring: Ids,
    source_ends: tuple[int, int],
    template: Template,
    graph: csr_matrix,
    cycle: Ids,
    ends: tuple[int, int],
    center: float | None,
) -> tuple[Ids, OnEdges]:
    halves = split_cycle(source.vertices, source.graph, ring, *source_ends)
    target_halves = split_cycle(template.vertices, graph, cycle, *ends)
    places = [
        match_halves(source.vertices, half, template.vertices, target, center)
        for half, target in zip(halves, target_halves, strict=True)
    ]
    ids, joined = np.concatenate(halves), _joined(places)
    ids, kept = np.unique(ids, return_index=True)
    return ids, OnEdges(joined.first[kept], joined.second[kept], joined.shares[kept])


def _profile(vertices: Array, skin: Ids, lips: Array) -> Ids:
    """Find the profile's turning points from brow to chin; the origin lies between the eyes."""
    x, y, z = vertices[skin].T
    middle = skin[(np.abs(x) < 0.002) & (z > 0) & (y < 0.02) & (y > lips[:, 1].min() - 0.05)]
    middle = middle[vertices[middle, 1].argsort()]
    place = vertices[middle, 1:]
    upper_lip, lower_lip = float(lips[:, 1].max()), float(lips[:, 1].min())

    def deepest(low: int, high: int) -> int:
        """The place farthest behind the chord between two others."""
        height, depth = (place[low:high] - place[low]).T
        rise, run = place[high] - place[low]
        return low + int((run * height - rise * depth).argmax())

    nose = np.flatnonzero(place[:, 0] > upper_lip)
    tip = int(nose[place[nose, 1].argmax()])
    under = np.flatnonzero(place[:, 0] < lower_lip - 0.01)
    chin = int(under[place[under, 1].argmax()])
    lip_below = int(np.searchsorted(place[:, 0], lower_lip))
    turns = [deepest(tip, len(place) - 1), tip, deepest(int(nose[0]), tip)]
    return np.asarray(middle[[*turns, deepest(chin, lip_below), chin]])


def _contact_ring(template: Template, graph: csr_matrix) -> Ids:
    return np.flatnonzero(_mouth_hops(template, graph) == LIP_CONTACT_HOPS)


def _enclosed(template: Template, graph: csr_matrix, loop: Ids, start: int) -> Mask:
    """Which vertices cannot be reached from `start` without crossing a closed line."""
    open_ = np.ones(graph.shape[0])
    open_[loop] = 0.0
    cut = csr_matrix(graph.multiply(open_[:, None]).multiply(open_[None, :]))
    cut.eliminate_zeros()
    reached = np.isfinite(hops_from(cut, np.array([start])))
    reached[loop] = True
    return np.asarray(~reached)


def _closed(stops: Ids) -> Ids:
    return np.append(stops, stops[0])


def _joined(places: list[OnEdges]) -> OnEdges:
    names = ("first", "second", "shares")
    return OnEdges(*(np.concatenate([getattr(each, name) for each in places]) for name in names))


def _extremes(vertices: Array, ids: Ids) -> tuple[int, int]:
    """The highest and the lowest of some vertices."""
    height = vertices[ids, 1]
    return int(ids[height.argmax()]), int(ids[height.argmin()])
