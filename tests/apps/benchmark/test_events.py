import math

import pytest

from mien.apps.benchmark.events import EventMarks, Timed, f1, match_events, mean_iou


def test_each_event_is_matched_once_and_so_that_the_overlap_is_largest() -> None:
    found = [Timed("nod", 0.0, 1.0), Timed("nod", 0.2, 1.2)]
    true = [Timed("nod", 0.2, 1.2), Timed("nod", 1.0, 2.0)]
    marks = match_events(found, true)
    assert (marks.hits, marks.found, marks.true) == (1, 2, 2)
    assert marks.iou == pytest.approx(1.0)  # the second pair does not overlap


def test_the_right_thing_at_the_wrong_time_and_the_other_way_round_are_no_hits() -> None:
    true = [Timed("nod", 0.0, 1.0), Timed("smile both", 2.0, 4.0)]
    late = match_events([Timed("nod", 1.5, 2.5)], true)
    other = match_events([Timed("wink left", 0.0, 1.0)], true)
    assert (late.hits, late.iou, other.hits, other.iou) == (0, 0.0, 0, 0.0)


def test_an_event_that_overlaps_by_less_than_half_counts_for_the_iou_alone() -> None:
    marks = match_events([Timed("nod", 0.0, 1.0)], [Timed("nod", 0.5, 1.5)])
    assert marks.hits == 0 and marks.iou == pytest.approx(1 / 3)
    assert match_events([Timed("nod", 0.0, 1.0)], [Timed("nod", 0.5, 1.5)], 0.3).hits == 1


def test_averages_are_over_all_events_of_all_clips() -> None:
    marks = [EventMarks(1, 1, 2, 0.8), EventMarks(1, 2, 1, 1.0), match_events([], [])]
    assert f1(marks) == pytest.approx(2 * 2 / 6)
    assert mean_iou(marks) == pytest.approx(1.8 / 3)
    assert math.isnan(f1([])) and math.isnan(mean_iou([]))
