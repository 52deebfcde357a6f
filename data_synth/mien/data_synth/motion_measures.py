"""Measures of how faces move: speed and jerk, onsets, blinks, saccades, quiet, what goes together.

A motion is first observed (:func:`observe`); observations of several motions are then summed up
together (:func:`summarize`), so that many short clips compare with one long recording. Units are
ARKit's, 0 to 1; gaze and head are in degrees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.signal import find_peaks, peak_widths

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES, curves_from_motion
from mien.motion import Motion

__all__ = [
    "FPS",
    "GROUPS",
    "NAMES",
    "Observations",
    "agreement",
    "correlation",
    "correlation_distance",
    "effective_number",
    "observe",
    "signals_of",
    "summarize",
]

FPS = 25.0  # all motions are brought to it
UNITS = tuple(name for name in ARKIT_NAMES if not name.startswith("eyeLook"))
ANGLES = ("gazeYaw", "gazePitch", "headYaw", "headPitch", "headRoll")
NAMES: tuple[str, ...] = UNITS + ANGLES
"""The signals that are measured: units, then the angles of both eyes' mean and of the head."""

GROUPS: dict[str, tuple[str, ...]] = {
    "brows": ("brow",),
    "lids": ("eye",),
    "cheeks, nose": ("cheekSquint", "nose"),
    "jaw": ("jaw",),
    "lips": ("mouth", "tongue", "cheekPuff"),
    "gaze": ("gaze",),
    "head": ("head",),
}
"""Groups of signals by how their names begin."""

MOVES = 0.1  # of a unit: a signal whose range is below this rests
MOVES_DEG = 2.0
LEAST_BLINK, LONGEST_BLINK_S = 0.35, 0.6  # closure beyond its surroundings; width at half of it
LEAST_RISE = 0.2  # of a unit
SACCADE_DEG_PER_S = 25.0
SHUT = 0.4  # lids beyond which the gaze is not seen
QUIET_S, QUIET_PERCENT = 0.8, 20


@dataclass(frozen=True, eq=False)
class Observations:
    """What is seen in one motion.

    Attributes:
        seconds: Its length.
        speed: By group, size of the speeds of the signals that move, a second.
        jerk: By group, the same of the third derivative, a second cubed.
        calm: By group, root mean square speed in each stretch of `QUIET_S`.
        blinks: A row each: width at half depth, time to close, time to open (seconds), depth.
        onsets: A row each: seconds from a tenth to nine tenths of a rise, its size in units.
        offsets: The same of falls.
        saccades: A row each: size in degrees.
        seen_s: Seconds in which the gaze is seen.
        moving: How many units move.
        spread: Standard deviation of the angles, degrees.
        scatter: Sum over frames of the signals' products about their means.
        lids: The lids' closure around each blink's deepest frame.
    """

    seconds: float
    speed: Mapping[str, Float[ndarray, " n"]]
    jerk: Mapping[str, Float[ndarray, " n"]]
    calm: Mapping[str, Float[ndarray, " n"]]
    blinks: Float[ndarray, "n 4"]
    onsets: Float[ndarray, "n 2"]
    offsets: Float[ndarray, "n 2"]
    saccades: Float[ndarray, " n"]
    seen_s: float
    moving: int
    spread: Float[ndarray, " a"]
    scatter: Float[ndarray, "c c"]
    lids: Float[ndarray, "n w"]


def signals_of(motion: Motion) -> Float[ndarray, "t c"]:
    """The signals of a motion of the default head, columns `NAMES`, 25 frames a second."""
    motion = motion.resample(FPS)
    curves = curves_from_motion(motion).double().numpy()
    units = curves[:, [CHANNEL_NAMES.index(name) for name in UNITS]]
    angle = {name: np.degrees(curves[:, CHANNEL_NAMES.index(name)]) for name in CHANNEL_NAMES[52:]}
    gaze = [(angle[f"leftEye{way}"] + angle[f"rightEye{way}"]) / 2 for way in ("Yaw", "Pitch")]
    head = [angle[f"head{way}"] for way in ("Yaw", "Pitch", "Roll")]
    return np.column_stack([units, *gaze, *head])


def columns_of(group: str) -> list[int]:
    """Columns of a group of `GROUPS`."""
    return [i for i, name in enumerate(NAMES) if name.startswith(GROUPS[group])]


def observe(motion: Motion) -> Observations:
    """Look at a motion of at least four frames.

    Raises:
        ValueError: If it is shorter.
    """
    signals = signals_of(motion)
    if len(signals) < 4:
        raise ValueError(f"Wanted at least 4 frames at {FPS:g} a second, got {len(signals)}.")
    units, num_units = signals[:, : len(UNITS)], len(UNITS)
    rates = np.diff(signals, axis=0) * FPS
    jerks = np.diff(signals, 3, axis=0) * FPS**3
    least = np.where(np.arange(len(NAMES)) < num_units, MOVES, MOVES_DEG)
    moves = np.ptp(signals, axis=0) > least
    lids = (units[:, UNITS.index("eyeBlinkLeft")] + units[:, UNITS.index("eyeBlinkRight")]) / 2
    blinks, shapes = _blinks(lids)
    gaze = signals[:, num_units : num_units + 2]
    centered = signals - signals.mean(0)
    free = [i for i, name in enumerate(UNITS) if moves[i] and not name.startswith("eyeBlink")]
    return Observations(
        seconds=len(signals) / FPS,
        speed={g: _pooled(np.abs(rates), moves, g) for g in GROUPS},
        jerk={g: _pooled(np.abs(jerks), moves, g) for g in GROUPS},
        calm={g: _calm(rates[:, columns_of(g)]) for g in GROUPS},
        blinks=blinks,
        onsets=np.concatenate([_rises(units[:, i]) for i in free] or [np.zeros((0, 2))]),
        offsets=np.concatenate([_rises(units[::-1, i]) for i in free] or [np.zeros((0, 2))]),
        saccades=_saccades(gaze, lids < SHUT),
        seen_s=float((lids < SHUT).sum() / FPS),
        moving=int(moves[:num_units].sum()),
        spread=signals[:, num_units:].std(0),
        scatter=centered.T @ centered,
        lids=shapes,
    )


def _pooled(values: Float[ndarray, "t c"], moves: Bool[ndarray, " c"], group: str) -> ndarray:
    return values[:, [i for i in columns_of(group) if moves[i]]].ravel()


def _calm(rates: Float[ndarray, "t c"]) -> Float[ndarray, " n"]:
    width = min(round(QUIET_S * FPS), len(rates))
    parts = np.split(rates, range(width, len(rates), width))
    return np.array([np.sqrt((p**2).mean()) for p in parts if len(p) == width])


def _blinks(lids: Float[ndarray, " t"]) -> tuple[Float[ndarray, "n 4"], Float[ndarray, "n w"]]:
    """Brief closures, and the lids around each; `w` frames, nan outside of the motion."""
    reach = round(0.4 * FPS)
    peaks, found = find_peaks(lids, prominence=LEAST_BLINK)
    widths = peak_widths(lids, peaks, 0.5)[0] / FPS
    padded = np.pad(lids, reach, constant_values=np.nan)
    rows, shapes = [], []
    for i, peak in enumerate(peaks):
        if widths[i] <= LONGEST_BLINK_S:
            depth = found["prominences"][i]
            close, reopen = _climb(lids[: peak + 1], depth), _climb(lids[peak:][::-1], depth)
            rows.append((widths[i], close, reopen, lids[peak]))
            shapes.append(padded[peak : peak + 2 * reach + 1])
    wide = 2 * reach + 1
    return np.array(rows).reshape(-1, 4), np.array(shapes).reshape(-1, wide)


def _climb(values: Float[ndarray, " t"], size: float) -> float:
    """Seconds from a tenth to nine tenths of the rise of `size` that ends with `values`."""
    low, high = (values[-1] - size * share for share in (0.9, 0.1))
    first = _last_crossing(values, low)
    return (_last_crossing(values, high) - first) / FPS


def _last_crossing(values: Float[ndarray, " t"], level: float) -> float:
    """Where `values` last comes up through a level, in frames."""
    below = np.flatnonzero(values <= level)
    if not len(below):
        return 0.0
    i = int(below[-1])
    if i + 1 >= len(values):
        return float(i)
    return float(i + (level - values[i]) / (values[i + 1] - values[i]))


def _rises(values: Float[ndarray, " t"]) -> Float[ndarray, "n 2"]:
    """Rises of at least `LEAST_RISE` that begin within the motion: seconds and size."""
    padded = np.append(values, values.min() - 1e-9)
    peaks, found = find_peaks(padded, prominence=LEAST_RISE)
    rows = []
    for peak, left in zip(peaks, found["left_bases"], strict=True):
        trough = int(left) + int(padded[left : peak + 1].argmin())
        size = padded[peak] - padded[trough]
        if size >= LEAST_RISE:
            rows.append((_climb(padded[trough : peak + 1], size), size))
    return np.array(rows).reshape(-1, 2)


def _saccades(gaze: Float[ndarray, "t 2"], seen: Bool[ndarray, " t"]) -> Float[ndarray, " n"]:
    """Sizes of the gaze's jumps while the eyes are open, degrees."""
    steps = np.diff(gaze, axis=0)
    quick = np.linalg.norm(steps, axis=1) * FPS > SACCADE_DEG_PER_S
    quick &= seen[1:] & seen[:-1]
    edges = np.diff(np.concatenate([[0], quick.astype(int), [0]]))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return np.array(
        [np.linalg.norm(gaze[b] - gaze[a]) for a, b in zip(starts, stops, strict=True)]
    )


def summarize(seen: Sequence[Observations]) -> dict[str, float]:
    """Quantities of all motions together; nan where there is nothing to measure.

    Raises:
        ValueError: If there is no motion.
    """
    if not seen:
        raise ValueError("Wanted observations of at least one motion, got none.")
    minutes = sum(s.seconds for s in seen) / 60
    blinks = np.concatenate([s.blinks for s in seen])
    onsets, offsets = (
        np.concatenate([getattr(s, k) for s in seen]) for k in ("onsets", "offsets")
    )
    saccades = np.concatenate([s.saccades for s in seen])
    found: dict[str, float] = {}
    for group in GROUPS:
        found |= _paces(group, seen)
    found["blinks a minute"] = len(blinks) / minutes
    for i, name in enumerate(("width at half depth", "closing", "opening")):
        found[f"blink {name}, ms"] = 1000 * _median(blinks[:, i])
    found["blink depth"] = _median(blinks[:, 3])
    found["onset of units, ms"] = 1000 * _median(onsets[:, 0])
    found["offset of units, ms"] = 1000 * _median(offsets[:, 0])
    found["onsets a second"] = len(onsets) / minutes / 60
    found["units that move"] = float(np.mean([s.moving for s in seen]))
    open_s = sum(s.seen_s for s in seen)
    found["saccades a second"] = len(saccades) / open_s if open_s else np.nan
    found["saccade, degrees"] = _median(saccades)
    spread = np.sqrt(np.mean([s.spread**2 for s in seen], axis=0))
    for name, value in zip(ANGLES, spread, strict=True):
        found[f"spread of {name}, degrees"] = float(value) if value > 0 else np.nan
    matrix = correlation(seen)
    found["left and right together"] = agreement(matrix)
    found["things that move apart"] = effective_number(matrix)
    return found


def _paces(group: str, seen: Sequence[Observations]) -> dict[str, float]:
    """Speed, jerk, their pace, and calm of one group."""
    speed = np.concatenate([s.speed[group] for s in seen])
    jerk = np.concatenate([s.jerk[group] for s in seen])
    calm = np.concatenate([s.calm[group] for s in seen])
    names = ("speed, median", "speed, 95 %", "jerk, 95 %", "pace, Hz", "calm speed")
    if not len(speed):
        return {f"{group}: {name}": np.nan for name in names}
    pace = np.sqrt(_rms(jerk) / _rms(speed)) / (2 * np.pi)
    low = float(np.percentile(calm, QUIET_PERCENT)) if len(calm) else np.nan
    values = (np.median(speed), np.percentile(speed, 95), np.percentile(jerk, 95), pace, low)
    return {f"{group}: {name}": float(v) for name, v in zip(names, values, strict=True)}


def _rms(values: ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


def _median(values: Float[ndarray, " n"]) -> float:
    return float(np.median(values)) if len(values) else np.nan


def correlation(seen: Sequence[Observations]) -> Float[ndarray, "c c"]:
    """Correlation of the signals within motions; nan for a signal that never moves."""
    scatter = np.sum([s.scatter for s in seen], axis=0)
    frames = sum(s.seconds for s in seen) * FPS
    deviation = np.sqrt(np.diag(scatter) / frames)
    moves = deviation > np.where(np.arange(len(NAMES)) < len(UNITS), MOVES, MOVES_DEG) / 5
    scale = np.where(moves, deviation, np.nan) * np.sqrt(frames)
    return np.asarray(scatter / scale[:, None] / scale[None])


def agreement(matrix: Float[ndarray, "c c"]) -> float:
    """Mean correlation of left units with their right twins."""
    pairs = [
        (i, NAMES.index(name.removesuffix("Left") + "Right"))
        for i, name in enumerate(NAMES)
        if name.endswith("Left") and name not in ("mouthLeft", "jawLeft")
    ]
    values = np.array([matrix[pair] for pair in pairs])
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def effective_number(matrix: Float[ndarray, "c c"]) -> float:
    """How many independent things would have as even a share in the signals' variance."""
    kept = np.isfinite(np.diag(matrix))
    values = np.linalg.eigvalsh(matrix[np.ix_(kept, kept)])
    return float(values.sum() ** 2 / (values**2).sum()) if kept.any() else np.nan


def correlation_distance(first: Float[ndarray, "c c"], second: Float[ndarray, "c c"]) -> float:
    """0 is the same, 1 nothing in common, up to 2 the contrary; of what moves in both.

    Twice the product over the sum of squares is taken from 1. Only what lies off the diagonal
    counts, so that motion without any order is at 1 from all else.

    Raises:
        ValueError: If fewer than two signals move in both.
    """
    kept = np.isfinite(np.diag(first)) & np.isfinite(np.diag(second))
    if kept.sum() < 2:
        raise ValueError(f"Wanted at least two signals that move in both, got {kept.sum()}.")
    a, b = (m[np.ix_(kept, kept)][~np.eye(kept.sum(), dtype=bool)] for m in (first, second))
    return float(1 - 2 * (a @ b) / (a @ a + b @ b + 1e-12))
