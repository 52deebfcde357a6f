"""LLV recordings (`.gesichter`): Live Link Face's UDP packets, gzipped.

Source:
    The format of github.com/think-biq/LLV: a version byte, the packet count, then the packets,
    each after its size; all big endian.
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.arkit import CHANNEL_NAMES, find_out_of_range, motion_from_curves
from mien.files import check_size
from mien.formats.gaps import fill_gaps
from mien.formats.live_link_channels import LIVE_LINK_NAMES, curves_from_channels
from mien.motion import Motion

__all__ = ["read_llv"]

VERSION = 6
MAX_BYTES = 256 * 2**20
MAX_PACKET_BYTES = 4096
_NUM_CHANNELS = len(CHANNEL_NAMES)


def read_llv(path: str | Path) -> Motion:
    """The motion in an LLV recording, for the default head.

    Dropped frames are interpolated, which is logged.

    Raises:
        ValueError: If it is not such a recording, or unpacks to more than 256 MB.
    """
    check_size(path)
    try:
        with gzip.open(path) as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{str(path)!r} is not a gzipped LLV recording ({error}).") from error
    if len(data) > MAX_BYTES:
        raise ValueError(f"{str(path)!r} unpacks to more than {MAX_BYTES // 2**20} MB.")
    try:
        return _parse(data)
    except (struct.error, IndexError) as error:
        raise ValueError(f"{str(path)!r} is cut off or not an LLV recording ({error}).") from error
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from error


def _parse(data: bytes) -> Motion:
    version, count = struct.unpack_from(">BI", data)
    if version != VERSION:
        raise ValueError(f"LLV version {VERSION} is read, got {version}.")
    if not 0 < count <= len(data) // (4 * _NUM_CHANNELS):
        raise ValueError(f"{count} packets do not fit in {len(data)} bytes.")
    frames = np.empty(count, np.int64)
    channels = np.empty((count, _NUM_CHANNELS))
    rates = set()
    offset = 5
    for index in range(count):
        (size,) = struct.unpack_from(">I", data, offset)
        packet = data[offset + 4 : offset + 4 + size]
        if size > MAX_PACKET_BYTES or len(packet) != size:
            raise ValueError(f"Packet {index} says {size} bytes, but {len(packet)} follow.")
        frames[index], rate, channels[index] = _parse_packet(packet, index)
        rates.add(rate)
        offset += 4 + size
    if len(rates) != 1:
        raise ValueError(f"All packets must have one frame rate, got {sorted(rates)[:5]}.")
    _check(channels)
    fps = rates.pop()
    curves = fill_gaps(curves_from_channels(channels), frames, fps)
    return motion_from_curves(torch.from_numpy(curves).float(), fps)


def _parse_packet(packet: bytes, index: int) -> tuple[int, float, NDArray[np.float64]]:
    """Frame number, frame rate and channels of one Live Link Face packet."""
    offset = 1
    for _ in ("device", "subject"):
        (size,) = struct.unpack_from(">i", packet, offset)
        if not 0 <= size <= len(packet):
            raise ValueError(f"Packet {index} has a name of {size} bytes.")
        offset += 4 + size
    frame, _subframe, numerator, denominator, count = struct.unpack_from(">ifiiB", packet, offset)
    if count != _NUM_CHANNELS or len(packet) != offset + 17 + 4 * count:
        raise ValueError(f"Packet {index} must hold {_NUM_CHANNELS} channels, got {count}.")
    if denominator < 1 or not 0 < numerator / denominator <= 1000:
        raise ValueError(f"Packet {index} has frame rate {numerator}/{denominator}.")
    values = np.frombuffer(packet, ">f4", count, offset + 17).astype(np.float64)
    return frame, numerator / denominator, values


def _check(channels: NDArray[np.float64]) -> None:
    found = find_out_of_range(torch.from_numpy(channels))
    if found is not None:
        row, column, rule = found
        raise ValueError(
            f"Packet {row}, channel {LIVE_LINK_NAMES[column]}: {rule}, "
            f"got {channels[row, column]}."
        )
