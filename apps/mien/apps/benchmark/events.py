"""Timed events against the truth: who did what when, matched one to one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

LEAST_IOU = 0.5


@dataclass(frozen=True)
class Timed:
    """An event.

    Attributes:
        name: What happens: the id of a lexicon entry, with the side where it counts.
        start_s: Seconds.
        end_s: Seconds.
    """

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class EventMarks:
    """Counts of one clip, from which any average follows.

    Attributes:
        hits: Events matched to a true one of the same name that overlap it enough.
        found: Events there were.
        true: Events there should have been.
        iou: Sum of the temporal IoU of all matches by name; a true event without one adds 0.
    """

    hits: int
    found: int
    true: int
    iou: float


def temporal_iou(a: Timed, b: Timed) -> float:
    """Overlap in time over the time that either takes.

    Example:
        >>> temporal_iou(Timed("nod", 0.0, 2.0), Timed("nod", 1.0, 3.0))
        0.3333333333333333
    """
    overlap = min(a.end_s, b.end_s) - max(a.start_s, b.start_s)
    whole = max(a.end_s, b.end_s) - min(a.start_s, b.start_s)
    return max(0.0, overlap) / whole if whole > 0 else 0.0


def match_events(
    found: Sequence[Timed], true: Sequence[Timed], least_iou: float = LEAST_IOU
) -> EventMarks:
    """Match events of the same name so that their overlap is largest in sum; each once.

    Example:
        >>> marks = match_events([Timed("nod", 0.0, 1.0)], [Timed("nod", 0.0, 1.0)])
        >>> marks.hits, marks.iou
        (1, 1.0)
    """
    if not found or not true:
        return EventMarks(0, len(found), len(true), 0.0)
    overlaps = np.array(
        [[temporal_iou(f, t) if f.name == t.name else 0.0 for t in true] for f in found]
    )
    matched = overlaps[linear_sum_assignment(overlaps, maximize=True)]
    hits = int((matched >= least_iou).sum())
    return EventMarks(hits, len(found), len(true), float(matched.sum()))


def mean_iou(marks: Sequence[EventMarks]) -> float:
    """Mean temporal IoU over all true events of some clips; nan where there are none."""
    true = sum(m.true for m in marks)
    return sum(m.iou for m in marks) / true if true else float("nan")


def f1(marks: Sequence[EventMarks]) -> float:
    """F1 over all events of some clips.

    Example:
        >>> f1([EventMarks(hits=1, found=2, true=1, iou=0.9)])
        0.6666666666666666
    """
    events = sum(m.found + m.true for m in marks)
    return 2 * sum(m.hits for m in marks) / events if events else float("nan")
