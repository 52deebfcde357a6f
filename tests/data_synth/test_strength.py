"""How strongly actions are done is told from the curves, whoever does them."""

import itertools

import numpy as np
import pytest

from mien.data_synth.lexicon import Lexicon, Side
from mien.data_synth.performance import Action, Performance, shaped_action
from mien.data_synth.performer import perform
from mien.data_synth.strength import strengths

FPS, SECONDS = 25.0, 4.0
STRENGTHS = (0.2, 0.55, 0.9)


def act(
    entry: str, intensity: float, start_s: float = 0.6, end_s: float = 2.6, side: Side = "both"
) -> Action:
    found = Lexicon.default()[entry]
    return shaped_action(found, side, intensity, start_s, end_s, is_held=False)


def measured(*actions: Action, shift: float = 0.0, performers: int = 12) -> np.ndarray:
    """Mean strength of each action over performers; `shift` moves the times that are told."""
    told = [act(a.entry, 0.5, a.start_s + shift, a.end_s + shift, side=a.side) for a in actions]
    found = [
        strengths(told, perform(Performance(actions, SECONDS, style_seed=i), i), FPS)
        for i in range(performers)
    ]
    return np.asarray(np.array(found, float).mean(0))


@pytest.mark.parametrize(
    "entry", ["smile", "angry", "surprised", "jaw-drop", "nod", "look-around"]
)
def test_stronger_is_measured_as_stronger(entry: str) -> None:
    low, mid, high = (measured(act(entry, x))[0] for x in STRENGTHS)

    assert low + 0.1 < mid < high - 0.1
    assert abs(low - 0.2) < 0.2 and abs(mid - 0.55) < 0.15 and abs(high - 0.9) < 0.2


def test_times_may_be_a_little_off() -> None:
    for shift in (-0.3, 0.3):
        assert measured(act("smile", 0.9), shift=shift)[0] == pytest.approx(
            measured(act("smile", 0.9))[0], abs=0.08
        )


def test_actions_at_the_same_time_are_measured_apart() -> None:
    for brow, smile in itertools.product((0.2, 0.9), repeat=2):
        found = measured(act("raise-brows", brow), act("smile", smile))

        assert (found > 0.5).tolist() == [brow > 0.5, smile > 0.5]


def test_a_face_that_is_never_quite_at_rest_shows_no_more() -> None:
    performance = Performance((act("raise-brows", 0.3),), SECONDS, style_seed=3)
    curves = perform(performance, 3)

    lifted = np.clip(curves + np.float32(0.08), 0, 1)

    assert strengths(performance.actions, lifted, FPS)[0] == pytest.approx(
        strengths(performance.actions, curves, FPS)[0], abs=0.1
    )


def test_a_blink_has_no_degrees() -> None:
    blink = act("blink", 0.5, 0.6, 1.2)

    assert strengths([blink], perform(Performance((blink,), 2.0), 0), FPS) == (None,)


def test_what_lies_behind_the_end_has_no_strength() -> None:
    curves = perform(Performance((act("smile", 0.5),), 2.6), 0)

    assert strengths([act("smile", 0.5, 4.0, 6.0)], curves, FPS) == (None,)
