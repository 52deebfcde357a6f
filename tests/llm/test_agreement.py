import pytest

from mien.llm.agreement import Agreement, plan_agreement
from mien.llm.plan import parse_lines

WANTED = parse_lines("smile both mid 0.4 2.0 ; wink left strong 2.2 3.0")


def test_a_plan_agrees_with_itself() -> None:
    assert plan_agreement([WANTED], [WANTED]) == Agreement(1.0, 1.0, 1.0, 1.0, 1.0, 0.0)


def test_each_figure_sees_its_own_fault() -> None:
    found = parse_lines(
        "wink right strong 0.2 1.0 ; smile both slight 1.4 2.0 ; nod both mid 2.0 3.0"
    )
    figures = plan_agreement([found], [WANTED])
    assert figures.precision == pytest.approx(2 / 3)
    assert figures.recall == 1.0
    assert figures.side == 0.5
    assert figures.level == 0.5
    assert figures.order == 0.0
    assert figures.start_error_s == pytest.approx((1.0 + 2.0) / 2)


def test_repeated_entries_are_matched_one_to_one() -> None:
    twice = parse_lines("nod both mid 0.0 1.0 ; nod both mid 2.0 3.0")
    figures = plan_agreement([twice[:1]], [twice])
    assert (figures.precision, figures.recall) == (1.0, 0.5)


def test_unlike_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="got 1 and 2"):
        plan_agreement([WANTED], [WANTED, WANTED])
