"""Gaussians follow their joints, in place and in rotation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mien.avatar.skinning import blend_rotations, skin_gaussians
from mien.rotations import quat_multiply, rotmat_to_quat, rotvec_to_quat, rotvec_to_rotmat


def ramp(*shape: int, phase: float = 0.0) -> Tensor:
    count = math.prod(shape)
    return torch.sin(torch.arange(count, dtype=torch.float64) * 0.7 + phase).reshape(shape)


def scene() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    means, quats = ramp(2, 7, 3), ramp(2, 7, 4, phase=1.0)
    rotmats, offsets = rotvec_to_rotmat(ramp(2, 5, 3, phase=2.0)), ramp(2, 5, 3, phase=3.0)
    weights = ramp(7, 5, phase=4.0).exp()
    return means, quats, rotmats, offsets, weights / weights.sum(-1, keepdim=True)


def one_by_one(
    means: Tensor, quats: Tensor, rotmats: Tensor, offsets: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """The plain reference: one Gaussian and one joint at a time."""
    posed, turned = torch.zeros_like(means), torch.zeros_like(quats)
    for frame in range(len(means)):
        root = rotmat_to_quat(rotmats[frame, 0])
        for n in range(means.shape[1]):
            blend = torch.zeros(4, dtype=torch.float64)
            for joint in range(rotmats.shape[1]):
                share = weights[n, joint]
                moved = rotmats[frame, joint] @ means[frame, n] + offsets[frame, joint]
                posed[frame, n] += share * moved
                quat = rotmat_to_quat(rotmats[frame, joint])
                blend += share * (quat if float(quat @ root) >= 0 else -quat)
            turned[frame, n] = quat_multiply(blend / blend.norm(), quats[frame, n])
    return posed, turned


def test_skinning_agrees_with_a_loop_over_gaussians() -> None:
    posed, turned = skin_gaussians(*scene())
    wanted_posed, wanted_turned = one_by_one(*scene())
    torch.testing.assert_close(posed, wanted_posed)
    torch.testing.assert_close(turned, wanted_turned)


def test_a_rigid_turn_turns_every_gaussian_alike() -> None:
    means, quats, _, _, weights = scene()
    rotvec = torch.tensor([0.3, -1.2, 0.4], dtype=torch.float64)
    rotmats = rotvec_to_rotmat(rotvec).expand(2, 5, 3, 3)
    posed, turned = skin_gaussians(means, quats, rotmats, torch.zeros(2, 5, 3).double(), weights)
    torch.testing.assert_close(posed, means @ rotmats[0, 0].T)
    torch.testing.assert_close(turned, quat_multiply(rotvec_to_quat(rotvec), quats))


def test_a_sign_flip_of_a_joint_does_not_tear_the_blend() -> None:
    """Joints on both sides of half a turn have quaternions of opposite sign for near rotations."""
    angles = torch.tensor([math.pi - 0.05, math.pi + 0.05], dtype=torch.float64)
    rotvecs = angles[:, None] * torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    quats = rotmat_to_quat(rotvec_to_rotmat(rotvecs))[None]
    assert float(quats[0, 0] @ quats[0, 1]) < 0
    blended = blend_rotations(quats, torch.tensor([[0.5, 0.5]], dtype=torch.float64))[0, 0]
    middle = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64)  # half a turn about y
    assert float((blended @ middle).abs()) > 0.999


def test_skinning_has_the_gradients_of_its_values() -> None:
    means, quats, rotmats, offsets, weights = scene()
    inputs = (means[:1, :2].requires_grad_(), quats[:1, :2].requires_grad_())
    assert torch.autograd.gradcheck(
        lambda m, q: skin_gaussians(m, q, rotmats[:1], offsets[:1], weights[:2]), inputs
    )
