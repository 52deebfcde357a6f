from dataclasses import replace

import numpy as np
import pytest
from tests.apps.benchmark.benchmark_world import FakeWords, make_clips

from mien.apps.benchmark.floors import NearestNeighbor, RandomClip, fit_length
from mien.apps.benchmark.leakage import check_leakage

TRAIN, TEST = make_clips(8, "train"), make_clips(4, "test", first=8)


def test_the_nearest_neighbor_of_a_training_text_is_its_own_clip() -> None:
    nearest = NearestNeighbor(TRAIN, FakeWords())
    seconds = [len(clip.curves) / 25 for clip in TRAIN]
    found = nearest([clip.texts[0] for clip in TRAIN], seconds, seed=0)
    for curves, clip in zip(found, TRAIN, strict=True):
        np.testing.assert_array_equal(curves, clip.curves)


def test_the_nearest_neighbor_is_the_nearest_whatever_the_seed() -> None:
    nearest = NearestNeighbor(TRAIN, FakeWords())
    for seed in (1, 200):  # each generation has its own
        (found,) = nearest([TRAIN[0].texts[0]], [len(TRAIN[0].curves) / 25], seed)
        np.testing.assert_array_equal(found, TRAIN[0].curves)


def test_floors_are_as_long_as_was_asked_and_follow_the_seed() -> None:
    floor = RandomClip(TRAIN)
    texts, seconds = ["any", "thing"], [1.0, 9.0]
    first, again = floor(texts, seconds, 3), floor(texts, seconds, 3)
    assert [len(curves) for curves in first] == [25, 225]
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(first[1][-1], first[1][-2])  # the last frame is held


def test_a_clip_is_cut() -> None:
    assert fit_length(np.arange(6.0).reshape(3, 2), 2).tolist() == [[0.0, 1.0], [2.0, 3.0]]


def test_floors_refuse_to_know_test_clips() -> None:
    with pytest.raises(ValueError, match="train split alone.*some of test"):
        RandomClip([*TRAIN, TEST[0]])
    with pytest.raises(ValueError, match="got 0 clips"):
        NearestNeighbor([], FakeWords())


def test_what_two_splits_share_is_found() -> None:
    clean = check_leakage(TRAIN, TEST)
    assert clean.motions == 0 and clean.long_texts == 0.0
    long = next(t for c in TRAIN for t in c.texts if len(t.split()) > 5)
    copied = replace(TEST[0], texts=(long.upper() + "!",))
    dirty = check_leakage(TRAIN, [TRAIN[0], copied, TEST[1]])
    assert dirty.motions == 1 and dirty.performers >= 1 and dirty.long_texts > 0
    assert long.upper() + "!" in dirty.examples
    assert "1 motions in both" in dirty.as_markdown()
    with pytest.raises(ValueError, match="both splits"):
        check_leakage(TRAIN, [])
