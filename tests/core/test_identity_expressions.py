"""Strong expressions on people of all ages, measured on the mesh.

Lengths are millimetres on the head as it is normalized, with the mean adult's eye distance.
"""

from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.arkit import ARKIT_NAMES, motion_from_curves
from mien.head import Head
from mien.identity import expression_gains, sample, semantic
from mien.motion import Motion

AGES = (0.0, 0.05, 0.15, 1 / 3, 0.5, 2 / 3, 0.85, 1.0)
STRONG: dict[str, dict[str, float]] = {
    "smile": {"mouthSmile": 1, "cheekSquint": 1},
    "grin": {"mouthSmile": 1, "cheekSquint": 1, "jawOpen": 0.5, "mouthUpperUp": 0.5},
    "laugh": {"mouthSmile": 1, "jawOpen": 1, "eyeSquint": 1, "mouthLowerDown": 0.6},
    "frown": {"mouthFrown": 1, "browDown": 1, "mouthShrugLower": 0.7},
    "cry": {"mouthFrown": 1, "jawOpen": 0.6, "mouthStretch": 1, "eyeSquint": 1, "noseSneer": 0.6},
    "scream": {"jawOpen": 1, "mouthStretch": 1, "mouthLowerDown": 1, "mouthUpperUp": 1},
    "surprise": {"jawOpen": 1, "eyeWide": 1, "browInnerUp": 1, "browOuterUp": 1},
    "pucker": {"mouthPucker": 1},
    "puff": {"cheekPuff": 1, "mouthPress": 1},
    "disgust": {"noseSneer": 1, "mouthUpperUp": 1, "eyeSquint": 1, "browDown": 1},
    "wince": {"eyeBlink": 1, "eyeSquint": 1, "cheekSquint": 1, "mouthStretch": 1},
    "rolled lips": {"mouthRollUpper": 1, "mouthRollLower": 1},
}
LIP_TOLERANCE_MM = 2.75  # soft lips that press into each other; worst seen 2.50
ROLLED_TOLERANCE_MM = 4.5  # one lip is tucked behind the other; worst seen 4.20
LID_TOLERANCE_MM = 0.0  # never inside the eyeball; nearest seen 0.04 outside


def expressive(units: dict[str, float], gains: dict[str, float] | None) -> Motion:
    """One frame; sides together, and multiplied as the identity asks."""
    curves = torch.zeros(1, 61)
    for unit, value in units.items():
        for name in (unit, f"{unit}Left", f"{unit}Right"):
            if name in ARKIT_NAMES:
                curves[0, ARKIT_NAMES.index(name)] = value
    motion = motion_from_curves(curves, 25.0)
    if gains is None:
        return motion
    factors = torch.tensor([gains.get(name, 1.0) for name in Head.default().expr_names])
    return motion.replace(
        expr=motion.expr * factors, jaw_pose=motion.jaw_pose * gains.get("jawOpen", 1.0)
    )


@dataclass(frozen=True)
class Face:
    """The lips and eyes of the head, cut out of it.

    Attributes:
        head: With these vertices alone.
        lips: Faces of the upper lip, faces of the lower.
        rims: The visible edge of the lids, by eye.
        eyes: Vertices of the eyeballs, by eye.
    """

    head: Head
    lips: tuple[Int[Tensor, "f 3"], Int[Tensor, "g 3"]]
    rims: tuple[Int[Tensor, " n"], Int[Tensor, " n"]]
    eyes: tuple[Int[Tensor, " m"], Int[Tensor, " m"]]


@pytest.fixture(scope="module")
def face() -> Face:
    whole = Head.default()
    points, parts = whole.require_points(), whole.parts
    regions = {name: points.vertex_ids[ids, 0] for name, ids in points.regions.items()}
    template = whole.v_template
    line = template[regions["lips_inner"]]
    flesh = torch.zeros(len(template), dtype=torch.bool)
    flesh[torch.cat([parts["skin"], parts["mouth_bag"]])] = True
    near = flesh & (torch.cdist(template, line).amin(1) < 0.010) & (template[:, 0].abs() < 0.016)
    drop = (whole(jaw_pose=torch.tensor([0.3, 0.0, 0.0])) - template).norm(dim=-1)
    margins = {
        side: torch.cat([regions[f"lid_upper_{side}"], regions[f"lid_lower_{side}"]])
        for side in ("left", "right")
    }
    rims = [
        regions[f"lid_{side}"][~torch.isin(regions[f"lid_{side}"], margins[side])]
        for side in ("left", "right")
    ]
    eyes = [parts["eye_left"], parts["eye_right"]]
    used = torch.unique(torch.cat([near.nonzero()[:, 0], *rims, *eyes]))
    head = whole.subset(used)
    new_id = torch.full((len(template),), -1)
    new_id[used] = torch.arange(len(used))

    def lip(chosen: Tensor) -> Tensor:
        return head.faces[(near & chosen)[used][head.faces].all(1)]

    return Face(
        head,
        (lip(drop < 0.012), lip(drop >= 0.012)),
        (new_id[rims[0]], new_id[rims[1]]),
        (new_id[eyes[0]], new_id[eyes[1]]),
    )


def nearest(
    points: Float[Tensor, "p 3"], triangles: Float[Tensor, "f 3 3"]
) -> tuple[Float[Tensor, "p 3"], Float[Tensor, "p 3"]]:
    """The nearest place on a surface for each point, and the surface's normal there."""
    corners = triangles.unbind(1)
    normals = torch.linalg.cross(corners[1] - corners[0], corners[2] - corners[0])
    normals = torch.nn.functional.normalize(normals, dim=-1)
    height = ((points[:, None] - corners[0]) * normals).sum(-1, keepdim=True)
    best = points[:, None] - height * normals
    inside = torch.ones(best.shape[:2], dtype=torch.bool)
    edges = [(corners[i], corners[(i + 1) % 3] - corners[i]) for i in range(3)]
    for start, along in edges:
        across = torch.linalg.cross(along.expand_as(best), best - start)
        inside &= (across * normals).sum(-1) >= 0
    distance = torch.where(inside, height[..., 0].abs(), torch.inf)
    for start, along in edges:
        share = ((points[:, None] - start) * along).sum(-1) / (along * along).sum(-1)
        place = start + share.clamp(0, 1)[..., None] * along
        away = (points[:, None] - place).norm(dim=-1)
        best = torch.where((away < distance)[..., None], place, best)
        distance = torch.minimum(distance, away)
    chosen = distance.argmin(1)
    rows = torch.arange(len(points))
    return best[rows, chosen], normals[chosen]


def lip_overlap_mm(face: Face, vertices: Float[Tensor, "v 3"]) -> float:
    """How deep one lip's vertices lie under the other's surface."""
    deepest = 0.0
    for one, other in (face.lips, face.lips[::-1]):
        points = vertices[torch.unique(one)]
        places, normals = nearest(points, vertices[other])
        offset = points - places
        depth = -(offset * normals).sum(-1)
        is_under = (depth > 0.7 * offset.norm(dim=-1)) & (depth < 0.008)
        deepest = max(deepest, float(depth[is_under].max()) if is_under.any() else 0.0)
    return deepest * 1000


def lid_depth_mm(face: Face, vertices: Float[Tensor, "v 3"]) -> float:
    """How deep the visible edge of a lid lies in its eyeball; negative outside."""
    deepest = []
    for rim, eye in zip(face.rims, face.eyes, strict=True):
        center = vertices[eye].mean(0)
        radius = (vertices[eye] - center).norm(dim=-1).mean()
        deepest.append(float((radius - (vertices[rim] - center).norm(dim=-1)).max()))
    return max(deepest) * 1000


def worst(
    face: Face, shape: Tensor, units: dict[str, float], gains: dict[str, float] | None
) -> tuple[float, float]:
    """Lip overlap and lid depth."""
    vertices = face.head.vertices(expressive(units, gains).replace(shape=shape))[0]
    return lip_overlap_mm(face, vertices), lid_depth_mm(face, vertices)


@pytest.mark.parametrize("age", AGES)
def test_strong_expressions_keep_lips_and_lids_apart(face: Face, age: float) -> None:
    person = semantic(age=age)
    for name, units in STRONG.items():
        lips, lids = worst(face, person.shape, units, dict(person.gains))
        tolerance = ROLLED_TOLERANCE_MM if name == "rolled lips" else LIP_TOLERANCE_MM
        assert lips <= tolerance, (name, lips)
        assert lids <= LID_TOLERANCE_MM, (name, lids)


def test_random_people_keep_lips_and_lids_apart(face: Face) -> None:
    for seed in range(3):
        person = sample(seed)
        for name, units in STRONG.items():
            lips, lids = worst(face, person.shape, units, dict(person.gains))
            tolerance = ROLLED_TOLERANCE_MM if name == "rolled lips" else LIP_TOLERANCE_MM
            assert lips <= tolerance, (seed, name, lips)
            assert lids <= LID_TOLERANCE_MM, (seed, name, lids)


def test_the_measures_see_what_is_wrong(face: Face) -> None:
    shape = semantic(age=2 / 3).shape
    closed_without_jaw = {"mouthClose": 1.0}  # drives the lips through each other
    assert worst(face, shape, closed_without_jaw, None)[0] > 6.0
    vertices = face.head(shape)
    assert lid_depth_mm(face, vertices) < 0
    vertices[face.rims[0]] *= 0.97
    assert lid_depth_mm(face, vertices) > 0.2


@pytest.mark.parametrize("age", AGES)
def test_a_blink_closes_the_eye_at_any_age(face: Face, age: float) -> None:
    person = semantic(age=age)
    vertices = face.head.vertices(
        expressive({"eyeBlink": 1.0}, dict(person.gains)).replace(shape=person.shape)
    )[0]
    still = face.head(person.shape)
    for rim, eye in zip(face.rims, face.eyes, strict=True):
        center = still[eye].mean(0)
        # The middle of the lids: what is above the eye's middle in the open face against the rest.
        middle = (still[rim, 0] - center[0]).abs() < 0.010
        is_upper = still[rim, 1] > still[rim, 1].mean()
        upper, lower = vertices[rim[middle & is_upper]], vertices[rim[middle & ~is_upper]]
        assert len(upper) > 2 and len(lower) > 2
        assert float(upper[:, 1].mean() - lower[:, 1].mean()) < 0.0005


def test_gains_are_smooth_in_age_and_undo_together() -> None:
    ages = [i / 200 for i in range(201)]
    gains = [expression_gains(age) for age in ages]
    for before, after in zip(gains, gains[1:], strict=False):
        for name in {*before, *after}:
            assert abs(before.get(name, 1.0) - after.get(name, 1.0)) < 0.01
    for each in gains:
        assert each.get("jawOpen", 1.0) == each.get("mouthClose", 1.0)
    assert expression_gains(0.6) == {}
