import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from mien import rotations

ANGLES = (0.0, 1e-9, 1e-5, 1e-4, 1e-3, 0.3, 1.5, 3.0, math.pi - 1e-3, math.pi - 1e-7)


def rotvecs(generator: torch.Generator) -> Tensor:
    """Random axes at every angle of `ANGLES`, `[len(ANGLES), 7, 3]`."""
    axes = torch.randn(len(ANGLES), 7, 3, generator=generator, dtype=torch.float64)
    axes = torch.nn.functional.normalize(axes, dim=-1)
    return axes * torch.tensor(ANGLES, dtype=torch.float64)[:, None, None]


def random_rotmats(generator: torch.Generator, count: int = 50) -> Tensor:
    return rotations.quat_to_rotmat(
        torch.randn(count, 4, generator=generator, dtype=torch.float64)
    )


def test_rotvec_to_rotmat_is_the_matrix_exponential(generator: torch.Generator) -> None:
    rotvec = rotvecs(generator)
    skew = torch.linalg.cross(
        rotvec[..., None, :].expand(*rotvec.shape, 3), torch.eye(3).double().expand(10, 7, 3, 3)
    ).transpose(-1, -2)
    torch.testing.assert_close(rotations.rotvec_to_rotmat(rotvec), torch.linalg.matrix_exp(skew))


def test_rotvec_comes_back_from_matrix_and_quaternion(generator: torch.Generator) -> None:
    rotvec = rotvecs(generator)
    rotmat = rotations.rotvec_to_rotmat(rotvec)
    # within 1e-7 of pi the axis' sign hangs on the last bits of the matrix: worst seen 2e-9
    torch.testing.assert_close(rotations.rotmat_to_rotvec(rotmat), rotvec, rtol=0, atol=1e-8)
    quat = rotations.rotvec_to_quat(rotvec)
    torch.testing.assert_close(rotations.quat_to_rotvec(quat), rotvec)
    torch.testing.assert_close(rotations.quat_to_rotvec(-3 * quat), rotvec)


def test_a_half_turn_survives_the_matrix(generator: torch.Generator) -> None:
    axes = torch.nn.functional.normalize(
        torch.randn(20, 3, generator=generator, dtype=torch.float64), dim=-1
    )
    rotmat = rotations.rotvec_to_rotmat(axes * math.pi)
    back = rotations.rotvec_to_rotmat(rotations.rotmat_to_rotvec(rotmat))
    torch.testing.assert_close(back, rotmat)


def test_matrix_quaternion_and_rot6d_agree(generator: torch.Generator) -> None:
    rotmat = random_rotmats(generator)
    torch.testing.assert_close(rotations.quat_to_rotmat(rotations.rotmat_to_quat(rotmat)), rotmat)
    rot6d = rotations.rotmat_to_rot6d(rotmat)
    torch.testing.assert_close(rot6d, torch.cat([rotmat[:, :, 0], rotmat[:, :, 1]], dim=-1))
    torch.testing.assert_close(rotations.rot6d_to_rotmat(rot6d), rotmat)


def test_rot6d_forgives_lengths_and_a_lean(generator: torch.Generator) -> None:
    rot6d = rotations.rotmat_to_rot6d(random_rotmats(generator))
    first, second = rot6d[:, :3], rot6d[:, 3:]
    leaning = torch.cat([2 * first, 0.5 * second + 0.3 * first], dim=-1)
    upright = torch.cat([first, second], dim=-1)
    torch.testing.assert_close(
        rotations.rot6d_to_rotmat(leaning), rotations.rot6d_to_rotmat(upright)
    )


def test_quat_multiply_is_the_matrix_product(generator: torch.Generator) -> None:
    left, right = random_rotmats(generator, 9), random_rotmats(generator, 9)
    product = rotations.quat_multiply(
        rotations.rotmat_to_quat(left), rotations.rotmat_to_quat(right)
    )
    torch.testing.assert_close(rotations.quat_to_rotmat(product), left @ right)


def test_slerp_goes_at_constant_speed_the_short_way() -> None:
    start = rotations.rotvec_to_quat(torch.tensor([0.0, 0.2, 0.0]).double())
    stop = -rotations.rotvec_to_quat(torch.tensor([0.0, 1.0, 0.0]).double())
    for fraction in (0.0, 0.25, 1.0):
        between = rotations.quat_slerp(start, stop, torch.tensor([fraction]).double())
        wanted = torch.tensor([0.0, 0.2 + 0.8 * fraction, 0.0]).double()
        torch.testing.assert_close(rotations.quat_to_rotvec(between), wanted)


@pytest.mark.parametrize(
    ("angles", "axis", "points_to"),
    [
        ((0.3, 0.0, 0.0), 2, (math.sin(0.3), 0.0, math.cos(0.3))),  # yaw: the nose goes to +X
        ((0.0, 0.3, 0.0), 2, (0.0, -math.sin(0.3), math.cos(0.3))),  # pitch: the nose goes down
        ((0.0, 0.0, 0.3), 0, (math.cos(0.3), math.sin(0.3), 0.0)),  # roll: the left side goes up
    ],
)
def test_yaw_pitch_and_roll_turn_the_stated_way(
    angles: tuple[float, float, float], axis: int, points_to: tuple[float, float, float]
) -> None:
    yaw, pitch, roll = (torch.tensor(angle).double() for angle in angles)
    rotmat = rotations.yaw_pitch_roll_to_rotmat(yaw, pitch, roll)
    torch.testing.assert_close(rotmat[:, axis], torch.tensor(points_to).double())


def test_yaw_pitch_roll_come_back(generator: torch.Generator) -> None:
    angles = (torch.rand(3, 40, generator=generator, dtype=torch.float64) - 0.5) * 3.0
    back = rotations.rotmat_to_yaw_pitch_roll(rotations.yaw_pitch_roll_to_rotmat(*angles))
    torch.testing.assert_close(torch.stack(back), angles)


@pytest.mark.parametrize("angle", ANGLES[:-1])
def test_gradients_are_right_from_zero_to_nearly_pi(angle: float) -> None:
    axis = torch.tensor([0.36, -0.48, 0.8], dtype=torch.float64)
    rotvec = (axis * angle).requires_grad_()
    assert gradcheck(rotations.rotvec_to_rotmat, rotvec)
    assert gradcheck(rotations.rotvec_to_quat, rotvec)
    assert gradcheck(lambda v: rotations.rotmat_to_rot6d(rotations.rotvec_to_rotmat(v)), rotvec)
    if 0 < angle < 3.1:  # the step of the check must not cross pi

        def there_and_back(vector: Tensor) -> Tensor:
            return rotations.rotmat_to_rotvec(rotations.rotvec_to_rotmat(vector))

        assert gradcheck(there_and_back, rotvec, atol=1e-5)


def test_gradients_at_the_identity_are_finite() -> None:
    rotmat = torch.eye(3, dtype=torch.float64, requires_grad=True)
    rotations.rotmat_to_rotvec(rotmat).sum().backward()  # type: ignore[no-untyped-call]
    assert rotmat.grad is not None and torch.isfinite(rotmat.grad).all()
    angles = rotations.rotmat_to_yaw_pitch_roll(rotmat)
    (grad,) = torch.autograd.grad(sum(angles, torch.zeros(()).double()), rotmat)
    assert torch.isfinite(grad).all()


def test_any_leading_dimensions_dtype_and_strides(generator: torch.Generator) -> None:
    rotvec = torch.randn(3, 2, 4, 5, generator=generator).transpose(0, 2)[..., :3]
    rotmat = rotations.rotvec_to_rotmat(rotvec)
    assert rotmat.shape == (4, 2, 3, 3, 3) and rotmat.dtype == torch.float32
    torch.testing.assert_close(rotmat[1, 0, 2], rotations.rotvec_to_rotmat(rotvec[1, 0, 2]))
    assert rotations.rotvec_to_rotmat(torch.zeros(0, 3)).shape == (0, 3, 3)
