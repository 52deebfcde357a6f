"""Live Link Face's UDP packets: one frame of a face each, as Epic's iPhone app sends them.

A packet is, big endian: the version (a byte, 6), the device's id and the subject's name (each
after its length, 32 bits), the frame number and the part of a frame past it (32-bit integer and
float), the frame rate (two 32-bit integers), the number of channels (a byte, 61), and that many
floats. While the phone sees no face its packets end after the frame rate.

Source:
    Recorded packets in github.com/think-biq/LLV, examples/dao.gesichter. That packets without a
    face end early is how receivers in use (github.com/JimWest/PyLiveLinkFace) know them.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from mien.arkit import CHANNEL_NAMES, curves_from_motion, find_out_of_range
from mien.formats.live_link_channels import LIVE_LINK_NAMES, channels_from_curves
from mien.motion import Motion

__all__ = [
    "DEFAULT_PORT",
    "MAX_PACKET_BYTES",
    "Packet",
    "build_packet",
    "packets_from_motion",
    "parse_packet",
]

DEFAULT_PORT = 11111
VERSION = 6
MAX_PACKET_BYTES = 4096
MIN_PACKET_BYTES = 25  # two empty names, no face
DEVICE_ID = "6D69656E-0000-4000-8000-6D69656E0000"  # receivers in use expect 36 characters
MAX_NAME_BYTES = 256
_NUM_CHANNELS = len(CHANNEL_NAMES)
_TIME = struct.Struct(">ifii")
_MAX_DENOMINATOR = 1001  # 30000/1001 and its like


@dataclass(frozen=True, eq=False)
class Packet:
    """One frame of a face.

    Attributes:
        device: The sending device's id.
        subject: What the sender calls the face.
        frame: Frame number, by the sender's timecode.
        subframe: Part of a frame past it, as sent; not used here.
        rate: Frames a second.
        channels: In Live Link's order and signs; None while no face is seen.
    """

    device: str
    subject: str
    frame: int
    subframe: float
    rate: Fraction
    channels: Float[NDArray[np.float32], " 61"] | None


def parse_packet(data: bytes) -> Packet:
    """Give what a packet holds.

    Raises:
        ValueError: If it is not such a packet, or its values cannot be a face's.
    """
    if not MIN_PACKET_BYTES <= len(data) <= MAX_PACKET_BYTES:
        raise ValueError(
            f"a packet has {MIN_PACKET_BYTES} to {MAX_PACKET_BYTES} bytes, got {len(data)}."
        )
    if data[0] != VERSION:
        raise ValueError(f"packets of version {VERSION} are read, got {data[0]}.")
    device, offset = _read_name(data, 1)
    subject, offset = _read_name(data, offset)
    if len(data) < offset + _TIME.size:
        raise ValueError("it is cut off in its frame time.")
    frame, subframe, numerator, denominator = _TIME.unpack_from(data, offset)
    if denominator < 1 or not 0 < numerator <= 1000 * denominator:
        raise ValueError(f"it has frame rate {numerator}/{denominator}.")
    channels = _read_channels(data[offset + _TIME.size :])
    return Packet(device, subject, frame, subframe, Fraction(numerator, denominator), channels)


def _read_name(data: bytes, offset: int) -> tuple[str, int]:
    """A name, and where what follows it begins."""
    if len(data) < offset + 4:
        raise ValueError("it is cut off in its names.")
    (size,) = struct.unpack_from(">i", data, offset)
    stop = offset + 4 + size
    if not 0 <= size <= MAX_NAME_BYTES or stop > len(data):
        raise ValueError(f"it has a name of {size} bytes.")
    return data[offset + 4 : stop].decode("utf-8", "replace"), stop


def _read_channels(data: bytes) -> Float[NDArray[np.float32], " 61"] | None:
    if not data:
        return None
    count = data[0]
    if count != _NUM_CHANNELS or len(data) != 1 + 4 * count:
        raise ValueError(
            f"it must hold {_NUM_CHANNELS} channels, got {count} in {len(data) - 1} bytes."
        )
    channels = np.frombuffer(data, ">f4", count, 1).astype(np.float32)
    if np.abs(channels).max() <= 1:  # within all limits, and no NaN
        return channels
    found = find_out_of_range(torch.from_numpy(channels)[None])
    if found is not None:
        _, column, rule = found
        raise ValueError(f"channel {LIVE_LINK_NAMES[column]}: {rule}, got {channels[column]}.")
    return channels


def build_packet(packet: Packet) -> bytes:
    """Give the bytes that `parse_packet` reads back.

    Raises:
        ValueError: If a name is too long, or a number does not fit.
    """
    names = b""
    for text in (packet.device, packet.subject):
        name = text.encode("utf-8")
        if len(name) > MAX_NAME_BYTES:
            raise ValueError(f"A name has at most {MAX_NAME_BYTES} bytes, got {len(name)}.")
        names += struct.pack(">i", len(name)) + name
    try:
        time = _TIME.pack(
            packet.frame, packet.subframe, packet.rate.numerator, packet.rate.denominator
        )
    except struct.error as error:
        raise ValueError(f"The frame number and rate must have 32 bits ({error}).") from error
    channels = b""
    if packet.channels is not None:
        channels = bytes([_NUM_CHANNELS]) + packet.channels.astype(">f4").tobytes()
    return bytes([VERSION]) + names + time + channels


def packets_from_motion(
    motion: Motion, *, first_frame: int = 0, subject: str = "mien", device: str = DEVICE_ID
) -> Iterator[bytes]:
    """Give a motion of the default head as packets, one a frame.

    Args:
        motion: At any frame rate.
        first_frame: Frame number of the first, such as the time of day in frames.
        subject: What receivers are to call the face.
        device: The id of the sender; receivers in use expect 36 characters.

    Raises:
        ValueError: If the motion is for another head, or a name is too long.
    """
    curves = curves_from_motion(motion).detach().cpu().double().numpy()
    channels = channels_from_curves(curves).astype(np.float32)
    rate = Fraction(motion.fps).limit_denominator(_MAX_DENOMINATOR)
    for index, row in enumerate(channels):
        yield build_packet(Packet(device, subject, first_frame + index, 0.0, rate, row))
