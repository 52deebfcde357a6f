"""Find the face points on FLAME's mesh: `python core/bake/register_flame.py FOLDER`.

FOLDER holds flame2023_open_template.npz, the mean head of FLAME 2023 Open (CC BY 4.0). Writes
core/mien/assets/flame_points.npz and its card flame_points.json, which are all that is needed at
run time: vertex ids and weights, no geometry of FLAME's. `--picture PNG` draws both point sets.

Lips and lids are matched line by line. The rest of the default head's face
is bent onto the template by N-ICP with these lines and the profile as landmarks, and each point
takes the nearest place. Irises lie where the gaze goes, on the eyeballs.
"""

import argparse
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import ConvexHull

from bake.flame_lines import (
    Source,
    Template,
    face_only,
    inside_vertices,
    match_lines,
    match_profile,
    outside_faces,
    read_source,
    read_template,
)
from bake.makehuman import Array, Ids
from bake.mesh_curves import boundary_edges, edge_graph
from mien.head import Head
from mien.registration import fit_similarity, register
from mien.surface import Surface

ASSET = Path(__file__).parents[1] / "mien" / "assets" / "flame_points.npz"
EYEBALLS = {"left": slice(3931, 4477), "right": slice(4477, 5023)}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """Face points on FLAME: corners and weights `[K, 3]`."""

    vertex_ids: Ids
    weights: Array


def find_points(source: Source, template: Template) -> tuple[Found, Array]:
    """Find all points but those of the mouth's inside; also the bent skin, `[V, 3]` metres."""
    line_ids, lines = match_lines(source, template)
    profile_ids, profile = match_profile(source, template)
    marks = np.concatenate([line_ids, profile_ids])
    targets = np.concatenate([lines.gather(template.vertices), template.vertices[profile]])
    near = fit_similarity(source.vertices[marks], targets)
    bent = near.apply(source.vertices)
    _log.info("scale %.4f, landmarks %.2f mm", near.scale, _mean_mm(bent[marks], targets))

    eyes = template.joints[3:].mean(0)
    faces, kept = _compact(face_only(bent, source.faces, eyes, template.ipd))
    outside = outside_faces(template, eyes)
    new_id = np.full(len(bent), -1)
    new_id[kept] = np.arange(len(kept))
    with_targets = np.concatenate([template.vertices, targets])  # places on edges, as vertices
    pairs = [(int(own), len(template.vertices) + row) for row, own in enumerate(new_id[marks])]
    bent[kept] = register(source.vertices[kept], faces, with_targets, outside, pairs)

    points = source.point_vertices
    surface = Surface(template.vertices, outside, "FLAME")
    places = surface.closest(bent[points])
    flipped = places.positions[source.mirror] * np.array([-1.0, 1.0, 1.0])
    flipped[:, 0] += 2 * eyes[0]
    places = surface.closest((places.positions + flipped) / 2)
    vertex_ids, weights = places.vertex_ids, places.weights
    on_line = {int(vertex): row for row, vertex in enumerate(line_ids)}
    for point, vertex in enumerate(points.tolist()):
        if vertex in on_line:
            row = on_line[vertex]
            first, second, share = lines.first[row], lines.second[row], lines.shares[row]
            vertex_ids[point], weights[point] = (first, second, second), (1 - share, share, 0.0)
    return Found(vertex_ids, weights), bent


def find_irises(head: Head, template: Template) -> dict[str, Found]:
    """Find where each iris point's direction from the eye's center meets FLAME's eyeball."""
    joints = head.joint_template.numpy().astype(np.float64)
    points = head.require_points()
    positions = points.gather(head.v_template).numpy().astype(np.float64)
    found = {}
    for joint, side in ((3, "left"), (4, "right")):
        ball = np.arange(len(template.vertices))[EYEBALLS[side]]
        around = template.vertices[ball] - template.joints[joint]
        triangles = ConvexHull(around).simplices
        directions = positions[points.regions[f"iris_{side}"].numpy()] - joints[joint]
        shares = np.linalg.solve(
            around[triangles].transpose(0, 2, 1)[None], directions[:, None, :, None]
        )[..., 0]
        best = shares.min(-1).argmax(1)
        weights = np.maximum(shares[np.arange(len(best)), best], 0.0)
        found[side] = Found(ball[triangles[best]], weights / weights.sum(1, keepdims=True))
    return found


def place_unobserved(head: Head, template: Template) -> Found:
    """Place the tongue's points, which FLAME lacks, where the lower jaw carries them.

    They lie on the inner end of the lower lip's inside and weigh nothing in a loss.
    """
    points = head.require_points()
    count = len(points.regions["tongue"])
    edge = np.unique(boundary_edges(template.faces))
    place = template.vertices[edge]
    lower = edge[(place[:, 2] > 0.02) & (place[:, 1] < -0.052) & (np.abs(place[:, 0]) < 0.015)]
    across = points.gather(head.v_template).numpy()[points.regions["tongue"].numpy(), 0]
    order = lower[template.vertices[lower, 0].argsort()]
    nearest = np.abs(template.vertices[order, 0][None] - across[:, None]).argmin(1)
    return Found(np.repeat(order[nearest][:, None], 3, 1), np.tile([1.0, 0.0, 0.0], (count, 1)))


def find_vertices(head: Head, source: Source, bent: Array, template: Template) -> Found:
    """Find where each of FLAME's vertices lies on the default head, `[5023, 3]`.

    What is inside the mouth or behind the lids lies where the line before it does.
    """
    graph = edge_graph(template.vertices, template.faces)
    places = Surface(bent, source.faces, "bent").closest(template.vertices)
    vertex_ids, weights = places.vertex_ids, places.weights
    inside = inside_vertices(template, graph)
    skin = np.unique(template.faces)
    outer, inner = skin[~inside[skin]], skin[inside[skin]]
    _, _, nearest = dijkstra(graph, indices=outer, min_only=True, return_predecessors=True)
    before = nearest[inner]
    vertex_ids[inner], weights[inner] = vertex_ids[before], weights[before]
    for joint, side in ((3, "left"), (4, "right")):
        own = head.parts[f"eye_{side}"].numpy()
        faces = head.faces.numpy()
        ball = faces[np.isin(faces, own).all(1)]
        scale = head.ipd / template.ipd
        center = head.joint_template[joint].numpy().astype(np.float64)
        around = scale * (template.vertices[EYEBALLS[side]] - template.joints[joint])
        places = Surface(head.v_template.numpy(), ball, "eyeball").closest(center + around)
        vertex_ids[EYEBALLS[side]], weights[EYEBALLS[side]] = places.vertex_ids, places.weights
    return Found(vertex_ids, weights)


def measure(head: Head, found: Found, template: Template) -> dict[str, float]:
    """Give the errors that can be measured without a second opinion, millimetres."""
    points = head.require_points()
    positions = (template.vertices[found.vertex_ids] * found.weights[..., None]).sum(1)
    flipped = positions[points.mirror.numpy()] * np.array([-1.0, 1.0, 1.0])
    seen = np.ones(len(points), dtype=bool)
    seen[points.regions["tongue"].numpy()] = False
    apart = np.linalg.norm(positions - flipped, axis=1)[seen] * 1e3
    own = points.gather(head.v_template).numpy().astype(np.float64)
    like = fit_similarity(own[seen], positions[seen]).apply(own[seen])
    figures = {
        "mirror_error_mean_mm": float(apart.mean()),
        "mirror_error_max_mm": float(apart.max()),
        "template_mirror_error_mean_mm": _template_asymmetry(template),
        "after_similarity_rms_mm": float(
            np.sqrt(((like - positions[seen]) ** 2).sum(1).mean()) * 1e3
        ),
    }
    return {name: round(value, 3) for name, value in figures.items()}


def _template_asymmetry(template: Template) -> float:
    """How far FLAME's own face is from its mirror image, millimetres."""
    faces = outside_faces(template, template.joints[3:].mean(0))
    skin = template.vertices[np.unique(faces)]
    mirrored = template.vertices * np.array([-1.0, 1.0, 1.0])
    return float(Surface(mirrored, faces[:, ::-1], "mirrored").closest(skin).distance.mean() * 1e3)


def _compact(faces: Ids) -> tuple[Ids, Ids]:
    """Number the vertices in use from zero; also give their old ids."""
    kept, renumbered = np.unique(faces, return_inverse=True)
    return renumbered.reshape(faces.shape), kept


def _mean_mm(first: Array, second: Array) -> float:
    return float(np.linalg.norm(first - second, axis=1).mean() * 1e3)


def draw(head: Head, found: Found, template: Template, path: Path) -> None:
    """Draw both point sets side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    points = head.require_points()
    sets = {
        "default head": points.gather(head.v_template).numpy(),
        "FLAME 2023 Open": (template.vertices[found.vertex_ids] * found.weights[..., None]).sum(1),
    }
    figure, axes = plt.subplots(1, 2, figsize=(20, 14))
    for axis, (name, places) in zip(axes, sets.items(), strict=True):
        for ids in points.regions.values():
            axis.plot(places[ids, 0], places[ids, 1], ".", markersize=7)
        axis.set_title(name)
        axis.set_aspect("equal")
    figure.savefig(path, dpi=80, bbox_inches="tight")


def write(
    head: Head, found: Found, observed: NDArray[np.bool_], back: Found, figures: dict[str, float]
) -> None:
    """Write the asset and its card."""
    np.savez_compressed(
        ASSET,
        vertex_ids=found.vertex_ids.astype(np.int16),
        weights=found.weights.astype(np.float32),
        is_observed=observed,
        default_points=head.require_points().vertex_ids[:, 0].numpy().astype(np.int16),
        default_vertex_ids=back.vertex_ids.astype(np.int16),
        default_weights=back.weights.astype(np.float32),
    )
    card = {
        "what": "the default head's face points on FLAME's mesh, and FLAME's vertices on the "
        "default head: vertex ids and barycentric weights",
        "source": "FLAME 2023 Open, mean head, Max Planck Institute for Intelligent Systems; "
        "Li, Bolkart, Black, Li, Romero, Learning a model of facial shape and expression from "
        "4D scans, ACM TOG 36(6), 2017",
        "licence": "CC BY 4.0",
        "made_by": "python core/bake/register_flame.py FOLDER",
        "method": "closed lines of lips and lids matched by arc length; the rest by non-rigid "
        "registration of the default head to the template; irises by direction from the eye's "
        "center",
        "unobserved": "FLAME has no tongue: its 7 points are marked in `is_observed`, lie on the "
        "inner end of the lower lip and weigh nothing",
        "figures": figures,
    }
    ASSET.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Register and write."""
    parser = argparse.ArgumentParser(description="Find the face points on FLAME's mesh.")
    parser.add_argument("folder", type=Path, help="holds flame2023_open_template.npz")
    parser.add_argument("--picture", type=Path, help="draw both point sets to this PNG")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    head = Head.default()
    template, source = read_template(options.folder), read_source(head)
    found, bent = find_points(source, template)
    points = head.require_points()
    for side, iris in find_irises(head, template).items():
        ids = points.regions[f"iris_{side}"].numpy()
        found.vertex_ids[ids], found.weights[ids] = iris.vertex_ids, iris.weights
    tongue = points.regions["tongue"].numpy()
    unobserved = place_unobserved(head, template)
    found.vertex_ids[tongue], found.weights[tongue] = unobserved.vertex_ids, unobserved.weights
    observed = np.ones(len(points), dtype=bool)
    observed[tongue] = False
    back = find_vertices(head, source, bent, template)
    figures = measure(head, found, template)
    _log.info("%s", figures)
    write(head, found, observed, back, figures)
    if options.picture:
        draw(head, found, template, options.picture)


if __name__ == "__main__":
    main()
