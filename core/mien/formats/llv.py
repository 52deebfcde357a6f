"""LLV recordings (`.gesichter`): Live Link Face's UDP packets, gzipped.

Source:
    The format of github.com/think-biq/LLV: a version byte, the packet count, then the packets,
    each after its size; all big endian.
"""

import gzip
import logging
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from mien.arkit import motion_from_curves
from mien.files import check_size
from mien.formats.gaps import fill_gaps
from mien.formats.live_link_channels import curves_from_channels
from mien.formats.live_link_udp import (
    MAX_PACKET_BYTES,
    MIN_PACKET_BYTES,
    Packet,
    parse_packet,
)
from mien.motion import Motion
from mien.text import one_line

__all__ = ["read_llv"]

VERSION = 6
MAX_BYTES = 128 * 2**20  # near two hours at 60 frames a second
_HEADER = struct.Struct(">BI")
_LOGGER = logging.getLogger(__name__)


def read_llv(path: str | Path) -> Motion:
    """The motion in an LLV recording, for the default head.

    Dropped frames are interpolated, which is logged.

    Raises:
        ValueError: If it is not such a recording, or unpacks to more than 128 MB.
    """
    check_size(path)
    try:
        with gzip.open(path) as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{str(path)!r} is not a gzipped LLV recording ({one_line(error)})."
        ) from error
    if len(data) > MAX_BYTES:
        raise ValueError(f"{str(path)!r} unpacks to more than {MAX_BYTES // 2**20} MB.")
    try:
        return _parse(data)
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {one_line(error)}") from error


def _parse(data: bytes) -> Motion:
    if len(data) < _HEADER.size:
        raise ValueError("it is cut off or not an LLV recording.")
    version, count = _HEADER.unpack_from(data)
    if version != VERSION:
        raise ValueError(f"LLV version {VERSION} is read, got {version}.")
    if not 0 < count <= (len(data) - _HEADER.size) // (4 + MIN_PACKET_BYTES):
        raise ValueError(f"{count} packets do not fit in {len(data)} bytes.")
    packets = [packet for packet in _packets(data, count) if packet.channels is not None]
    if not packets:
        raise ValueError(f"No face is seen in any of its {count} packets.")
    if len(packets) < count:
        _LOGGER.warning("%d packets without a face were left out.", count - len(packets))
    rates = {packet.rate for packet in packets}
    if len(rates) != 1:
        shown = [float(rate) for rate in sorted(rates)[:5]]
        raise ValueError(f"All packets must have one frame rate, got {shown}.")
    fps = float(rates.pop())
    channels = np.array([packet.channels for packet in packets], np.float64)
    frames = np.array([packet.frame for packet in packets], np.int64)
    curves = fill_gaps(curves_from_channels(channels), frames, fps)
    return motion_from_curves(torch.from_numpy(curves).float(), fps)


def _packets(data: bytes, count: int) -> Iterator[Packet]:
    offset = _HEADER.size
    for index in range(count):
        size = int.from_bytes(data[offset : offset + 4], "big")
        packet = data[offset + 4 : offset + 4 + size]
        if size > MAX_PACKET_BYTES or len(packet) != size:
            raise ValueError(f"Packet {index} says {size} bytes, but {len(packet)} follow.")
        try:
            yield parse_packet(packet)
        except ValueError as error:
            raise ValueError(f"Packet {index}: {error}") from error
        offset += 4 + size
