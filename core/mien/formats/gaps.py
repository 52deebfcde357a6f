"""Dropped frames: rows with frame numbers to one row a frame."""

import logging

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

__all__ = ["fill_gaps"]

MAX_GAP_SECONDS = 10.0
MAX_FRAMES = 1_000_000  # over four hours at 60 frames a second
_LOGGER = logging.getLogger(__name__)


def fill_gaps(
    values: Float[NDArray[np.float64], "n c"], frames: Int[NDArray[np.int64], " n"], fps: float
) -> Float[NDArray[np.float64], "t c"]:
    """One row for each frame from the first to the last, missing ones interpolated linearly.

    What was filled is logged once as a warning; of rows with the same frame number the last stays.

    Args:
        values: Rows as recorded.
        frames: The frame number of each row, never falling.
        fps: To tell how long a gap is.

    Raises:
        ValueError: If frame numbers fall, or jump further than `MAX_GAP_SECONDS`, or there would
            be more than `MAX_FRAMES`.
    """
    steps = np.diff(frames)
    if np.any(steps < 0):
        row = int(np.argmax(steps < 0)) + 1
        raise ValueError(
            f"Frame numbers must not fall: {frames[row - 1]} is followed by {frames[row]} "
            f"in row {row + 1}."
        )
    if np.any(steps > max(MAX_GAP_SECONDS * fps, 1)):
        row = int(np.argmax(steps)) + 1
        raise ValueError(
            f"Row {row + 1} comes {int(steps.max()) / fps:,.1f} s after the row before it; "
            f"gaps of at most {MAX_GAP_SECONDS:g} s are filled."
        )
    if np.all(steps == 1):
        return values
    count = int(frames[-1] - frames[0]) + 1
    if count > MAX_FRAMES:
        raise ValueError(f"At most {MAX_FRAMES:,} frames are read, got {count:,} with the gaps.")
    is_last = np.append(steps > 0, True)
    _report(steps)
    values, frames = values[is_last], frames[is_last] - frames[0]
    wanted = np.arange(count)
    filled = np.empty((count, values.shape[1]))
    for column in range(values.shape[1]):  # one at a time, for memory
        filled[:, column] = np.interp(wanted, frames, values[:, column])
    return filled


def _report(steps: NDArray[np.int64]) -> None:
    missing, repeated = steps[steps > 1] - 1, int(np.sum(steps == 0))
    if len(missing):
        _LOGGER.warning(
            "%d dropped frames in %d places (at most %d at once) were interpolated.",
            int(missing.sum()),
            len(missing),
            int(missing.max()),
        )
    if repeated:
        _LOGGER.warning("%d rows repeat a frame number; the last of each was kept.", repeated)
