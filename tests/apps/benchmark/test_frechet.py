import numpy as np
import pytest

from mien.apps.benchmark.frechet import frechet_distance, shrinkage

# Covariance diag(4, 1) about the origin, and diag(1, 9) about (3, 4), both with n - 1 = 3.
CROSS = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]]) * np.sqrt(1.5)
FIRST, SECOND = CROSS * [2.0, 1.0], CROSS * [1.0, 3.0] + [3.0, 4.0]


def test_the_distance_of_a_case_worked_out_by_hand() -> None:
    # |(3, 4)|^2 + (2 - 1)^2 + (1 - 3)^2
    assert frechet_distance(FIRST, SECOND, shrink=False) == pytest.approx(30.0)


def test_a_set_is_no_way_from_itself_and_as_far_there_as_back() -> None:
    a = np.random.default_rng(0).normal(size=(20, 64))  # fewer samples than dimensions
    b = np.random.default_rng(1).normal(size=(30, 64))
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)


def test_shrinkage_takes_most_of_the_error_of_few_samples() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 40, 64))  # of the same distribution: the true distance is 0
    assert frechet_distance(a, b) < 0.3 * frechet_distance(a, b, shrink=False)


def test_with_many_samples_shrinkage_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20_000, 3)) * [1.0, 2.0, 3.0]
    b = b + 1.0
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(a, b, False), rel=1e-3)
    assert shrinkage(a) < 1e-3


def test_shrinkage_is_that_of_scikit_learn() -> None:
    samples = np.sin(np.arange(60.0).reshape(12, 5) ** 1.5) * [1, 2, 3, 4, 5]
    assert shrinkage(samples) == pytest.approx(0.35275146698244497)  # ledoit_wolf, 1.7
    assert shrinkage(np.ones((4, 3))) == 0.0


def test_singular_covariances_do_no_harm() -> None:
    a = np.zeros((5, 4))
    a[:, 0] = np.arange(5.0)
    assert frechet_distance(a, a + 2.0, shrink=False) == pytest.approx(16.0)


def test_sets_of_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least two rows"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
