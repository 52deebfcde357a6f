"""A FLAME motion as the arrays of each tool; see `mien.formats.flame_layouts` for the tools."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mien.head import Head
from mien.motion import Motion
from mien.rotations import rotmat_to_rot6d, rotmat_to_rotvec, rotvec_to_rotmat

__all__ = ["EYELIDS", "WRITERS", "root_shift"]


def root_shift(rotation: Tensor, head: Head, shape: Tensor | None, expr: Tensor) -> Tensor:
    """Give how far a turn about the origin takes the root joint, `[T, 3]`, metres."""
    root = head.joints(shape, expr)[:, 0]
    return (rotvec_to_rotmat(rotation) @ root[..., None])[..., 0] - root


def _rows_from_rotvecs(rotvecs: Tensor) -> Tensor:
    rotmats = rotvec_to_rotmat(rotvecs.reshape(len(rotvecs), -1, 3))
    return rotmat_to_rot6d(rotmats.mT).flatten(1)


def _gaussian_avatars(motion: Motion, head: Head) -> dict[str, Tensor]:
    still = motion.expr.new_zeros(motion.num_frames, 1, 3)
    return {
        "expr": motion.expr,
        "rotation": motion.global_pose,
        "neck_pose": motion.neck_pose,
        "jaw_pose": motion.jaw_pose,
        "eyes_pose": motion.eye_pose,
        "translation": motion.translation,
        "shape": _shape(motion, head),
        "static_offset": motion.expr.new_zeros(1, head.num_vertices, 3),
        "dynamic_offset": still,  # GaussianAvatars asks for one; it adds to every vertex
    }


def _deca(motion: Motion, head: Head) -> dict[str, Tensor]:
    """DECA knows no neck, gaze nor place: the skull's turn becomes that of everything."""
    turn = rotmat_to_rotvec(motion.head_rotmat())
    return {
        "exp": motion.expr,
        "pose": torch.cat([turn, motion.jaw_pose], 1),
        "shape": _shape(motion, head).expand(motion.num_frames, -1),
    }


def _smirk(motion: Motion, head: Head) -> dict[str, Tensor]:
    return {
        "expression_params": motion.expr,
        "pose_params": motion.global_pose,
        "neck_pose_params": motion.neck_pose,
        "jaw_params": motion.jaw_pose,
        "eye_pose_params": motion.eye_pose,
        "eyelid_params": motion.expr.new_zeros(motion.num_frames, 2),
        "shape_params": _shape(motion, head).expand(motion.num_frames, -1),
    }


def _pixel3dmm(motion: Motion, head: Head) -> dict[str, Tensor]:
    shift = root_shift(motion.global_pose, head, motion.shape, motion.expr)
    return {
        "exp": motion.expr,
        "jaw": _rows_from_rotvecs(motion.jaw_pose),
        "neck": _rows_from_rotvecs(motion.neck_pose),
        "eyes": _rows_from_rotvecs(motion.eye_pose),
        "eyelids": motion.expr.new_zeros(motion.num_frames, 2),
        "R": _rows_from_rotvecs(motion.global_pose),
        "t": motion.translation - shift,
        "shape": _shape(motion, head)[None],
    }


def _plain(motion: Motion, head: Head) -> dict[str, Tensor]:
    return {
        "expression": motion.expr,
        "rotation": motion.global_pose,
        "neck_pose": motion.neck_pose,
        "jaw_pose": motion.jaw_pose,
        "eyes_pose": motion.eye_pose,
        "translation": motion.translation,
        "shape": _shape(motion, head),
    }


WRITERS: Mapping[str, Callable[[Motion, Head], dict[str, Tensor]]] = {
    "gaussian_avatars": _gaussian_avatars,
    "deca": _deca,
    "smirk": _smirk,
    "pixel3dmm": _pixel3dmm,
    "plain": _plain,
}
"""The arrays of each layout, from a motion of the FLAME head and that head."""

EYELIDS = {"smirk": "eyelid_params", "pixel3dmm": "eyelids", "plain": "eyelids"}
"""What layouts call lids that are closed beyond the expression, where they have them."""


def _shape(motion: Motion, head: Head) -> Tensor:
    return motion.expr.new_zeros(head.num_shape) if motion.shape is None else motion.shape
