"""Times that a prompt states."""

import pytest
from tests.llm.llm_world import make_language_model

from mien.llm import MotionLanguageModel
from mien.llm.plan import Line, parse_lines
from mien.llm.times import Clause, place_lines, timed_clauses

SMILE = Line(1, 9, "smile", "both", "mid")


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("smile at 1 s for 2 s", [("smile", 1, 2)]),
        ("at 1 s smile for 2 s; at 4 seconds wink", [("smile", 1, 2), ("wink", 4, None)]),
        ("from 1 to 3 seconds: a smile", [("a smile", 1, 2)]),
        ("a smile from second 1 to second 3", [("a smile", 1, 2)]),
        ("between 2 and 4 s she cries", [("she cries", 2, 2)]),
        ("[0.5 - 2] frown\n[2 - 3] nod", [("frown", 0.5, 1.5), ("nod", 2, 1)]),
        ("Smile, then at 3 s wink for 1 s", [("Smile", None, None), ("wink", 3, 1)]),
        ("nod at 1.5 s, then she winks", [("nod", 1.5, None), ("she winks", None, None)]),
        ("at second two nod", [("nod", 2, None)]),
    ],
)
def test_clauses_have_the_times_that_are_stated(
    text: str, clauses: list[tuple[str, float | None, float | None]]
) -> None:
    assert [(c.text, c.start_s, c.length_s) for c in timed_clauses(text)] == clauses


@pytest.mark.parametrize(
    "text",
    ["she smiles", "she looks at 3 people", "smile for two seconds", "at 10 she wakes", "[1 - 3]"],
)
def test_where_no_start_is_stated_nothing_is_cut(text: str) -> None:
    assert timed_clauses(text) == ()


def test_a_plan_is_moved_and_stretched_to_its_time() -> None:
    again = Line(9, 20, "smile", "both", "mid")
    (line,) = place_lines([SMILE, again], Clause("smile", 2.0, 3.0), 0)
    assert (line.start, line.stop) == (10, 25)
    (line,) = place_lines([SMILE], Clause("smile", 2.0, None), 0)
    assert (line.start, line.stop) == (10, 18)
    first, second = place_lines([SMILE, again], Clause("smile, then smile", None, None), 7)
    assert (first.start, first.stop, second.start) == (7, 15, 15)
    assert place_lines([], Clause("smile", 2.0, 3.0), 0) == ()


@pytest.mark.parametrize("seconds", [None, 6.0])
def test_a_motion_keeps_stated_times(seconds: float | None) -> None:
    model = make_language_model()
    ((score, codes),) = model.generate_motion(["nods at 1 s for 2 s"], seconds, seed=4)
    first = parse_lines(score)[0]
    assert (first.start, first.stop) == (5, 15)
    assert len(codes) == (150 if seconds else 85)
    assert list(model.stream_motion("nods at 1 s for 2 s", seconds, seed=4)) == codes.tolist()


def test_times_beyond_what_a_motion_may_last_are_refused() -> None:
    with pytest.raises(ValueError, match="up to 120 s, got a start of 200"):
        make_language_model().generate_motion(["nod at 200 s"])


def test_the_shipped_model_winks_when_it_is_told() -> None:
    model = MotionLanguageModel.load()
    ((score, _),) = model.generate_motion(["smile at 1 s for 2 s, then wink left at 4 s"])
    smile, wink = parse_lines(score)
    assert (smile.entry, smile.start, smile.stop) == ("smile", 5, 15)
    assert (wink.entry, wink.side, wink.start) == ("wink", "left", 20)


def test_what_a_session_is_told_keeps_its_times_from_then_on() -> None:
    session = make_language_model().start_session("he winks", seed=4)
    codes = [next(session) for _ in range(20)]
    session.say("nods at 1 s for 2 s, then she winks at 12 s")
    codes += [next(session) for _ in range(15)]
    lines = [x for x in parse_lines(session.score) if x.start >= 4]
    first = [x for x in lines if x.start < 4 + 15]
    assert (min(x.start for x in first), max(x.stop for x in first)) == (4 + 5, 4 + 15)
    assert min(x.start for x in lines if x not in first) == 4 + 60
    codes += [next(session) for _ in range(400)]
    assert len(codes) == session.frame


def test_a_time_beyond_the_longest_motion_is_refused_and_the_face_goes_on() -> None:
    session = make_language_model().start_session("he winks", seed=4)
    next(session)
    with pytest.raises(ValueError, match="120 s"):
        session.say("nods at 500 s")
    next(session)
