"""Mouths that talk: visemes in chance order, as ARKit units. Nothing is said."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.data_synth.performer import TRACK, minimum_jerk

# What the mouth does for groups of sounds, in units; both sides. After the visemes of MPEG-4.
_VISEMES: tuple[dict[str, float], ...] = (
    {
        "mouthPress": 0.4,
        "mouthRollLower": 0.3,
        "mouthRollUpper": 0.25,
        "mouthClose": 0.08,
    },  # p b
    {"mouthRollLower": 0.5, "mouthUpperUp": 0.25, "mouthShrugLower": 0.2, "jawOpen": 0.06},  # f v
    {"jawOpen": 0.14, "mouthLowerDown": 0.25, "mouthUpperUp": 0.12, "tongueOut": 0.15},  # th
    {
        "jawOpen": 0.12,
        "mouthLowerDown": 0.28,
        "mouthUpperUp": 0.12,
        "mouthStretch": 0.1,
    },  # d t
    {"jawOpen": 0.2, "mouthLowerDown": 0.18, "mouthUpperUp": 0.12, "mouthShrugUpper": 0.1},  # k g
    {"mouthFunnel": 0.5, "mouthPucker": 0.3, "jawOpen": 0.08, "mouthShrugUpper": 0.2},  # sh ch j
    {
        "mouthStretch": 0.25,
        "mouthLowerDown": 0.38,
        "mouthUpperUp": 0.15,
        "mouthDimple": 0.15,
    },  # s
    {"mouthFunnel": 0.3, "mouthPucker": 0.35, "jawOpen": 0.12, "mouthRollUpper": 0.1},  # r
    {"jawOpen": 0.45, "mouthLowerDown": 0.3, "mouthUpperUp": 0.15},  # a
    {"jawOpen": 0.22, "mouthStretch": 0.25, "mouthSmile": 0.15, "mouthLowerDown": 0.3},  # e
    {"jawOpen": 0.12, "mouthStretch": 0.3, "mouthSmile": 0.25, "mouthUpperUp": 0.2},  # i
    {"jawOpen": 0.35, "mouthFunnel": 0.5, "mouthPucker": 0.2},  # o
    {"mouthPucker": 0.75, "mouthFunnel": 0.35, "jawOpen": 0.1, "mouthClose": 0.06},  # u
    {},  # a moment's rest
)
_STEMS = sorted({stem for viseme in _VISEMES for stem in viseme})


def speak(
    tracks: Float[ndarray, "c t"], times: Float[ndarray, " t"], rng: np.random.Generator
) -> None:
    """Add talk to `tracks` in place: 4 to 8 visemes a second, with pauses.

    Args:
        tracks: Units, head and gaze, as `mien.data_synth.lexicon.TRACKS`.
        times: Of the frames, seconds.
        rng: Chance: who talks, how clearly, and what.
    """
    levels = _table(rng)
    starts = np.cumsum(rng.gamma(4.0, 1.0 / (4.0 * rng.uniform(4, 8)), int(times[-1] * 12) + 4))
    said = _choose(starts, rng)
    stress = np.exp(rng.normal(0, 0.3, len(said)))
    index = np.clip(np.searchsorted(starts, times, side="right"), 1, len(said) - 1)
    begun = times - starts[index - 1]
    length = np.minimum(np.diff(starts, append=starts[-1] + 1)[index - 1], 0.22)
    share = minimum_jerk(begun / np.maximum(length, 0.06))
    targets = levels[said] * stress[:, None]
    mouth = targets[index - 1] * (1 - share[:, None]) + targets[index] * share[:, None]
    skew = rng.normal(0, 0.06)
    for column, stem in enumerate(_STEMS):
        for side, skewed in (("", 1.0), ("Left", 1 + skew), ("Right", 1 - skew)):
            if stem + side in TRACK:
                unit = tracks[TRACK[stem + side]]
                unit += np.minimum(skewed * mouth[:, column], 1) * (1 - unit.clip(0, 1))


def _table(rng: np.random.Generator) -> Float[ndarray, "v u"]:
    """One speaker's visemes: some units more, some less, all as clear as the speaker is."""
    table = np.array([[viseme.get(stem, 0.0) for stem in _STEMS] for viseme in _VISEMES])
    table *= np.exp(rng.normal(0, 0.35, len(_STEMS)))
    table *= np.exp(rng.normal(0, 0.25, table.shape))
    return np.asarray(table * rng.uniform(0.4, 1.3))


def _choose(starts: Float[ndarray, " n"], rng: np.random.Generator) -> ndarray:
    """A viseme a start; now and then a phrase ends and the mouth rests for some of them."""
    said = rng.integers(0, len(_VISEMES) - 1, len(starts))
    rest = len(_VISEMES) - 1
    at = 0
    while at < len(said):
        at += int(rng.integers(5, 25))
        pause = int(rng.integers(1, 8))
        said[at : at + pause] = rest
        at += pause
    return said
