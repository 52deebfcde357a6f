"""Creases: lines that an expression folds into the skin, and where the stretched skin pales.

The painting knows only lines of age, which do not move. These come and go with the units of the
face: across the forehead, between the brows, beside and under the eyes, along the nose, from the
nose to the corners of the mouth, round the lips and on the chin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mien.arkit import EXPR_NAMES
from mien.avatar.noise import blob, fractal_noise, smoothstep, value_noise

__all__ = ["CREASES", "Crease", "CreaseField", "crease_depth"]

Array = np.ndarray
Points = Float[Array, "n 3"]
Values = Float[Array, " n"]
Form = Callable[[Points, int], Values]

_STEP_MM = 0.25  # of the slopes' differences
# From the wing of the nose past the corner of the mouth, of the mean adult at rest: side and
# height, millimetres.
_FOLD = np.array([[17.5, -37.0], [23.5, -46.0], [29.5, -57.0], [34.0, -68.0], [35.0, -76.0]])
_PUPPET = np.array([[29.5, -75.0], [31.5, -83.0], [32.0, -93.0]])
_BRACKET = np.array([[43.0, -56.0], [47.0, -66.0], [46.0, -78.0]])
_CHIN_FOLD = np.array([[0.0, -88.0], [9.0, -89.0], [16.0, -92.0]])


@dataclass(frozen=True)
class Crease:
    """Lines that some units fold.

    Attributes:
        form: Height over points of the canvas, millimetres, at full strength on old skin.
        units: How much each unit folds it; sided ones are named without their side.
        sided: Whether the left and the right half fold by themselves.
    """

    form: Form
    units: dict[str, float]
    sided: bool = True


def _mirrored(points: Points) -> Points:
    return np.stack([np.abs(points[:, 0]), points[:, 1], points[:, 2]], -1)


def _grooves(phase: Values) -> Values:
    """Narrow valleys, one a unit of phase, between broad ridges: 0 down to -1."""
    return -(np.maximum(np.cos(2 * np.pi * phase), 0.0) ** 3)


def _along(points: Points, path: Array, width: float) -> Values:
    """A valley along a path that is given by side and height, fading at its ends: 0 to 1."""
    flat = _mirrored(points)[:, :2]
    best, where = np.full(len(flat), np.inf), np.zeros(len(flat))
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=-1)
    travelled = np.concatenate([[0.0], np.cumsum(lengths)])
    for k in range(len(path) - 1):
        edge = path[k + 1] - path[k]
        share = np.clip(((flat - path[k]) @ edge) / (edge @ edge), 0, 1)
        apart = np.linalg.norm(flat - path[k] - share[:, None] * edge, axis=-1)
        nearer = apart < best
        best = np.where(nearer, apart, best)
        where = np.where(nearer, travelled[k] + share * lengths[k], where)
    end = travelled[-1]
    ends = smoothstep(-0.5, 0.18 * end, where) * smoothstep(end + 0.5, 0.72 * end, where)
    return np.asarray(np.exp(-((best / width) ** 2)) * ends * (points[:, 2] > -30))


def _forehead(points: Points, seed: int, center: float, width: float) -> Values:
    wander = 2.2 * fractal_noise(points * [0.5, 1.0, 1.0], 22.0, 2, seed + 81)
    band = blob(_mirrored(points) * [1, 1, 0.3], (center, 47.0, 5.0), (width, 16.0, 20.0))
    lift = 0.0025 * (np.abs(points[:, 0]) - 20.0) ** 2
    return np.asarray(0.42 * band * _grooves((points[:, 1] + wander - lift) / 8.5))


def _brow_lines(points: Points, seed: int) -> Values:
    side = np.abs(points[:, 0] + 0.6 * value_noise(points, 9.0, seed + 83))
    upright = np.exp(-(((side - 6.0 + 0.05 * (points[:, 1] - 18)) / 1.5) ** 2))
    upright = upright * smoothstep(2.0, 12.0, points[:, 1]) * smoothstep(38.0, 22.0, points[:, 1])
    root = np.exp(-(((points[:, 1] - 3.5) / 1.8) ** 2)) * np.exp(-((side / 9.0) ** 2))
    return np.asarray(-(0.75 * upright + 0.5 * root) * (points[:, 2] > 5))


def _crow_feet(points: Points, seed: int) -> Values:
    wander = fractal_noise(points, 12.0, 2, seed + 84)
    flat = _mirrored(points)
    fan = np.arctan2(flat[:, 1] + 2.0, flat[:, 0] - 38.0 + 1e-6)
    return np.asarray(
        0.42 * blob(flat, (54.5, -3.0, 0.0), (8.5, 12.0, 16.0)) * _grooves(fan * 3.4 + wander)
    )


def _eye_bags(points: Points, seed: int) -> Values:
    flat = _mirrored(points)
    phase = (flat[:, 1] + 0.02 * (flat[:, 0] - 32) ** 2) / 5.2 + 0.1 * value_noise(
        points, 14.0, seed + 85
    )
    return np.asarray(0.28 * blob(flat, (33.0, -16.0, 12.0), (14.0, 5.5, 10.0)) * _grooves(phase))


def _nose_lines(points: Points, seed: int) -> Values:
    flat = _mirrored(points)
    phase = (flat[:, 1] * 0.75 + flat[:, 0] * 0.65 + value_noise(points, 8.0, seed + 86)) / 4.6
    return np.asarray(0.34 * blob(flat, (9.0, -13.0, 28.0), (5.0, 9.0, 10.0)) * _grooves(phase))


def _smile_fold(points: Points, seed: int) -> Values:
    cheek = 0.5 * _along(points, _FOLD + [4.5, 2.0], 4.5)
    return np.asarray(cheek - _along(points, _FOLD, 3.0))


def _bracket(points: Points, seed: int) -> Values:
    return np.asarray(-0.5 * _along(points, _BRACKET, 2.0))


def _puppet_line(points: Points, seed: int) -> Values:
    return np.asarray(
        0.3 * _along(points, _PUPPET + [4, 0], 4.0) - 0.8 * _along(points, _PUPPET, 2)
    )


def _lip_lines(points: Points, seed: int) -> Values:
    around = blob(points, (0.0, -72.0, 25.0), (24.0, 14.0, 18.0))
    phase = (points[:, 0] + 0.8 * value_noise(points, 7.0, seed + 87)) / 3.8
    return np.asarray(0.22 * around * _grooves(phase))


def _chin(points: Points, seed: int) -> Values:
    pad = blob(points, (0.0, -101.0, 22.0), (13.0, 9.0, 16.0))
    dimples = 0.32 * pad * (value_noise(points, 3.6, seed + 88) - 0.2)
    return np.asarray(dimples - 0.8 * _along(points, _CHIN_FOLD, 2.2))


CREASES: dict[str, Crease] = {
    "forehead": Crease(
        lambda p, s: _forehead(p, s, 0.0, 20.0), {"browInnerUp": 1.0, "browOuterUp": 0.15}, False
    ),
    "brow": Crease(lambda p, s: _forehead(p, s, 36.0, 17.0), {"browOuterUp": 1.0}),
    "frown": Crease(_brow_lines, {"browDown": 0.5, "noseSneer": 0.1}, False),
    "crow_feet": Crease(
        _crow_feet, {"cheekSquint": 0.7, "eyeSquint": 0.45, "mouthSmile": 0.35, "eyeBlink": 0.12}
    ),
    "eye_bags": Crease(_eye_bags, {"cheekSquint": 0.8, "eyeSquint": 0.6, "mouthSmile": 0.25}),
    "nose": Crease(_nose_lines, {"noseSneer": 1.0, "browDown": 0.15, "cheekSquint": 0.15}),
    "smile_fold": Crease(
        _smile_fold,
        {"mouthSmile": 0.85, "cheekSquint": 0.3, "noseSneer": 0.5, "mouthUpperUp": 0.45,
         "mouthDimple": 0.4, "mouthStretch": 0.4},
    ),
    "bracket": Crease(_bracket, {"mouthDimple": 0.7, "mouthSmile": 0.5, "mouthStretch": 0.3}),
    "puppet_line": Crease(
        _puppet_line,
        {"mouthFrown": 0.9, "mouthStretch": 0.3, "mouthPress": 0.3, "mouthLowerDown": 0.2},
    ),
    "lip_lines": Crease(
        _lip_lines, {"mouthPucker": 1.0, "mouthFunnel": 0.25, "mouthPress": 0.15}, False
    ),
    "chin": Crease(
        _chin, {"mouthShrugLower": 0.9, "mouthFrown": 0.2, "mouthRollLower": 0.3}, False
    ),
}  # fmt: skip


def crease_depth(age: float) -> float:
    """How deep lines fold at an age of `mien.identity.semantic`: hardly on a baby."""
    return float(np.interp(age, [0.0, 1 / 3, 1 / 2, 2 / 3, 1.0], [0.13, 0.33, 0.5, 0.75, 1.17]))


@dataclass(frozen=True, eq=False)
class CreaseField:
    """All creases over some points.

    Attributes:
        heights: Of each, millimetres, `[K, N]`.
        slopes: Their gradients, `[K, N, 3]`.
        mixing: How much each unit folds each, `[K, E]` over the default head's expression.
    """

    heights: Float[Array, "k n"]
    slopes: Float[Array, "k n 3"]
    mixing: Float[Array, "k e"]

    @classmethod
    def over(cls, points: Points, seed: int) -> CreaseField:
        """Fold the canvas at points of it, millimetres; another seed, other lines."""
        heights, slopes, mixing = [], [], []
        for crease in CREASES.values():
            for side in ("Left", "Right") if crease.sided else ("",):
                mask = _half(points, side)
                near = np.flatnonzero(np.abs(crease.form(points, seed) * mask) > 1e-4)
                height, slope = np.zeros(len(points)), np.zeros((len(points), 3))
                own = points[near]
                height[near] = crease.form(own, seed) * mask[near]
                for axis, step in enumerate(_STEP_MM * np.eye(3)):
                    rise = crease.form(own + step, seed) - crease.form(own - step, seed)
                    slope[near, axis] = rise / (2 * _STEP_MM) * mask[near]
                heights.append(height)
                slopes.append(slope)
                mixing.append(_mix(crease.units, side))
        return cls(
            np.stack(heights).astype(np.float32),
            np.stack(slopes).astype(np.float32),
            np.stack(mixing).astype(np.float32),
        )

    def strengths(self, expr: Float[Array, " e"]) -> Float[Array, " k"]:
        """How far an expression folds each, 0 to 1."""
        return np.asarray(np.clip(self.mixing @ np.maximum(expr, 0.0), 0.0, 1.0))

    def fold(self, expr: Float[Array, " e"], depth: float) -> tuple[Values, Points]:
        """Height and slope of the folded skin.

        Args:
            expr: Of the default head, after its gains.
            depth: See `crease_depth`.
        """
        strengths = depth * self.strengths(expr)
        on = np.flatnonzero(strengths > 0.005)
        height = np.einsum("k,kn->n", strengths[on], self.heights[on])
        return height, np.einsum("k,knc->nc", strengths[on], self.slopes[on])


def _half(points: Points, side: str) -> Values:
    if not side:
        return np.ones(len(points))
    way = 1.0 if side == "Left" else -1.0
    return np.asarray(smoothstep(-3.0, 3.0, way * points[:, 0]))


def _mix(units: dict[str, float], side: str) -> Array:
    """One row of the mixing: a sided crease hears its own side, an even one both."""
    row = np.zeros(len(EXPR_NAMES))
    for unit, weight in units.items():
        names = (unit + side, unit) if side else (unit, unit + "Left", unit + "Right")
        for name in names:
            if name in EXPR_NAMES:
                row[EXPR_NAMES.index(name)] = weight
    return row
