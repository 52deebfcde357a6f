"""Rotations in four spellings, batched, differentiable and safe at zero.

`rotvec` is axis times angle (radians), `rotmat` maps columns (`v' = R v`), `rot6d` is the first
two columns of `rotmat` one after the other, and `quat` is wxyz, unit. Every function takes any
number of leading dimensions and keeps device and dtype.
"""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "quat_multiply",
    "quat_slerp",
    "quat_to_rotmat",
    "quat_to_rotvec",
    "rot6d_to_rotmat",
    "rotmat_to_quat",
    "rotmat_to_rot6d",
    "rotmat_to_rotvec",
    "rotmat_to_yaw_pitch_roll",
    "rotvec_to_quat",
    "rotvec_to_rotmat",
    "yaw_pitch_roll_to_rotmat",
]

_SMALL_SQUARED = 1e-8  # below this squared angle the series are exact to float64 rounding


def _unit(vector: Tensor) -> Tensor:
    unit: Tensor = vector / torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
    return unit


def _skew(vector: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    return rows.reshape(*rows.shape[:-1], 3, 3)


def rotvec_to_rotmat(rotvec: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation matrix of an axis-angle vector (Rodrigues' formula).

    Args:
        rotvec: Axis times angle, radians; any length, zero included.
    """
    squared = (rotvec * rotvec).sum(-1)[..., None, None]
    is_small = squared < _SMALL_SQUARED
    angle = torch.where(is_small, torch.ones_like(squared), squared).sqrt()
    sine = torch.where(is_small, 1 - squared / 6, angle.sin() / angle)
    versine = torch.where(is_small, 0.5 - squared / 24, 2 * ((angle / 2).sin() / angle) ** 2)
    skew = _skew(rotvec)
    identity = torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
    return identity + sine * skew + versine * (skew @ skew)


def rotvec_to_quat(rotvec: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 4"]:
    """The unit quaternion (wxyz) of an axis-angle vector."""
    squared = (rotvec * rotvec).sum(-1, keepdim=True)
    is_small = squared < _SMALL_SQUARED
    angle = torch.where(is_small, torch.ones_like(squared), squared).sqrt()
    half_sinc = torch.where(is_small, 0.5 - squared / 48, (angle / 2).sin() / angle)
    cosine = torch.where(is_small, 1 - squared / 8, (angle / 2).cos())
    return torch.cat([cosine, half_sinc * rotvec], dim=-1)


def quat_to_rotvec(quat: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3"]:
    """The axis-angle vector, at most pi radians, of a quaternion (wxyz) of any length but zero."""
    quat = _unit(torch.where(quat[..., :1] < 0, -quat, quat))
    cosine, vector = quat[..., :1], quat[..., 1:]
    squared = (vector * vector).sum(-1, keepdim=True)
    is_small = squared < _SMALL_SQUARED
    sine = torch.where(is_small, torch.ones_like(squared), squared).sqrt()
    # atan2(s, c) / s = 1/c - s^2 / (3 c^3) + ... for small s
    safe_cosine = torch.where(is_small, cosine, torch.ones_like(cosine))
    series = 2 / safe_cosine - 2 * squared / (3 * safe_cosine**3)
    return torch.where(is_small, series, 2 * torch.atan2(sine, cosine) / sine) * vector


def rotmat_to_quat(rotmat: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 4"]:
    """The unit quaternion (wxyz, w not negative) of a rotation matrix; safe up to and at pi.

    Source:
        Shepperd 1978, "Quaternion from rotation matrix": the largest of the four components is
        found first, so that nothing small is divided by.
    """
    rows = rotmat.flatten(-2)
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = rows.unbind(-1)
    trace = m00 + m11 + m22
    squares = torch.stack([trace, m00, m11, m22], dim=-1)  # each is 4 q_i^2 - 1 + 2 m_ii - trace
    candidates = torch.stack(
        [
            torch.stack([1 + trace, m21 - m12, m02 - m20, m10 - m01], dim=-1),
            torch.stack([m21 - m12, 1 + m00 - m11 - m22, m01 + m10, m02 + m20], dim=-1),
            torch.stack([m02 - m20, m01 + m10, 1 - m00 + m11 - m22, m12 + m21], dim=-1),
            torch.stack([m10 - m01, m02 + m20, m12 + m21, 1 - m00 - m11 + m22], dim=-1),
        ],
        dim=-2,
    )
    largest = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    quat = candidates.gather(-2, largest).squeeze(-2)
    quat = torch.where(quat[..., :1] < 0, -quat, quat)
    return _unit(quat)


def quat_to_rotmat(quat: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation matrix of a quaternion (wxyz) of any length but zero."""
    w, x, y, z = _unit(quat).unbind(-1)
    rows = torch.stack(
        [
            *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        ],
        dim=-1,
    )
    return rows.reshape(*rows.shape[:-1], 3, 3)


def rotmat_to_rotvec(rotmat: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """The axis-angle vector, of at most pi radians, of a rotation matrix."""
    return quat_to_rotvec(rotmat_to_quat(rotmat))


def rotmat_to_rot6d(rotmat: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 6"]:
    """The first two columns of a rotation matrix, one after the other."""
    return torch.cat([rotmat[..., :, 0], rotmat[..., :, 1]], dim=-1)


def rot6d_to_rotmat(rot6d: Float[Tensor, "*b 6"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation whose first two columns are nearest to these (Gram-Schmidt).

    Args:
        rot6d: Two columns, neither zero nor parallel; they need not be unit or orthogonal.

    Source:
        Zhou et al. 2019, "On the continuity of rotation representations in neural networks".
    """
    first = torch.nn.functional.normalize(rot6d[..., :3], dim=-1)
    along = (first * rot6d[..., 3:]).sum(-1, keepdim=True)
    second = torch.nn.functional.normalize(rot6d[..., 3:] - along * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second, dim=-1)], dim=-1)


def quat_multiply(
    left: Float[Tensor, "*#b 4"], right: Float[Tensor, "*#b 4"]
) -> Float[Tensor, "*b 4"]:
    """The product of two quaternions (wxyz): the rotation `right` first, then `left`."""
    a, b, c, d = left.unbind(-1)
    w, x, y, z = right.unbind(-1)
    return torch.stack(
        [
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        ],
        dim=-1,
    )


def quat_slerp(
    start: Float[Tensor, "*#b 4"], stop: Float[Tensor, "*#b 4"], fraction: Float[Tensor, "*#b 1"]
) -> Float[Tensor, "*b 4"]:
    """The unit quaternion a `fraction` (0 to 1) of the shortest way from `start` to `stop`."""
    conjugate = start * start.new_tensor([1.0, -1.0, -1.0, -1.0])
    step = quat_to_rotvec(quat_multiply(conjugate, stop))
    return quat_multiply(start, rotvec_to_quat(step * fraction))


def yaw_pitch_roll_to_rotmat(
    yaw: Float[Tensor, "*b"], pitch: Float[Tensor, "*b"], roll: Float[Tensor, "*b"]
) -> Float[Tensor, "*b 3 3"]:
    """The rotation `Ry(yaw) Rx(pitch) Rz(roll)`, angles in radians.

    In the head frame yaw turns toward the subject's left, pitch looks down, and roll tilts toward
    the subject's right shoulder.
    """
    zero = torch.zeros_like(yaw)
    about_y = rotvec_to_rotmat(torch.stack([zero, yaw, zero], dim=-1))
    about_x = rotvec_to_rotmat(torch.stack([pitch, zero, zero], dim=-1))
    about_z = rotvec_to_rotmat(torch.stack([zero, zero, roll], dim=-1))
    return about_y @ about_x @ about_z


def rotmat_to_yaw_pitch_roll(
    rotmat: Float[Tensor, "*b 3 3"],
) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"], Float[Tensor, "*b"]]:
    """Yaw, pitch and roll (radians) with `R = Ry(yaw) Rx(pitch) Rz(roll)`; pitch within pi / 2."""
    forward = rotmat[..., :, 2]
    yaw = torch.atan2(forward[..., 0], forward[..., 2])
    flat = (forward[..., 0] ** 2 + forward[..., 2] ** 2).clamp_min(1e-30).sqrt()
    pitch = torch.atan2(-forward[..., 1], flat)
    roll = torch.atan2(rotmat[..., 1, 0], rotmat[..., 1, 1])
    return yaw, pitch, roll
