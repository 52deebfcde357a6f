"""The 52 ARKit face units, the nine pose channels beside them, and what they mean for the head.

Curves are `[T, 61]` arrays whose columns are `CHANNEL_NAMES`: units in 0..1, then yaw, pitch and
roll (radians) of head, left eye and right eye in our own convention: yaw turns toward the
subject's left, pitch looks down, roll tilts toward the subject's right shoulder. File formats with
other signs convert on their own side.
"""

import logging
import math
import re
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mien.motion import Motion
from mien.rotations import (
    rotmat_to_rotvec,
    rotmat_to_yaw_pitch_roll,
    rotvec_to_rotmat,
    yaw_pitch_roll_to_rotmat,
)

__all__ = [
    "ARKIT_NAMES",
    "CHANNEL_NAMES",
    "EXPR_NAMES",
    "EYE_LOOK_RADIANS",
    "JAW_OPEN_RADIANS",
    "POSE_NAMES",
    "canonical_name",
    "curves_from_motion",
    "find_out_of_range",
    "motion_from_curves",
]

_EYE_UNITS = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")

ARKIT_NAMES: tuple[str, ...] = (
    *(f"eye{unit}Left" for unit in _EYE_UNITS),
    *(f"eye{unit}Right" for unit in _EYE_UNITS),
    *("jawForward", "jawRight", "jawLeft", "jawOpen"),
    *("mouthClose", "mouthFunnel", "mouthPucker", "mouthRight", "mouthLeft"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight"),
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight"),
    "tongueOut",
)
"""The 52 units in Live Link Face's order; left and right are the subject's."""

POSE_NAMES: tuple[str, ...] = tuple(
    f"{part}{angle}"
    for part in ("head", "leftEye", "rightEye")
    for angle in ("Yaw", "Pitch", "Roll")
)
CHANNEL_NAMES: tuple[str, ...] = ARKIT_NAMES + POSE_NAMES
EXPR_NAMES: tuple[str, ...] = tuple(
    name for name in ARKIT_NAMES if not name.startswith("eyeLook") and name != "jawOpen"
)
"""The default head's 43 expression components: jaw and gaze are joints there."""

JAW_OPEN_RADIANS = 0.3887
"""The jaw joint's turn at jawOpen = 1 (22.27 degrees, measured on the default head's unit)."""

EYE_LOOK_RADIANS: dict[str, float] = {"Up": 0.44, "Down": 0.61, "In": 0.62, "Out": 0.59}
"""The eye's turn at eyeLook* = 1, by direction.

Source: least squares of LeftEyeYaw/Pitch and RightEyeYaw/Pitch on the four eyeLook channels in two
iPhone captures (JMTechArt's take of 328 frames, LLV's of 180): Down 0.610 to 0.611, In 0.618 to
0.623, Out 0.590 to 0.592, Up 0.436 to 0.441 (which hardly moves there), residual <= 0.0026 rad.
"""

_COLUMN = {name: index for index, name in enumerate(CHANNEL_NAMES)}
_EXPR_COLUMNS = [_COLUMN[name] for name in EXPR_NAMES]
_SPELLINGS = {name.lower(): name for name in CHANNEL_NAMES}
_LOGGER = logging.getLogger(__name__)
_CLIP_SLACK = 1e-3
_UNIT_LIMITS = (-1.0, 2.0)
_UNIT_RULE = "Units must lie in 0..1 (divide percentages by 100)"
_ANGLE_LIMIT = math.pi + 1e-3
_ANGLE_RULE = "Angles must be radians within pi (multiply degrees by 0.01745)"


def other_side(name: str) -> str | None:
    """The same name for the other side of the face; None where a name has no side.

    Example:
        >>> other_side("mouthSmileLeft"), other_side("jawOpen")
        ('mouthSmileRight', None)
    """
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return None


@lru_cache(maxsize=4096)
def canonical_name(name: str) -> str:
    """The camelCase name of a channel spelled camelCase, PascalCase, snake_case or with `_L`/`_R`.

    Raises:
        ValueError: If no channel has that name.

    Example:
        >>> [canonical_name(n) for n in ("MouthSmileLeft", "mouth_smile_left", "mouthSmile_L")]
        ['mouthSmileLeft', 'mouthSmileLeft', 'mouthSmileLeft']
    """
    text = re.sub(r"_[lL]$", "Left", re.sub(r"_[rR]$", "Right", name.strip()))
    found = _SPELLINGS.get(text.replace("_", "").lower())
    if found is None:
        raise ValueError(
            f"{name!r} is not an ARKit channel; names look like 'jawOpen', 'JawOpen', 'jaw_open' "
            "or 'mouthSmile_L'."
        )
    return found


def _column(curves: Tensor, name: str) -> Tensor:
    return curves[:, _COLUMN[name]]


def _check_and_clip(curves: Float[Tensor, "t 61"]) -> Float[Tensor, "t 61"]:
    """Refuse what cannot be ARKit curves; clip what strays a little, with one logged warning."""
    if curves.ndim != 2 or curves.shape[1] != len(CHANNEL_NAMES) or curves.shape[0] < 1:
        raise ValueError(
            f"`curves` must be [T, {len(CHANNEL_NAMES)}], T >= 1, got {tuple(curves.shape)}."
        )
    found = find_out_of_range(curves)
    if found is not None:
        frame, column, rule = found
        raise ValueError(
            f"{rule}, got {curves[frame, column]:g} for {CHANNEL_NAMES[column]} in frame {frame}."
        )
    units, angles = curves[:, : len(ARKIT_NAMES)], curves[:, len(ARKIT_NAMES) :]
    strays = (units < -_CLIP_SLACK) | (units > 1 + _CLIP_SLACK)
    if bool(strays.any()):
        names = [ARKIT_NAMES[i] for i in strays.any(0).nonzero()[:, 0].tolist()]
        _LOGGER.warning(
            "%d values outside 0..1 were clipped, in %s%s.",
            int(strays.sum()),
            ", ".join(names[:5]),
            " and others" if len(names) > 5 else "",
        )
    return torch.cat([units.clamp(0, 1), angles], dim=1)


def find_out_of_range(curves: Float[Tensor, "t 61"]) -> tuple[int, int, str] | None:
    """The first value that cannot be ARKit's: its frame, its column, and the rule it breaks."""
    lowest, highest = _UNIT_LIMITS
    units, angles = curves[:, : len(ARKIT_NAMES)], curves[:, len(ARKIT_NAMES) :]
    is_fine = torch.cat(
        [(units >= lowest) & (units <= highest), angles.abs() <= _ANGLE_LIMIT], dim=1
    )
    if bool(is_fine.all()):
        return None
    frame, column = (~is_fine).nonzero()[0].tolist()
    return frame, column, _UNIT_RULE if column < len(ARKIT_NAMES) else _ANGLE_RULE


def _gaze_from_units(curves: Tensor, side: str, outward: float) -> tuple[Tensor, Tensor]:
    """Yaw and pitch of one eye from its four eyeLook units; `outward` is the sign of yaw there."""
    up, down, inner, outer = (
        _column(curves, f"eyeLook{way}{side}") * EYE_LOOK_RADIANS[way]
        for way in ("Up", "Down", "In", "Out")
    )
    return outward * (outer - inner), down - up


def _eye_rotvec(curves: Tensor, side: str, outward: float) -> Tensor:
    yaw, pitch, roll = (_column(curves, f"{side.lower()}Eye{a}") for a in ("Yaw", "Pitch", "Roll"))
    unit_yaw, unit_pitch = _gaze_from_units(curves, side, outward)
    is_unset = (yaw == 0) & (pitch == 0)
    yaw, pitch = torch.where(is_unset, unit_yaw, yaw), torch.where(is_unset, unit_pitch, pitch)
    return rotmat_to_rotvec(yaw_pitch_roll_to_rotmat(yaw, pitch, roll))


def motion_from_curves(
    curves: Float[Tensor, "t 61"] | NDArray[np.floating[Any]], fps: float, **fields: Any
) -> Motion:
    """The default head's motion for ARKit curves.

    Where an eye's yaw and pitch are both zero its eyeLook units turn it; elsewhere the angles do.

    Args:
        curves: One column for each of `CHANNEL_NAMES`, in our own signs (see the module).
        fps: Frames a second.
        **fields: Further fields of `Motion`: text, labels, shape.

    Raises:
        ValueError: If a value is far outside ARKit's range; a unit a little outside 0..1 is
            clipped with one logged warning.
    """
    curves = _check_and_clip(torch.as_tensor(curves))
    jaw = _column(curves, "jawOpen") * JAW_OPEN_RADIANS
    zero = torch.zeros_like(jaw)
    head = yaw_pitch_roll_to_rotmat(
        *(_column(curves, f"head{a}") for a in ("Yaw", "Pitch", "Roll"))
    )
    eyes = [_eye_rotvec(curves, "Left", 1.0), _eye_rotvec(curves, "Right", -1.0)]
    still = curves.new_zeros(curves.shape[0], 3)
    return Motion(
        fps=fps,
        expr=curves[:, _EXPR_COLUMNS],
        jaw_pose=torch.stack([jaw, zero, zero], dim=-1),
        neck_pose=rotmat_to_rotvec(head),
        global_pose=still,
        eye_pose=torch.cat(eyes, dim=-1),
        translation=still.clone(),
        **fields,
    )


def curves_from_motion(motion: Motion) -> Float[Tensor, "t 61"]:
    """ARKit curves for a motion of the default head: the way back from `motion_from_curves`.

    Both the eyeLook units and the eyes' angles are filled in. Translation, the jaw's turn about
    other axes than x, and what lies outside 0..1 have no channel and are lost.

    Raises:
        ValueError: If the motion is not for a head with the 43 components of `EXPR_NAMES`.
    """
    if motion.num_expr != len(EXPR_NAMES):
        raise ValueError(
            f"ARKit curves need the default head's {len(EXPR_NAMES)} components, got "
            f"{motion.num_expr} (head {motion.head!r}); fit the default head to its points first."
        )
    curves = motion.expr.new_zeros(motion.num_frames, len(CHANNEL_NAMES))
    curves[:, _EXPR_COLUMNS] = motion.expr.clamp(0, 1)
    curves[:, _COLUMN["jawOpen"]] = (motion.jaw_pose[:, 0] / JAW_OPEN_RADIANS).clamp(0, 1)
    _set_angles(curves, "head", motion.head_rotmat())
    eyes = rotvec_to_rotmat(motion.eye_pose.reshape(-1, 2, 3))
    for index, (side, outward) in enumerate((("Left", 1.0), ("Right", -1.0))):
        yaw, pitch = _set_angles(curves, f"{side.lower()}Eye", eyes[:, index])
        for way, angle in (
            *(("Out", outward * yaw), ("In", -outward * yaw)),
            *(("Down", pitch), ("Up", -pitch)),
        ):
            unit = (angle / EYE_LOOK_RADIANS[way]).clamp(0, 1)
            curves[:, _COLUMN[f"eyeLook{way}{side}"]] = unit
    return curves


def _set_angles(curves: Tensor, part: str, rotmat: Tensor) -> tuple[Tensor, Tensor]:
    yaw, pitch, roll = rotmat_to_yaw_pitch_roll(rotmat)
    for name, angle in (("Yaw", yaw), ("Pitch", pitch), ("Roll", roll)):
        curves[:, _COLUMN[part + name]] = angle
    return yaw, pitch
