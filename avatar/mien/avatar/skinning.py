"""Linear blend skinning of Gaussians: their centers, and their rotations too."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mien.lbs import skin
from mien.rotations import quat_multiply, rotmat_to_quat


def skin_gaussians(
    means: Float[Tensor, "b n 3"],
    quats: Float[Tensor, "b n 4"],
    rotmats: Float[Tensor, "b j 3 3"],
    offsets: Float[Tensor, "b j 3"],
    weights: Float[Tensor, "n j"],
) -> tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n 4"]]:
    """Pose Gaussians by the joints they hang on.

    Args:
        means: Centers at rest, metres.
        quats: World from Gaussian at rest, wxyz.
        rotmats: Rotation of each joint's transform, posed from rest.
        offsets: Translation of each joint's transform, metres.
        weights: Skinning weights; each row sums to one.

    Returns:
        Posed centers and rotations.
    """
    turns = blend_rotations(rotmat_to_quat(rotmats), weights)
    return skin(means, rotmats, offsets, weights), quat_multiply(turns, quats)


def blend_rotations(
    joint_quats: Float[Tensor, "b j 4"], weights: Float[Tensor, "n j"]
) -> Float[Tensor, "b n 4"]:
    """Blend the joints' rotations as unit quaternions, each in the sign nearer to the root's.

    Joints of a head turn less than half a turn against its root, where this is close to the
    rotation nearest to the blended matrix, and smooth.
    """
    alike = (joint_quats * joint_quats[:, :1]).sum(-1, keepdim=True) >= 0
    aligned = torch.where(alike, joint_quats, -joint_quats)
    return torch.nn.functional.normalize(weights @ aligned, dim=-1)
