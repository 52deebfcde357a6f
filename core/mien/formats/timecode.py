"""SMPTE timecodes as Live Link Face writes them, HH:MM:SS:FF.fff, to frame numbers and back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

__all__ = ["FrameTimes", "format_timecodes", "frame_times"]

STANDARD_FPS = (
    24000 / 1001,
    24.0,
    25.0,
    30000 / 1001,
    30.0,
    48.0,
    50.0,
    60000 / 1001,
    60.0,
    120.0,
)
DEFAULT_FPS = 60.0  # Live Link Face's own, for takes too short to tell
_NTSC = 1000 / 1001
_SNAP = 8e-4  # 59.94 and 60 differ by 1e-3
_MAX_DRIFT_FRAMES = 0.5
_PATTERN = re.compile(r"\s*(\d{1,2}):(\d{1,2}):(\d{1,2})([:;.])(\d{1,4}(?:\.\d*)?)\s*")
_DAY_SECONDS = 86400


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """When the rows of a take were recorded.

    Attributes:
        fps: Frames a second.
        frames: The frame number of each row, counted from the first; never falling.
        is_assumed: Whether the take was too short to tell `fps`.
    """

    fps: float
    frames: Int[NDArray[np.int64], " n"]
    is_assumed: bool


def frame_times(timecodes: Sequence[str], fps: float | None = None) -> FrameTimes:
    """The frame rate that timecodes imply, and the frame number of each.

    The rate of the frame field is found where a second passes, drop-frame counting (59.94, 29.97)
    by a semicolon or by its skip at a full minute, and the recorded rate from the elapsed time.

    Args:
        timecodes: HH:MM:SS:FF, HH:MM:SS:FF.fff, or HH:MM:SS;FF for drop-frame.
        fps: The recorded rate, if it is known already.

    Raises:
        ValueError: If one has another form, or they run backward or never advance.
    """
    seconds, fields, is_drop_frame = _parse(timecodes)
    seconds = seconds + _DAY_SECONDS * np.cumsum(np.diff(seconds, prepend=seconds[:1]) < -43200)
    rate, is_assumed = _field_rate(seconds, fields, fps)
    is_drop_frame = is_drop_frame or _skips_at_minutes(seconds, fields, rate)
    times = seconds + fields / rate
    if is_drop_frame and rate in (30, 60):
        minutes = seconds // 60
        skipped = (minutes - minutes // 10) * (rate // 15)
        times = (seconds * rate + fields - skipped) / (rate * _NTSC)
    steps = np.diff(times)
    if np.any(steps < -1e-9):
        row = int(np.argmax(steps < -1e-9)) + 1
        raise ValueError(
            f"Timecodes must not run backward: {timecodes[row - 1]!r} is followed by "
            f"{timecodes[row]!r} in row {row + 1}."
        )
    if len(times) > 1 and times[-1] == times[0]:
        raise ValueError(
            f"Timecodes must advance, but all {len(times)} rows say {timecodes[0]!r}."
        )
    nominal = rate * (_NTSC if is_drop_frame else 1.0)
    measured = _measured_fps(times, nominal)
    frames = np.rint((times - times[0]) * measured).astype(np.int64)
    if fps is None:
        fps = _standard_fps(measured, nominal, int(frames[-1]))
    return FrameTimes(float(fps), frames, is_assumed)


def _parse(timecodes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64], bool]:
    seconds = np.empty(len(timecodes), np.int64)
    fields = np.empty(len(timecodes))
    is_drop_frame = False
    for row, timecode in enumerate(timecodes):
        match = _PATTERN.fullmatch(timecode)
        if match is None or int(match[2]) > 59 or int(match[3]) > 59:
            raise ValueError(
                f"A timecode must look like 00:32:09:07.867, got {timecode[:40]!r} "
                f"in row {row + 1}."
            )
        seconds[row] = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])
        fields[row] = float(match[5])
        is_drop_frame = is_drop_frame or match[4] == ";"
    return seconds, fields, is_drop_frame


def _field_rate(
    seconds: NDArray[np.int64], fields: NDArray[np.float64], fps: float | None
) -> tuple[int, bool]:
    """How many frames the frame field counts in a second, and whether that is a guess."""
    steps, jumps = np.diff(fields), np.diff(seconds)
    inside = steps[(jumps == 0) & (steps > 0)]
    wraps = jumps == 1
    least = int(np.floor(fields.max())) + 1
    if np.any(wraps) and len(inside):
        rate = round(float(np.median(np.median(inside) - steps[wraps])))
        if abs(rate - least) > 1:  # frames were dropped at the wrap: take the nearest known rate
            rate = min((n for n in (24, 25, 30, 48, 50, 60, 120) if n >= least), default=least)
        return max(rate, least), False
    known = DEFAULT_FPS if fps is None else fps
    return max(round(known), least), fps is None


def _skips_at_minutes(seconds: NDArray[np.int64], fields: NDArray[np.float64], rate: int) -> bool:
    """Whether frame numbers are skipped at full minutes, as drop-frame counting does."""
    if rate not in (30, 60):
        return False
    minutes = np.diff(seconds // 60) == 1
    counted = minutes & ((seconds[1:] // 60) % 10 != 0) & (seconds[1:] % 60 == 0)
    firsts = np.floor(fields[1:][counted] + 1e-3)
    return bool(len(firsts)) and bool(np.all(firsts == rate // 15))


def _measured_fps(times: NDArray[np.float64], nominal: float) -> float:
    """Frames a second by the timecodes' own clock, gaps counted by the usual step."""
    steps = np.diff(times)
    steps = steps[steps > 1e-9]
    if not len(steps):
        return nominal
    counts = np.maximum(np.rint(steps / np.median(steps)), 1)
    return float(counts.sum() / steps.sum())


def _standard_fps(measured: float, nominal: float, num_steps: int) -> float:
    """A standard rate where it puts no frame of the take far off its time, else the measured one.

    A phone's 60 frames a second are 59.96 by its clock: 60 will do for seconds, not for minutes.
    """
    for standard in (nominal, *STANDARD_FPS):
        drift = abs(standard - measured) / measured * num_steps
        if drift <= _MAX_DRIFT_FRAMES and abs(standard - measured) <= _SNAP * measured:
            return standard
    return measured


def format_timecodes(num_frames: int, fps: float) -> list[str]:
    """Timecodes from zero for `num_frames` frames at `fps`; `frame_times` reads `fps` back.

    Unreal's importer takes the frame field for sixtieths of a second where one passes 30, for
    thirtieths elsewhere, and knows no other rates. So the field counts sixtieths, with
    thousandths, at all rates; thirtieths in takes at 30 of more than a second, as the app's own.
    """
    rate = 30 if round(fps) == 30 and num_frames > 30 else 60
    codes = []
    for index in range(num_frames):
        seconds, thousandths = divmod(round(index * rate * 1000 / fps), rate * 1000)
        minutes, hours = seconds // 60 % 60, seconds // 3600 % 24
        field = f"{thousandths // 1000:02}.{thousandths % 1000:03}"
        codes.append(f"{hours:02}:{minutes:02}:{seconds % 60:02}:{field}")
    return codes
