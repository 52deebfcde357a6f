import math

import numpy as np
import pytest
import torch

from mien.apps.benchmark.geometry import (
    clip_statistics,
    deviation,
    energy,
    face_motion,
    fdd,
    jerk,
    lip_vertex_error,
)
from mien.data_synth.clip import make_clip
from mien.tokenizer.features import FaceSpace

SPACE = FaceSpace.default()


def moved(*lengths: float) -> torch.Tensor:
    """One point [T, 1, 3] that goes out by so much."""
    points = torch.zeros(len(lengths), 1, 3)
    points[:, 0, 1] = torch.tensor(lengths)
    return points


def test_lip_vertex_error_is_of_the_worst_lip_point_of_each_frame() -> None:
    true = torch.zeros(2, 3, 3)
    made = true.clone()
    made[0, 0] = torch.tensor([3.0, 4.0, 0.0])
    made[0, 1, 0] = 2.0
    made[1, 1, 0] = 1.0
    made[1, 2, 0] = 99.0  # no lip
    lips = torch.tensor([0, 1])
    assert lip_vertex_error(made, true, lips, squared=False) == pytest.approx((5 + 1) / 2)
    assert lip_vertex_error(made, true, lips, squared=True) == pytest.approx((25 + 1) / 2)


def test_the_definitions_of_fdd_differ_as_they_should() -> None:
    made, true = moved(0.0, 2.0), moved(1.0, 5.0)
    assert fdd(made, true, squared=False) == pytest.approx(2.0 - 1.0)  # lengths
    assert fdd(made, true, squared=True) == pytest.approx(12.0 - 2.0)  # squares 1, 25 and 0, 4
    assert fdd(true, made, squared=True) == pytest.approx(-10.0)  # signed


def test_a_level_face_has_no_dynamics_however_far_it_is() -> None:
    assert fdd(moved(7.0, 7.0, 7.0), moved(0.0, 0.0, 0.0), squared=False) == pytest.approx(0.0)


def test_jerk_and_energy_of_known_paths() -> None:
    assert jerk(moved(0.0, 1.0, 8.0, 27.0, 64.0)) == pytest.approx(6.0)  # t cubed
    assert energy(moved(0.0, 1.0, 3.0)) == pytest.approx((1 + 4) / 2)
    assert jerk(moved(0.0, 1.0, 2.0)) == 0.0 and energy(moved(1.0)) == 0.0


def test_a_clip_deviates_from_itself_by_nothing() -> None:
    true = face_motion(make_clip(0, 0).curves, SPACE)
    found = deviation(true, true, SPACE)
    assert found.l2_mm == found.lve_mm == found.lve_mm2 == found.fdd_facediffuser_mm2 == 0.0
    assert found.head_deg == pytest.approx(0.0, abs=1e-3)
    assert found.jerk == found.true_jerk > 0 and found.energy == found.true_energy > 0


def test_the_longer_clip_is_cut_and_facediffuser_takes_absolute_values() -> None:
    true = face_motion(make_clip(0, 0).curves, SPACE)
    other = face_motion(make_clip(0, 1).curves, SPACE)
    found = deviation(other, true, SPACE)
    assert found.l2_mm > 0.1 and math.isfinite(found.l2_mm)
    assert found.fdd_facediffuser_mm2 == abs(found.fdd_codetalker_mm2) > 0


def test_clip_statistics_hold_level_spread_and_speed() -> None:
    found = clip_statistics(np.array([[0.0], [2.0], [1.0]]))
    np.testing.assert_allclose(found, [1.0, math.sqrt(2 / 3), 1.5])
    np.testing.assert_allclose(clip_statistics(np.array([[3.0]])), [3.0, 0.0, 0.0])
