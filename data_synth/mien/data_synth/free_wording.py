"""Prompts in people's own words, each with the actions that answer it.

The files of `free_wording/` hold three tables. `prompts`: whole prompts by the lexicon entry that
answers them ("smirk/left" names a side). `phrases`: verb phrases that take any person and form.
`plans`: prompts that several actions answer, written "nod + smile > look-down~slight": `>` is "and
then", `+` at the same time, `~` a strength.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from mien.data_synth.lexicon import Lexicon, Side

_LEVELS = ("slight", "mid", "strong")


@dataclass(frozen=True)
class Act:
    """One action that a prompt asks for.

    Attributes:
        entry: Id of a lexicon entry.
        side: Which side does it.
        level: `slight`, `mid` or `strong`.
    """

    entry: str
    side: Side
    level: str = "mid"


Plan = tuple[tuple[Act, ...], ...]  # one group of simultaneous acts after the other


@dataclass(frozen=True)
class FreeWording:
    """All that is in the files.

    Attributes:
        prompts: Whole prompts by the act that answers them.
        phrases: Verb phrases by their act.
        plans: Prompts that several acts answer.
    """

    prompts: Mapping[Act, tuple[str, ...]]
    phrases: Mapping[Act, tuple[str, ...]]
    plans: tuple[tuple[str, Plan], ...]

    @staticmethod
    @cache
    def default() -> "FreeWording":
        """The shipped wording, read once."""
        folder = files("mien.data_synth") / "free_wording"
        names = sorted(x.name for x in folder.iterdir() if x.name.endswith(".toml"))
        tables = [tomllib.loads((folder / name).read_text("utf-8")) for name in names]
        return FreeWording(
            _by_act(tables, "prompts"),
            _by_act(tables, "phrases"),
            tuple(
                (text, parse_plan(plan))
                for table in tables
                for text, plan in table.get("plans", {}).items()
            ),
        )


def _by_act(tables: list[dict[str, Any]], name: str) -> dict[Act, tuple[str, ...]]:
    found: dict[Act, tuple[str, ...]] = {}
    for table in tables:
        for key, texts in table.get(name, {}).items():
            act = parse_act(key)
            found[act] = found.get(act, ()) + tuple(texts)
    return found


def parse_plan(text: str) -> Plan:
    """Read what stands behind a prompt of several actions.

    Raises:
        ValueError: If an action names no entry of the lexicon, or a side or strength it has not.

    Example:
        >>> parse_plan("nod + smile > wink/left")[1]
        (Act(entry='wink', side='left', level='mid'),)
    """
    return tuple(
        tuple(parse_act(act.strip()) for act in group.split("+")) for group in text.split(">")
    )


def parse_act(text: str) -> Act:
    """Read one action: an entry, perhaps with /SIDE, perhaps with ~STRENGTH.

    Raises:
        ValueError: If there is no such entry, side or strength.
    """
    name, _, level = text.partition("~")
    word, _, wanted = name.partition("/")
    entry = Lexicon.default()[word]
    sides: list[Side] = [side for side in entry.sides if side == (wanted or "both")]
    if not sides or (level or "mid") not in _LEVELS:
        raise ValueError(
            f"wanted an action as entry/SIDE~STRENGTH with a side of {entry.sides} and a strength "
            f"of {_LEVELS}, got {text!r}."
        )
    return Act(word, sides[0], level or "mid")
