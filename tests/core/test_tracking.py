"""Tracking, with a landmarker that reports the landmarks of a known motion."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray

from mien.arkit import EXPR_NAMES, JAW_OPEN_RADIANS
from mien.identity import semantic
from mien.motion import Motion
from mien.tracking import (
    MediaPipeLandmarker,
    OneEuro,
    Sightings,
    follow,
    measure,
    smooth,
    table,
    track,
    track_sightings,
)
from mien.tracking.landmark_points import LandmarkPoints
from mien.tracking.landmarker import NUM_LANDMARKS, Face
from mien.tracking.person import Person
from mien.tracking.person_fit import MOST_PARTED, close_mouth
from mien.tracking.solver import place
from mien.tracking.staged import StagedLandmarker

FPS = 25.0
SHARED_MODEL = "mediapipe_samples/face_landmarker.task"


def frames(count: int) -> Iterator[ndarray]:
    return (np.zeros((4, 4, 3), np.uint8) for _ in range(count))


def performance(count: int = 36) -> Motion:
    """Rest, then a smile with an open jaw, a blink and a turn of the head."""
    motion = Motion.rest(count, fps=FPS)
    times = torch.arange(count) / FPS
    grown = ((times - 0.4) / 0.5).clamp(0, 1)
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        motion.expr[:, EXPR_NAMES.index(name)] = 0.8 * grown
    blink = (1 - (times - 0.8).abs() / 0.12).clamp(0, 1)
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        motion.expr[:, EXPR_NAMES.index(name)] = blink
    motion.jaw_pose[:, 0] = 0.4 * JAW_OPEN_RADIANS * grown
    motion.neck_pose[:, 1] = 0.3 * grown
    motion.neck_pose[:, 2] = -0.1
    return motion


@pytest.fixture(scope="module")
def truth() -> Motion:
    return performance().replace(shape=semantic(gender=0.9, weight=0.7, seed=3).shape)


def test_a_known_motion_of_a_stranger_is_found(truth: Motion) -> None:
    tracked = track(frames(36), FPS, StagedLandmarker(truth), "none").motion
    errors = measure(tracked, truth)
    assert errors.points_mm["all points"] < 0.35 * errors.rest_mm["all points"]
    assert errors.turn_about_first_deg < 2.0
    assert errors.correlations["eyeBlinkLeft"] > 0.95
    assert errors.correlations["mouthSmileRight"] > 0.95
    assert errors.correlations["jawOpen"] > 0.95


def test_neither_place_nor_size_in_the_picture_matters(truth: Motion) -> None:
    short = truth.slice(0, 16)
    first = track(frames(16), FPS, StagedLandmarker(short), "none").motion
    second = track(frames(16), FPS, StagedLandmarker(short, 37.0, (900.0, 20.0)), "none").motion
    torch.testing.assert_close(first.expr, second.expr, atol=2e-2, rtol=0)
    torch.testing.assert_close(first.neck_pose, second.neck_pose, atol=2e-3, rtol=0)


def test_a_photo_gives_one_frame() -> None:
    smile = performance().slice(30, 31)
    tracked = track(frames(1), FPS, StagedLandmarker(smile)).motion
    assert tracked.num_frames == 1
    assert float(tracked.expr[0, EXPR_NAMES.index("mouthSmileLeft")]) > 0.3


def test_smoothing_takes_jitter_out_and_leaves_the_blink(truth: Motion) -> None:
    sightings = follow(frames(36), FPS, StagedLandmarker(truth, noise=1.0))
    raw = track_sightings(sightings, FPS, "none").motion
    smoothed = track_sightings(sightings, FPS).motion
    assert measure(smoothed, truth).jerk_ratio < 0.8 * measure(raw, truth).jerk_ratio
    blink = EXPR_NAMES.index("eyeBlinkLeft")
    assert float(smoothed.expr[:, blink].max()) > 0.8 * float(raw.expr[:, blink].max())


def test_a_short_loss_is_filled_in_and_labeled(truth: Motion) -> None:
    found = track(frames(36), FPS, StagedLandmarker(truth, lost=range(20, 25)))
    assert found.motion.num_frames == 36
    assert [(label.start_s, label.end_s) for label in found.motion.labels] == [(0.8, 1.0)]
    assert found.seen == 31 / 36
    assert "lost in 5 frames" in " ".join(found.notes)


def test_around_a_long_loss_the_longest_part_is_kept(truth: Motion) -> None:
    found = track(frames(36), FPS, StagedLandmarker(truth, lost=range(4, 20)))
    assert found.motion.num_frames == 16
    assert found.start_s == 20 / FPS
    assert "kept 0.80 to 1.44 s" in " ".join(found.notes)


def test_lost_ends_are_cut_off(truth: Motion) -> None:
    found = track(frames(36), FPS, StagedLandmarker(truth, lost=[0, 1, 34, 35]))
    assert (found.start_s, found.motion.num_frames) == (2 / FPS, 32)
    assert not found.motion.labels


def test_of_two_faces_the_larger_is_followed_and_the_user_told(truth: Motion) -> None:
    short = truth.slice(0, 12)
    alone = track(frames(12), FPS, StagedLandmarker(short))
    beside = track(frames(12), FPS, StagedLandmarker(short, others=1))
    torch.testing.assert_close(alone.motion.expr, beside.motion.expr)
    assert "2 faces" in " ".join(beside.notes)


def test_the_same_face_is_followed_when_another_grows_larger() -> None:
    def face(x: float, size: float) -> Face:
        ramp = np.linspace(-1, 1, NUM_LANDMARKS)
        marks = np.stack([x + size * ramp, size * np.sin(7 * ramp), ramp], 1)
        return Face(marks, np.zeros(52), np.eye(3))

    class Crowd:
        def find(self, frame: ndarray, time_s: float) -> list[Face]:
            return [face(1000.0, 40.0 + 200 * time_s), face(100.0 + 10 * time_s, 50.0)]

    followed = follow(frames(25), FPS, Crowd())
    assert all(each is not None and each.center[0] < 200 for each in followed.faces)


def test_no_face_and_no_frame_are_refused(truth: Motion) -> None:
    with pytest.raises(ValueError, match="No face was found in any of 5 frames"):
        track(frames(5), FPS, StagedLandmarker(truth, lost=range(5)))
    with pytest.raises(ValueError, match="at least one frame"):
        track(frames(0), FPS, StagedLandmarker(truth))


def test_gaps_are_runs_of_missing_frames() -> None:
    face = Face(np.zeros((NUM_LANDMARKS, 3)), np.zeros(52), np.eye(3))
    pattern = [None, face, None, None, face, face, None]
    sightings = Sightings(tuple(pattern), 1)
    assert sightings.gaps() == [(0, 1), (2, 4), (6, 7)]
    assert sightings.longest(2) == (1, 6)
    assert sightings.longest(1) == (4, 6)


def test_placing_finds_turn_shift_and_scale() -> None:
    points = Person.average().neutral
    angle = math.radians(20)
    turn = torch.tensor(
        [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    )
    shift = torch.tensor([3.0, -2.0, 0.5])
    seen = (1.7 * points @ turn.T + shift)[None]
    placed = place(seen, points, torch.ones(len(points)))
    torch.testing.assert_close(placed.rotmat[0], turn, atol=1e-4, rtol=0)
    torch.testing.assert_close(placed.project(points[None]), seen, atol=1e-4, rtol=0)


def test_the_landmarks_lie_symmetrically_on_the_head() -> None:
    where = Person.average().neutral
    mirrored = where * torch.tensor([-1.0, 1.0, 1.0])
    away = torch.cdist(mirrored, where).min(1).values
    assert float(away.median()) < 0.04  # of an interpupillary distance; people are not symmetric
    assert abs(float((where[473] - where[468]).norm()) - 1.0) < 0.1  # the irises
    assert LandmarkPoints.shipped().weights.sum(1).sub(1).abs().max() < 1e-5


def test_a_one_euro_filter_keeps_a_constant_and_lags_only_when_causal() -> None:
    flat = torch.full((20, 2), 0.7)
    torch.testing.assert_close(smooth(flat, FPS), flat)
    bump = torch.exp(-(((torch.arange(41.0) - 20) / 4) ** 2))[:, None]
    both, causal = smooth(bump, FPS), smooth(bump, FPS, "causal")
    torch.testing.assert_close(both, both.flip(0))
    assert int(both.argmax()) == 20 <= int(causal.argmax())
    assert OneEuro(cutoff_hz=1e6).run(bump, FPS).sub(bump).abs().max() < 1e-3


def test_the_table_has_a_row_a_moving_channel(truth: Motion) -> None:
    text = table([measure(truth, truth)])
    assert "| all points, mm | 0.00 | 0.00 |" in text
    assert "| jawOpen | 1.00 | 1 |" in text and "tongueOut" not in text


def test_motions_of_unlike_length_are_not_compared(truth: Motion) -> None:
    with pytest.raises(ValueError, match="as many frames, got 5 and 36"):
        measure(truth.slice(0, 5), truth)


@pytest.mark.slow
def test_mediapipe_finds_the_smile_of_a_real_face(shared: Path) -> None:
    pytest.importorskip("mediapipe", reason="needs the extra `track`")
    from mien.tracking import Footage

    model = shared / SHARED_MODEL
    if not model.is_file():
        pytest.skip(f"needs {model}")
    footage = Footage.open(shared / "pyfeat_video" / "single_face.mp4")
    with MediaPipeLandmarker(model) as landmarker:
        found = track(footage.frames(), footage.fps, landmarker)
    smile = found.motion.expr[:, EXPR_NAMES.index("mouthSmileLeft")]
    assert found.motion.num_frames == 72 and found.seen == 1.0
    assert float(smile[-10:].mean()) > float(smile[:10].mean()) + 0.3


def test_a_mouth_that_is_open_all_through_a_clip_stays_open() -> None:
    motion = Motion.rest(16, fps=FPS)
    motion.jaw_pose[:, 0] = 0.35 * JAW_OPEN_RADIANS
    tracked = track(frames(16), FPS, StagedLandmarker(motion)).motion
    assert float(tracked.jaw_pose[:, 0].mean()) > 0.15 * JAW_OPEN_RADIANS


def test_a_closed_mouth_is_left_alone_and_a_parted_one_closed() -> None:
    person = Person.average()
    lips = close_mouth(person)
    gap = lips.neutral[[13, 82, 312], 1] - lips.neutral[[14, 87, 317], 1]
    assert float(gap.max()) < MOST_PARTED + 1e-6
    torch.testing.assert_close(close_mouth(lips).offset, lips.offset)
