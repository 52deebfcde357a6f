import random

import numpy as np
import pytest
from numpy import ndarray

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES
from mien.data_synth.babble import babble
from mien.data_synth.lexicon import TRACKS, Lexicon, Side
from mien.data_synth.performance import Action, Performance, sample_performance, shaped_action
from mien.data_synth.performer import minimum_jerk, perform, perform_motion
from mien.data_synth.speech import speak

SEEDS = range(6)


def play(*names: str, intensity: float = 0.6, side: Side = "both", seed: int = 0) -> ndarray:
    """Two seconds of one entry after another, on a performer of number `seed`."""
    lexicon = Lexicon.default()
    actions = tuple(
        shaped_action(lexicon[n], side, intensity, 0.4 + 2.0 * i, 2.2 + 2.0 * i, False)
        for i, n in enumerate(names)
    )
    return perform(Performance(actions, 0.4 + 2.0 * len(names), seed), seed)


def peak(curves: ndarray, channel: str) -> float:
    return float(curves[:, CHANNEL_NAMES.index(channel)].max())


def test_curves_are_in_range_and_finite_for_every_entry() -> None:
    lexicon = Lexicon.default()
    for entry in lexicon.entries.values():
        curves = play(entry.id, intensity=1.0, side=entry.sides[0])
        assert curves.dtype == np.float32 and np.isfinite(curves).all()
        units = curves[:, : len(ARKIT_NAMES)]
        assert units.min() >= 0 and units.max() <= 1, entry.id
        assert np.abs(curves[:, len(ARKIT_NAMES) :]).max() <= 1.2


def test_the_same_seeds_give_the_same_curves() -> None:
    performance = sample_performance(random.Random(3), Lexicon.default())
    assert np.array_equal(perform(performance, 9), perform(performance, 9))
    assert not np.array_equal(perform(performance, 9), perform(performance, 10))


def test_two_performers_do_the_same_thing_in_different_ways() -> None:
    peaks = [peak(play("smile", seed=s), "mouthSmileLeft") for s in SEEDS]
    assert max(peaks) - min(peaks) > 0.05
    assert min(peaks) > 0.35


def test_more_intensity_shows_more() -> None:
    for seed in SEEDS:
        shown = [
            peak(play("smile", intensity=i, seed=seed), "mouthSmileLeft") for i in (0.2, 0.55, 0.9)
        ]
        assert shown == sorted(shown) and shown[0] > 0.18


def test_a_wink_shuts_the_eye_that_was_asked_for() -> None:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        curves = play("wink", side="left" if side == "Left" else "right")
        window = curves[12:50]
        own = window[:, CHANNEL_NAMES.index("eyeBlink" + side)]
        rest = window[:, CHANNEL_NAMES.index("eyeBlink" + other)]
        assert own.max() > 0.9
        assert np.median((own - rest)[own > 0.9]) > 0.7


def test_the_subjects_left_has_the_signs_of_the_head_frame() -> None:
    turned = play("turn-left")[:, CHANNEL_NAMES.index("headYaw")]
    assert turned.max() > 0.2 and turned.min() > -0.1
    tilted = play("tilt-left")[:, CHANNEL_NAMES.index("headRoll")]
    assert tilted.min() < -0.12
    lowered = play("lower-head")[:, CHANNEL_NAMES.index("headPitch")]
    assert lowered.max() > 0.15
    gaze = play("look-left")
    assert peak(gaze, "eyeLookOutLeft") > 0.4 and peak(gaze, "eyeLookInRight") > 0.4


def test_a_later_look_pushes_its_antagonist_aside() -> None:
    lexicon = Lexicon.default()
    smile = shaped_action(lexicon["smile"], "both", 0.9, 0.0, 4.0, True)
    pucker = shaped_action(lexicon["pucker"], "both", 0.9, 2.0, 4.0, True)
    curves = perform(Performance((smile, pucker), 4.0, 1), 1)
    smiles = curves[:, CHANNEL_NAMES.index("mouthSmileLeft")]
    assert smiles[90] < 0.6 * smiles[45]
    assert curves[90, CHANNEL_NAMES.index("mouthPucker")] > 0.6


def test_a_held_look_is_still_there_at_the_end_and_a_released_one_is_gone() -> None:
    entry = Lexicon.default()["smile"]
    for held in (True, False):
        action = shaped_action(entry, "both", 0.8, 0.4, 2.0, held)
        last = perform(Performance((action,), 2.0, 2), 2)[
            -1, CHANNEL_NAMES.index("mouthSmileLeft")
        ]
        assert (last > 0.4) == held


def test_a_quiet_face_blinks_sways_and_never_freezes() -> None:
    blink = CHANNEL_NAMES.index("eyeBlinkLeft")
    still = [perform(Performance((), 8.0, s), s) for s in range(12)]
    shut = [np.diff((c[:, blink] > 0.5).astype(int)).clip(0).sum() for c in still]
    per_minute = float(np.sum(shut)) / (12 * 8 / 60)
    assert 6 < per_minute < 30
    assert all(c[:, CHANNEL_NAMES.index("headYaw")].std() > 1e-3 for c in still)
    assert all(np.abs(np.diff(c, axis=0)).max(1).min() > 0 for c in still)


def test_no_unit_moves_quicker_than_a_live_blink() -> None:
    fastest = 0.0
    for seed in range(60):
        performance = sample_performance(random.Random(seed), Lexicon.default())
        steps = np.abs(np.diff(perform(performance, seed, fps=60.0), axis=0))
        fastest = max(fastest, float(steps[:, : len(ARKIT_NAMES)].max()))
    assert fastest < 0.5  # an iPhone take at 60 frames a second: 0.24 to 0.48


def test_a_minimum_jerk_move_starts_and_ends_at_rest() -> None:
    x = minimum_jerk(np.linspace(-0.5, 1.5, 201))
    assert x[0] == 0 and x[-1] == 1
    speed = np.diff(x)
    assert speed.min() >= 0 and speed[50] < 1e-3 and speed[149] < 1e-3


def test_a_motion_carries_its_text_and_a_label_an_action() -> None:
    nod = Action("nod", "both", 0.6, 0.2, 0.5, 1.0, 1.4)
    motion = perform_motion(Performance((nod,), 2.0), 0, text="nod")
    assert motion.text == "nod" and motion.num_frames == 50
    assert [label.text for label in motion.labels] == ["nod"]
    assert float(motion.neck_pose[:, 0].max()) > 0.1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_babble_is_in_range_moves_and_repeats(seed: int) -> None:
    curves = babble(seed, 3.0)
    assert curves.shape == (75, len(CHANNEL_NAMES))
    assert np.array_equal(curves, babble(seed, 3.0))
    units = curves[:, : len(ARKIT_NAMES)]
    assert units.min() >= 0 and units.max() <= 1
    close = curves[:, CHANNEL_NAMES.index("mouthClose")]
    assert (close <= curves[:, CHANNEL_NAMES.index("jawOpen")] + 1e-6).all()


def test_babble_moves_about_as_much_as_a_live_take() -> None:
    steps = [np.abs(np.diff(babble(s, 4.0), axis=0))[:, : len(ARKIT_NAMES)] for s in range(60)]
    assert 0.005 < float(np.mean([s.mean() for s in steps])) < 0.02


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_talk_moves_the_mouth_and_nothing_else(seed: int) -> None:
    times = np.arange(200) / 25.0
    tracks = np.zeros((len(TRACKS), 200))
    speak(tracks, times, np.random.default_rng(seed))
    moves = np.abs(np.diff(tracks, axis=1)).max(1)
    moving = {name for name, size in zip(TRACKS, moves, strict=True) if size > 1e-6}
    assert {"jawOpen", "mouthFunnel", "mouthLowerDownLeft"} <= moving
    assert all(name.startswith(("jaw", "mouth", "tongue")) for name in moving)
    assert tracks.min() >= 0 and tracks.max() <= 1
    assert moves.max() < 0.6  # a frame: the quickest step of a live take
