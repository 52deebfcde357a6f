"""How strongly a face does what it is known to do, told from its curves.

What is done, on which side and when is given; how far each action goes is measured beside the same
action by a performer of middling gains.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.data_synth.evidence import HEAD_SCALE, baseline, movement, tracks_from_curves
from mien.data_synth.lexicon import TRACKS, Entry, Kind, Lexicon
from mien.data_synth.performance import Action
from mien.data_synth.performer import TRACK, action_tracks
from mien.data_synth.style import Style

_DEGREES = 0.4  # range of intensity from which an entry has degrees
_HEIGHT = 0.9  # quantile over an action's time: a single frame is no strength
_SHARED = 0.3  # a track of which another action moves more than this share tells nothing
_ENOUGH = 0.25  # of an action's own movement must be left to tell by
_SLACK_S = 0.4  # by which times may be off
_TOGETHER_S = 0.2  # from which two actions disturb each other
_LEAST_S, _LEAST_HEIGHT = 0.6, 0.05
_HEAD = [TRACK[f"head{axis}"] for axis in ("Yaw", "Pitch", "Roll")]
# Part of a height is the performer's own gain: intensity = slope * seen + offset, on average.
_LINES: dict[Kind, tuple[float, float]] = {
    "emotion": (0.80, 0.08),
    "expression": (0.84, 0.06),
    "action": (0.66, 0.20),
    "gaze": (0.72, 0.12),
    "head": (0.59, 0.23),
}


def has_degrees(entry: Entry) -> bool:
    """Whether an entry can be done more or less strongly, as a blink cannot."""
    low, high = entry.intensity
    return high - low >= _DEGREES


def strengths(
    actions: Sequence[Action],
    curves: Float[ndarray, "t 61"],
    fps: float,
    lexicon: Lexicon | None = None,
) -> tuple[float | None, ...]:
    """The likeliest intensity of each of several actions, 0 to 1.

    Args:
        actions: What is done and when; their own intensities are not looked at.
        curves: Columns `mien.arkit.CHANNEL_NAMES`; the gaze in the eyeLook units.
        fps: Frames a second.
        lexicon: Where the recipes are; the shipped one when not given.

    Returns:
        One an action; None where it has no degrees, or nothing of it can be told from the others.
    """
    lexicon = lexicon or Lexicon.default()
    tracks = tracks_from_curves(np.asarray(curves, np.float64))
    for track, row in zip(TRACKS, tracks, strict=True):
        row -= baseline(track, row, fps)
    tracks = _level(tracks)
    weights = [_weights(lexicon[action.entry].on_side(action.side)) for action in actions]
    return tuple(
        _strength(
            action,
            own,
            [w for other, w in zip(actions, weights, strict=True) if _meet(action, other)],
            tracks,
            fps,
            lexicon[action.entry],
        )
        for action, own in zip(actions, weights, strict=True)
    )


def _strength(
    action: Action,
    weights: Float[ndarray, " c"],
    others: Sequence[Float[ndarray, " c"]],
    tracks: Float[ndarray, "c t"],
    fps: float,
    entry: Entry,
) -> float | None:
    """Of one action by its own weights, beside those of what moves at the same time."""
    start, stop = (action.start_s - _SLACK_S) * fps, (action.end_s + _SLACK_S) * fps
    shown = tracks[:, max(0, round(start)) : max(round(stop), 1)]
    if not has_degrees(entry) or not weights.any() or not shown.shape[1]:
        return None
    own = weights * np.all([np.abs(o) <= _SHARED * np.abs(weights) for o in others], axis=0)
    if own @ own > _ENOUGH * (weights @ weights):
        weights = own
    alone, swings = _performed(action, entry, fps), bool(entry.wave)
    frames = max(1, round((1 - _HEIGHT) * alone.shape[1]))
    whole = _height(weights, alone, frames, swings)
    share = _height(weights, shown, frames, swings) / max(whole, _LEAST_HEIGHT)
    slope, offset = _LINES[entry.kind]
    seen = (share - entry.floor) / (1 - entry.floor)
    return float(np.clip(slope * seen + offset, 0, 1))


def _meet(one: Action, other: Action) -> bool:
    """Whether two different actions last for a while together."""
    begun, ended = max(one.start_s, other.start_s), min(one.end_s, other.end_s)
    return one is not other and ended > _TOGETHER_S + begun


def _weights(entry: Entry) -> Float[ndarray, " c"]:
    """How far each track goes, at most."""
    parts = movement(entry)
    return np.asarray(np.take_along_axis(parts, np.abs(parts).argmax(0)[None], axis=0)[0])


def _level(tracks: Float[ndarray, "c t"]) -> Float[ndarray, "c t"]:
    """Head rotation on the scale of the units."""
    tracks = tracks.copy()
    tracks[_HEAD] /= HEAD_SCALE
    return tracks


def _height(
    weights: Float[ndarray, " c"], tracks: Float[ndarray, "c t"], frames: int, swings: bool
) -> float:
    """How far tracks go along the weights in as many frames, in parts of the weights."""
    series = weights @ tracks / (weights @ weights)
    highest = np.sort(np.abs(series) if swings else series)[::-1]
    return float(highest[:frames][-1])


def _performed(action: Action, entry: Entry, fps: float) -> Float[ndarray, "c t"]:
    """The action at full strength, alone, by a performer of middling gains."""
    seconds = max(_LEAST_S, action.end_s - action.start_s)
    times = np.arange(round(seconds * fps)) / fps
    shift = {
        name: getattr(action, name) - action.start_s
        for name in ("start_s", "apex_s", "release_s", "end_s")
    }
    alone = replace(action, intensity=1.0, **shift)
    rng = np.random.default_rng(0)
    _, layer = action_tracks(alone, entry.on_side(action.side), times, _middling(), rng)
    return _level(layer)


@cache
def _middling() -> Style:
    style = Style.from_seed(0)
    return replace(
        style, gains=np.ones_like(style.gains), rest=np.zeros_like(style.rest), tempo_share=0.5
    )
