"""The ARKit units as expression components, jaw and gaze as joints with correctives."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bake.makehuman import Array, Ids, read_target
from mien.arkit import EXPR_NAMES, JAW_OPEN_RADIANS

GAZE_UNITS = {  # unit -> (entry of R - I that is the sine of its angle, sign of the turn)
    "Down": ((2, 1), 1.0),
    "Up": ((2, 1), -1.0),
    "Out": ((0, 2), 1.0),
    "In": ((0, 2), -1.0),
}
TONGUE_GAIN = 1.6  # the unit alone stops at the lips


def read_units(root: Path, num_vertices: int, keep: Ids) -> dict[str, Array]:
    """Read all 52 ARKit units, name -> offsets `[V, 3]` in metres."""
    folder = root / "faceunits01/targets/faceunits"
    return {
        path.stem: read_target(path, num_vertices)[keep]
        for path in sorted(folder.glob("*.target"))
    }


def rotation_x(angle: float) -> Array:
    """Rotate about +X by `angle` radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


@dataclass(frozen=True)
class RigidTurn:
    """A turn of `angle` radians about the axis +X through `center` `[3]`."""

    angle: float
    center: Array


def fit_turn_about_x(before: Array, after: Array) -> RigidTurn:
    """Fit the turn about +X that maps `before [N, 3]` to `after [N, 3]`."""
    a, b = before - before.mean(0), after - after.mean(0)
    sine = (a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1]).sum()
    cosine = (a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2]).sum()
    angle = float(np.arctan2(sine, cosine))
    plane = np.eye(2) - rotation_x(angle)[1:, 1:]
    shift = after.mean(0)[1:] - rotation_x(angle)[1:, 1:] @ before.mean(0)[1:]
    center = np.linalg.solve(plane, shift)
    return RigidTurn(angle, np.array([0.0, *center]))


def jaw_corrective(template: Array, jaw_open: Array, weight: Array, center: Array) -> Array:
    """Give the rest offset that makes the jaw turned by `JAW_OPEN_RADIANS` equal the unit jawOpen.

    Posed, a vertex is ``M (v + o) + w (I - R) c`` with ``M = (1 - w) I + w R``; solve for ``o``.
    """
    turn = rotation_x(JAW_OPEN_RADIANS)
    matrices = (1 - weight)[:, None, None] * np.eye(3) + weight[:, None, None] * turn
    goal = template + jaw_open - weight[:, None] * ((np.eye(3) - turn) @ center)
    return np.linalg.solve(matrices, goal[:, :, None])[:, :, 0] - template


def unposed_by_jaw(offset: Array, weight: Array) -> Array:
    """Give the rest offset that the fully open jaw turns into `offset`."""
    turn = rotation_x(JAW_OPEN_RADIANS)
    matrices = (1 - weight)[:, None, None] * np.eye(3) + weight[:, None, None] * turn
    return np.asarray(np.linalg.solve(matrices, offset[:, :, None])[:, :, 0], dtype=np.float64)


def turn_angle(before: Array, after: Array) -> float:
    """Give the angle of the rotation that best maps `before [N, 3]` to `after`."""
    left, _, right = np.linalg.svd((before - before.mean(0)).T @ (after - after.mean(0)))
    rotation = right.T @ np.diag([1, 1, np.linalg.det(right.T @ left.T)]) @ left.T
    return float(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))


def feature_row(joint: int, row: int, column: int) -> int:
    """Give the pose feature's index of one entry of `R - I` (joint 0 has none)."""
    return 9 * (joint - 1) + 3 * row + column


def pose_correctives(
    template: Array,
    units: dict[str, Array],
    weights: Array,
    regressor: Array,
    gaze: dict[str, float],
) -> Array:
    """Give `[36, V, 3]`: what skinning leaves of jawOpen, and the lids that follow the gaze."""
    posedirs = np.zeros((36, len(template), 3))
    center = regressor[2] @ template
    residual = jaw_corrective(template, units["jawOpen"], weights[:, 2], center)
    posedirs[feature_row(2, 2, 1)] = residual / np.sin(JAW_OPEN_RADIANS)
    for joint, side in ((3, "Left"), (4, "Right")):
        for name, (entry, sign) in GAZE_UNITS.items():
            sign = -sign if side == "Right" and name in ("In", "Out") else sign
            unit = f"eyeLook{name}{side}"
            share = 0.5 * sign / np.sin(gaze[unit])  # the mean of two opposite looks
            left = 1.0 - weights[:, joint, None]  # the eyeball itself is turned by skinning
            posedirs[feature_row(joint, *entry)] += share * left * units[unit]
    return posedirs


def gaze_angles(base: Array, eyes: tuple[Ids, Ids], units: dict[str, Array]) -> dict[str, float]:
    """Give the angle by which each eyeLook unit turns its eyeball, radians."""
    angles = {}
    for side, ids in zip(("Left", "Right"), eyes, strict=True):
        for name in GAZE_UNITS:
            unit = f"eyeLook{name}{side}"
            before = base[ids]
            angles[unit] = turn_angle(before, before + units[unit][ids])
    return angles


def mend_units(
    units: dict[str, Array], jaw_weight: Array, parts: dict[str, Ids]
) -> dict[str, Array]:
    """Adapt units to joints: mouthClose closes an open jaw, the tongue passes the lips."""
    mended = dict(units)
    mended["mouthClose"] = unposed_by_jaw(units["mouthClose"], jaw_weight)
    mended["tongueOut"] = TONGUE_GAIN * units["tongueOut"]
    for name in EXPR_NAMES:
        mended[name] = mended[name].copy()
        mended[name][np.concatenate([parts["eye_left"], parts["eye_right"]])] = 0.0
    return mended


def expression_matrix(units: dict[str, Array]) -> Array:
    """Stack the 43 components in their order, `[V, 3, 43]`."""
    return np.stack([units[name] for name in EXPR_NAMES], axis=-1)
