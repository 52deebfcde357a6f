"""Free motion without words: any mix of units at the pace of speech and play-acting.

Performances visit named looks only. A tokenizer must also carry what real captures do between
them, so part of its training is motion of this kind. It has no text.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.data_synth.idle import add_idle
from mien.data_synth.lexicon import TRACKS
from mien.data_synth.performer import TRACK, minimum_jerk, to_curves
from mien.data_synth.speech import speak
from mien.data_synth.style import Style

_TALKS = 0.5  # share of clips in which the mouth says something
_SPEECH = ("jaw", "mouth")
_SIGNED_SIZE = {
    "headYaw": 0.35,
    "headPitch": 0.25,
    "headRoll": 0.2,
    "gazeYaw": 0.6,
    "gazePitch": 0.5,
}
_WRITTEN_AS_SIDES = frozenset({"mouthLeft", "mouthRight", "jawLeft", "jawRight"})
_RARE = frozenset({"tongueOut", "cheekPuff", "crossEyes"}) | _WRITTEN_AS_SIDES


def babble(seed: int, seconds: float, fps: float = 25.0) -> Float[ndarray, "t 61"]:
    """Curves of free motion, calibrated on a live capture.

    Args:
        seed: Chance.
        seconds: Length.
        fps: Frames a second.

    Returns:
        float32, as :func:`mien.data_synth.performer.perform`. On an iPhone take at 25 frames a
        second a unit moves by 0.011 a frame on average, with steps of up to 0.6; these by 0.008.
    """
    rng = np.random.default_rng([0xBABB1E, seed])
    style = Style.from_seed(int(rng.integers(1 << 31)))
    times = np.arange(max(1, round(seconds * fps))) / fps
    tracks = np.zeros((len(TRACKS), len(times)))
    busy = rng.beta(0.8, 1.2) * 1.6  # some clips are nearly still, some never rest
    talks = rng.random() < _TALKS
    for stem in _stems():
        mien = busy * (0.25 if talks and stem.startswith(_SPEECH) else 1.0)
        for track, gain in _pair(stem, rng):
            tracks[track] = gain * _pulses(stem, times, mien, rng)
    _join_sides(tracks, rng)
    jaw = tracks[TRACK["jawOpen"]]
    tracks[TRACK["mouthClose"]] = jaw * rng.uniform(0.1, 1.0) * (rng.random() < 0.7)
    if talks:
        speak(tracks, times, rng)
    add_idle(tracks, times, style, rng, np.ones(len(times)), np.ones(len(times)))
    return to_curves(tracks)


def _stems() -> list[str]:
    names = (t.removesuffix("Right") + "Left" if t.endswith("Right") else t for t in TRACKS)
    return [n for n in dict.fromkeys(names) if n in TRACK and not n.startswith("eyeLook")]


def _pair(stem: str, rng: np.random.Generator) -> list[tuple[int, float]]:
    return [(TRACK[stem], float(np.exp(rng.normal(0, 0.1))))]


def _join_sides(tracks: ndarray, rng: np.random.Generator) -> None:
    """The right half follows the left, closely as a rule."""
    for name, left in TRACK.items():
        right = TRACK.get(name.removesuffix("Left") + "Right", -1)
        if name.endswith("Left") and right >= 0 and name not in ("mouthLeft", "jawLeft"):
            share = rng.choice((1.0, 1.0, 0.85, 0.5, 0.1))
            tracks[right] = tracks[left] * share * np.exp(rng.normal(0, 0.06))
            if rng.random() < 0.5:
                tracks[[left, right]] = tracks[[right, left]]


def _pulses(stem: str, times: ndarray, busy: float, rng: np.random.Generator) -> ndarray:
    """Levels visited in turn by minimum-jerk moves."""
    signed = stem in _SIGNED_SIZE or stem.endswith("Side")
    rate = busy * (3.2 if stem.startswith(_SPEECH) else 1.1)
    if stem in _RARE:
        rate *= 0.15
    count = rng.poisson(rate * times[-1]) + 2
    at = np.sort(rng.uniform(0, times[-1] + 0.1, count))
    at = at[np.diff(at, prepend=-1.0) > 0.11]  # no move is quicker than that
    count = len(at)
    if signed:
        levels = rng.normal(0, _SIGNED_SIZE.get(stem, 0.3), count)
    else:
        levels = rng.beta(0.5, 1.6, count) * rng.uniform(0.3, 1.1)
    levels = np.concatenate([[levels[0]], levels]) * min(1.0, busy)
    index = np.clip(np.searchsorted(at, times, side="right") - 1, 0, count - 1)
    length = np.minimum(np.append(np.diff(at), 1.0), rng.uniform(0.1, 0.4)) + 0.02
    u = minimum_jerk((times - at[index]) / length[index])
    return np.asarray(
        np.where(times < at[0], levels[0], levels[index] * (1 - u) + levels[index + 1] * u)
    )
