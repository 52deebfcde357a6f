"""Claims about what is seen on the curves, in a language small enough to write by hand.

A claim is text such as ``"mouthSmile@left | mouthDimple@left"``. It names ARKit channels by their
stem, or one of the derived signs of :data:`SIGNS`, and is checked against curves alone: it knows
neither the lexicon nor who made them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import NDArray

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES

RISE = 0.18  # of an ARKit unit: about where a viewer first notices a change
LEAD = 0.12  # by which one side must exceed the other to count as one-sided
TURN_RADIANS = 0.07  # 4 degrees of head rotation
CLOSED_S, DROOP_S = 0.4, 0.6  # a spontaneous blink is shut for 0.1 to 0.2 s

Mask = NDArray[np.bool_]
Signal = NDArray[np.float64]

_INDEX = {name: i for i, name in enumerate(CHANNEL_NAMES)}
_STEMS = {n.removesuffix("Left").removesuffix("Right") for n in ARKIT_NAMES}
_HEAD = {"headYaw", "headPitch", "headRoll"}


@dataclass(frozen=True)
class Observation:
    """Whether a claim holds, and when it begins.

    Attributes:
        claim: The claim as written.
        holds: Whether it was seen.
        onset_s: When it was first seen, seconds; None where it was not, or for a claim that
            something never happens.
    """

    claim: str
    holds: bool
    onset_s: float | None


def observe(claim: str, curves: Float[ndarray, "t 61"], fps: float) -> Observation:
    """Check one claim against curves.

    Args:
        claim: Alternatives joined by `|`, each of terms joined by `&`; `!term` claims that it
            never happens.
        curves: Channels in the order of `mien.arkit.CHANNEL_NAMES`; units 0 to 1, rotations in
            radians.
        fps: Frames a second.

    Raises:
        ValueError: If a term names no channel or sign.

    Example:
        >>> curves = np.zeros((25, 61), np.float32)
        >>> curves[10:, CHANNEL_NAMES.index("jawOpen")] = 0.6
        >>> observe("tongueOut | jawOpen", curves, 25.0).holds
        True
    """
    onsets = [_conjunction(part, curves, fps) for part in claim.split("|")]
    seen = [onset for holds, onset in onsets if holds]
    times = [onset for onset in seen if onset is not None]
    return Observation(claim, bool(seen), min(times) if times else None)


def observe_all(
    claims: Sequence[str], curves: Float[ndarray, "t 61"], fps: float, ordered: bool = False
) -> tuple[bool, list[Observation]]:
    """Check several claims; with `ordered`, each must also begin after the one before it."""
    seen = [observe(claim, curves, fps) for claim in claims]
    holds = all(o.holds for o in seen)
    if ordered and holds:
        starts = [o.onset_s for o in seen if o.onset_s is not None]
        holds = all(a < b for a, b in zip(starts, starts[1:], strict=False))
    return holds, seen


def _conjunction(text: str, curves: ndarray, fps: float) -> tuple[bool, float | None]:
    onsets: list[float] = []
    for term in (part.strip() for part in text.split("&")):
        mask = _mask(term.removeprefix("!"), curves, fps)
        if bool(mask.any()) == term.startswith("!"):
            return False, None
        if not term.startswith("!"):
            onsets.append(float(np.argmax(mask)) / fps)
    return True, max(onsets) if onsets else None


def _mask(term: str, curves: ndarray, fps: float) -> Mask:
    """Per frame, whether the term is seen."""
    stem, _, side = term.partition("@")
    if stem in SIGNS and not side:
        return SIGNS[stem](curves, fps)
    if stem[:-1] in _HEAD and stem[-1:] in {"+", "-", "~"} and not side:
        return _rotation(curves[:, _INDEX[stem[:-1]]], stem[-1], fps)
    if stem not in _STEMS or side not in {"", "left", "right"}:
        raise ValueError(
            f"A claim must name an ARKit stem or one of {sorted(SIGNS)}, got {term!r}."
        )
    return _unit(stem, side, curves, fps)


def _unit(stem: str, side: str, curves: ndarray, fps: float) -> Mask:
    if stem in _INDEX:
        if side:
            raise ValueError(f"{stem!r} has no sides, got {side!r}.")
        return _smooth(curves[:, _INDEX[stem]], fps) > RISE
    left, right = (_smooth(curves[:, _INDEX[stem + s]], fps) for s in ("Left", "Right"))
    if side == "left":
        return _lead(left, right)
    if side == "right":
        return _lead(right, left)
    return np.asarray((left + right) / 2 > RISE)


def _lead(one: Signal, other: Signal) -> Mask:
    return np.asarray((one > RISE) & (one - other > LEAD))


def _rotation(angle: ndarray, sign: str, fps: float) -> Mask:
    angle = _smooth(angle, fps) - np.median(angle[: max(1, int(fps / 5))])
    if sign == "~":  # a swing: both directions of travel, each of at least the threshold
        up = angle - np.minimum.accumulate(angle) > TURN_RADIANS
        down = np.maximum.accumulate(angle) - angle > TURN_RADIANS
        return np.asarray(np.maximum.accumulate(up) & np.maximum.accumulate(down))
    return np.asarray((angle if sign == "+" else -angle) > TURN_RADIANS)


def _smooth(x: ndarray, fps: float) -> Signal:
    """A moving average of about 0.12 s: a single frame is not seen."""
    width = max(1, int(round(0.12 * fps))) | 1
    padded = np.pad(np.asarray(x, np.float64), width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _pair(stem: str, curves: ndarray) -> ndarray:
    return np.stack([curves[:, _INDEX[stem + "Left"]], curves[:, _INDEX[stem + "Right"]]])


def _held(mask: Mask, seconds: float, fps: float) -> Mask:
    """True from where `mask` has begun a run of at least `seconds`."""
    need = max(1, int(round(seconds * fps)))
    if len(mask) < need:
        return np.zeros(len(mask), bool)
    runs = np.convolve(mask.astype(np.int64), np.ones(need, np.int64), mode="valid") == need
    return np.pad(runs, (0, need - 1))


def _gaze(left: str, right: str) -> Callable[[ndarray, float], Mask]:
    def mask(curves: ndarray, fps: float) -> Mask:
        mean = (curves[:, _INDEX[left]] + curves[:, _INDEX[right]]) / 2
        return _held(_smooth(mean, fps) > RISE, 0.16, fps)

    return mask


def _brows_up(curves: ndarray, fps: float) -> Mask:
    outer = _pair("browOuterUp", curves).mean(0)
    return _smooth(np.maximum(outer, curves[:, _INDEX["browInnerUp"]]), fps) > RISE


def _roll_lips(curves: ndarray, fps: float) -> Mask:
    both = np.maximum(curves[:, _INDEX["mouthRollLower"]], curves[:, _INDEX["mouthRollUpper"]])
    return _smooth(both, fps) > RISE


SIGNS: dict[str, Callable[[ndarray, float], Mask]] = {
    "browsUp": _brows_up,
    "mouthRoll": _roll_lips,
    "eyesClosed": lambda c, fps: _held(_pair("eyeBlink", c).min(0) > 0.6, CLOSED_S, fps),
    "eyesDrooping": lambda c, fps: _held(_pair("eyeBlink", c).min(0) > 0.25, DROOP_S, fps),
    "gazeLeft": _gaze("eyeLookOutLeft", "eyeLookInRight"),
    "gazeRight": _gaze("eyeLookInLeft", "eyeLookOutRight"),
    "gazeUp": _gaze("eyeLookUpLeft", "eyeLookUpRight"),
    "gazeDown": _gaze("eyeLookDownLeft", "eyeLookDownRight"),
}
