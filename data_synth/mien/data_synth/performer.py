"""The performer: turns a performance into the curves of a living face.

Actions rise and fall by minimum-jerk envelopes and are laid over each other in time order: a later
action pushes its antagonists aside, and shares what they have in common. Blinks, saccades, sway,
breath and jitter go on underneath.
"""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES, motion_from_curves
from mien.data_synth.idle import add_idle
from mien.data_synth.lexicon import TRACKS, Entry, Lexicon, Units
from mien.data_synth.performance import Action, Performance
from mien.data_synth.style import Style
from mien.motion import Label, Motion

NUM_UNITS = len(ARKIT_NAMES)
TRACK = {name: i for i, name in enumerate(TRACKS)}
_COLUMN = {name: i for i, name in enumerate(CHANNEL_NAMES)}

# A unit at full strength leaves this share of the other: muscles that pull against each other.
_ANTAGONISTS: dict[tuple[str, str], float] = {
    ("mouthSmile", "mouthFrown"): 0.2,
    ("mouthSmile", "mouthPucker"): 0.3,
    ("mouthSmile", "mouthFunnel"): 0.5,
    ("mouthStretch", "mouthPucker"): 0.2,
    ("mouthStretch", "mouthFunnel"): 0.4,
    ("mouthDimple", "mouthPucker"): 0.3,
    ("jawOpen", "mouthPress"): 0.2,
    ("jawOpen", "mouthRollLower"): 0.4,
    ("jawOpen", "mouthRollUpper"): 0.4,
    ("jawOpen", "mouthShrugLower"): 0.5,
    ("jawOpen", "cheekPuff"): 0.3,
    ("mouthPress", "mouthFunnel"): 0.4,
    ("mouthPress", "mouthLowerDown"): 0.4,
    ("mouthRollLower", "mouthShrugLower"): 0.5,
    ("mouthRollLower", "mouthLowerDown"): 0.5,
    ("browDown", "browOuterUp"): 0.25,
    ("browDown", "browInnerUp"): 0.6,
    ("eyeBlink", "eyeWide"): 0.05,
    ("eyeSquint", "eyeWide"): 0.3,
    ("tongueOut", "mouthPress"): 0.2,
    ("tongueOut", "mouthPucker"): 0.4,
}


def perform(
    performance: Performance, seed: int, fps: float = 25.0, lexicon: Lexicon | None = None
) -> Float[ndarray, "t 61"]:
    """Curves of a performance.

    Args:
        performance: What to do; its `style_seed` says who does it.
        seed: Chance of blinks, saccades, sway and jitter.
        fps: Frames a second.
        lexicon: Where the recipes are; the shipped one when not given.

    Returns:
        float32, columns `mien.arkit.CHANNEL_NAMES`: units in 0..1, head rotation in radians. The
        gaze is in the eyeLook units; the eyes' own rotation columns are zero.
    """
    lexicon = lexicon or Lexicon.default()
    rng = np.random.default_rng([seed & 0xFFFFFFFF, performance.style_seed])
    style = Style.from_seed(performance.style_seed)
    times = np.arange(max(1, round(performance.seconds * fps))) / fps
    tracks = np.zeros((len(TRACKS), len(times)))
    quiet = np.ones(len(times))
    blinks = np.ones(len(times))
    for action in performance.actions:
        entry = lexicon[action.entry].on_side(action.side)
        weight, layer = action_tracks(action, entry, times, style, rng)
        tracks = _lay_over(tracks, layer)
        quiet *= 1 - 0.8 * weight * bool(entry.blinks == 0 or "gazeYaw" in entry.units)
        blinks *= 1 + (entry.blinks - 1) * weight
    tracks *= style.gains[:, None]
    add_idle(tracks, times, style, rng, blinks, quiet)
    return to_curves(tracks)


def perform_motion(
    performance: Performance,
    seed: int,
    fps: float = 25.0,
    lexicon: Lexicon | None = None,
    text: str = "",
) -> Motion:
    """The same as a Motion of the default head, with its text and a label an action."""
    curves = torch.from_numpy(perform(performance, seed, fps, lexicon))
    motion = motion_from_curves(curves, fps)
    labels = tuple(
        Label(a.start_s, min(a.end_s, motion.seconds), a.entry.replace("-", " "))
        for a in performance.actions
    )
    return motion.replace(text=text, labels=labels)


def minimum_jerk(x: Float[ndarray, "*t"]) -> Float[ndarray, "*t"]:
    """The smoothest way from 0 to 1, at rest at both ends.

    Source:
        Flash and Hogan 1985, doi:10.1523/JNEUROSCI.05-07-01688.1985.
    """
    x = np.clip(x, 0.0, 1.0)
    return np.asarray(x * x * x * (10 - 15 * x + 6 * x * x))


def envelope(action: Action, times: Float[ndarray, " t"]) -> Float[ndarray, " t"]:
    """How much of an action is there at each time, 0 to 1."""
    rise = minimum_jerk((times - action.start_s) / max(action.apex_s - action.start_s, 1e-3))
    if action.release_s >= action.end_s:
        return rise
    fall = minimum_jerk((times - action.release_s) / (action.end_s - action.release_s))
    return np.asarray(rise * (1 - fall))


def action_tracks(
    action: Action,
    entry: Entry,
    times: Float[ndarray, " t"],
    style: Style,
    rng: np.random.Generator,
) -> tuple[Float[ndarray, " t"], Float[ndarray, "c t"]]:
    """One action alone: its envelope and what it adds to every track."""
    shape = envelope(action, times)
    scale = entry.amplitude(action.intensity)
    layer = _column(entry.units)[:, None] * (shape * _wander(times, rng))
    if entry.wave:
        for track, weight in entry.wave.items():
            layer[TRACK[track]] += weight * _wave(entry, action, times, shape, style, rng, track)
    if entry.steps:
        layer += _walk(entry, action, times)
    return shape, layer * scale


def _column(units: Units) -> Float[ndarray, " c"]:
    column = np.zeros(len(TRACKS))
    for track, weight in units.items():
        column[TRACK[track]] = weight
    return column


def _wander(times: ndarray, rng: np.random.Generator) -> ndarray:
    """A held look is never quite still: a slow drift of a few per cent."""
    rate, phase = rng.uniform(0.3, 0.9), rng.uniform(0, 2 * np.pi)
    return 1 - 0.05 * (0.5 + 0.5 * np.sin(2 * np.pi * rate * times + phase))


def _wave(
    entry: Entry,
    action: Action,
    times: ndarray,
    shape: ndarray,
    style: Style,
    rng: np.random.Generator,
    track: str,
) -> ndarray:
    """The repetition of one track; whole cycles, so that it begins and ends at rest."""
    room = action.end_s - action.start_s
    low, high = entry.hz
    cycles = max(1, round(room * (low + (high - low) * style.tempo_share)))
    x = np.clip((times - action.start_s) / room, 0, 1) * cycles
    short = np.minimum(1, np.minimum(x, cycles - x) * 4)
    if entry.shape == "beat":
        return (0.5 - 0.5 * np.cos(2 * np.pi * x)) * (1 - 0.12 * (np.floor(x) % 2))
    if entry.shape == "sine":
        return np.asarray(np.sin(2 * np.pi * x) * short)
    if entry.shape == "blink":
        return blink_pulse((x % 1) * room / cycles) * (shape > 0)
    if entry.shape == "square":
        return np.asarray(np.clip(3 * np.sin(2 * np.pi * x), -1, 1) * np.sqrt(short))
    if entry.shape == "saw":
        sweep = minimum_jerk((x % 1) / 0.8) - minimum_jerk((x % 1 - 0.8) / 0.2)
        return np.asarray((1 - 2 * sweep) * short)
    if entry.shape == "tremble":
        return np.asarray(_tremble(times, cycles / room, rng) * shape)
    return np.asarray(_speech(x, track, rng) * shape)


def _tremble(times: ndarray, hz: float, rng: np.random.Generator) -> ndarray:
    rates = hz * rng.uniform(0.75, 1.3, 3)[:, None]
    return np.asarray(
        np.sin(2 * np.pi * rates * times + rng.uniform(0, 6.28, 3)[:, None]).mean(0) * 1.4
    )


def _speech(x: ndarray, track: str, rng: np.random.Generator) -> ndarray:
    """Syllables: beats of uneven height and pace, every articulator with its own."""
    lag = {"jawOpen": 0.0}.get(track, rng.uniform(0.2, 0.6))
    x = x + lag + 0.25 * np.sin(2 * np.pi * 0.23 * x + rng.uniform(0, 6.28))
    heights = rng.uniform(0.35, 1.0, int(x.max()) + 3)
    return np.asarray(heights[np.floor(x).astype(int)] * (0.5 - 0.5 * np.cos(2 * np.pi * x)))


def blink_pulse(t: Float[ndarray, "*t"]) -> Float[ndarray, "*t"]:
    """Closure `t` seconds after a blink begins: shut within 0.07 s, open again by 0.23 s."""
    return np.asarray(minimum_jerk(t / 0.07) * (1 - minimum_jerk((t - 0.08) / 0.15)))


def _walk(entry: Entry, action: Action, times: ndarray) -> ndarray:
    """From step to step by minimum-jerk moves."""
    x = np.clip((times - action.start_s) / (action.end_s - action.start_s), 0, 1)
    at = np.array([step for step, _ in entry.steps])
    places = np.stack([_column(units) for _, units in entry.steps])  # [S, C]
    index = np.clip(np.searchsorted(at, x, side="right") - 1, 0, len(at) - 2)
    u = minimum_jerk((x - at[index]) / (at[index + 1] - at[index]))
    inside = (times >= action.start_s) & (times <= action.end_s + 1e-9)
    return np.asarray((places[index].T * (1 - u) + places[index + 1].T * u) * inside)


def _lay_over(below: ndarray, layer: ndarray) -> ndarray:
    """Put a new layer on what is there: antagonists give way, the rest saturates."""
    units = slice(0, NUM_UNITS)
    new = np.clip(layer[units], 0.0, 1.0)
    kept = np.exp(_yielding() @ new) * below[units]
    out = below.copy()
    out[units] = np.maximum(kept, new) + 0.25 * np.minimum(kept, new) * (1 - np.maximum(kept, new))
    signed = slice(NUM_UNITS, None)
    yield_gaze = 1 - np.clip(np.abs(layer[signed]), 0, 1) * 0.5
    out[signed] = below[signed] * yield_gaze + layer[signed]
    return out


@cache
def _yielding() -> Float[ndarray, "c c"]:
    """Log of the share that row keeps when column is at full strength."""
    matrix = np.zeros((NUM_UNITS, NUM_UNITS))
    for (first, second), share in _ANTAGONISTS.items():
        for a in _sides(first):
            for b in _sides(second):
                matrix[a, b] = np.log(share) * _pull(a, b)
                matrix[b, a] = np.log(share) * _pull(b, a)
    return matrix


def _sides(stem: str) -> list[int]:
    return [TRACK[n] for n in (stem, stem + "Left", stem + "Right") if n in TRACK]


def _pull(pulled: int, puller: int) -> float:
    """One unit's share of a full pull on another; each half of a pair has half on the middle."""
    own, other = (_side_of(TRACKS[i]) for i in (pulled, puller))
    if other and not own:
        return 0.5
    return 0.3 if own and other and own != other else 1.0


def _side_of(track: str) -> str:
    return next((s for s in ("Left", "Right") if track.endswith(s)), "")


def to_curves(tracks: Float[ndarray, "c t"]) -> Float[ndarray, "t 61"]:
    """Write the signed tracks as the ARKit units they stand for and clip to range."""
    curves = np.zeros((tracks.shape[1], len(CHANNEL_NAMES)), np.float32)
    curves[:, :NUM_UNITS] = np.clip(tracks[:NUM_UNITS], 0, 1).T
    yaw, pitch = tracks[TRACK["gazeYaw"]], tracks[TRACK["gazePitch"]]
    cross = tracks[TRACK["crossEyes"]]
    for eye, out in (("Left", yaw - cross), ("Right", -yaw - cross)):
        pairs = {"Out": out, "In": -out, "Down": pitch, "Up": -pitch}
        for direction, value in pairs.items():
            curves[:, _COLUMN[f"eyeLook{direction}{eye}"]] = np.clip(value, 0, 1)
    for part in ("mouth", "jaw"):
        side = tracks[TRACK[part + "Side"]]
        curves[:, _COLUMN[part + "Left"]] = np.clip(side, 0, 1)
        curves[:, _COLUMN[part + "Right"]] = np.clip(-side, 0, 1)
    for i, track in enumerate(("headYaw", "headPitch", "headRoll")):
        curves[:, NUM_UNITS + i] = np.clip(tracks[TRACK[track]], -1.2, 1.2)
    _close_lips(curves)
    return curves


def _close_lips(curves: Float[ndarray, "t 61"]) -> None:
    """ARKit's mouthClose undoes jawOpen and is never more than it."""
    close, jaw = _COLUMN["mouthClose"], _COLUMN["jawOpen"]
    curves[:, close] = np.minimum(curves[:, close], curves[:, jaw])
