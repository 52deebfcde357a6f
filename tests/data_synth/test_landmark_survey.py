"""The survey of landmarks on hits and scores whose truth is known; no film, no landmarker."""

import numpy as np
import pytest
import torch

from mien.camera import Camera
from mien.data_synth.landmark_survey import (
    MOST_GAIN,
    STILLS,
    look_up,
    open_faces,
    open_template,
    regress,
    settle,
    snap,
)
from mien.head import Head
from mien.tracking.landmark_points import LandmarkPoints
from mien.tracking.landmarker import NUM_LANDMARKS

HEAD = Head.default()
CAMERA = Camera.look_at((0.0, -0.025, 0.6), (0.0, -0.025, 0.0), fov_deg=30, width=200, height=200)


def marks_on(template: np.ndarray) -> np.ndarray:
    """Where the shipped landmarks lie on a mesh."""
    return LandmarkPoints.shipped().gather(torch.from_numpy(template).float()).double().numpy()


def test_faces_of_the_survey_are_open() -> None:
    motion = open_faces(2)
    assert motion.num_frames == STILLS and float(motion.jaw_pose[:, 0].min()) > 0.05
    assert (
        float(motion.expr.max()) > 0.1
        and motion.expr[:, HEAD.expr_names.index("eyeBlinkLeft")].max() == 0
    )


def test_what_is_seen_at_a_landmarks_pixel_is_the_landmark() -> None:
    template = open_template()
    marks = marks_on(template)
    view, intrinsics = CAMERA.viewmat.double().numpy(), CAMERA.K.double().numpy()
    seen = marks @ view[:3, :3].T + view[:3, 3]
    pixels = (seen @ intrinsics.T)[:, :2] / seen[:, 2:]
    found = look_up(pixels, template.astype(np.float64), CAMERA)
    front = marks[:, 2] > np.median(marks[:, 2])  # the sides of the face are hidden by its front
    off = np.linalg.norm(found - marks, axis=1)[front]
    assert np.isfinite(off).mean() > 0.95
    assert 1000 * np.nanmedian(off) < 0.1 and 1000 * np.nanquantile(off, 0.9) < 3


def test_hits_settle_to_a_symmetric_median() -> None:
    marks = marks_on(open_template())
    rng = np.random.default_rng(0)
    hits = np.stack([marks + rng.normal(0, 2e-4, marks.shape) for _ in range(31)])
    hits[:3] += 0.5  # a few are far off
    hits[3, 7] = np.nan
    where, spread = settle(hits)
    flip = np.array([-1.0, 1.0, 1.0])
    nearest = np.linalg.norm(where[:, None] - where * flip, axis=-1).min(1)
    assert np.quantile(nearest, 0.9) < 1e-9  # but for those whose mirror image is in doubt
    assert 1000 * np.median(np.linalg.norm(where - marks, axis=1)) < 0.3
    assert 0.1 < 1000 * np.median(spread) < 1


def test_places_snap_to_the_skin_or_the_eyeballs() -> None:
    template = open_template().astype(np.float64)
    marks = marks_on(template)
    ids, weights = snap(marks)
    assert ids.shape == weights.shape == (NUM_LANDMARKS, 3)
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-9)
    assert weights.min() > -1e-9
    back = (weights[..., None] * template[ids]).sum(1)
    assert 1000 * np.linalg.norm(back - marks, axis=1).max() < 0.05


def test_a_score_that_follows_its_unit_gets_the_line_between_them() -> None:
    rng = np.random.default_rng(1)
    units = rng.uniform(0, 1, (500, 52))
    scores = units / 1.5
    scores[:, 3] = rng.uniform(0, 1, 500)  # says nothing
    scores[:, 4] = units[:, 4] / 100  # says too much
    resting = np.tile(np.linspace(0, 0.4, 5)[:, None], (1, 52))
    found = regress(resting, scores, units)
    assert found["score_gain"][0] == pytest.approx(1.5, rel=0.01)
    assert found["score_spread"][0] < 0.01 < 0.2 < found["score_spread"][3]
    assert found["score_gain"].max() <= MOST_GAIN
    np.testing.assert_allclose(found["score_rest"], 0.3, rtol=1e-6)
