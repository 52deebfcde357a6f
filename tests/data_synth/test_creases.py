import numpy as np
import pytest

from mien.arkit import EXPR_NAMES
from mien.data_synth.creases import CREASES, CreaseField, crease_depth


def face_points(count: int = 900) -> np.ndarray:
    """Places over the front of the mean adult, millimetres."""
    rng = np.random.default_rng(4)
    flat = rng.uniform([-60, -110], [60, 70], (count, 2))
    depth = 30 - 0.012 * flat[:, 0] ** 2
    return np.column_stack([flat, depth])


@pytest.fixture(scope="module")
def field() -> CreaseField:
    return CreaseField.over(face_points(), seed=9)


def expression(**units: float) -> np.ndarray:
    found = np.zeros(len(EXPR_NAMES))
    for name, value in units.items():
        found[EXPR_NAMES.index(name)] = value
    return found


def test_a_face_at_rest_has_no_crease(field: CreaseField) -> None:
    height, slope = field.fold(expression(), depth=1.0)
    assert not height.any() and not slope.any()


def test_every_crease_is_folded_by_some_unit_and_seen_somewhere(field: CreaseField) -> None:
    assert (field.mixing.max(1) > 0).all()
    assert (field.heights.min(1) < -0.05).all()
    assert all(
        unit in EXPR_NAMES or f"{unit}Left" in EXPR_NAMES
        for crease in CREASES.values()
        for unit in crease.units
    )


def test_one_side_of_the_smile_folds_its_own_side(field: CreaseField) -> None:
    height, _ = field.fold(expression(mouthSmileLeft=1.0), depth=1.0)
    x = face_points()[:, 0]
    assert height[x > 4].min() < -0.2
    assert not height[x < -4].any()


def test_raised_brows_fold_the_forehead_and_not_the_cheeks(field: CreaseField) -> None:
    units = {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0}
    height, _ = field.fold(expression(**units), depth=1.0)
    y = face_points()[:, 1]
    assert height[y > 35].min() < -0.2
    assert np.abs(height[y < -40]).max() < 0.01


def test_slopes_are_the_gradients_of_the_heights() -> None:
    points, step = face_points(200), 0.05
    units = expression(mouthSmileLeft=0.9, browInnerUp=0.7, mouthShrugLower=0.8)
    _, slope = CreaseField.over(points, 9).fold(units, 1.0)
    for axis in range(3):
        ends = [
            CreaseField.over(points + way * step * np.eye(3)[axis], 9).fold(units, 1.0)[0]
            for way in (-1, 1)
        ]
        rise = (ends[1] - ends[0]) / (2 * step)
        # Off by 0.03 at most here: 0.25 mm steps, and sides that fade into each other.
        np.testing.assert_allclose(slope[:, axis], rise, atol=0.06)


def test_lines_deepen_with_the_years() -> None:
    depths = [crease_depth(age) for age in np.linspace(0, 1, 9)]
    assert all(a < b for a, b in zip(depths, depths[1:], strict=False))
