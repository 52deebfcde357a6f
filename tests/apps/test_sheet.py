import numpy as np
import pytest

from mien.apps.sheet import LABEL, MARGIN, contact_sheet, sheet_frames


def frames_of(count: int, height: int = 40, width: int = 60) -> list[np.ndarray]:
    """Plain pictures whose red tells which they are."""
    return [np.full((height, width, 3), (20 * i, 40, 90), np.uint8) for i in range(count)]


def test_frames_are_spread_evenly_from_the_first_to_the_last() -> None:
    assert sheet_frames(1) == [0]
    assert sheet_frames(3) == [0, 1, 2]
    shown = sheet_frames(100)
    assert shown[0] == 0 and shown[-1] == 99 and len(set(shown)) == 12
    assert max(np.diff(shown)) - min(np.diff(shown)) <= 1


def test_every_frame_lies_unchanged_in_its_tile() -> None:
    frames = frames_of(5)
    sheet = np.asarray(contact_sheet(frames, [0.1 * i for i in range(5)], columns=3))
    assert sheet.shape == (2 * (40 + LABEL + MARGIN) + MARGIN, 3 * (60 + MARGIN) + MARGIN, 3)
    for i, frame in enumerate(frames):
        y = MARGIN + i // 3 * (40 + LABEL + MARGIN)
        x = MARGIN + i % 3 * (60 + MARGIN)
        np.testing.assert_array_equal(sheet[y : y + 40, x : x + 60], frame)


def test_times_and_title_are_drawn() -> None:
    with_title = np.asarray(contact_sheet(frames_of(2), [0.0, 1.0], "a smile"))
    assert (with_title[:LABEL] < 100).any()
    other_times = np.asarray(contact_sheet(frames_of(2), [0.0, 2.0], "a smile"))
    assert (with_title != other_times).any()


def test_a_title_too_long_is_cut_to_the_sheet() -> None:
    long = contact_sheet(frames_of(2), [0.0, 1.0], "smile " * 40)
    assert long.size == contact_sheet(frames_of(2), [0.0, 1.0], "a smile").size


@pytest.mark.parametrize(("count", "times"), [(0, []), (2, [0.0])])
def test_frames_and_times_that_do_not_pair_are_refused(count: int, times: list[float]) -> None:
    with pytest.raises(ValueError, match="wants frames and a time each"):
        contact_sheet(frames_of(count), times)
