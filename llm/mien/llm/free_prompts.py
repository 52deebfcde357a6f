"""Prompts in wording of people's own, beside those of the corpus writer."""

import random
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from mien.data_synth.lexicon import Entry, Lexicon, Side
from mien.data_synth.performance import Performance, on_grid, shaped_action
from mien.data_synth.writer import write
from mien.llm.plan import MAX_LINE_TICKS, TICK_S, Line, format_lines
from mien.llm.pools import Sample

_JOINS = (", then ", ", then ", " and then ", ". Then ", ", after that ", " -> ", "; next, ")
_PAIRED = 0.45
_LEVELS = ("mid",)  # nothing in them says how strongly


@cache
def read_prompts() -> Mapping[tuple[str, Side | None], tuple[str, ...]]:
    """All prompts by entry and side (None where the entry has no sides to choose from).

    Raises:
        ValueError: If a prompt belongs to no entry of the lexicon.
    """
    text = (files("mien.llm") / "free_prompts.toml").read_text("utf-8")
    out: dict[tuple[str, Side | None], tuple[str, ...]] = {}
    for key, prompts in tomllib.loads(text).items():
        name, _, side = key.partition("/")
        entry = Lexicon.default()[name]
        if side and side not in entry.sides:
            raise ValueError(f"[{key}] must name a side of {entry.sides}, got {side!r}.")
        out[name, side or entry.sides[0]] = tuple(prompts)
    return out


def free_sample(seed: int, index: int) -> Sample:
    """A free prompt with its score, alone or beside an action that the corpus writer words."""
    rng = random.Random(f"free prompt {seed} {index}")
    (name, side), prompts = rng.choice(list(read_prompts().items()))
    lexicon = Lexicon.default()
    text = _surface(rng.choice(prompts), rng)
    first = _line(lexicon[name], side or "both", rng.choice((0, 1, 1, 2)), rng)
    if rng.random() >= _PAIRED:
        ticks = min(40, max(10, first.stop + rng.choice((0, 0, 2, 4))))
        return Sample(text, format_lines([first]), round(ticks * TICK_S, 1), -1 - index)
    return _paired(text, first, index, rng)


def _paired(text: str, prompted: Line, index: int, rng: random.Random) -> Sample:
    """Put a worded action before or behind the prompted one."""
    lexicon = Lexicon.default()
    other = rng.choice(list(lexicon.entries.values()))
    worded = _line(other, rng.choice(other.sides), 1, rng)
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


def _line(entry: Entry, side: str, start: int, rng: random.Random) -> Line:
    seconds = rng.uniform(*entry.seconds)
    length = min(MAX_LINE_TICKS, max(2, round(seconds / TICK_S)))
    return Line(start, start + length, entry.id, side, rng.choice(_LEVELS))


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
