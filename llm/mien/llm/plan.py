"""The plan of a motion: the lines of its score on a grid of ticks.

A score is the short text that stands between language and motion: ``smile both mid 0.4 2.0 ; nod
both slight 2.0 3.0``. Here its times are whole ticks of 0.2 s, so that a time is one token and a
window of a longer score is exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

TICK_S = 0.2
FRAMES_PER_TICK = 5  # at 25 fps
FRAMES_PER_CLOCK = 10
MAX_LINE_TICKS = 18  # 3.6 s: two lines in a row fit a window
TICKS_PER_CLOCK = FRAMES_PER_CLOCK // FRAMES_PER_TICK
FPS = 25.0


@dataclass(frozen=True, order=True)
class Line:
    """One action of a score.

    Attributes:
        start: When it begins, ticks of 0.2 s; negative where a window begins inside it.
        stop: When it has ended, ticks.
        entry: Name of the lexicon entry.
        side: `both`, `left` or `right`.
        level: Word for the intensity.
    """

    start: int
    stop: int
    entry: str
    side: str
    level: str


def parse_lines(score: str) -> tuple[Line, ...]:
    """Read the lines of a score, sorted by their start.

    Raises:
        ValueError: If a line does not have five words or its times are no numbers.

    Example:
        >>> parse_lines("smile both mid 0.4 2.0")
        (Line(start=2, stop=10, entry='smile', side='both', level='mid'),)
    """
    lines = [_parse_line(part.split()) for part in score.split(";") if part.strip()]
    return tuple(sorted(lines))


def _parse_line(words: list[str]) -> Line:
    if len(words) != 5:
        raise ValueError(f"A score line is `entry side level start end`, got {' '.join(words)!r}.")
    entry, side, level = words[:3]
    try:
        start, stop = (round(float(word) / TICK_S) for word in words[3:])
    except ValueError as error:
        raise ValueError(
            f"A score line ends with two times in seconds, got {words[3:]}."
        ) from error
    return Line(start, max(stop, start + 1), entry, side, level)


def format_lines(lines: Sequence[Line]) -> str:
    """Write lines as a score, times in seconds.

    Example:
        >>> format_lines([Line(2, 10, "smile", "both", "mid")])
        'smile both mid 0.4 2.0'
    """
    return " ; ".join(
        f"{x.entry} {x.side} {x.level} {x.start * TICK_S:.1f} {x.stop * TICK_S:.1f}" for x in lines
    )


def window_lines(lines: Sequence[Line], start: int, stop: int) -> tuple[Line, ...]:
    """The lines that show between two ticks, in ticks from `start`; their ends may lie outside.

    A line of which less than two ticks and less than half would show is left out.
    """
    kept = []
    for line in lines:
        shown = min(line.stop, stop) - max(line.start, start)
        if shown >= min(2, (line.stop - line.start + 1) // 2) and shown > 0:
            kept.append(_moved(line, -start))
    return tuple(kept)


def _moved(line: Line, ticks: int) -> Line:
    return Line(line.start + ticks, line.stop + ticks, line.entry, line.side, line.level)


def clip_lines(lines: Sequence[Line], ticks: int) -> tuple[Line, ...]:
    """Cut lines to the range from 0 to `ticks`, sorted by their start."""
    cut = [
        Line(max(x.start, 0), min(x.stop, ticks), x.entry, x.side, x.level)
        for x in lines
        if x.start < ticks and x.stop > 0
    ]
    return tuple(sorted(cut))


def shift_lines(lines: Sequence[Line], ticks: int) -> tuple[Line, ...]:
    """Move lines later by a number of ticks."""
    return tuple(_moved(line, ticks) for line in lines)


def stretch_lines(lines: Sequence[Line], factor: float) -> tuple[Line, ...]:
    """Multiply all times by a factor, on the grid; no line gets shorter than one tick."""
    out = []
    for x in lines:
        start = round(x.start * factor)
        out.append(Line(start, max(round(x.stop * factor), start + 1), x.entry, x.side, x.level))
    return tuple(sorted(out))


def ticks_of(seconds: float) -> int:
    """Whole ticks that cover a duration; at least one."""
    return max(1, math.ceil(seconds / TICK_S - 1e-6))
