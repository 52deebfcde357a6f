import numpy as np
import pytest

from mien.apps.benchmark.retrieval import diversity, mm_dist, multimodality, r_precision


def test_r_precision_of_a_case_worked_out_by_hand() -> None:
    texts = np.array([[0.0], [10.0], [20.0], [30.0]])
    motions = np.array([[1.0], [21.0], [19.0], [2.0]])
    # Nearest motions of 0: own first. Of 10: 2 (8 away), 1 and 19 (9), then its own 21 (11).
    # Of 20: 21 and its own 19 are as near (1): second. Of 30: 21, 19, its own 2.
    assert r_precision(texts, motions, pool=4) == (0.25, 0.5, 0.75)


def test_r_precision_of_motions_that_are_all_alike_is_nothing() -> None:
    texts = np.random.default_rng(0).normal(size=(32, 8))
    assert r_precision(texts, np.ones((32, 8))) == (0.0, 0.0, 0.0)


def test_r_precision_of_chance_is_the_share_of_the_pool() -> None:
    rng = np.random.default_rng(0)
    found = r_precision(rng.normal(size=(6400, 4)), rng.normal(size=(6400, 4)))
    np.testing.assert_allclose(found, np.array([1, 2, 3]) / 32, atol=0.01)


def test_rows_beyond_the_last_full_pool_do_not_count() -> None:
    texts, motions = np.eye(5), np.eye(5)
    motions[4] = -100.0
    assert r_precision(texts, motions, pool=4)[0] == 1.0
    with pytest.raises(ValueError, match="one pool of 8"):
        r_precision(texts, motions, pool=8)


def test_pairs_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="row by row"):
        mm_dist(np.zeros((3, 2)), np.zeros((2, 2)))


def test_diversity_pairs_every_motion_once() -> None:
    motions = np.array([[0.0], [0.0], [6.0], [6.0]])
    for seed in range(9):
        assert diversity(motions, np.random.default_rng(seed)) in (0.0, 6.0)
    spread = np.arange(1000.0)[:, None]
    # Two different numbers of n are (n + 1) / 3 apart on average.
    found = [diversity(spread, np.random.default_rng(seed)) for seed in range(50)]
    assert np.mean(found) == pytest.approx(1001 / 3, rel=0.03)


def test_multimodality_is_of_motions_of_the_same_text_alone() -> None:
    motions = np.array([[[0.0], [2.0]], [[100.0], [104.0]]])
    assert multimodality(motions, np.random.default_rng(0)) == 3.0
    with pytest.raises(ValueError, match="two motions a text"):
        multimodality(motions[:, :1], np.random.default_rng(0))
