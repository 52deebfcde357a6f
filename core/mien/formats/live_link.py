"""Live Link Face CSV: what Epic's iPhone app records and Unreal imports."""

import logging
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from mien.arkit import (
    ARKIT_NAMES,
    CHANNEL_NAMES,
    POSE_NAMES,
    canonical_name,
    curves_from_motion,
    find_out_of_range,
    motion_from_curves,
)
from mien.files import check_size, whole_file
from mien.formats.gaps import fill_gaps
from mien.formats.live_link_channels import (
    LIVE_LINK_NAMES,
    channels_from_curves,
    curves_from_channels,
)
from mien.formats.timecode import format_timecodes, frame_times
from mien.motion import Motion
from mien.text import one_line

__all__ = ["read_live_link", "write_live_link"]

_LOGGER = logging.getLogger(__name__)
_NOT_CHANNELS = {"timecode", "blendshapecount"}
_LOWEST_UNIT = -0.1  # what smoothing leaves below zero is less
_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_live_link(path: str | Path, fps: float | None = None) -> Motion:
    """The motion in a Live Link Face CSV, for the default head.

    Either spelling of the count's header is read, 52 units alone or with the nine angles, any
    frame rate. The rate comes from the timecodes; dropped frames are interpolated, which is
    logged. One row gives a motion of one frame.

    Args:
        path: The file; at most 256 MB.
        fps: The recorded rate, if it is known better than the timecodes tell.

    Raises:
        ValueError: If it is not such a file. The message names line and column.
    """
    path = Path(path)
    check_size(path)
    try:
        lines = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is not a CSV file: it is not text.") from error
    try:
        return _parse(lines, fps)
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {one_line(error)}") from error


def _parse(lines: list[str], fps: float | None) -> Motion:
    columns, num_columns = _read_header(lines[0])
    numbers = [number for number, line in enumerate(lines) if number and line.strip()]
    if not numbers:
        raise ValueError("There must be at least one row under the header, got none.")
    rows = [lines[number] for number in numbers]
    for number, row in zip(numbers, rows, strict=True):
        if row.count(",") + 1 != num_columns:
            raise ValueError(
                f"Line {number + 1} has {row.count(',') + 1} fields, but the header has "
                f"{num_columns}; is the file cut off?"
            )
    if len(lines) == numbers[-1] + 1:  # no newline after it
        _check_last_field(rows, numbers[-1])
    channels = _read_numbers(rows, numbers, columns)
    _check_range(channels, numbers)
    timecodes = [row.split(",", columns["timecode"] + 1)[columns["timecode"]] for row in rows]
    times = frame_times(timecodes, fps)
    if times.is_assumed:
        _LOGGER.warning("The take is too short to tell its frame rate; %g is assumed.", times.fps)
    curves = fill_gaps(curves_from_channels(channels), times.frames, times.fps)
    return motion_from_curves(torch.from_numpy(curves).float(), times.fps)


def _check_last_field(rows: list[str], number: int) -> None:
    """Refuse a last number with fewer digits than it has in every other row: it was cut off."""
    lasts = [row.rstrip().rpartition(",")[2] for row in rows]
    others = {len(last.partition(".")[2]) for last in lasts[:-1]}
    if len(others) == 1 and len(lasts[-1].partition(".")[2]) < others.pop():
        raise ValueError(
            f"Line {number + 1} must end in a number like {lasts[-2][:40]!r}, got "
            f"{lasts[-1][:40]!r}; is the file cut off?"
        )


def _read_header(header: str) -> tuple[dict[str, int], int]:
    """Which column holds what, by canonical name, and how many columns there are."""
    if "," not in header:
        for delimiter, name in _OTHER_DELIMITERS.items():
            if delimiter in header:
                raise ValueError(f"Fields must be separated by commas; the header uses {name}.")
        raise ValueError(
            "The header must begin with Timecode,BlendShapeCount,EyeBlinkLeft; "
            f"got {header[:40]!r}."
        )
    if header.startswith('"'):
        raise ValueError(f"Fields must not be in quotes; the header begins {header[:20]!r}.")
    columns: dict[str, int] = {}
    unknown: list[str] = []
    fields = header.split(",")
    for index, field in enumerate(fields):
        try:
            plain = field.strip().lower()
            name = plain if plain in _NOT_CHANNELS else canonical_name(field)
        except ValueError:
            unknown.append(field)
            continue
        if name in columns:
            raise ValueError(f"Column {field.strip()[:40]!r} comes twice in the header.")
        columns[name] = index
    missing = [name for name in ("timecode", *ARKIT_NAMES) if name not in columns]
    if missing:
        shown = ", ".join(name[0].upper() + name[1:] for name in missing[:5])
        raise ValueError(
            f"The header lacks {len(missing)} of Timecode and the 52 ARKit columns: {shown}"
            f"{' and others' if len(missing) > 5 else ''}."
        )
    if unknown:
        _LOGGER.warning("%d unknown columns were left out: %s.", len(unknown), unknown[:5])
    return columns, len(fields)


def _read_numbers(
    rows: list[str], numbers: list[int], columns: dict[str, int]
) -> Float[NDArray[np.float64], "n 61"]:
    names = [name for name in CHANNEL_NAMES if name in columns]
    used = [columns[name] for name in names]
    try:
        found = np.loadtxt(rows, delimiter=",", usecols=used, comments=None, ndmin=2)
    except ValueError:
        raise _bad_number(rows, numbers, names, used) from None
    if not np.all(np.isfinite(found)):
        row, column = np.argwhere(~np.isfinite(found))[0]
        raise ValueError(
            f"Line {numbers[row] + 1}, column {_live_link_name(names[column])}: "
            f"a finite number is wanted, got {found[row, column]}."
        )
    channels = np.zeros((len(rows), len(CHANNEL_NAMES)))
    channels[:, [CHANNEL_NAMES.index(name) for name in names]] = found
    absent = [name for name in POSE_NAMES if name not in columns]
    if 0 < len(absent) < len(POSE_NAMES):
        _LOGGER.warning("Absent angles are taken as zero: %s.", ", ".join(absent))
    return channels


def _bad_number(
    rows: list[str], numbers: list[int], names: list[str], used: list[int]
) -> ValueError:
    """The error for the first field that is not a number."""
    low, high = 0, len(rows)  # rows before `low` are fine, one before `high` is not
    while high - low > 1:
        middle = (low + high) // 2
        if _are_numbers(rows[low:middle], used):
            low = middle
        else:
            high = middle
    where, fields = f"Line {numbers[low] + 1}", rows[low].split(",")
    for name, index in zip(names, used, strict=True):
        if not fields[index].strip() or not _are_numbers([fields[index]], [0]):
            return ValueError(
                f"{where}, column {_live_link_name(name)}: a number is wanted, got "
                f"{fields[index][:40]!r}."
            )
    return ValueError(f"{where} cannot be read as numbers: {rows[low][:40]!r}.")


def _are_numbers(rows: list[str], used: list[int]) -> bool:
    try:
        np.loadtxt(rows, delimiter=",", usecols=used, comments=None, ndmin=2)
    except ValueError:
        return False
    return True


def _check_range(channels: NDArray[np.float64], numbers: list[int]) -> None:
    found = find_out_of_range(torch.from_numpy(channels))
    if found is not None:
        row, column, rule = found
        raise ValueError(
            f"Line {numbers[row] + 1}, column {LIVE_LINK_NAMES[column]}: {rule}, got "
            f"{channels[row, column]:g}."
        )
    below = np.argwhere(channels[:, : len(ARKIT_NAMES)] < _LOWEST_UNIT)
    if len(below):
        row, column = below[0]
        raise ValueError(
            f"Line {numbers[row] + 1}, column {LIVE_LINK_NAMES[column]}: Units must lie in 0..1, "
            f"got {channels[row, column]:g}."
        )


def _live_link_name(name: str) -> str:
    return name[0].upper() + name[1:]


def write_live_link(motion: Motion, path: str | Path) -> None:
    """Write a motion of the default head as Live Link Face CSV with all 61 channels.

    Raises:
        ValueError: If the motion is for another head (see `mien.arkit.curves_from_motion`).
        OSError: If the file cannot be written.
    """
    curves = curves_from_motion(motion).detach().cpu().double().numpy()
    channels = channels_from_curves(curves)
    row_format = ",".join(["%s", str(len(CHANNEL_NAMES)), *["%.10f"] * len(CHANNEL_NAMES)])
    lines = [",".join(("Timecode", "BlendShapeCount", *LIVE_LINK_NAMES))]
    timecodes = format_timecodes(motion.num_frames, motion.fps)
    for timecode, row in zip(timecodes, channels.tolist(), strict=True):
        lines.append(row_format % (timecode, *row))
    with whole_file(path) as temporary:
        temporary.write_bytes(("\n".join(lines) + "\n").encode())
