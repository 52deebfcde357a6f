"""The style of one performer: how strongly, how evenly and how loosely a face moves."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.data_synth.lexicon import TRACKS

_REGIONS = {
    "brow": 0.16,
    "eyeBlink": 0.02,
    "eye": 0.12,
    "nose": 0.15,
    "cheek": 0.15,
    "mouth": 0.12,
    "jaw": 0.12,
    "tongue": 0.05,
    "head": 0.18,
    "gaze": 0.08,
    "cross": 0.05,
}


@dataclass(frozen=True, eq=False)
class Style:
    """One performer.

    Attributes:
        gains: A factor a track.
        rest: What the face shows when it does nothing, by track.
        tempo_share: 0 for the slowest repetitions of an entry, 1 for the quickest.
        looseness: Factor of head sway and of the head's part in a gaze shift.
        blink_hz: Spontaneous blinks a second of the quiet face.
        alertness: Factor of saccade rate.
    """

    gains: Float[ndarray, " c"]
    rest: Float[ndarray, " c"]
    tempo_share: float
    looseness: float
    blink_hz: float
    alertness: float

    @staticmethod
    def from_seed(seed: int) -> "Style":
        """The performer of that number; the same one every time."""
        rng = np.random.default_rng([0x57F1E, seed])
        return Style(
            gains=_gains(rng),
            rest=_rest(rng),
            tempo_share=float(rng.uniform()),
            looseness=float(np.exp(rng.normal(0, 0.35))),
            blink_hz=float(np.clip(np.exp(rng.normal(np.log(0.25), 0.35)), 0.1, 0.6)),
            alertness=float(np.exp(rng.normal(0, 0.25))),
        )


def _gains(rng: np.random.Generator) -> ndarray:
    spread = {region: np.exp(rng.normal(0, s)) for region, s in _REGIONS.items()}
    sides = rng.normal(0, 0.06)  # one half of the face moves a little more
    own = np.exp(rng.normal(0, 0.05, len(TRACKS)))
    return np.array([spread[_region(t)] * _side_gain(t, sides) for t in TRACKS]) * own


def _side_gain(track: str, skew: float) -> float:
    if track.startswith("eyeBlink"):
        return 1.0
    return 1.0 + skew if track.endswith("Left") else 1.0 - skew if track.endswith("Right") else 1.0


def _region(track: str) -> str:
    return next(region for region in _REGIONS if track.startswith(region))


def _rest(rng: np.random.Generator) -> ndarray:
    """A few units that are never quite off, as trackers report them."""
    rest = rng.gamma(0.7, 0.025, len(TRACKS))
    still = [i for i, t in enumerate(TRACKS) if t.startswith(_NEVER_AT_REST)]
    rest[still] = 0.0
    rest[TRACKS.index("eyeBlinkLeft")] = rest[TRACKS.index("eyeBlinkRight")] = rng.uniform(0, 0.08)
    return np.minimum(rest, 0.1)


_NEVER_AT_REST = (
    *("head", "gaze", "cross", "tongue", "eyeWide", "eyeLook", "cheekPuff"),
    *("jawSide", "jawLeft", "jawRight", "jawForward"),
    *("mouthSide", "mouthClose", "mouthLeft", "mouthRight", "mouthFunnel"),
)
