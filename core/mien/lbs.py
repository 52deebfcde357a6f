"""Linear blend skinning, in the form FLAME and SMPL use."""

import torch
from jaxtyping import Float
from torch import Tensor

from mien.rotations import rotvec_to_rotmat


def pose_features(rotmats: Float[Tensor, "*b j 3 3"]) -> Float[Tensor, "*b p"]:
    """Give what the pose correctives depend on: `R - I` of every joint but the root, flattened."""
    identity = torch.eye(3, dtype=rotmats.dtype, device=rotmats.device)
    return (rotmats[..., 1:, :, :] - identity).flatten(-3)


def chain_transforms(
    rotmats: Float[Tensor, "*b j 3 3"],
    joints: Float[Tensor, "*b j 3"],
    parents: tuple[int, ...],
) -> tuple[Float[Tensor, "*b j 3 3"], Float[Tensor, "*b j 3"]]:
    """Chain the joints' rotations: each transform maps a rest position to the posed one.

    Args:
        rotmats: Each joint's rotation, parent from joint.
        joints: Rest positions of the joints in the head frame, metres.
        parents: Parent of each joint, -1 for the root; a parent precedes its children.

    Returns:
        Rotation and translation of each joint's rigid transform, posed from rest.
    """
    world_rotmats: list[Tensor] = []
    offsets: list[Tensor] = []
    for joint, parent in enumerate(parents):
        rotmat, center = rotmats[..., joint, :, :], joints[..., joint, :]
        offset = center - _apply(rotmat, center)
        if parent >= 0:
            offset = _apply(world_rotmats[parent], offset) + offsets[parent]
            rotmat = world_rotmats[parent] @ rotmat
        world_rotmats.append(rotmat)
        offsets.append(offset)
    return torch.stack(world_rotmats, -3), torch.stack(offsets, -2)


def skin(
    vertices: Float[Tensor, "*b v 3"],
    rotmats: Float[Tensor, "*b j 3 3"],
    offsets: Float[Tensor, "*b j 3"],
    weights: Float[Tensor, "v j"],
) -> Float[Tensor, "*b v 3"]:
    r"""Pose vertices by linear blend skinning, :math:`v' = \sum_j w_j (R_j v + t_j)`.

    Args:
        vertices: Rest positions in the head frame, metres.
        rotmats: Rotation of each joint's transform, posed from rest.
        offsets: Translation of each joint's transform, metres.
        weights: Non-negative; each row sums to one.

    Returns:
        Posed positions in the head frame, metres.

    Raises:
        ValueError: If `weights` and `rotmats` disagree on the number of joints.

    Source:
        SMPL, section 3 (Loper et al. 2015, doi:10.1145/2816795.2818013).
    """
    if weights.shape[-1] != rotmats.shape[-3]:
        raise ValueError(
            f"`weights` must have one column a joint ({rotmats.shape[-3]}), "
            f"got {tuple(weights.shape)}."
        )
    transforms = torch.cat([rotmats, offsets.unsqueeze(-1)], -1)  # [*b, j, 3, 4]
    blended = weights @ transforms.flatten(-2)  # [*b, v, 12]
    x, y, z = (vertices[..., axis, None] for axis in range(3))
    return (
        x * blended[..., 0::4]
        + y * blended[..., 1::4]
        + z * blended[..., 2::4]
        + blended[..., 3::4]
    )


def joint_rotmats(poses: Float[Tensor, "*b j 3"]) -> Float[Tensor, "*b j 3 3"]:
    """Turn each joint's rotation vector (radians) into a matrix."""
    return rotvec_to_rotmat(poses)


def _apply(rotmat: Tensor, point: Tensor) -> Tensor:
    return (rotmat @ point.unsqueeze(-1)).squeeze(-1)
