"""How strong the actions of a plan are, measured on the motion that it was read in."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from jaxtyping import Float
from numpy import ndarray

from mien.data_synth.lexicon import Lexicon, Side
from mien.data_synth.performance import Action, shaped_action
from mien.data_synth.score import intensity_word
from mien.data_synth.strength import strengths
from mien.llm.plan import FPS, TICK_S, Line

_MIDDLING = 0.5


def measured(lines: Sequence[Line], curves: Float[ndarray, "t 61"]) -> tuple[Line, ...]:
    """Give each line the level at which its action is seen; what has no degrees keeps its own.

    Args:
        lines: Of the whole motion, none begun before it.
        curves: The motion, 25 frames a second, columns `mien.arkit.CHANNEL_NAMES`.
    """
    found = strengths([_action(line) for line in lines], curves, FPS)
    return tuple(
        line if strength is None else replace(line, level=intensity_word(strength))
        for line, strength in zip(lines, found, strict=True)
    )


def _action(line: Line) -> Action:
    entry = Lexicon.default()[line.entry]
    start, stop = line.start * TICK_S, line.stop * TICK_S
    return shaped_action(entry, cast(Side, line.side), _MIDDLING, start, stop, is_held=False)
