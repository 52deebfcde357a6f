"""What the model learns to answer: a plan in plain words, one piece of the caption a line."""

import random
from collections.abc import Sequence

from mien.data_synth.grammar import FACE, fill, inflect
from mien.data_synth.lexicon import Entry, Lexicon
from mien.data_synth.strength import has_degrees
from mien.llm.plan import Line

QUIET = "The face stays neutral."
_KNOWN = 3  # the first phrases of an entry are its plainest
_BEFORE = {"slight": ("slightly", "a little"), "mid": ("",), "strong": ("very", "extremely")}
_AFTER = {
    "slight": ("slightly", "a little", "faintly"),
    "mid": ("",),
    "strong": ("strongly", "intensely", "a lot"),
}
_THEN = (", then {s}", ", and then {s}", ". Then they {b}", ". After that they {b}")
_LAST = (". Finally they {b}", ", and finally {s}")
_WHILE = (" while {g}", ", {g} at the same time")
_OVERLAP_TICKS = 2


def caption_pieces(lines: Sequence[Line], rng: random.Random) -> list[str]:
    """Say what a plan's lines show, in order, one piece of text a line.

    Args:
        lines: In order of their starts.
        rng: Chooses among phrases and joins.

    Example:
        >>> "".join(caption_pieces([Line(0, 5, "nod", "both", "mid")], random.Random(1)))
        'The person nods.'
    """
    pieces: list[str] = []
    is_they = False
    for i, line in enumerate(lines):
        phrase = _phrase(Lexicon.default()[line.entry], line, rng)
        join = _join(lines, i, rng)
        is_they = is_they or "they" in join
        pieces.append(
            join.format(
                s=inflect(phrase, "base" if is_they else "third"),
                b=phrase,
                g=inflect(phrase, "gerund"),
            )
        )
    if pieces:
        pieces[-1] += "."
    return pieces or [QUIET]


def _join(lines: Sequence[Line], index: int, rng: random.Random) -> str:
    line = lines[index]
    if index == 0:
        return "At first the person {s}" if len(lines) > 2 else "The person {s}"
    if any(x.stop - line.start >= _OVERLAP_TICKS for x in lines[:index]):
        return rng.choice(_WHILE)
    return rng.choice(_LAST if 1 < index == len(lines) - 1 else _THEN)


def _phrase(entry: Entry, line: Line, rng: random.Random) -> str:
    """A verb phrase whose first word is a plain verb."""
    level = line.level if has_degrees(entry) else "mid"
    if entry.kind == "emotion":
        look = rng.choice(entry.phrases.looks.train[:_KNOWN])
        return f"look {rng.choice(_BEFORE[level])} {fill(look, FACE)}".replace("  ", " ")
    sided = entry.phrases.sided.train if line.side != "both" else ()
    phrases = (sided or entry.phrases.verbs.train)[:_KNOWN]
    phrase = fill(rng.choice(phrases), FACE, "" if line.side == "both" else line.side)
    if line.side not in ("both", *phrase.split()):
        phrase += f" on the {line.side}"
    return f"{phrase} {rng.choice(_AFTER[level])}".rstrip()
