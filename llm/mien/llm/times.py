"""Times that a prompt states in so many words: "smile at 1 s for 2 s", "[3 - 4.5] she winks"."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mien.llm.plan import TICK_S, Line, shift_lines, stretch_lines, ticks_of

_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER = rf"(\d+(?:\.\d+)?|{'|'.join(_WORDS)})"
_UNIT = r"\s*(?:s|secs?|seconds?)\b"
_START = re.compile(
    rf"\[\s*{_NUMBER}\s*s?\s*(?:-|–|to)\s*{_NUMBER}\s*s?\s*\]:?"
    rf"|\b(?:from|between)\s+(?:second\s+)?{_NUMBER}(?:{_UNIT})?\s*(?:-|–|to|until|till|and)\s*"
    rf"(?:second\s+{_NUMBER}|{_NUMBER}{_UNIT}):?"
    rf"|\bat\s+(?:second\s+{_NUMBER}|{_NUMBER}{_UNIT}):?",
    re.IGNORECASE,
)
_LENGTH = re.compile(rf"\bfor\s+(?:about\s+)?{_NUMBER}{_UNIT}", re.IGNORECASE)
_JOINT = re.compile(r"(?:^|[,;.:\n>]|\b(?:then|and|next|finally))\s*$", re.IGNORECASE)
_EDGES = re.compile(
    r"^(?:[\s,;.:>-]|\b(?:and|then|next|finally)\b)+|(?:[\s,;:>-]|\b(?:and|then)\b)+$",
    re.IGNORECASE,
)
_SEVERAL = re.compile(r"\b(?:then|and|before|after|until|while)\b|[,;>]", re.IGNORECASE)


@dataclass(frozen=True)
class Clause:
    """A part of a prompt and when it is to be done.

    Attributes:
        text: What is to be done, without its times.
        start_s: From when on, seconds; None behind what comes before.
        length_s: For how long; None leaves it open.
    """

    text: str
    start_s: float | None
    length_s: float | None

    @property
    def is_single(self) -> bool:
        """Whether it asks for one thing, as far as its joints tell."""
        return _SEVERAL.search(self.text) is None


def timed_clauses(text: str) -> tuple[Clause, ...]:
    """Cut a prompt into clauses with their times; none where no start is stated.

    A time stands before what it belongs to where a clause begins with it, else behind.

    Example:
        >>> timed_clauses("smile at 1 s for 2 s, then wink")
        (Clause(text='smile', start_s=1.0, length_s=2.0), \
Clause(text='wink', start_s=None, length_s=None))
        >>> timed_clauses("[0.5 - 2] frown [2 - 3] nod")
        (Clause(text='frown', start_s=0.5, length_s=1.5), \
Clause(text='nod', start_s=2.0, length_s=1.0))
        >>> timed_clauses("smile for two seconds")
        ()
    """
    starts = list(_START.finditer(text))
    if not starts:
        return ()
    clauses = [_read(piece) for piece in _pieces(text, starts)]
    spoken = tuple(clause for clause in clauses if any(c.isalpha() for c in clause.text))
    return spoken if any(clause.start_s is not None for clause in spoken) else ()


def check_times(clauses: Iterable[Clause], most_s: float) -> None:
    """Refuse times beyond what a motion may last.

    Raises:
        ValueError: If a clause ends later than `most_s`.
    """
    for clause in clauses:
        if (clause.start_s or 0.0) + (clause.length_s or 0.0) > most_s:
            raise ValueError(
                f"Times in a prompt may be up to {most_s:.0f} s, got a start of "
                f"{clause.start_s} and a length of {clause.length_s} for {clause.text!r}."
            )


def _pieces(text: str, starts: list[re.Match[str]]) -> list[str]:
    """Cut a text so that each piece has one of the times."""
    cuts = [0]
    for start in starts:
        leads = start.group().startswith("[") or _JOINT.search(text[: start.start()]) is not None
        behind = text[start.end() :]
        length = _LENGTH.match(behind.lstrip())
        end = len(text) - len(behind.lstrip()) + length.end() if length else start.end()
        cuts.append(start.start() if leads else end)
    cuts.append(len(text))
    return [text[a:b] for a, b in zip(cuts, cuts[1:], strict=False) if text[a:b].strip()]


def _read(piece: str) -> Clause:
    start_s, length_s = None, None
    if start := _START.search(piece):
        first, *last = (_seconds(word) for word in start.groups() if word)
        start_s = first
        length_s = last[0] - first if last and last[0] > first else None
        piece = piece[: start.start()] + " " + piece[start.end() :]
    if length := _LENGTH.search(piece):
        length_s = _seconds(length.group(1)) if length_s is None else length_s
        piece = piece[: length.start()] + " " + piece[length.end() :]
    return Clause(_EDGES.sub("", " ".join(piece.split())), start_s, length_s)


def _seconds(word: str) -> float:
    lower = word.lower()
    return float(_WORDS.index(lower) + 1) if lower in _WORDS else float(word)


def place_lines(lines: Sequence[Line], clause: Clause, behind: int) -> tuple[Line, ...]:
    """Move the plan of a clause to its time.

    Args:
        lines: What was planned for the clause alone.
        clause: Of one that asks for a single thing only what begins with the first line is kept.
        behind: Tick at which it begins if it states none.
    """
    if not lines:
        return ()
    first = min(lines)
    if clause.is_single:
        lines = [line for line in lines if line.start < first.stop]
    moved = shift_lines(lines, -first.start)
    if clause.length_s is not None:
        whole = max(line.stop for line in moved)
        moved = stretch_lines(moved, ticks_of(clause.length_s) / whole)
    start = behind if clause.start_s is None else round(clause.start_s / TICK_S)
    return shift_lines(moved, start)
