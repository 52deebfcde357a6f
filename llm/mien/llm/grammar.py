"""What may follow in a plan, so that every plan parses."""

from collections.abc import Iterable

from mien.llm.plan import Line
from mien.llm.vocabulary import MAX_LINES, Vocabulary

MIN_LINE_TICKS = 2  # the shortest action of a performance, 0.4 s


class PlanGrammar:
    """A state machine over a plan's tokens: duration, lines of five tokens, a closing control.

    Starts never go back, ends lie behind starts and inside the duration, and sides fit their
    entries.

    Args:
        vocabulary: The ids.
        close: The control token that ends a plan, `motion` or `caption`.
        ticks: The forced duration; None lets the model choose.
        min_lines: Lines to have before the plan may close.
    """

    def __init__(
        self, vocabulary: Vocabulary, close: str, ticks: int | None = None, min_lines: int = 1
    ) -> None:
        self.vocabulary = vocabulary
        self.close = vocabulary.control(close)
        self.ticks = ticks
        self.min_lines = min_lines
        self.lines: list[Line] = []
        self.closed = False
        self._part: list[int] = []
        self._has_duration = False

    @property
    def opens_line(self) -> bool:
        """Whether the entry of another line, or the end, comes next."""
        return self._has_duration and not self._part and not self.closed

    @property
    def open_entry(self) -> str | None:
        """The entry of the line whose side comes next."""
        return self.vocabulary.entry_name(self._part[0]) if len(self._part) == 1 else None

    @property
    def is_ordered(self) -> bool:
        """Whether what comes next lies on a scale: a strength or a time of a line."""
        return len(self._part) >= 2

    def allowed(self, max_ticks: int, min_ticks: int = 5) -> list[int]:
        """The ids that may come next."""
        vocabulary = self.vocabulary
        if not self._has_duration:
            ticks = [self.ticks] if self.ticks is not None else range(min_ticks, max_ticks + 1)
            return [vocabulary.time(t) for t in ticks]
        step = len(self._part)
        if step == 0:
            return self._openings()
        if step == 1:
            return [vocabulary.side(s) for s in self._sides()]
        if step == 2:
            return [vocabulary.level(word) for word in vocabulary.levels]
        return [vocabulary.time(t) for t in self._times(step)]

    def advance(self, token: int) -> None:
        """Take one of the allowed ids."""
        if not self._has_duration:
            self.ticks, self._has_duration = self.vocabulary.time_tick(token), True
        elif token == self.close:
            self.closed = True
        else:
            self._part.append(token)
            if len(self._part) == 5:
                self._finish_line()

    def _duration(self) -> int:
        if self.ticks is None:
            raise RuntimeError("The duration comes first in a plan.")
        return self.ticks

    def _openings(self) -> list[int]:
        room = len(self.lines) < MAX_LINES and self._earliest() < self._duration() - 1
        ids = [self.vocabulary.entry(name) for name in self.vocabulary.entries] if room else []
        return ids + [self.close] if not ids or len(self.lines) >= self.min_lines else ids

    def _earliest(self) -> int:
        return self.lines[-1].start if self.lines else 0

    def _sides(self) -> tuple[str, ...]:
        name = self.vocabulary.entry_name(self._part[0])
        return self.vocabulary.entry_sides[self.vocabulary.entries.index(name or "")]

    def _times(self, step: int) -> Iterable[int]:
        duration = self._duration()
        if step == 3:
            earliest = self._earliest()
            return range(earliest, max(duration - MIN_LINE_TICKS, earliest) + 1)
        start = self.vocabulary.time_tick(self._part[3])
        return range(min(start + MIN_LINE_TICKS, duration), duration + 1)

    def _finish_line(self) -> None:
        vocabulary = self.vocabulary
        entry, side, level, start, stop = self._part
        self._part = []
        name = vocabulary.entry_name(entry) or ""
        sides = {
            vocabulary.side(s): s for s in vocabulary.entry_sides[vocabulary.entries.index(name)]
        }
        levels = {vocabulary.level(word): word for word in vocabulary.levels}
        times = vocabulary.time_tick(start), vocabulary.time_tick(stop)
        self.lines.append(Line(*times, name, sides[side], levels[level]))
