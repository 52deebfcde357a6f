"""Choose about 500 semantic points on the default head: symmetric, dense where faces speak."""

from dataclasses import dataclass

import numpy as np

from bake.assembly import Assembly
from bake.makehuman import Array, Ids

REGION_WEIGHTS = {  # relative weight of one point in losses
    "lips": 3.0,
    "lid_left": 3.0,
    "lid_right": 3.0,
    "iris_left": 2.0,
    "iris_right": 2.0,
    "brow_left": 2.0,
    "brow_right": 2.0,
    "tongue": 1.0,
}
REGION_COUNTS = {  # vertices sampled on the left half (midline included) of each open region
    "brow": 24,
    "forehead": 16,
    "nose": 20,
    "nasolabial": 18,
    "cheek": 22,
    "jaw": 24,
    "eye_area": 14,
}
LID_OUTER_COUNT = 14  # points on the line three rings outside each lid margin


@dataclass(frozen=True)
class ChosenPoints:
    """The points: corners and weights `[K, 3]`, regions by name, mirror ids and weights `[K]`."""

    vertex_ids: Ids
    weights: Array
    regions: dict[str, Ids]
    mirror: Ids
    loss_weights: Array


def mirror_vertices(vertices: Array, groups: list[Ids]) -> Ids:
    """Give each vertex's counterpart on the other side: the nearest to its mirror image.

    Source and target belong to the union of the same group, so a lid never meets an eyeball.
    """
    mirror = np.arange(len(vertices))
    for ids in groups:
        flipped = vertices[ids] * np.array([-1.0, 1.0, 1.0])
        distance = ((flipped[:, None] - vertices[ids][None]) ** 2).sum(-1)
        mirror[ids] = ids[distance.argmin(1)]
    return mirror


def vertex_rings(quads: Ids, start: Ids, allowed: Ids, count: int) -> list[Ids]:
    """Walk outwards from `start` over `allowed`, `count` rings by edges."""
    inside = quads[np.isin(quads, allowed).all(1)]
    following = np.roll(inside, -1, axis=1)
    seen, rings = start, []
    last = start
    for _ in range(count):
        hit, hit_next = np.isin(inside, last), np.isin(following, last)
        last = np.setdiff1d(np.concatenate([following[hit], inside[hit_next]]), seen)
        seen = np.union1d(seen, last)
        rings.append(last)
    return rings


def spread(
    vertices: Array, candidates: Ids, taken: Ids, count: int, density: Array | None = None
) -> Ids:
    """Pick `count` candidates by farthest-point sampling, away from what is `taken`.

    `density [V]` shrinks distances where it is small, so fewer points fall there.
    """
    if not len(candidates):
        return candidates
    anchor = vertices[taken] if len(taken) else vertices[candidates[:1]]
    distance = ((vertices[candidates][:, None] - anchor[None]) ** 2).sum(-1).min(1)
    factor = np.ones(len(candidates)) if density is None else density[candidates] ** 2
    chosen = []
    for _ in range(min(count, len(candidates))):
        best = int((distance * factor).argmax())
        chosen.append(candidates[best])
        distance = np.minimum(
            distance, ((vertices[candidates] - vertices[candidates[best]]) ** 2).sum(1)
        )
    return np.array(chosen)


def choose_points(vertices: Array, cut: Assembly, units: dict[str, Array]) -> ChosenPoints:
    """Choose the points on the template.

    Args:
        vertices: Template `[V, 3]`, origin between the eyes.
        cut: Parts and rings.
        units: The ARKit units' offsets, name -> `[V, 3]`: points gather where the skin moves.
    """
    ipd = float(
        vertices[cut.parts["eye_left"], 0].mean() - vertices[cut.parts["eye_right"], 0].mean()
    )
    skin = cut.parts["skin"]
    face = np.setdiff1d(skin, cut.parts["neck"])
    mirror = mirror_vertices(
        vertices,
        [skin, np.union1d(cut.parts["eye_left"], cut.parts["eye_right"]), cut.parts["tongue"]],
    )
    groups = _lines(vertices, cut, face, mirror)
    groups = {n: np.union1d(i, mirror[i]) if "_" not in n else i for n, i in groups.items()}
    groups |= _open_regions(vertices, face, groups, mirror, ipd, _mobility(units))
    order = np.unique(np.concatenate([*groups.values()]))
    order = np.union1d(order, mirror[order])
    point_of = {int(v): i for i, v in enumerate(order)}
    regions = {
        name: np.array(sorted({point_of[int(v)] for v in ids})) for name, ids in groups.items()
    }
    loss_weights = np.ones(len(order))
    for name, weight in REGION_WEIGHTS.items():
        loss_weights[regions[name]] = weight
    corners = np.repeat(order[:, None], 3, axis=1)
    one_hot = np.tile([1.0, 0.0, 0.0], (len(order), 1))
    back = np.array([point_of[int(mirror[v])] for v in order])
    return ChosenPoints(corners, one_hot, regions, back, loss_weights / loss_weights.mean())


def _lines(vertices: Array, cut: Assembly, face: Ids, mirror: Ids) -> dict[str, Ids]:
    """Lip and lid lines, irises, tongue tip: taken whole."""
    mouth = cut.rings["mouth_bag"][0]
    lip_rings = vertex_rings(cut.quads, mouth, face, 6)
    groups = {
        "lips_inner": mouth,
        "lips_middle": lip_rings[2],
        "lips_outer": lip_rings[5],
    }
    groups["lips"] = np.concatenate(list(groups.values()))
    around_left = vertex_rings(cut.quads, cut.rings["socket_left"][0], face, 3)[2]
    around = spread(vertices, around_left, cut.rings["socket_left"][0], LID_OUTER_COUNT)
    for side in ("left", "right"):
        margin = cut.rings[f"socket_{side}"][0]
        middle = np.median(vertices[margin], axis=0)
        corner_y = vertices[margin][
            np.abs(vertices[margin, 0] - middle[0]).argsort()[-2:], 1
        ].mean()
        groups[f"lid_{side}"] = np.concatenate(
            [margin, around if side == "left" else mirror[around]]
        )
        groups[f"lid_upper_{side}"] = margin[vertices[margin, 1] >= corner_y]
        groups[f"lid_lower_{side}"] = margin[vertices[margin, 1] < corner_y]
        eye = cut.parts[f"eye_{side}"]
        groups[f"iris_{side}"] = eye[np.argsort(-vertices[eye, 2], kind="stable")[:16]]
    tongue = cut.parts["tongue"]
    groups["tongue"] = tongue[np.argsort(-vertices[tongue, 2], kind="stable")[:6]]
    return groups


def _open_regions(
    vertices: Array,
    face: Ids,
    groups: dict[str, Ids],
    mirror: Ids,
    ipd: float,
    mobility: Array,
) -> dict[str, Ids]:
    """Spread points over the regions between the lines, mirrored from the left half."""
    taken = np.concatenate(list(groups.values()))
    left = face[(vertices[face, 0] >= -1e-5) & (vertices[face, 2] > -0.6 * ipd)]
    areas = _label_areas(vertices[left] / ipd)
    regions: dict[str, list[int]] = {}
    for name, count in REGION_COUNTS.items():
        candidates = np.setdiff1d(left[areas == name], taken)
        picked = spread(vertices, candidates, taken, count, mobility)
        taken = np.concatenate([taken, picked, mirror[picked]])
        split = name in ("brow", "cheek", "nasolabial", "eye_area")
        label = f"{name}_left" if split else name
        regions.setdefault(label, []).extend(picked)
        regions.setdefault(f"{name}_right" if split else name, []).extend(mirror[picked])
    return {name: np.unique(ids) for name, ids in regions.items()}


def _mobility(units: dict[str, Array]) -> Array:
    """Give how much the units move each vertex, `[V]`, from 0.3 for the stillest to 1."""
    size = np.sqrt(sum((offset**2).sum(1) for offset in units.values()))
    return np.asarray(0.3 + 0.7 * np.minimum(1.0, size / np.quantile(size, 0.9)))


def _label_areas(position: Array) -> Array:
    """Name the area of each left-half face vertex from its place, in interpupillary distances."""
    x, y, z = position.T
    area = np.full(len(position), "jaw", dtype=object)
    area[y > -1.35] = "cheek"
    area[(y > -1.35) & (x < 0.75) & (y < -0.4)] = "nasolabial"
    area[(x < 0.36) & (y < 0.1) & (y > -0.85)] = "nose"
    area[(y > -0.3) & (x >= 0.2) & (x < 1.0) & (y < 0.2)] = "eye_area"
    area[(y >= 0.2) & (y < 0.65)] = "brow"
    area[(y < 0.2) & (y > -0.1) & (x < 0.2)] = "nose"
    area[(y >= 0.65) | ((y >= 0.2) & (x > 0.95))] = "forehead"
    area[(y > 1.5) | (x > 1.25)] = "outside"
    return area
