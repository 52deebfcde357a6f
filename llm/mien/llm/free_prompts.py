"""Prompts in wording of people's own, beside those of the corpus writer.

`free_prompts.toml` holds whole prompts, `free_phrases.toml` verb phrases that take many forms.
"""

import random
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from mien.data_synth.grammar import PERSONS, YOU, Form, fill, inflect
from mien.data_synth.lexicon import Entry, Lexicon, Side
from mien.data_synth.performance import Performance, on_grid, shaped_action
from mien.data_synth.writer import write
from mien.llm.plan import MAX_LINE_TICKS, TICK_S, Line, format_lines
from mien.llm.pools import Sample

_JOINS = (", then ", ", then ", " and then ", ". Then ", ", after that ", " -> ", "; next, ")
_PAIRED = 0.45
_WEAK = ("slightly", "a little", "a bit", "faintly", "just a touch")
_STRONG = ("a lot", "strongly", "very much", "as much as possible", "intensely")
_FRAMES: tuple[tuple[str, Form], ...] = (
    ("{x}", "base"),
    ("{x}", "base"),
    ("{name} {x}", "third"),
    ("{name} {x}", "third"),
    ("{they} {x}", "third"),
    ("{name} {x}", "gerund"),
    ("{x}", "gerund"),
    ("make {them} {x}", "base"),
    ("can you {x}?", "base"),
    ("someone who {x}", "third"),
    ("I want to see {them} {x}", "base"),
)

Key = tuple[str, Side]


@cache
def read_prompts(name: str = "free_prompts") -> Mapping[Key, tuple[str, ...]]:
    """All prompts, or phrases, by entry and side.

    Raises:
        ValueError: If a prompt belongs to no entry of the lexicon, or to a side it has not.
    """
    text = (files("mien.llm") / f"{name}.toml").read_text("utf-8")
    out: dict[Key, tuple[str, ...]] = {}
    for key, prompts in tomllib.loads(text).items():
        word, _, wanted = key.partition("/")
        entry = Lexicon.default()[word]
        sides: list[Side] = [x for x in entry.sides if x == (wanted or entry.sides[0])]
        if not sides:
            raise ValueError(f"[{key}] must name a side of {entry.sides}, got {wanted!r}.")
        out[word, sides[0]] = tuple(prompts)
    return out


def free_sample(seed: int, index: int) -> Sample:
    """A free prompt with its score, alone or beside an action that the corpus writer words."""
    rng = random.Random(f"free prompt {seed} {index}")
    level, is_phrase = "mid", rng.random() < 0.5
    (name, side), prompts = rng.choice(
        list(read_prompts("free_phrases" if is_phrase else "free_prompts").items())
    )
    text = rng.choice(prompts)
    if is_phrase:
        level = rng.choices(("slight", "mid", "strong"), (0.15, 0.7, 0.15))[0]
        text = _worded(text, level, rng)
    line = _line(Lexicon.default()[name], side, rng.choice((0, 1, 1, 2)), level, rng)
    text = _surface(text, rng)
    if rng.random() < _PAIRED:
        return _paired(text, line, index, rng)
    ticks = min(40, max(10, line.stop + rng.choice((0, 0, 2, 4))))
    return Sample(text, format_lines([line]), round(ticks * TICK_S, 1), -1 - index)


def _worded(phrase: str, level: str, rng: random.Random) -> str:
    """A verb phrase in one of its forms, with a word of strength behind it."""
    frame, form = rng.choice(_FRAMES)
    is_spoken_to = form == "base" and "{them}" not in frame
    person = YOU if is_spoken_to else rng.choice(PERSONS)
    if form == "third":
        form = person.form if "{name}" in frame else person.pronoun_form
    strength = rng.choice({"slight": _WEAK, "mid": ("",), "strong": _STRONG}[level])
    worded = f"{fill(inflect(phrase, form), person)} {strength}".rstrip()
    return frame.format(x=worded, name=person.name, they=person.they, them=person.them)


def _paired(text: str, prompted: Line, index: int, rng: random.Random) -> Sample:
    """Put a worded action before or behind the prompted one."""
    lexicon = Lexicon.default()
    other = rng.choice(list(lexicon.entries.values()))
    worded = _line(other, rng.choice(other.sides), 1, "mid", rng)
    words = _words(other, worded, rng)
    texts, lines = [text, words], [prompted, worded]
    if rng.random() < 0.4:
        texts.reverse()
        lines.reverse()
    gap = lines[0].stop + rng.choice((0, 0, 1))
    length = lines[1].stop - lines[1].start
    second = Line(gap, gap + length, lines[1].entry, lines[1].side, lines[1].level)
    joined = texts[0].rstrip(".!? ") + rng.choice(_JOINS) + texts[1][:1].lower() + texts[1][1:]
    ticks = min(40, second.stop + rng.choice((0, 2)))
    return Sample(joined, format_lines([lines[0], second]), round(ticks * TICK_S, 1), -1 - index)


def _line(entry: Entry, side: str, start: int, level: str, rng: random.Random) -> Line:
    seconds = rng.uniform(*entry.seconds)
    length = min(MAX_LINE_TICKS, max(2, round(seconds / TICK_S)))
    return Line(start, start + length, entry.id, side, level)


def _words(entry: Entry, line: Line, rng: random.Random) -> str:
    """The corpus writer's words for one action of the strength that its line says."""
    intensity = {"slight": 0.25, "mid": 0.55, "strong": 0.85}[line.level]
    end = on_grid(line.stop * TICK_S)
    side: Side = next(side for side in entry.sides if side == line.side)
    action = shaped_action(entry, side, intensity, on_grid(line.start * TICK_S), end, False)
    return write(Performance((action,), end), rng)


def _surface(prompt: str, rng: random.Random) -> str:
    """Vary capital letters and the end."""
    kind = rng.random()
    if kind < 0.35:
        return prompt[:1].upper() + prompt[1:] + rng.choice((".", ".", "!", ""))
    return prompt + rng.choice(("", "", ".", "...")) if kind < 0.9 else prompt.upper()
