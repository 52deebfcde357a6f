"""What made motion shows of what was asked for: the actions, their sides, order and strength.

The objective judge tells whether an action is seen; here its verdict is taken apart. Nothing is
learned, and the recipes of the lexicon are all that it knows.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.data_synth.clip import FPS
from mien.data_synth.evidence import tracks_from_curves
from mien.data_synth.judge import Expectation, judge_motion
from mien.data_synth.lexicon import Entry, Lexicon
from mien.data_synth.performance import Action, Performance
from mien.data_synth.performer import TRACK
from mien.data_synth.score import intensity_word
from mien.data_synth.strength import has_degrees

_SEEN = 0.5  # score from which the judge counts a thing as seen
_PEAK = 0.95  # quantile over time: a single frame is no strength


@dataclass(frozen=True)
class ActionMarks:
    """Shares of one clip, 0 to 1; None where the clip asks for nothing of the kind.

    Attributes:
        seen: Actions that are seen, on whichever side.
        side: Of those asked for on one side and seen on any, those seen on the right one.
        order: 1 where what begins in turn is seen in turn; of clips with two such actions seen.
        intensity: Of those seen that have degrees, those made as strongly as asked for: slight,
            mid or strong, by their height beside the truth's.
    """

    seen: float
    side: float | None
    order: float | None
    intensity: float | None


def action_marks(
    curves: Float[ndarray, "t 61"],
    true: Float[ndarray, "s 61"],
    performance: Performance,
    lexicon: Lexicon | None = None,
) -> ActionMarks:
    """Mark motion made for a performance.

    Args:
        curves: What was made, 25 frames a second.
        true: What was performed; says how high an action of that strength is.
        performance: What was asked for.
        lexicon: Where the recipes are; the shipped one when not given.
    """
    lexicon = lexicon or Lexicon.default()
    actions = performance.actions
    starts = sorted({a.start_s for a in actions})
    free = [Expectation(a.entry, order=starts.index(a.start_s)) for a in actions]
    found = judge_motion(curves, FPS, free, lexicon)
    is_seen = [s.score >= _SEEN for s in found.seen]
    seen = [a for a, shows in zip(actions, is_seen, strict=True) if shows]
    levels = {s.expectation.order for s in found.seen if s.score >= _SEEN}
    made_tracks, true_tracks = (
        tracks_from_curves(np.asarray(c, np.float64)) for c in (curves, true)
    )
    return ActionMarks(
        seen=float(np.mean(is_seen)),
        side=_mean([_on_its_side(curves, a, lexicon) for a in seen if a.side != "both"]),
        order=float(found.in_order) if len(levels) > 1 else None,
        intensity=_mean([_as_strong(made_tracks, true_tracks, a, lexicon) for a in seen]),
    )


def _on_its_side(curves: ndarray, action: Action, lexicon: Lexicon) -> float:
    wanted = [Expectation(action.entry, side=action.side)]
    return float(judge_motion(curves, FPS, wanted, lexicon).seen[0].score >= _SEEN)


def _as_strong(made: ndarray, true: ndarray, action: Action, lexicon: Lexicon) -> float | None:
    """Whether an action's strength, told from its height beside the truth's, has the same word."""
    entry = lexicon[action.entry]
    whole = _height(entry.on_side(action.side), true)
    if not has_degrees(entry) or whole <= 0:
        return None
    share = _height(entry.on_side(action.side), made) / whole
    return float(intensity_word(action.intensity * share) == intensity_word(action.intensity))


def _height(entry: Entry, tracks: Float[ndarray, "c t"]) -> float:
    """How far an entry's units go together, in parts of the recipe."""
    units = entry.units or entry.wave
    if not units:
        return 0.0
    series = sum(tracks[TRACK[track]] * value for track, value in units.items())
    whole = sum(value**2 for value in units.values())
    return max(0.0, float(np.quantile(series, _PEAK)) / whole)


def _mean(marks: list[float] | list[float | None]) -> float | None:
    kept = [mark for mark in marks if mark is not None]
    return float(np.mean(kept)) if kept else None
