import dataclasses

import pytest
import torch
from torch import Tensor

from mien.rotations import rotvec_to_rotmat
from mien.tokenizer.features import FaceSpace, HeadFrames, Kind
from mien.tokenizer.losses import LossConfig, reconstruction_loss

POINTS_ONLY = LossConfig(
    velocity=0,
    acceleration=0,
    rotation=0,
    rotation_velocity=0,
    square=0,
    coefficient=0,
    overflow=0,
    lids=1,
)


def frames(space: FaceSpace, generator: torch.Generator) -> HeadFrames:
    return HeadFrames(
        torch.rand(2, 9, space.num_expr, generator=generator),
        0.1 * torch.randn(2, 9, 3, generator=generator),
        0.1 * torch.randn(2, 9, 6, generator=generator),
        rotvec_to_rotmat(0.2 * torch.randn(2, 9, 3, generator=generator)),
    )


def loss(
    space: FaceSpace, a: HeadFrames, b: HeadFrames, config: LossConfig, kind: Kind = "geometry"
) -> Tensor:
    return reconstruction_loss(a, a.expr, b, space.displacements(b), space, kind, config)


@pytest.mark.parametrize("kind", ["geometry", "coefficients"])
def test_a_perfect_reconstruction_costs_next_to_nothing(
    space: FaceSpace, generator: torch.Generator, kind: Kind
) -> None:
    target = frames(space, generator)
    assert float(loss(space, target, target, LossConfig(), kind).max()) < 0.06


def test_the_points_cost_their_distance_in_millimetres(
    space: FaceSpace, generator: torch.Generator
) -> None:
    target = frames(space, generator)
    other = target._replace(expr=target.expr * 0.5)
    error = (space.displacements(other) - space.displacements(target)) * space.ipd_mm
    expected = (error.norm(dim=-1) * space.weights).mean(-1)
    torch.testing.assert_close(
        loss(space, other, target, POINTS_ONLY), expected, rtol=1e-3, atol=1e-3
    )


def test_a_constant_offset_costs_no_velocity(space: FaceSpace, generator: torch.Generator) -> None:
    target = frames(space, generator)
    offset = target._replace(jaw_pose=target.jaw_pose + 0.2)
    still = loss(space, offset, target, POINTS_ONLY)
    moving = loss(
        space, offset, target, dataclasses.replace(POINTS_ONLY, velocity=1, acceleration=1)
    )
    torch.testing.assert_close(still, moving, rtol=0, atol=0.05)


def test_one_degree_of_head_rotation_costs_its_weight(
    space: FaceSpace, generator: torch.Generator
) -> None:
    target = frames(space, generator)
    turn = rotvec_to_rotmat(torch.tensor([0.0, torch.pi / 180.0, 0.0]))
    turned = target._replace(rotation=target.rotation @ turn)
    plain = loss(space, target, target, LossConfig(rotation_velocity=0))
    costs = loss(space, turned, target, LossConfig(rotation_velocity=0)) - plain
    torch.testing.assert_close(costs, torch.full((2, 9), 0.4), rtol=0.02, atol=1e-3)


def test_losses_of_one_clip_do_not_depend_on_another(
    space: FaceSpace, generator: torch.Generator
) -> None:
    target = frames(space, generator)
    other = target._replace(expr=target.expr.flip(-1))
    both = loss(space, other, target, LossConfig())
    alone = loss(
        space,
        HeadFrames(*(x[:1] for x in other)),
        HeadFrames(*(x[:1] for x in target)),
        LossConfig(),
    )
    torch.testing.assert_close(both[:1], alone)


def test_the_lids_factor_weighs_lid_points_only(
    space: FaceSpace, generator: torch.Generator
) -> None:
    import dataclasses

    target = frames(space, generator)
    other = target._replace(expr=target.expr * 0.5)
    plain = loss(space, other, target, POINTS_ONLY)
    more = loss(space, other, target, dataclasses.replace(POINTS_ONLY, lids=3.0))
    lids = space.region("lid")
    error = (space.displacements(other) - space.displacements(target)) * space.ipd_mm
    extra = 2.0 * (error.norm(dim=-1) * space.weights)[..., lids].sum(-1) / space.num_points
    torch.testing.assert_close(more - plain, extra, rtol=1e-3, atol=1e-3)


def test_a_large_error_costs_more_than_its_distance(
    space: FaceSpace, generator: torch.Generator
) -> None:
    target, other = frames(space, generator), frames(space, generator)
    plain = loss(space, other, target, POINTS_ONLY)
    more = loss(space, other, target, dataclasses.replace(POINTS_ONLY, square=0.5))
    error = (space.displacements(other) - space.displacements(target)) * space.ipd_mm
    extra = 0.5 * (error.square().sum(-1) * space.weights).mean(-1)
    torch.testing.assert_close(more - plain, extra, rtol=1e-3, atol=1e-3)
