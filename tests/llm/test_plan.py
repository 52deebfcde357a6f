import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.llm.plan import (
    Line,
    clip_lines,
    format_lines,
    parse_lines,
    shift_lines,
    stretch_lines,
    ticks_of,
    window_lines,
)

lines_strategy = st.lists(
    st.builds(
        lambda start, length, entry, side: Line(start, start + length, entry, side, "mid"),
        st.integers(0, 30),
        st.integers(1, 20),
        st.sampled_from(["smile", "nod"]),
        st.sampled_from(["both", "left"]),
    ),
    max_size=6,
)


@given(lines_strategy)
def test_a_score_written_and_read_is_the_same(lines: list[Line]) -> None:
    assert parse_lines(format_lines(lines)) == tuple(sorted(lines))


def test_a_line_without_five_words_is_refused() -> None:
    with pytest.raises(ValueError, match="entry side level start end"):
        parse_lines("smile both mid 0.4")


def test_a_line_without_times_is_refused() -> None:
    with pytest.raises(ValueError, match="two times in seconds"):
        parse_lines("smile both mid soon later")


@given(lines_strategy, st.integers(1, 40))
def test_clipped_lines_lie_inside(lines: list[Line], ticks: int) -> None:
    assert all(0 <= x.start < x.stop <= ticks for x in clip_lines(lines, ticks))


@given(lines_strategy)
def test_windows_lose_no_long_line(lines: list[Line]) -> None:
    seen = {
        (x.entry, x.side) for start in (0, 20, 40) for x in window_lines(lines, start, start + 20)
    }
    assert {(x.entry, x.side) for x in lines} == seen


def test_a_window_counts_from_its_own_start() -> None:
    line = Line(4, 20, "smile", "both", "mid")
    assert window_lines([line], 10, 30) == (Line(-6, 10, "smile", "both", "mid"),)


def test_shift_and_stretch_move_times() -> None:
    line = Line(2, 5, "nod", "both", "mid")
    assert shift_lines([line], 3) == (Line(5, 8, "nod", "both", "mid"),)
    assert stretch_lines([line], 2.0) == (Line(4, 10, "nod", "both", "mid"),)


@pytest.mark.parametrize(
    ("seconds", "ticks"), [(0.04, 1), (0.2, 1), (0.21, 2), (2.0, 10), (8.0, 40)]
)
def test_ticks_cover_a_duration(seconds: float, ticks: int) -> None:
    assert ticks_of(seconds) == ticks
