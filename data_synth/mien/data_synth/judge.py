"""The judge of motion: do curves show what was asked for, on the right side, in the right order?

It knows the lexicon's recipes but not who made the curves, so it can judge a model, a performer or
a capture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.data_synth.caption_judge import CaptionMarks, judge_caption
from mien.data_synth.evidence import evidence, side_lead, tracks_from_curves
from mien.data_synth.lexicon import Entry, Lexicon, Side, expand
from mien.data_synth.performance import Performance

__all__ = [
    "CaptionMarks",
    "Expectation",
    "MotionMarks",
    "Seen",
    "expectations_of",
    "judge_caption",
    "judge_motion",
]

_LOW, _HIGH = 0.5, 0.85  # of the recipe's main units: below nothing is seen, above all is
_LEAD = 0.15  # by which the named side must exceed the other
_ORDER_SLACK_S = 0.12


@dataclass(frozen=True)
class Expectation:
    """One thing that should be seen.

    Attributes:
        entry: Id of a lexicon entry; or empty, and `units` say what.
        units: Units or signed tracks at full strength, as in the recipes:
            {"mouthSmileLeft": 0.8, "headYaw": -0.4}.
        side: The subject's own side; None where any will do.
        order: Expectations of lower order must begin earlier; None where it does not matter.
    """

    entry: str = ""
    units: Mapping[str, float] = field(default_factory=dict)
    side: Side | None = None
    order: int | None = None

    def __post_init__(self) -> None:
        """Refuse an expectation of nothing or of two things."""
        if bool(self.entry) == bool(self.units):
            raise ValueError(f"An expectation must name an entry or units, got {self}.")


@dataclass(frozen=True)
class Seen:
    """What was seen of one expectation.

    Attributes:
        expectation: What was looked for.
        score: 0 to 1.
        onset_s: When it began, seconds; None where it was not seen.
        onsets_s: All times at which it may have begun.
    """

    expectation: Expectation
    score: float
    onset_s: float | None
    onsets_s: tuple[float, ...]


@dataclass(frozen=True)
class MotionMarks:
    """The judgement of one clip.

    Attributes:
        score: 0 to 1: the mean over the expectations, halved where the order is wrong.
        passed: Whether everything was seen, in order.
        in_order: Whether the order holds.
        seen: One an expectation.
    """

    score: float
    passed: bool
    in_order: bool
    seen: tuple[Seen, ...]


def judge_motion(
    curves: Float[ndarray, "t 61"],
    fps: float,
    expectations: Sequence[Expectation],
    lexicon: Lexicon | None = None,
) -> MotionMarks:
    """Judge curves.

    Args:
        curves: Columns `mien.arkit.CHANNEL_NAMES`; the gaze in the eyeLook units.
        fps: Frames a second.
        expectations: What should be seen.
        lexicon: Where the recipes are; the shipped one when not given.

    Raises:
        ValueError: If there is nothing to look for, an entry is unknown or not done on that side.
    """
    if not expectations:
        raise ValueError("`expectations` must hold at least one Expectation, got none.")
    lexicon = lexicon or Lexicon.default()
    tracks = tracks_from_curves(np.asarray(curves, np.float64))
    seen = tuple(_look_for(e, tracks, fps, lexicon) for e in expectations)
    in_order = _in_order(seen)
    score = float(np.mean([s.score for s in seen])) * (1.0 if in_order else 0.5)
    return MotionMarks(score, in_order and all(s.score >= 0.5 for s in seen), in_order, seen)


def expectations_of(performance: Performance) -> tuple[Expectation, ...]:
    """What should be seen of a performance."""
    starts = sorted({a.start_s for a in performance.actions})
    return tuple(
        Expectation(a.entry, side=a.side, order=starts.index(a.start_s))
        for a in performance.actions
    )


def _look_for(expectation: Expectation, tracks: ndarray, fps: float, lexicon: Lexicon) -> Seen:
    candidates = [
        _look(e, is_sided, tracks, fps) for e, is_sided in _entries(expectation, lexicon)
    ]
    score, series = max(candidates, key=lambda c: c[0])
    onsets = _onsets(series, fps) if score >= 0.5 else ()
    return Seen(expectation, score, onsets[0] if onsets else None, onsets)


def _entries(expectation: Expectation, lexicon: Lexicon) -> list[tuple[Entry, bool]]:
    """The recipes that would do, each with whether its side counts."""
    if expectation.units:
        return [(Entry("units", "action", expand(expectation.units)), False)]
    entry = lexicon[expectation.entry]
    sides = entry.sides if expectation.side is None else (expectation.side,)
    return [(entry.on_side(s), s != "both") for s in sides]


def _look(entry: Entry, is_sided: bool, tracks: ndarray, fps: float) -> tuple[float, ndarray]:
    """Score of one recipe, and its evidence over time."""
    if is_sided and entry.is_sided:
        entry = replace(entry, units=_own_side(entry.units))
    series = evidence(entry, tracks, fps)
    if is_sided and entry.is_sided:
        series = series * (side_lead(entry, tracks, fps) > _LEAD)
    return float(np.clip((series.max() - _LOW) / (_HIGH - _LOW), 0, 1)), series


def _own_side(units: Mapping[str, float]) -> Mapping[str, float]:
    """Without the trace that the other side shows."""
    return {t: w for t, w in units.items() if abs(w) > 0.12 or t.startswith("head")}


def _onsets(series: ndarray, fps: float) -> tuple[float, ...]:
    """Every time at which the evidence rises past half of its peak."""
    above = series >= 0.5 * series.max()
    rising = above & ~np.concatenate([[False], above[:-1]])
    return tuple(float(i) / fps for i in np.flatnonzero(rising))


def _in_order(seen: Sequence[Seen]) -> bool:
    """Whether onsets can be chosen that follow the order; what was not seen has none to check."""
    ordered = [s for s in seen if s.expectation.order is not None and s.onsets_s]
    earliest, level = 0.0, -1
    for s in sorted(ordered, key=lambda s: s.expectation.order or 0):
        later = [t for t in s.onsets_s if t >= earliest - _ORDER_SLACK_S]
        if not later:
            return False
        if (s.expectation.order or 0) > level:
            earliest, level = max(earliest, later[0]), s.expectation.order or 0
    return True
