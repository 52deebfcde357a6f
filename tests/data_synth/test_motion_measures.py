from collections.abc import Mapping

import numpy as np
import pytest
from numpy import ndarray

from mien.arkit import CHANNEL_NAMES, motion_from_curves
from mien.data_synth.motion_measures import (
    NAMES,
    agreement,
    correlation,
    correlation_distance,
    effective_number,
    observe,
    summarize,
)
from mien.data_synth.performer import minimum_jerk
from mien.motion import Motion


def motion_of(channels: Mapping[str, ndarray], fps: float = 25.0) -> Motion:
    """A motion in which the named channels go as given; stems stand for both sides."""
    count = len(next(iter(channels.values())))
    curves = np.zeros((count, len(CHANNEL_NAMES)), np.float32)
    for name, values in channels.items():
        for column, channel in enumerate(CHANNEL_NAMES):
            if channel in (name, name + "Left", name + "Right"):
                curves[:, column] = values
    return motion_from_curves(curves, fps)


def clock(seconds: float, fps: float = 25.0) -> ndarray:
    return np.arange(round(seconds * fps)) / fps


def blinks(times: ndarray, starts: list[float]) -> ndarray:
    """Shut within 0.12 s, open again 0.24 s after that."""
    return sum(
        (
            minimum_jerk((times - s) / 0.12) * (1 - minimum_jerk((times - s - 0.12) / 0.24))
            for s in starts
        ),
        np.zeros_like(times),
    )


def sine(hz: float, seconds: float = 6.0, phase: float = 0.0, fps: float = 25.0) -> ndarray:
    return 0.4 + 0.3 * np.sin(2 * np.pi * hz * clock(seconds, fps) + phase)


def test_blinks_are_counted_and_their_width_is_measured() -> None:
    lids = blinks(clock(6.0), [0.5, 2.3, 4.1])
    found = summarize([observe(motion_of({"eyeBlink": lids}))])
    assert found["blinks a minute"] == pytest.approx(30.0)
    assert found["blink width at half depth, ms"] == pytest.approx(180, abs=20)
    assert found["blink closing, ms"] < found["blink opening, ms"]
    assert found["blink opening, ms"] == pytest.approx(120, abs=25)


def test_eyes_that_stay_shut_are_no_blink() -> None:
    times = clock(6.0)
    lids = minimum_jerk((times - 1) / 0.2) * (1 - minimum_jerk((times - 3) / 0.2))
    assert summarize([observe(motion_of({"eyeBlink": lids}))])["blinks a minute"] == 0


@pytest.mark.parametrize("seconds", [0.3, 0.8])
def test_an_onset_takes_half_as_long_as_its_minimum_jerk(seconds: float) -> None:
    smile = 0.8 * minimum_jerk((clock(5.0) - 1) / seconds)
    found = summarize([observe(motion_of({"mouthSmile": smile}))])
    assert found["onset of units, ms"] == pytest.approx(500 * seconds, abs=30)
    back = summarize([observe(motion_of({"mouthSmile": smile[::-1].copy()}))])
    assert back["offset of units, ms"] == pytest.approx(found["onset of units, ms"], abs=1)
    assert np.isnan(back["onset of units, ms"])


@pytest.mark.parametrize("fps", [25.0, 50.0])
def test_the_pace_of_a_sine_is_its_frequency(fps: float) -> None:
    found = summarize([observe(motion_of({"jawOpen": sine(1.5, fps=fps)}, fps))])
    assert found["jaw: pace, Hz"] == pytest.approx(1.5, rel=0.05)
    assert found["jaw: speed, 95 %"] == pytest.approx(0.3 * 2 * np.pi * 1.5, rel=0.05)
    assert np.isnan(found["brows: pace, Hz"])


def test_jumps_of_the_gaze_are_measured_in_degrees() -> None:
    times = clock(6.0)
    yaw = np.radians(8.0) * ((times > 1) & (times < 2.5) | (times > 4))
    found = summarize([observe(motion_of({"leftEyeYaw": yaw, "rightEyeYaw": yaw}))])
    assert found["saccades a second"] == pytest.approx(0.5)
    assert found["saccade, degrees"] == pytest.approx(8.0, abs=0.05)


def test_a_still_face_has_nothing_to_measure() -> None:
    found = summarize([observe(Motion.rest(50))])
    assert found["blinks a minute"] == 0 and found["units that move"] == 0
    assert np.isnan([found["lips: pace, Hz"], found["left and right together"]]).all()


def test_clips_are_summed_up_as_one() -> None:
    seen = observe(motion_of({"eyeBlink": blinks(clock(6.0), [1.0]), "jawOpen": sine(1.0)}))
    once, twice = summarize([seen]), summarize([seen, seen])
    assert once == pytest.approx(twice, nan_ok=True)


def test_sides_that_move_alike_agree_and_others_do_not() -> None:
    alike = correlation([observe(motion_of({"mouthSmile": sine(0.5)}))])
    assert agreement(alike) == pytest.approx(1.0)
    quarter = {"mouthSmileLeft": sine(0.5), "mouthSmileRight": sine(0.5, phase=np.pi / 2)}
    assert abs(agreement(correlation([observe(motion_of(quarter))]))) < 0.1


def test_independent_signals_are_counted() -> None:
    three = {"jawOpen": sine(0.5), "browInnerUp": sine(1.0), "mouthPucker": sine(1.5)}
    matrix = correlation([observe(motion_of(three))])
    assert np.isfinite(np.diag(matrix)).sum() == 3 and len(matrix) == len(NAMES)
    assert effective_number(matrix) == pytest.approx(3.0, abs=0.1)
    one = correlation([observe(motion_of(dict.fromkeys(three, sine(0.5))))])
    assert effective_number(one) == pytest.approx(1.0, abs=0.01)
    assert correlation_distance(one, one) == pytest.approx(0.0, abs=1e-6)
    assert correlation_distance(one, matrix) > 0.5


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 frames at 25 a second, got 3"):
        observe(Motion.rest(3))
    with pytest.raises(ValueError, match="at least one motion, got none"):
        summarize([])
    still = correlation([observe(Motion.rest(50))])
    with pytest.raises(ValueError, match="two signals that move in both, got 0"):
        correlation_distance(still, still)
