import random

import numpy as np
import pytest
from numpy import ndarray

from mien.arkit import CHANNEL_NAMES
from mien.data_synth.clip import Clip, make_clip
from mien.data_synth.evidence import tracks_from_curves
from mien.data_synth.judge import (
    Expectation,
    expectations_of,
    judge_caption,
    judge_motion,
)
from mien.data_synth.lexicon import TRACKS, Lexicon
from mien.data_synth.performance import Action, Performance
from mien.data_synth.performer import perform, to_curves

COUNT = 120


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [make_clip(21, i) for i in range(COUNT)]


def mirrored(curves: ndarray) -> ndarray:
    """The mirror image of a motion."""
    out = curves.copy()
    for i, name in enumerate(CHANNEL_NAMES):
        for a, b in (("Left", "Right"), ("Right", "Left")):
            if name.endswith(a) and name.removesuffix(a) + b in CHANNEL_NAMES:
                out[:, i] = curves[:, CHANNEL_NAMES.index(name.removesuffix(a) + b)]
        if name in ("headYaw", "headRoll"):
            out[:, i] = -curves[:, i]
    return out


def played(*actions: tuple[str, str, float, float], seconds: float = 5.0) -> ndarray:
    made = tuple(
        Action(e, s, 0.6, t0, t0 + 0.3, t1 - 0.3, t1)  # type: ignore[arg-type]
        for e, s, t0, t1 in actions
    )
    return perform(Performance(made, seconds, 4), 4)


def test_performances_get_high_marks_for_what_they_do(clips: list[Clip]) -> None:
    marks = [judge_motion(c.curves, 25, expectations_of(c.performance)) for c in clips]
    assert np.mean([m.score for m in marks]) > 0.93
    assert np.mean([m.passed for m in marks]) > 0.88


def test_performances_get_low_marks_for_what_others_do(clips: list[Clip]) -> None:
    others = clips[7:] + clips[:7]
    pairs = zip(clips, others, strict=True)
    marks = [judge_motion(o.curves, 25, expectations_of(c.performance)) for c, o in pairs]
    assert np.mean([m.score for m in marks]) < 0.25
    assert np.mean([m.passed for m in marks]) < 0.12


def test_a_quiet_face_passes_nothing_but_quiet(clips: list[Clip]) -> None:
    lexicon = Lexicon.default()
    quiet = perform(Performance((), 5.0, 8), 8)
    silent = [e.id for e in lexicon.entries.values() if not (e.units or e.wave or e.steps)]
    loud = [e for e in lexicon.entries if e not in silent]
    seen = [e for e in loud if judge_motion(quiet, 25, [Expectation(e)]).passed]
    assert set(seen) <= {"blink", "double-blink", "flutter-lashes", "deadpan", "calm", "stare"}
    assert judge_motion(quiet, 25, [Expectation("neutral")]).passed


@pytest.mark.parametrize("entry", ["wink", "smirk", "raise-brows", "sneer", "close-one-eye"])
def test_the_wrong_side_fails(entry: str) -> None:
    curves = played((entry, "left", 1.0, 2.4))
    assert judge_motion(curves, 25, [Expectation(entry, side="left")]).passed
    assert not judge_motion(curves, 25, [Expectation(entry, side="right")]).passed
    assert judge_motion(mirrored(curves), 25, [Expectation(entry, side="right")]).passed


@pytest.mark.parametrize("entry", ["look-left", "turn-left", "tilt-left", "jaw-left"])
def test_the_mirror_image_fails(entry: str) -> None:
    curves = played((entry, "both", 1.0, 2.4))
    assert judge_motion(curves, 25, [Expectation(entry)]).passed
    assert not judge_motion(mirrored(curves), 25, [Expectation(entry)]).passed


def test_the_wrong_order_fails() -> None:
    curves = played(("smile", "both", 0.4, 2.0), ("look-left", "both", 2.6, 4.2))
    right = [Expectation("smile", order=0), Expectation("look-left", order=1)]
    wrong = [Expectation("smile", order=1), Expectation("look-left", order=0)]
    assert judge_motion(curves, 25, right).passed
    marks = judge_motion(curves, 25, wrong)
    assert not marks.passed and not marks.in_order
    assert marks.score == pytest.approx(0.5 * judge_motion(curves, 25, right).score)


def test_a_nod_is_no_bow_and_a_shake_no_turn() -> None:
    nod, turn = played(("nod", "both", 1.0, 2.4)), played(("turn-left", "both", 1.0, 3.0))
    assert judge_motion(nod, 25, [Expectation("nod")]).passed
    assert not judge_motion(nod, 25, [Expectation("shake-head")]).passed
    assert not judge_motion(turn, 25, [Expectation("shake-head")]).passed
    assert judge_motion(
        played(("shake-head", "both", 1.0, 2.6)), 25, [Expectation("shake-head")]
    ).passed


def test_raw_units_with_signs_can_be_asked_for() -> None:
    curves = played(("turn-right", "both", 1.0, 3.0))
    assert judge_motion(curves, 25, [Expectation(units={"headYaw": -0.5})]).passed
    assert not judge_motion(curves, 25, [Expectation(units={"headYaw": 0.5})]).passed
    assert not judge_motion(curves, 25, [Expectation(units={"mouthSmile": 0.8})]).passed


def test_an_expectation_names_one_thing() -> None:
    with pytest.raises(ValueError, match="entry or units"):
        Expectation()
    with pytest.raises(ValueError, match="at least one"):
        judge_motion(np.zeros((5, 61), np.float32), 25, [])


def test_curves_and_tracks_undo_each_other(clips: list[Clip]) -> None:
    curves = clips[0].curves
    tracks = tracks_from_curves(curves)
    assert tracks.shape == (len(TRACKS), len(curves))
    np.testing.assert_allclose(to_curves(tracks)[:, :61], curves, rtol=0, atol=1e-6)


def marks_of(text: str, performance: Performance) -> tuple[float | None, ...]:
    marks = judge_caption(text, performance)
    return marks.emotion, marks.action, marks.intensity


def test_captions_get_full_marks_for_their_own_performance(clips: list[Clip]) -> None:
    marks = [marks_of(c.caption, c.performance) for c in clips]
    for column in zip(*marks, strict=True):
        assert np.mean([m for m in column if m is not None]) > 4.7


def test_captions_get_low_marks_for_another_performance(clips: list[Clip]) -> None:
    pairs = zip(clips, clips[5:] + clips[:5], strict=True)
    marks = [marks_of(other.caption, c.performance) for c, other in pairs]
    for column in zip(*marks, strict=True):
        assert np.mean([m for m in column if m is not None]) < 2.0


SAD = Action("sad", "both", 0.95, 0.0, 0.4, 1.6, 2.0)
BROW = Action("raise-brows", "left", 0.2, 2.2, 2.5, 3.0, 3.4)
NOD = Action("nod", "both", 0.55, 3.6, 3.8, 4.4, 4.6)


@pytest.mark.parametrize(
    ("text", "emotion", "action", "intensity"),
    [
        ("She looks very sad, then raises her left eyebrow slightly, then nods.", 5, 5, 5),
        ("She looks very sad, then raises her right eyebrow slightly, then nods.", 5, 3.6, 5),
        ("She looks a little sad, then raises her left eyebrow a lot, then nods.", 5, 5, 2.3),
        ("She looks very sad, nods, then raises her left eyebrow slightly.", 5, 3.4, 5),
        ("She looks very happy, then raises her left eyebrow slightly, then nods.", 1, 5, 3.7),
        ("She looks very sad, very proud, raises her left eyebrow slightly, nods.", 4.5, 5, 5),
        ("Nothing that anyone could name.", 1, 1, 1),
    ],
)
def test_each_mistake_costs_its_own_mark(
    text: str, emotion: float, action: float, intensity: float
) -> None:
    marks = marks_of(text, Performance((SAD, BROW, NOD), 5.0))
    assert marks == pytest.approx((emotion, action, intensity), abs=0.1)


def test_a_near_miss_gets_more_than_a_miss() -> None:
    performance = Performance((SAD,), 3.0)
    near, far = marks_of("They look disappointed.", performance), marks_of("A grin.", performance)
    assert near[0] is not None and far[0] is not None and near[0] > far[0] + 1


def test_shuffled_seeds_do_not_change_a_mark() -> None:
    performance = make_clip(3, 3).performance
    a, b = (perform(performance, random.Random(s).getrandbits(20)) for s in (1, 2))
    wanted = expectations_of(performance)
    assert judge_motion(a, 25, wanted).passed == judge_motion(b, 25, wanted).passed
