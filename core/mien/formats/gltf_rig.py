"""A head as a game engine's rig: morph targets, joints, and a motion as their tracks."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mien.arkit import (
    ARKIT_NAMES,
    EXPR_NAMES,
    EYE_LOOK_RADIANS,
    JAW_OPEN_RADIANS,
    curves_from_motion,
)
from mien.head import Head
from mien.lbs import chain_transforms, joint_rotmats, pose_features
from mien.motion import Motion
from mien.rotations import rotmat_to_quat, rotvec_to_quat

__all__ = [
    "Correctives",
    "JointTracks",
    "MorphTarget",
    "correctives",
    "double_head",
    "expression_targets",
    "expression_weights",
    "joint_tracks",
    "pose_unit_names",
    "rigid_track",
    "scaled_head",
]

Array = NDArray[np.float64]

_CORRECTED = ("neck", "jaw", "eye_left", "eye_right")
_CORRECTIVE_TOLERANCE = 1e-5  # metres, the root of the summed squares of all vertices' errors
_OUTWARD = {"Left": 1.0, "Right": -1.0}  # sign of the yaw that turns an eye outward


@dataclass(frozen=True, eq=False)
class MorphTarget:
    """What one unit adds to the rest vertices at weight 1, metres."""

    name: str
    offsets: Float[Array, "v 3"]


@dataclass(frozen=True, eq=False)
class Correctives:
    """Morph targets for what the joints' turns do beyond skinning, and their tracks."""

    targets: tuple[MorphTarget, ...]
    weights: Float[Array, "t m"]


@dataclass(frozen=True, eq=False)
class JointTracks:
    """Each joint's transform relative to its parent, frame by frame.

    Attributes:
        quats: xyzw, as glTF has them, without jumps of sign.
        translations: Metres.
    """

    quats: Float[Array, "t j 4"]
    translations: Float[Array, "t j 3"]


def double_head(head: Head) -> Head:
    """Give a copy in float64 on the CPU."""
    tensors = {name: value.detach().cpu() for name, value in head.named_buffers()}
    return Head(
        tensors["v_template"].double(),
        tensors["shapedirs"].double(),
        tensors["posedirs"].double(),
        tensors["J_regressor"].double(),
        tensors["lbs_weights"].double(),
        tensors["faces"],
        num_shape=head.num_shape,
        name=head.name,
        expr_names=head.expr_names,
        uv=tensors["uv"].double(),
        uv_faces=tensors["uv_faces"],
        parts={name: ids.cpu() for name, ids in head.parts.items()},
    )


def pose_unit_names() -> tuple[str, ...]:
    """Give the nine ARKit units that are joints on our heads: jawOpen and eyeLook*."""
    return tuple(name for name in ARKIT_NAMES if name not in EXPR_NAMES)


def scaled_head(head: Head, gains: Mapping[str, float]) -> Head:
    """Give the head with its expression components multiplied by factors, by name."""
    factors = [gains.get(name, 1.0) for name in head.expr_names]
    if all(factor == 1 for factor in factors):
        return head
    scaled = copy.deepcopy(head)
    expression = slice(head.num_shape, head.num_shape + head.num_expr)
    for dirs in (scaled.shapedirs, scaled.joint_dirs):
        dirs[..., expression] *= dirs.new_tensor(factors)
    return scaled


def expression_targets(
    head: Head, shape: Float[Tensor, " s"] | None, jaw_gain: float = 1.0
) -> tuple[MorphTarget, ...]:
    """Give a morph target for each expression component and each of the nine pose units.

    On the default head these are ARKit's 52 in ARKit's order; `jaw_gain` is a factor on jawOpen.
    """
    found = {
        name: head.shapedirs[..., head.num_shape + index].numpy()
        for index, name in enumerate(head.expr_names)
    }
    neutral = head.identity(shape)
    for name in pose_unit_names():
        jaw, eyes = torch.zeros(3).double(), torch.zeros(6).double()
        _turn(name, jaw, eyes)
        found[name] = (head(shape, jaw_pose=jaw * jaw_gain, eye_pose=eyes) - neutral).numpy()
    is_arkit = set(found) == set(ARKIT_NAMES)
    return tuple(MorphTarget(name, found[name]) for name in (ARKIT_NAMES if is_arkit else found))


def _turn(name: str, jaw: Tensor, eyes: Tensor) -> None:
    """Fill in the turn that a pose unit stands for at 1."""
    if name == "jawOpen":
        jaw[0] = JAW_OPEN_RADIANS
        return
    side = "Left" if name.endswith("Left") else "Right"
    way = name.removeprefix("eyeLook").removesuffix(side)
    sign = {"Up": -1.0, "Down": 1.0, "In": -_OUTWARD[side], "Out": _OUTWARD[side]}[way]
    column = 3 * (side == "Right") + (way in ("In", "Out"))
    eyes[column] = sign * EYE_LOOK_RADIANS[way]


def expression_weights(
    head: Head, motion: Motion, names: tuple[str, ...], bake_joints: bool
) -> Float[Array, "t m"]:
    """Give the tracks of `expression_targets`; jaw and gaze are zero unless they are baked."""
    tracks = dict(zip(head.expr_names, motion.expr.T.numpy(), strict=False))
    if bake_joints:
        still = motion.replace(expr=motion.expr.new_zeros(motion.num_frames, len(EXPR_NAMES)))
        curves = curves_from_motion(still).numpy()
        tracks |= {name: curves[:, ARKIT_NAMES.index(name)] for name in pose_unit_names()}
    zero = np.zeros(motion.num_frames)
    return np.stack([tracks.get(name, zero) for name in names], 1)


def _poses(motion: Motion) -> Float[Tensor, "t 5 3"]:
    poses = (motion.global_pose, motion.neck_pose, motion.jaw_pose, motion.eye_pose)
    return torch.cat(poses, -1).reshape(motion.num_frames, 5, 3)


def correctives(head: Head, motion: Motion) -> Correctives:
    r"""Give the pose correctives that a motion uses, which glTF has no other word for.

    A joint's correctives are :math:`\sum_i f_i(t) P_i` with nine features `R - I` and nine fields
    of offsets. A singular value decomposition finds the few fields that the motion needs to be
    exact within 0.01 mm: one for the default head's jaw when it only opens.
    """
    features = pose_features(joint_rotmats(_poses(motion))).numpy()
    targets: list[MorphTarget] = []
    weights: list[Array] = []
    for index, joint in enumerate(_CORRECTED):
        rows = slice(9 * index, 9 * index + 9)
        fields, tracks = _fewest_fields(features[:, rows], head.posedirs[rows].numpy())
        targets += [
            MorphTarget(f"corrective_{joint}_{rank + 1}", field.reshape(-1, 3))
            for rank, field in enumerate(fields)
        ]
        weights.append(tracks)
    return Correctives(tuple(targets), np.concatenate(weights, 1))


def _fewest_fields(
    features: Float[Array, "t 9"], dirs: Float[Array, "9 v3"]
) -> tuple[Float[Array, "r v3"], Float[Array, "t r"]]:
    """Factor `features @ dirs` with the least rank that is exact enough, weights within 1."""
    orthonormal, triangular = np.linalg.qr(dirs.T)
    left, scales, right = np.linalg.svd(features @ triangular.T, full_matrices=False)
    tracks = left * scales
    error = np.sqrt((tracks[:, ::-1] ** 2).cumsum(1)[:, ::-1]).max(0)  # if cut from here on
    rank = int((error > _CORRECTIVE_TOLERANCE).sum())
    peaks = np.abs(tracks[:, :rank]).max(0)
    fields = (right[:rank] @ orthonormal.T) * peaks[:, None]
    return fields, tracks[:, :rank] / peaks


def joint_tracks(
    head: Head, motion: Motion, shape: Float[Tensor, " s"] | None
) -> tuple[Float[Array, "j 3"], JointTracks]:
    """Give the joints' rest positions, and transforms that pose the vertices as the head does.

    Where a head's joints move with the expression, the translations say so.
    """
    poses = _poses(motion)
    rest = head.joints(shape)
    moving = head.joints(shape, motion.expr).expand(motion.num_frames, -1, -1)
    rotmats, offsets = chain_transforms(joint_rotmats(poses), moving, head.parents)
    places = offsets + (rotmats @ rest.unsqueeze(-1)).squeeze(-1)
    places = places + motion.translation.unsqueeze(1)
    local = places.clone()
    for joint, parent in enumerate(head.parents):
        if parent >= 0:
            away = places[:, joint] - places[:, parent]
            local[:, joint] = (rotmats[:, parent].mT @ away.unsqueeze(-1)).squeeze(-1)
    return rest.numpy(), JointTracks(_gltf_quats(rotvec_to_quat(poses)), local.numpy())


def rigid_track(head: Head, motion: Motion, shape: Float[Tensor, " s"] | None) -> JointTracks:
    """Give the skull's transform alone, as one joint."""
    joints = head.joints(shape).expand(motion.num_frames, -1, -1)
    rotmats, offsets = chain_transforms(joint_rotmats(_poses(motion)), joints, head.parents)
    quats = _gltf_quats(rotmat_to_quat(rotmats[:, 1:2]))
    return JointTracks(quats, (offsets[:, 1:2] + motion.translation.unsqueeze(1)).numpy())


def _gltf_quats(quats: Float[Tensor, "t j 4"]) -> Float[Array, "t j 4"]:
    """Turn wxyz into xyzw, and keep neighbors on one side of the sphere."""
    found: Array = quats.numpy()[..., [1, 2, 3, 0]]
    dots = (found[1:] * found[:-1]).sum(-1, keepdims=True)
    signs = np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0)
    return np.concatenate([found[:1], found[1:] * signs])
