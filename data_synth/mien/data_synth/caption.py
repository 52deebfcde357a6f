"""Captions: what a performance shows, said in one steady, informative style."""

import random

from mien.data_synth.grammar import FACE, Form, fill, inflect
from mien.data_synth.lexicon import Entry, Lexicon
from mien.data_synth.performance import Action, Performance
from mien.data_synth.score import intensity_word
from mien.data_synth.writer import overlaps

_KNOWN = 3  # a caption uses the first few phrases of an entry, so that it stays recognizable
_BEFORE = {
    "slight": ("slightly", "a little"),
    "mid": ("", "", "quite"),
    "strong": ("very", "extremely"),
}
_AFTER = {
    "slight": ("slightly", "a little", "faintly"),
    "mid": ("", "", "clearly"),
    "strong": ("strongly", "intensely", "a lot"),
}
_THEN = (". Then they {x}", ", then {x}", ". After that they {x}", ", and then {x}")
_LAST = (". Finally they {x}", ", and finally {x}")
_WHILE = (" while {g}", ", {g} at the same time", " and at the same time {x}")
_OPENINGS = (
    "The person {x}",
    "The person {x}",
    "The face: the person {x}",
    "At first the person {x}",
)


def write_caption(
    performance: Performance, rng: random.Random, lexicon: Lexicon | None = None
) -> str:
    """Describe a performance: looks, movements, strength, sides and order.

    Example:
        >>> nod = Action("nod", "both", 0.5, 0.2, 0.5, 1.0, 1.2)
        >>> write_caption(Performance((nod,), 2.0), random.Random(0)).startswith("The ")
        True
    """
    lexicon = lexicon or Lexicon.default()
    actions = performance.actions
    first = actions[0]
    options = _OPENINGS if len(actions) > 1 else _OPENINGS[:3]
    text = rng.choice(options).format(x=_phrase(first, "third", rng, lexicon))
    for i in range(1, len(actions)):
        is_last = i == len(actions) - 1 and i > 1
        after = _LAST if is_last else _THEN
        join = rng.choice(_WHILE if overlaps(performance, i) else after)
        is_they = "they {x}" in join or "they " in text.split(". ")[-1]
        form: Form = "gerund" if "{g}" in join else "base" if is_they else "third"
        phrase = _phrase(actions[i], form, rng, lexicon)
        text += join.format(x=phrase, g=phrase)
    return text + "."


def _phrase(action: Action, form: Form, rng: random.Random, lexicon: Lexicon) -> str:
    entry = lexicon[action.entry]
    word = intensity_word(action.intensity)
    if entry.intensity[1] - entry.intensity[0] < 0.4:
        word = "mid"
    if entry.kind == "emotion":
        adjective = _known(entry.phrases.looks.train, rng)
        strength = rng.choice(_BEFORE[word])
        return inflect(f"look {strength} {adjective}".replace("  ", " "), form)
    phrase = _named(entry, action, rng)
    strength = rng.choice(_AFTER[word])
    brief = " briefly" if action.end_s - action.start_s <= 0.6 and entry.kind == "gaze" else ""
    return (inflect(phrase, form) + " " + strength).rstrip() + brief


def _named(entry: Entry, action: Action, rng: random.Random) -> str:
    if action.side != "both" and entry.phrases.sided.train:
        return fill(_known(entry.phrases.sided.train, rng), FACE, action.side)
    return fill(_known(entry.phrases.verbs.train, rng), FACE)


def _known(phrases: tuple[str, ...], rng: random.Random) -> str:
    return phrases[min(int(rng.random() * _KNOWN), len(phrases) - 1)]
