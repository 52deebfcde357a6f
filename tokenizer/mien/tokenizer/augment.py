"""Make training windows from curves: mixed, mirrored, scaled, and disturbed at random.

Performances alone would teach the codebook one performer's habits. Real captures have other
statistics: no channel rests at zero, the mouth talks, the rates differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES

Curves = NDArray[np.floating[Any]]
_COLUMN = {name: i for i, name in enumerate(CHANNEL_NAMES)}
_UNITS = len(ARKIT_NAMES)


@dataclass(frozen=True)
class AugmentConfig:
    """How often (0..1) each disturbance happens to a window.

    Attributes:
        stretch: Time stretched by 0.7 to 1.4.
        mirror: Left and right exchanged.
        mix: A part of the face taken from another window.
        gain: All units scaled by 0.5 to 1.3.
        offset: Small constant offsets on many units, as captures have.
        babble: Random smooth curves added to random units.
        talk: Jaw and lips at syllable rate.
        turn: The head and the gaze turned by smooth random curves.
        solo: One or two units alone come and go on a face at rest.
        hold: The window frozen at one frame.
    """

    stretch: float = 0.3
    mirror: float = 0.5
    mix: float = 0.25
    gain: float = 0.2
    offset: float = 0.12
    babble: float = 0.08
    talk: float = 0.15
    turn: float = 0.1
    solo: float = 0.1
    hold: float = 0.02


def _parts() -> dict[str, list[int]]:
    upper = ("eyeBlink", "eyeSquint", "eyeWide", "brow")
    gaze = ("eyeLook", "leftEye", "rightEye")
    parts: dict[str, list[int]] = {"upper": [], "gaze": [], "head": [], "lower": []}
    for name, column in _COLUMN.items():
        if name.startswith("head"):
            parts["head"].append(column)
        elif name.startswith(gaze):
            parts["gaze"].append(column)
        elif name.startswith(upper):
            parts["upper"].append(column)
        else:
            parts["lower"].append(column)
    return parts


def _mirror_name(name: str) -> str:
    for old, new in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(old):
            return name.removesuffix(old) + new
    if name.startswith("leftEye"):
        return "rightEye" + name.removeprefix("leftEye")
    if name.startswith("rightEye"):
        return "leftEye" + name.removeprefix("rightEye")
    return name


_PARTS = _parts()
_MIRROR = np.array([_COLUMN[_mirror_name(name)] for name in CHANNEL_NAMES])
_MIRROR_SIGN = np.array(
    [-1.0 if n.endswith(("Yaw", "Roll")) else 1.0 for n in CHANNEL_NAMES], dtype=np.float32
)
_BABBLED = [_COLUMN[n] for n in ARKIT_NAMES if not n.startswith("eyeLook")]
_TALKING = [
    _COLUMN[n]
    for n in ARKIT_NAMES
    if n.startswith(("mouth", "jawForward", "jawLeft", "cheekSquint", "noseSneer"))
]


def mirror_curves(curves: Curves) -> Curves:
    """Exchange left and right: names change sides, yaw and roll change signs."""
    mirrored: Curves = curves[..., _MIRROR] * _MIRROR_SIGN
    return mirrored


def smooth_noise(
    rng: np.random.Generator, frames: int, channels: int, rate_hz: float, fps: float = 25.0
) -> Curves:
    """Give random smooth curves [T, C] of about unit deviation, by cubic-eased random knots."""
    step = fps / max(rate_hz, 1e-3)
    phase = rng.random()
    position = np.arange(frames) / step + phase
    knots = rng.standard_normal((int(position[-1]) + 3, channels)).astype(np.float32)
    index = position.astype(int)
    t = (position - index).astype(np.float32)[:, None]
    ease = t * t * t * (t * (6.0 * t - 15.0) + 10.0)  # minimum jerk
    curves: Curves = knots[index] * (1.0 - ease) + knots[index + 1] * ease
    return curves


def _cut(rng: np.random.Generator, clip: Curves, frames: int, stretch: float) -> Curves:
    """Cut a window at a random place, time stretched; short clips repeat their last frame."""
    span = (frames - 1) / stretch
    start = rng.uniform(0.0, max(len(clip) - 1 - span, 0.0))
    if stretch == 1.0:
        start = np.floor(start)
    position = np.minimum(start + np.arange(frames) / stretch, len(clip) - 1)
    low = position.astype(int)
    high = np.minimum(low + 1, len(clip) - 1)
    t = (position - low).astype(np.float32)[:, None]
    window: Curves = clip[low].astype(np.float32) * (1.0 - t) + clip[high].astype(np.float32) * t
    return window


def _talk(rng: np.random.Generator, window: Curves) -> None:
    """Add speech: phrases with pauses, an opening jaw, many lip units at syllable rate."""
    frames = len(window)
    voiced = smooth_noise(rng, frames, 1, rng.uniform(0.4, 1.2))[:, 0] > rng.uniform(-1.5, 0.5)
    level = np.convolve(voiced, np.ones(5) / 5.0, mode="same").astype(np.float32)
    jaw = np.abs(smooth_noise(rng, frames, 1, rng.uniform(3.0, 9.0))[:, 0])
    opening = rng.uniform(0.1, 0.5) * jaw * level
    window[:, _COLUMN["jawOpen"]] += opening
    window[:, _COLUMN["mouthClose"]] += opening * rng.uniform(0.0, 0.9)
    count = int(rng.integers(3, len(_TALKING)))
    chosen = rng.choice(_TALKING, size=count, replace=False)
    shapes = smooth_noise(rng, frames, count, rng.uniform(2.0, 8.0)) + rng.uniform(0.0, 1.0, count)
    strength = rng.uniform(0.03, 0.3, count)
    window[:, chosen] += np.maximum(shapes, 0.0) * strength * level[:, None]


def _babble(rng: np.random.Generator, window: Curves) -> None:
    count = int(rng.integers(2, 14))
    chosen = rng.choice(_BABBLED, size=count, replace=False)
    curves = smooth_noise(rng, len(window), count, float(rng.choice([0.4, 0.8, 1.5, 3.0, 5.0])))
    window[:, chosen] += rng.uniform(0.05, 0.6, count) * (curves + rng.uniform(-0.5, 1.0, count))


def _solo(rng: np.random.Generator, window: Curves) -> None:
    """Put one or two units on a face at rest: codes must exist for each of them alone."""
    frames = len(window)
    window[:, :_UNITS] = 0.0
    for column in rng.choice(_BABBLED, size=int(rng.integers(1, 3)), replace=False):
        start = int(rng.integers(0, frames // 2))
        stop = int(rng.integers(start + 6, max(frames + 1, start + 7)))
        bell = np.sin(np.pi * np.arange(stop - start) / (stop - start)) ** rng.uniform(0.2, 1.5)
        window[start:stop, column] = rng.uniform(0.3, 1.0) * bell[: frames - start]


def _turn(rng: np.random.Generator, window: Curves) -> None:
    frames = len(window)
    head = smooth_noise(rng, frames, 3, rng.uniform(0.3, 2.0)) + rng.normal(0.0, 0.7, 3)
    window[:, _PARTS["head"]] += head * rng.uniform(0.02, 0.2)
    gaze = smooth_noise(rng, frames, 2, rng.uniform(0.3, 2.5)) * rng.uniform(0.1, 0.5)
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        outward = gaze[:, 0] * sign  # to the subject's left: outward for the left eye
        for name, value in (("Out", outward), ("In", -outward)):
            window[:, _COLUMN[f"eyeLook{name}{side}"]] += np.maximum(value, 0.0)
        for name, value in (("Down", gaze[:, 1]), ("Up", -gaze[:, 1])):
            window[:, _COLUMN[f"eyeLook{name}{side}"]] += np.maximum(value, 0.0)


def sample_window(
    rng: np.random.Generator, clips: Sequence[Curves], frames: int, config: AugmentConfig
) -> Curves:
    """Make one window [frames, 61] of curves from random clips."""

    def happens(probability: float) -> bool:
        return bool(rng.random() < probability)

    def cut() -> Curves:
        stretch = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4))))
        clip = clips[int(rng.integers(len(clips)))]
        return _cut(rng, clip, frames, stretch if happens(config.stretch) else 1.0)

    window = cut()
    if happens(config.mix):
        other = cut()
        for columns in _PARTS.values():
            if happens(0.5):
                window[:, columns] = other[:, columns]
    if happens(config.gain):
        window[:, :_UNITS] *= rng.uniform(0.5, 1.3)
    if happens(config.offset):
        window[:, _BABBLED] += np.maximum(
            rng.normal(0.0, rng.uniform(0.02, 0.25), len(_BABBLED)), 0.0
        )
    for probability, disturb in (
        (config.babble, _babble),
        (config.talk, _talk),
        (config.turn, _turn),
        (config.solo, _solo),
    ):
        if happens(probability):
            disturb(rng, window)
    if happens(config.hold):
        window[:] = window[int(rng.integers(frames))]
    window[:, :_UNITS] = window[:, :_UNITS].clip(0.0, 1.0)
    return mirror_curves(window) if happens(config.mirror) else window


def sample_batch(
    rng: np.random.Generator,
    clips: Sequence[Curves],
    windows: int,
    frames: int,
    config: AugmentConfig,
) -> Curves:
    """Make a batch [windows, frames, 61] of curves."""
    return np.stack([sample_window(rng, clips, frames, config) for _ in range(windows)])
