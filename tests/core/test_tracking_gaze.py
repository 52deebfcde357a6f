"""Gaze in tracking: large looks are found, doubtful ones shrink, closed lids are bridged."""

import numpy as np
import pytest
import torch
from numpy import ndarray

from mien.arkit import EXPR_NAMES
from mien.motion import Motion
from mien.rotations import rotmat_to_quat
from mien.tracking import measure, track
from mien.tracking.gaze import settle_gaze
from mien.tracking.staged import StagedLandmarker

FPS = 25.0
BLINKS = [EXPR_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]


def frames(count: int) -> list[ndarray]:
    return [np.zeros((4, 4, 3), np.uint8)] * count


def looking(yaw: float, pitch: float = 0.0, head_yaw: float = 0.0) -> Motion:
    """Straight ahead, then aside from 0.6 s on."""
    motion = Motion.rest(40, fps=FPS)
    for eye in (0, 3):
        motion.eye_pose[15:, eye : eye + 2] = torch.tensor([pitch, yaw])
    motion.neck_pose[:, 1] = head_yaw
    return motion


def gaze_of(motion: Motion) -> torch.Tensor:
    """Yaw and pitch of the left eye."""
    return track(frames(motion.num_frames), FPS, StagedLandmarker(motion), "none").motion.eye_pose[
        :, [1, 0]
    ]


@pytest.mark.parametrize("head_yaw", [0.0, 0.4, -0.4])
@pytest.mark.parametrize("yaw", [0.35, -0.35])
def test_a_look_aside_is_found_whichever_way_the_head_is_turned(
    yaw: float, head_yaw: float
) -> None:
    found = gaze_of(looking(yaw, head_yaw=head_yaw))
    assert float(found[20:, 0].mean() - found[:12, 0].mean()) == pytest.approx(yaw, abs=0.12)
    assert float(found[:12, 0].abs().max()) < 0.1


@pytest.mark.parametrize("pitch", [0.25, -0.25])
def test_a_look_up_or_down_has_the_right_sign(pitch: float) -> None:
    found = gaze_of(looking(0.0, pitch))
    change = float(found[20:, 1].mean() - found[:12, 1].mean())
    assert 0.4 < change / pitch < 1.6


def test_both_eyes_look_the_same_way_and_irises_come_nearer_than_rest() -> None:
    truth = looking(0.3)
    tracked = track(frames(40), FPS, StagedLandmarker(truth)).motion
    torch.testing.assert_close(tracked.eye_pose[:, :3], tracked.eye_pose[:, 3:], atol=2e-2, rtol=0)
    errors = measure(tracked, truth)
    assert errors.points_mm["irises"] < 0.5 * errors.rest_mm["irises"]


def test_a_blink_leaves_the_gaze_where_it_is() -> None:
    truth = looking(0.3)
    truth.expr[26:31, BLINKS] = 1.0
    found = gaze_of(truth)
    assert float((found[26:31, 0] - found[25, 0]).abs().max()) < 0.05


def test_small_looks_shrink_and_large_ones_stay() -> None:
    angles, seen = torch.zeros(60, 2), torch.ones(60)
    angles[30:, 0] = 0.02
    small = settle_gaze(angles, seen, FPS)
    assert float(small[45, 0]) < 0.01
    angles[30:, 0] = 0.4
    large = settle_gaze(angles, seen, FPS)
    assert float(large[45, 0] - large[15, 0]) > 0.3


def test_what_pitch_shows_all_through_a_clip_is_the_persons_own() -> None:
    angles = torch.tensor([0.0, 0.2]).repeat(30, 1)
    assert float(settle_gaze(angles, torch.ones(30), FPS)[:, 1].abs().max()) < 0.02


def test_eyes_that_never_open_look_straight_ahead() -> None:
    angles = torch.full((20, 2), 0.5)
    assert float(settle_gaze(angles, torch.full((20,), 0.1), FPS).abs().max()) == 0


def test_a_photo_has_a_gaze() -> None:
    angles = torch.tensor([[0.4, 0.0]])
    found = settle_gaze(angles, torch.ones(1), FPS)
    assert found.shape == (1, 2) and 0.2 < float(found[0, 0]) < 0.4


def test_the_heads_turn_does_not_depend_on_gaze() -> None:
    ahead, aside = (
        track(frames(40), FPS, StagedLandmarker(looking(yaw))).motion for yaw in (0.0, 0.4)
    )
    first, second = (rotmat_to_quat(each.head_rotmat()) for each in (ahead, aside))
    assert float((first * second).sum(-1).abs().min()) > 0.9999
