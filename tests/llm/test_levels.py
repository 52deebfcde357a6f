"""Levels of a plan come from the motion that it was read in."""

import numpy as np

from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import Performance, shaped_action
from mien.data_synth.performer import perform
from mien.llm.levels import measured
from mien.llm.plan import parse_lines


def performed(entry: str, intensity: float, start_s: float, end_s: float) -> np.ndarray:
    action = shaped_action(Lexicon.default()[entry], "both", intensity, start_s, end_s, False)
    return perform(Performance((action,), end_s + 0.4), 1)


def test_levels_follow_the_motion() -> None:
    for level, intensity in (("slight", 0.1), ("mid", 0.55), ("strong", 1.0)):
        curves = performed("smile", intensity, 0.4, 2.4)

        (line,) = measured(parse_lines("smile both mid 0.4 2.4"), curves)

        assert line.level == level


def test_all_else_of_a_line_stays() -> None:
    plan = "blink both strong 0.2 0.8 ; wink left slight 1.0 1.6 ; nod both mid 1.8 3.0"
    lines = parse_lines(plan)

    found = measured(lines, performed("nod", 1.0, 1.8, 3.0))

    assert [(x.start, x.stop, x.entry, x.side) for x in found] == [
        (x.start, x.stop, x.entry, x.side) for x in lines
    ]
    assert [found[0].level, found[2].level] == ["strong", "strong"]  # a blink has no degrees
