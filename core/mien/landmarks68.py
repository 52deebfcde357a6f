"""Where the well-known 68 landmarks of a face lie on the default head, by iBUG number.

Lids and lips are lines: whoever sets landmarks sets them somewhere along these, so line is matched
with line. Brows and the jaw's outline are drawn where a picture shows them and slide over a
surface; they are not used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from mien.head import Head

__all__ = [
    "LOWER_LIP",
    "NUM_LANDMARKS",
    "UPPER_LIP",
    "Matched",
    "default_lines",
    "lip_halves",
    "match_landmarks",
]

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

NUM_LANDMARKS = 68
LINES = {  # numbers from the subject's right corner to the left one
    "lid_upper_right": (36, 37, 38, 39),
    "lid_lower_right": (36, 41, 40, 39),
    "lid_upper_left": (42, 43, 44, 45),
    "lid_lower_left": (42, 47, 46, 45),
    "lips_outer_upper": (48, 49, 50, 51, 52, 53, 54),
    "lips_outer_lower": (48, 59, 58, 57, 56, 55, 54),
    "lips_middle_upper": (60, 61, 62, 63, 64),
    "lips_middle_lower": (60, 67, 66, 65, 64),
    "lips_inner_upper": (60, 61, 62, 63, 64),  # what lies behind where the lips meet, meets too
    "lips_inner_lower": (60, 67, 66, 65, 64),
}
LIPS = ("lips_outer", "lips_middle", "lips_inner")
UPPER_LIP, LOWER_LIP = 51, 57
_MIDLINE = 0.0005  # metres
_SAMPLES = 200


@dataclass(frozen=True, eq=False)
class Matched:
    """Vertices of the default head and where they belong on another mesh."""

    vertex_ids: Int[Ids, " n"]
    positions: Float[Array, "n 3"]


def match_landmarks(landmarks: Mapping[int, Float[Array, " 3"]]) -> Matched:
    """Give the places of the default head's lids, lips, nose and chin on a mesh.

    Args:
        landmarks: Positions by iBUG number from 0, as many as are known.

    Raises:
        ValueError: If a number is none of 0 to 67, or too few are known to place a face.
    """
    strange = [number for number in landmarks if not 0 <= number < NUM_LANDMARKS]
    if strange:
        raise ValueError(f"`landmarks` are numbered 0 to {NUM_LANDMARKS - 1}, got {strange}.")
    places: dict[int, Array] = {}
    for name, numbers in LINES.items():
        if all(number in landmarks for number in numbers):
            line = np.stack([landmarks[number] for number in numbers])
            half = default_lines()[name]
            places |= dict(zip(half.tolist(), _along(half, line), strict=True))
    for number, vertex in _profile().items():
        if number in landmarks:
            places[vertex] = np.asarray(landmarks[number], dtype=np.float64)
    if len(places) < 4:
        raise ValueError(
            "`landmarks` must hold the lines of an eye or of the lips (36 to 47, 48 to 67), or "
            f"the profile (27, 30, 33, 8), got {sorted(landmarks)}."
        )
    order = sorted(places)
    return Matched(np.array(order), np.stack([places[vertex] for vertex in order]))


def lip_halves() -> tuple[Int[Ids, " n"], Int[Ids, " m"]]:
    """Give the vertices of the default head's upper and of its lower lip, without the corners."""
    found = []
    for half in ("upper", "lower"):
        found.append(
            np.unique(np.concatenate([default_lines()[f"{lip}_{half}"][1:-1] for lip in LIPS]))
        )
    return found[0], found[1]


def _along(half: Ids, line: Array) -> Array:
    """Places on a smooth line through landmarks, as far along as the default head's vertices."""
    vertices = Head.default().v_template.numpy().astype(np.float64)
    knots = _lengths(line)
    curve = CubicSpline(knots, line)
    fine = curve(np.linspace(0, 1, _SAMPLES))
    shares = np.interp(_lengths(vertices[half]), _lengths(fine), np.linspace(0, 1, _SAMPLES))
    return np.asarray(curve(shares))


def _lengths(line: Array) -> Array:
    """How far along a line each of its points is, from 0 to 1."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    lengths = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(lengths / lengths[-1])


@cache
def default_lines() -> dict[str, Ids]:
    """The default head's halves of lids and lips, each from the right corner to the left one."""
    head = Head.default()
    points = head.require_points()
    faces, vertices = head.faces.numpy(), head.v_template.numpy().astype(np.float64)
    regions = {
        name: points.vertex_ids[ids, 0].numpy().astype(np.int64)
        for name, ids in points.regions.items()
    }
    lids = {
        f"lid_{{}}_{side}": np.union1d(regions[f"lid_upper_{side}"], regions[f"lid_lower_{side}"])
        for side in ("left", "right")
    }
    lips = {f"{name}_{{}}": regions[name] for name in LIPS}
    found = {}
    for name, ring in (lids | lips).items():
        upper, lower = _halves(vertices, _walk(faces, ring))
        found[name.format("upper")], found[name.format("lower")] = upper, lower
    return found


def _walk(faces: Ids, ring: Ids) -> Ids:
    """Put the vertices of one closed line in their order."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = edges[np.isin(edges, ring).all(1)]
    beside: dict[int, set[int]] = {int(vertex): set() for vertex in ring}
    for first, second in edges.tolist():
        beside[first].add(second)
        beside[second].add(first)
    path = [int(ring[0])]
    while len(path) < len(ring):
        path.append(min(beside[path[-1]] - set(path)))
    return np.array(path)


def _halves(vertices: Array, cycle: Ids) -> tuple[Ids, Ids]:
    """Cut a closed line at the points farthest right and left: the upper half, the lower."""
    turned = np.roll(cycle, -int(vertices[cycle, 0].argmin()))
    left = int(vertices[turned, 0].argmax())
    one, other = turned[: left + 1], np.append(turned[left:], turned[0])[::-1]
    is_upper = float(vertices[one, 1].mean()) > float(vertices[other, 1].mean())
    return (one, other) if is_upper else (other, one)


@cache
def _profile() -> dict[int, int]:
    """Root, tip and base of the nose, and the chin; the origin lies between the eyes."""
    head = Head.default()
    vertices = head.v_template.numpy().astype(np.float64)
    lips = (
        vertices[default_lines()["lips_outer_upper"]],
        vertices[default_lines()["lips_outer_lower"]],
    )
    skin = head.parts["skin"].numpy()
    x, y, z = vertices[skin].T
    middle = skin[(np.abs(x) < _MIDLINE) & (z > 0) & (y < 0.02)]
    height, depth = vertices[middle, 1], vertices[middle, 2]
    nose = height > lips[0][:, 1].max()
    tip = middle[nose][depth[nose].argmax()]
    above, below = height > vertices[tip, 1], nose & (height < vertices[tip, 1])
    chin = height < lips[1][:, 1].min() - 0.01
    return {
        8: int(middle[chin][(depth - height)[chin].argmax()]),
        27: int(middle[above][depth[above].argmin()]),
        30: int(tip),
        33: int(middle[below][_farthest_behind(height[below], depth[below])]),
    }


def _farthest_behind(height: Array, depth: Array) -> int:
    """The place farthest behind the chord from the lowest to the highest."""
    low, high = int(height.argmin()), int(height.argmax())
    rise, run = height[high] - height[low], depth[high] - depth[low]
    return int((run * (height - height[low]) - rise * (depth - depth[low])).argmax())
