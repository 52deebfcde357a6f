"""The score: a performance as one canonical line of plain words.

A language model writes it between text and motion, in both directions. An action is
``entry side intensity start end``; actions are joined by ``;`` in order of their starts::

    smile both mid 0.4 2.0 ; look-left both strong 2.2 3.6
"""

from functools import cache

from mien.data_synth.lexicon import SIDES, Entry, Lexicon, Side
from mien.data_synth.performance import GRID_S, Action, Performance, on_grid, shaped_action

INTENSITIES: tuple[str, ...] = ("slight", "mid", "strong")
SEPARATOR = ";"
LONGEST_S = 20.0
_MID, _STRONG = 0.38, 0.72  # where mid and strong begin
_TYPICAL = {"slight": 0.25, "mid": 0.55, "strong": 0.85}


def intensity_word(intensity: float) -> str:
    """One of `INTENSITIES` for an intensity of 0 to 1."""
    return "slight" if intensity < _MID else "mid" if intensity < _STRONG else "strong"


def format_score(performance: Performance) -> str:
    """Write a performance as its score.

    Example:
        >>> from mien.data_synth.performance import Performance, Action
        >>> format_score(Performance((Action("nod", "both", 0.5, 0.2, 0.4, 1.0, 1.2),), 2.0))
        'nod both mid 0.2 1.2'
    """
    return f" {SEPARATOR} ".join(map(_format_action, performance.actions))


def _format_action(action: Action) -> str:
    word = intensity_word(action.intensity)
    start, end = on_grid(action.start_s), on_grid(action.end_s)
    return f"{action.entry} {action.side} {word} {start:.1f} {end:.1f}"


def parse_score(
    text: str, lexicon: Lexicon | None = None, seconds: float | None = None
) -> Performance:
    """Read a score, filling in what an action lacks and leaving out unknown actions.

    Args:
        text: A score.
        lexicon: Where the entries are; the shipped one when not given.
        seconds: Length of the performance; the last end when not given. An action that ends with
            it is held.

    Raises:
        ValueError: If no action can be read.
    """
    lexicon = lexicon or Lexicon.default()
    found: list[tuple[Entry, Side, str, float, float]] = []
    for part in text.split(SEPARATOR):
        after = found[-1][4] if found else 0.0
        action = _parse_action(part.split(), lexicon, after)
        if action:
            found.append(action)
    found = [f for f in found if seconds is None or f[3] <= seconds - 2 * GRID_S]
    if not found:
        raise ValueError(
            "A score must hold an action such as 'smile both mid 0.4 2.0', "
            f"got {text[:80]!r}; see score_vocabulary()."
        )
    length = seconds or max(f[4] for f in found)
    actions = (
        shaped_action(e, side, _TYPICAL[word], start, min(end, length), _is_held(e, end, length))
        for e, side, word, start, end in found
    )
    return Performance(tuple(sorted(actions, key=lambda a: (a.start_s, a.end_s))), length)


def _is_held(entry: Entry, end: float, length: float) -> bool:
    return end >= length and entry.kind != "action" and not entry.steps


def _parse_action(
    words: list[str], lexicon: Lexicon, after_s: float
) -> tuple[Entry, Side, str, float, float] | None:
    names = [w for w in words if w in lexicon]
    if not names:
        return None
    entry = lexicon[names[0]]
    sides: list[Side] = [s for s in entry.sides if s in words]
    side = sides[0] if sides else entry.sides[0]
    strength = next((w for w in words if w in INTENSITIES), "mid")
    times = [on_grid(float(w)) for w in words if _is_time(w)][:2]
    start = times[0] if times else after_s
    end = times[1] if len(times) == 2 else start + sum(entry.seconds) / 2
    return entry, side, strength, start, on_grid(max(end, start + 2 * GRID_S))


def _is_time(word: str) -> bool:
    return word.replace(".", "", 1).isdecimal() and float(word) <= LONGEST_S


@cache
def score_vocabulary(lexicon: Lexicon) -> list[str]:
    """Every word that a score can hold: entries, sides, intensities, times and the separator."""
    times = [f"{i * GRID_S:.1f}" for i in range(round(LONGEST_S / GRID_S) + 1)]
    return [*lexicon.entries, *SIDES, *INTENSITIES, *times, SEPARATOR]
