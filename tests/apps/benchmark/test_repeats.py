import math

import numpy as np
import pytest

from mien.apps.benchmark.repeats import NOTHING, repeated, repeated_mean, repeated_ratio


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = np.random.default_rng(3).normal(5.0, 2.0, 400)
    figure = repeated_mean(values, repeats=3000)
    wanted = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert figure.value == pytest.approx(values.mean())
    assert (figure.high - figure.low) / 2 == pytest.approx(wanted, rel=0.06)  # 1.3 % of chance


def test_the_same_seed_gives_the_same_figure_and_another_seed_other_halves() -> None:
    values = np.sin(np.arange(40.0))
    assert repeated_mean(values, seed=1) == repeated_mean(values, seed=1)
    assert repeated_mean(values, seed=1).low != repeated_mean(values, seed=2).low


def test_a_measure_sees_all_clips_and_halves_of_them_as_often() -> None:
    sizes: list[int] = []

    def measure(rows: np.ndarray, rng: np.random.Generator) -> float:
        assert len(set(rows.tolist())) == len(rows)
        sizes.append(len(rows))
        return 0.0

    repeated(measure, 9, repeats=3)
    assert sorted(sizes) == [4, 4, 4, 9, 9, 9]


def test_clips_without_a_value_do_not_count() -> None:
    assert repeated_mean([1.0, None, 2.0, 3.0, None, 6.0]).value == pytest.approx(3.0)
    assert repeated_mean([None, None]) == NOTHING
    assert NOTHING.text() == "–"


def test_a_ratio_is_of_sums_and_nothing_over_zero() -> None:
    figure = repeated_ratio(np.array([1.0, 1.0, 4.0, 2.0]), np.array([2.0, 2.0, 8.0, 4.0]))
    assert figure.value == pytest.approx(0.5)
    assert repeated_ratio(np.ones(4), np.zeros(4)) == NOTHING


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 clips"):
        repeated(lambda rows, rng: 0.0, 3)
