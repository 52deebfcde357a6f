from dataclasses import replace

import numpy as np

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES
from mien.tokenizer.augment import (
    AugmentConfig,
    Curves,
    mirror_curves,
    sample_batch,
    sample_window,
    smooth_noise,
)

PLAIN = AugmentConfig(
    stretch=0, mirror=0, mix=0, gain=0, offset=0, babble=0, talk=0, turn=0, solo=0, hold=0
)
ALWAYS = AugmentConfig(
    stretch=1, mirror=1, mix=1, gain=1, offset=1, babble=1, talk=1, turn=1, solo=0, hold=0
)


def test_mirroring_twice_changes_nothing(clips: list[Curves]) -> None:
    np.testing.assert_array_equal(mirror_curves(mirror_curves(clips[0])), clips[0])


def test_mirroring_exchanges_sides_and_turns() -> None:
    curves = np.zeros((1, len(CHANNEL_NAMES)), dtype=np.float32)
    curves[0, CHANNEL_NAMES.index("mouthSmileLeft")] = 0.7
    curves[0, CHANNEL_NAMES.index("headYaw")] = 0.2
    curves[0, CHANNEL_NAMES.index("headPitch")] = 0.1
    mirrored = mirror_curves(curves)[0]
    assert mirrored[CHANNEL_NAMES.index("mouthSmileRight")] == np.float32(0.7)
    assert mirrored[CHANNEL_NAMES.index("headYaw")] == np.float32(-0.2)
    assert mirrored[CHANNEL_NAMES.index("headPitch")] == np.float32(0.1)


def test_without_disturbance_a_window_is_a_piece_of_a_clip(clips: list[Curves]) -> None:
    window = sample_window(np.random.default_rng(0), clips[:1], 16, PLAIN)
    clip = clips[0].copy()
    clip[:, : len(ARKIT_NAMES)] = clip[:, : len(ARKIT_NAMES)].clip(0.0, 1.0)
    starts = [s for s in range(len(clip) - 15) if np.allclose(clip[s : s + 16], window)]
    assert len(starts) == 1


def test_short_clips_hold_their_last_frame(clips: list[Curves]) -> None:
    window = sample_window(np.random.default_rng(0), [clips[0][:5]], 12, PLAIN)
    np.testing.assert_array_equal(window[5:], np.repeat(window[4:5], 7, axis=0))


def test_disturbed_units_stay_in_their_range(clips: list[Curves]) -> None:
    batch = sample_batch(np.random.default_rng(1), clips, 20, 32, ALWAYS)
    units = batch[..., : len(ARKIT_NAMES)]
    assert batch.shape == (20, 32, 61) and np.isfinite(batch).all()
    assert units.min() >= 0.0 and units.max() <= 1.0
    assert units[..., ARKIT_NAMES.index("jawOpen")].std() > 0.01


def test_a_solo_moves_one_or_two_units_and_leaves_the_rest_at_rest(clips: list[Curves]) -> None:
    config = replace(PLAIN, solo=1)
    moved = set()
    for seed in range(40):
        window = sample_window(np.random.default_rng(seed), clips, 32, config)
        units = np.flatnonzero(window[:, : len(ARKIT_NAMES)].any(axis=0))
        assert 1 <= len(units) <= 2 and window[:, units].max() >= 0.25
        moved |= set(units.tolist())
    assert len(moved) > 25


def test_a_batch_is_a_function_of_its_seed(clips: list[Curves]) -> None:
    a, b, c = (
        sample_batch(np.random.default_rng(s), clips, 4, 16, AugmentConfig()) for s in (7, 7, 8)
    )
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_smooth_noise_moves_little_between_frames() -> None:
    noise = smooth_noise(np.random.default_rng(0), 500, 8, rate_hz=1.0)
    assert 0.5 < noise.std() < 1.2
    assert np.abs(np.diff(noise, axis=0)).max() < 0.5
