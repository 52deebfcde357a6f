import pytest
import torch

from mien.motion import Motion
from mien.rotations import rotvec_to_rotmat
from mien.tokenizer import MotionTokenizer
from mien.tokenizer.features import FaceSpace, frames_of
from mien.tokenizer.metrics import (
    blink_travels,
    evaluate,
    jerk,
    perplexity,
    point_errors_mm,
    rotation_angle_deg,
    same_look_agreement,
    weak_direction,
)


def test_the_point_error_of_a_known_shift(space: FaceSpace, motion: Motion) -> None:
    frames = frames_of(motion)
    assert float(point_errors_mm(frames, frames, space).max()) == 0.0
    moved = frames._replace(jaw_pose=frames.jaw_pose + torch.tensor([0.1, 0.0, 0.0]))
    zeros = torch.zeros(1, space.num_expr), torch.zeros(1, 6)
    one = space.points(zeros[0], torch.tensor([[0.1, 0.0, 0.0]]), zeros[1])
    expected = one.norm(dim=-1) * space.ipd_mm
    got = point_errors_mm(moved, frames, space)
    torch.testing.assert_close(got, expected.expand_as(got), rtol=1e-3, atol=1e-3)


def test_the_angle_between_rotations(generator: torch.Generator) -> None:
    base = rotvec_to_rotmat(torch.randn(5, 3, generator=generator))
    angles = torch.tensor([0.0, 1.0, 10.0, 90.0, 179.0])
    turn = rotvec_to_rotmat(torch.deg2rad(angles)[:, None] * torch.tensor([0.6, 0.0, 0.8]))
    torch.testing.assert_close(rotation_angle_deg(base @ turn, base), angles, rtol=1e-3, atol=0.05)


def test_the_jerk_of_a_cubic_is_constant() -> None:
    t = torch.arange(6.0)
    points = torch.zeros(6, 1, 3)
    points[:, 0, 1] = t**3
    torch.testing.assert_close(jerk(points), torch.full((3,), 6.0))
    assert len(jerk(points[:3])) == 0


def test_the_perplexity_of_evenly_used_codes_is_their_number() -> None:
    assert perplexity(torch.arange(8).repeat(3), 20) == pytest.approx(8.0, rel=1e-6)


def test_figures_of_a_tokenizer_are_finite_and_bounded(
    tokenizer: MotionTokenizer, motion: Motion
) -> None:
    figures = evaluate(tokenizer, [motion, motion.slice(0, 5)])
    assert figures.frames == motion.num_frames + 5
    assert 0 < figures.code_use <= 1 and 1 <= figures.perplexity <= tokenizer.codebook_size
    assert figures.mean_mm > 0 and figures.still_mm > 0 and figures.jerk_ratio > 0


def test_no_motion_is_refused(tokenizer: MotionTokenizer) -> None:
    with pytest.raises(ValueError, match="at least one motion"):
        evaluate(tokenizer, [])


def test_a_weak_direction_keeps_the_look(space: FaceSpace, motion: Motion) -> None:
    frames = frames_of(motion)
    other = weak_direction(space, frames, budget_mm=0.1)
    errors = point_errors_mm(other, frames, space)
    weighted = (errors.square() * space.weights).mean(-1).sqrt()
    torch.testing.assert_close(weighted, torch.full_like(weighted, 0.1), rtol=1e-3, atol=1e-4)
    assert float((other.expr - frames.expr).abs().max()) > 0.001


def test_agreement_is_a_share(tokenizer: MotionTokenizer, motion: Motion) -> None:
    assert 0.0 <= same_look_agreement(tokenizer, [motion]) <= 1.0
    assert same_look_agreement(tokenizer, [motion], budget_mm=0.0) == 1.0


def test_a_blink_is_found_and_its_travel_measured() -> None:
    true = torch.zeros(40, 3, 3)
    true[18:23, :, 1] = torch.tensor([0.3, 0.8, 1.0, 0.6, 0.2])[:, None]
    ((decoded, travel),) = blink_travels(0.5 * true, true)
    assert decoded == pytest.approx(0.5) and travel == pytest.approx(1.0)
    ((decoded, _),) = blink_travels(torch.zeros_like(true), true)
    assert decoded == 0.0


def test_lids_that_stay_closed_are_no_blink() -> None:
    true = torch.zeros(40, 3, 3)
    true[10:, :, 1] = 1.0
    assert blink_travels(true, true) == []
