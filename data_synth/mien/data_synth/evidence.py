"""How much of a lexicon entry is to be seen in curves, frame by frame.

An entry is seen where its main units have risen above the clip's own baseline by a share of the
recipe, together. Spontaneous blinks and saccades are filtered out first.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import maximum_filter1d, minimum_filter1d, uniform_filter1d

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES, other_side
from mien.data_synth.lexicon import TRACKS, Entry, Units
from mien.data_synth.performer import TRACK

NEED = 0.35  # of a unit's full strength counts as seen: a slight performance shows nearly half
_NEED_CLOSED = 0.6  # of a lid: a blink that only narrows the eye is no wink
_MAIN = 0.45  # units of at least this share of the strongest one must be seen
HEAD_SCALE = 0.4  # radians that weigh as much as a unit at full strength
_BLINK_S = 0.32  # a spontaneous blink keeps the lids shut for less than this
_SMOOTH_S = 0.12
_LEAST, _LEAST_HEAD = 0.13, 0.06  # of a unit, and radians: less is lost in saccades and sway
_COLUMN = {name: i for i, name in enumerate(CHANNEL_NAMES)}


def tracks_from_curves(curves: Float[ndarray, "t 61"]) -> Float[ndarray, "c t"]:
    """Undo :func:`mien.data_synth.performer.to_curves`: units, head, signed gaze, mouth, jaw."""
    tracks = np.zeros((len(TRACKS), len(curves)))
    tracks[: len(ARKIT_NAMES)] = curves[:, : len(ARKIT_NAMES)].T

    def column(name: str) -> ndarray:
        return np.asarray(curves[:, _COLUMN[name]], np.float64)

    for head in ("headYaw", "headPitch", "headRoll"):
        tracks[TRACK[head]] = column(head)
    left = column("eyeLookOutLeft") - column("eyeLookInLeft")
    right = column("eyeLookInRight") - column("eyeLookOutRight")
    tracks[TRACK["gazeYaw"]] = (left + right) / 2
    tracks[TRACK["crossEyes"]] = (right - left) / 2
    down = column("eyeLookDownLeft") + column("eyeLookDownRight")
    up = column("eyeLookUpLeft") + column("eyeLookUpRight")
    tracks[TRACK["gazePitch"]] = (down - up) / 2
    for part in ("mouth", "jaw"):
        tracks[TRACK[part + "Side"]] = column(part + "Left") - column(part + "Right")
    return tracks


def movement(entry: Entry) -> Float[ndarray, "3 c"]:
    """How far tracks go, held, repeated and passed through; the head's on the scale of units."""
    found = np.zeros((3, len(TRACKS)))  # of several places passed through the farthest
    for part, units in enumerate((entry.units, entry.wave, *(u for _, u in entry.steps))):
        row = found[min(part, 2)]
        for track, value in units.items():
            value /= HEAD_SCALE if track.startswith("head") else 1.0
            if abs(value) > abs(row[TRACK[track]]):
                row[TRACK[track]] = value
    return found


def evidence(entry: Entry, tracks: Float[ndarray, "c t"], fps: float) -> Float[ndarray, " t"]:
    """How much of an entry is seen at each frame, 0 to 1.

    Args:
        entry: With its units on the side in question.
        tracks: Of :func:`tracks_from_curves`.
        fps: Frames a second.
    """
    parts: list[tuple[float, ndarray]] = []
    if entry.shape == "blink" and entry.wave:
        return _blinks(entry, tracks, fps)
    if main := _main(entry.units):
        parts.append((_total(main), _held(main, tracks, fps)))
    if entry.wave and entry.shape != "tremble" and (waves := _main(entry.wave)):
        parts.append((_total(waves), _repeated(entry, waves, tracks, fps)))
    if entry.steps:
        strength = max(_total(_main(units)) for _, units in entry.steps)
        parts.append((strength, _walked(entry, tracks, fps)))
    if not parts:
        return _quiet(entry, tracks, fps)
    whole = sum(weight for weight, _ in parts)
    return np.asarray(sum(weight / whole * series for weight, series in parts))


def side_lead(entry: Entry, tracks: Float[ndarray, "c t"], fps: float) -> Float[ndarray, " t"]:
    """By how much an entry's own side exceeds the other at each frame, -1 to 1."""
    own = np.zeros(tracks.shape[1])
    other = np.zeros(tracks.shape[1])
    moved = {**entry.units, **entry.wave}
    for track, weight in moved.items():
        mirror = other_side(track)
        excess = weight - moved.get(mirror, 0.0) if mirror else 0.0
        if mirror and excess > 0.15:
            own += excess * _smooth(tracks[TRACK[track]], fps)
            other += excess * _smooth(tracks[TRACK[mirror]], fps)
    return (own - other) / np.maximum(own + other, 0.05)


def _weight(track: str, value: float) -> float:
    return abs(value) / (HEAD_SCALE if track.startswith("head") else 1.0)


def _main(units: Units) -> dict[str, float]:
    """The units that make the look; what is faint even at full strength is no evidence."""
    weights = {t: _weight(t, v) for t, v in units.items()}
    top = max(weights.values(), default=0.0)
    return {t: units[t] for t, w in weights.items() if w >= _MAIN * top and w >= 0.2}


def _total(units: Mapping[str, float]) -> float:
    return sum(_weight(t, v) for t, v in units.items())


def _smooth(x: ndarray, fps: float) -> ndarray:
    return np.asarray(uniform_filter1d(x, max(1, round(_SMOOTH_S * fps)), mode="nearest"))


def _held(main: Mapping[str, float], tracks: ndarray, fps: float) -> ndarray:
    """The share of the main units that have risen."""
    both_lids = {"eyeBlinkLeft", "eyeBlinkRight"} <= set(main)
    risen = np.zeros(tracks.shape[1])
    for track, value in main.items():
        x = tracks[TRACK[track]] * np.sign(value)
        if track.startswith("eyeBlink"):
            x = _without_blinks(x, fps) if both_lids else x
        else:
            x = _smooth(x, fps)
        risen += _weight(track, value) * np.clip(
            (x - baseline(track, x, fps)) / _need(track, value), 0, 1
        )
    return risen / _total(main)


def _need(track: str, value: float) -> float:
    """How far a unit must rise to count as seen."""
    if track.startswith("eyeBlink") and value >= 0.9:
        return _NEED_CLOSED * value
    return max(NEED * abs(value), _LEAST_HEAD if track.startswith("head") else _LEAST)


def baseline(track: str, x: Float[ndarray, " t"], fps: float) -> float:
    """Where a track starts from; a unit that is on from the first frame counts from zero."""
    first = float(np.median(x[: max(1, round(0.16 * fps))]))
    if track.startswith("head"):
        return float(np.clip(first, -0.08, 0.08))
    if track in ("gazeYaw", "gazePitch"):
        return 0.0
    return float(np.clip(min(first, np.quantile(x, 0.15)), 0.0, 0.12))


def _without_blinks(x: ndarray, fps: float) -> ndarray:
    width = max(1, round(_BLINK_S * fps))
    eroded = minimum_filter1d(x, width, mode="nearest")
    return np.asarray(maximum_filter1d(eroded, width, mode="nearest"))


def _bump(x: ndarray, window: int) -> ndarray:
    """How far a frame stands above the lowest point within `window` frames on either side."""
    before = minimum_filter1d(x, window, origin=(window - 1) // 2, mode="nearest")
    after = minimum_filter1d(x, window, origin=-(window // 2), mode="nearest")
    return np.asarray(x - np.maximum(before, after))


def _repeated(entry: Entry, waves: Mapping[str, float], tracks: ndarray, fps: float) -> ndarray:
    """The share of the repeated units that go out and back."""
    window = max(3, round(fps * (0.65 / entry.hz[0] + 0.1)))
    seen = np.zeros(tracks.shape[1])
    for track, value in waves.items():
        x = _smooth(tracks[TRACK[track]] * np.sign(value), fps)
        out = _bump(x, window)
        if entry.shape in ("sine", "square", "saw"):  # both ways: a bump and a dip near each other
            near = 2 * window + 1
            out = np.minimum(
                maximum_filter1d(out, near), maximum_filter1d(_bump(-x, window), near)
            )
        risen = np.clip(out / (NEED * 1.2 * abs(value)), 0, 1)
        seen += _weight(track, value) * maximum_filter1d(risen, window)
    return np.asarray(seen / _total(waves))


def _walked(entry: Entry, tracks: ndarray, fps: float) -> ndarray:
    """The share of the steps that are visited in turn, told at the frame of the first one."""
    stops = [main for _, units in entry.steps if (main := _main(units))]
    seen = np.stack([_held(stop, tracks, fps) for stop in stops])  # [S, T]
    best = seen.copy()
    for i in range(len(stops) - 2, -1, -1):  # what can still be seen from each frame on
        later = np.maximum.accumulate(best[i + 1][::-1])[::-1]
        best[i] = seen[i] + later
    return np.asarray(best[0] / len(stops) * (seen[0] > 0.4))


def _blinks(entry: Entry, tracks: ndarray, fps: float) -> ndarray:
    """Quick closures of both lids, as many as the entry asks for within its usual time."""
    lids = np.minimum(tracks[TRACK["eyeBlinkLeft"]], tracks[TRACK["eyeBlinkRight"]])
    shut = lids > 0.5
    starts = np.flatnonzero(shut & ~np.concatenate([[False], shut[:-1]]))
    wanted = max(1, int(entry.hz[0] * entry.seconds[0]))
    span = entry.seconds[0] + 0.4
    seen = np.zeros(len(lids))
    for start in starts:
        count = np.sum((starts >= start) & (starts <= start + span * fps))
        seen[start] = min(1.0, count / wanted)
    return seen


def _quiet(entry: Entry, tracks: ndarray, fps: float) -> ndarray:
    """For looks made of stillness: how long nothing much happens, up to a second."""
    gaze = np.abs(tracks[[TRACK["gazeYaw"], TRACK["gazePitch"]]]).max(0) < 0.25
    still = gaze & (np.abs(tracks[TRACK["headYaw"]]) < 0.2)
    if entry.kind != "gaze":
        units = [i for i, t in enumerate(TRACKS[: len(ARKIT_NAMES)]) if not t.startswith("eye")]
        still = _smooth(tracks[units].max(0), fps) < 0.25
    if entry.blinks == 0:
        still &= tracks[TRACK["eyeBlinkLeft"]] < 0.5
    run = np.zeros(len(still))
    for i, quiet in enumerate(still):
        run[i] = (run[i - 1] if i else 0.0) + 1.0 if quiet else 0.0
    return np.minimum(1.0, run / fps)
