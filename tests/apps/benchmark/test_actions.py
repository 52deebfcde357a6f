from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from mien.apps.benchmark.actions import action_marks
from mien.data_synth.performance import Performance
from mien.data_synth.performer import perform
from mien.data_synth.score import parse_score

ASKED = parse_score("nod both mid 0.2 1.4 ; smile right strong 2.2 3.6", seconds=4.0)


def performed(performance: Performance) -> ndarray:
    return perform(performance, 3, 25.0)


def test_the_truth_shows_all_of_it() -> None:
    curves = performed(ASKED)
    marks = action_marks(curves, curves, ASKED)
    assert (marks.seen, marks.side, marks.order) == (1.0, 1.0, 1.0)
    assert marks.intensity == 1.0


def test_the_other_side_is_seen_but_not_the_right_one() -> None:
    mirrored = parse_score("nod both mid 0.2 1.4 ; smile left strong 2.2 3.6", seconds=4.0)
    marks = action_marks(performed(mirrored), performed(ASKED), ASKED)
    assert (marks.seen, marks.side, marks.order) == (1.0, 0.0, 1.0)


def test_the_other_order_is_seen_but_not_in_turn() -> None:
    turned = parse_score("smile right strong 0.2 1.6 ; nod both mid 2.4 3.6", seconds=4.0)
    marks = action_marks(performed(turned), performed(ASKED), ASKED)
    assert (marks.seen, marks.side, marks.order) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize(("asked", "made"), [("slight", "strong"), ("strong", "slight")])
def test_another_strength_is_told_apart(asked: str, made: str) -> None:
    wanted, other = (parse_score(f"smile both {x} 0.4 2.4", seconds=3.0) for x in (asked, made))
    marks = action_marks(performed(other), performed(wanted), wanted)
    assert marks.seen == 1.0 and marks.intensity == 0.0
    assert marks.side is None and marks.order is None  # nothing of the kind was asked for


def test_a_still_face_shows_nothing() -> None:
    true = performed(ASKED)
    marks = action_marks(np.zeros_like(true), true, ASKED)
    assert marks.seen == 0.0
    assert marks.side is marks.order is marks.intensity is None


def test_what_has_no_degrees_has_no_strength() -> None:
    blink = parse_score("blink both mid 0.4 1.0", seconds=2.0)
    curves = performed(blink)
    assert action_marks(curves, curves, replace(blink, style_seed=0)).intensity is None
