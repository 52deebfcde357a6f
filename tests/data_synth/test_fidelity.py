"""Of several motions the one that shows a plan best has the highest mark."""

import numpy as np
import pytest

from mien.arkit import CHANNEL_NAMES
from mien.data_synth.fidelity import mark_motions
from mien.data_synth.performance import Performance
from mien.data_synth.performer import perform
from mien.data_synth.score import parse_score

FPS = 25.0
PLAN = parse_score("smile both mid 0.4 2.0 ; nod both mid 2.0 3.4", seconds=4.0)


def test_a_performance_is_nearer_to_its_plan_than_others() -> None:
    others = [
        "nod both mid 0.4 2.0 ; smile both mid 2.0 3.4",  # the other way round
        "smile both mid 0.4 2.0",
        "frown both mid 0.4 2.0 ; nod both mid 2.0 3.4",
    ]
    motions = [perform(parse_score(x, seconds=4.0), 9, FPS) for x in others]

    own, *rest = mark_motions(PLAN, [perform(PLAN, 9, FPS), *motions], FPS)

    assert own > max(rest)


def test_of_two_that_show_all_the_one_without_more_is_better() -> None:
    plain = perform(PLAN, 9, FPS)
    busy = plain.copy()
    busy[20:60, CHANNEL_NAMES.index("tongueOut")] = 0.7

    own, other = mark_motions(PLAN, [plain, busy], FPS)

    assert own > other


def test_marks_do_not_hang_on_the_length_by_a_frame() -> None:
    motion = perform(PLAN, 9, FPS)

    longer = np.concatenate([motion, motion[-1:]])

    assert mark_motions(PLAN, [longer], FPS) == pytest.approx(
        mark_motions(PLAN, [motion], FPS), abs=0.02
    )


def test_a_plan_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mark_motions(Performance((), 2.0), [np.zeros((50, 61), np.float32)], FPS)
