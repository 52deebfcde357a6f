"""A take in the making: Live Link Face packets as a network brings them, to one motion."""

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from mien.arkit import CHANNEL_NAMES, motion_from_curves
from mien.formats.gaps import MAX_GAP_SECONDS, fill_gaps
from mien.formats.live_link_channels import curves_from_channels
from mien.formats.live_link_udp import Packet, parse_packet
from mien.motion import Motion

__all__ = ["Take"]

MAX_FRAMES = 216_000  # an hour at 60 frames a second
MAX_STRETCHES = 64


@dataclass
class _Stretch:
    """Frames near each other in time: the bytes of their channels by number."""

    lowest: int
    highest: int
    rows: dict[int, bytes] = field(default_factory=dict)


class Take:
    """Keeps the packets of one face, in the order of their frame numbers.

    Packets may come late, twice, never, or be something else: what is not a frame of this face is
    counted and left out. The first face that appears is the one that is kept, at the frame rate
    that it has then. Where frame numbers jump by more than `MAX_GAP_SECONDS` (a pause, midnight,
    a phone whose clock was set) a new stretch begins; stretches follow each other in the motion.

    Args:
        subject: Keep the face of this name; None takes the first that appears.
        max_frames: Keep no more than these.

    Attributes:
        counts: How many packets were "kept", "bad", "faceless", "of others", "at another rate",
            "late" (and kept), "repeated" and "astray" (far from all others, or too many).
        first_error: What was wrong with the first bad packet; empty if none was.

    Example:
        >>> from mien.formats.live_link_udp import packets_from_motion
        >>> take = Take()
        >>> for packet in packets_from_motion(Motion.rest(5)):
        ...     _ = take.add(packet)
        >>> take.add(b"noise"), take.motion().num_frames, take.counts["bad"]
        (False, 5, 1)
    """

    def __init__(self, subject: str | None = None, max_frames: int = MAX_FRAMES) -> None:
        if not 1 <= max_frames <= MAX_FRAMES:
            raise ValueError(f"A take has 1 to {MAX_FRAMES} frames, got {max_frames}.")
        self.counts: Counter[str] = Counter()
        self.first_error = ""
        self._wanted, self._max_frames = subject, max_frames
        self._face: tuple[str, str] | None = None
        self._rate = Fraction(0)
        self._stretches: list[_Stretch] = []

    @property
    def num_frames(self) -> int:
        """How many frames are kept."""
        return sum(len(stretch.rows) for stretch in self._stretches)

    @property
    def is_full(self) -> bool:
        """Whether no more frames will be kept."""
        return self.num_frames >= self._max_frames or self._span >= MAX_FRAMES

    @property
    def face(self) -> str:
        """The subject and the device that are kept, in words; empty before the first packet."""
        return "" if self._face is None else f"{self._face[1]!r} on {self._face[0]!r}"

    def add(self, data: bytes) -> bool:
        """Keep a packet if it is a new frame of the face; never raises for what it holds."""
        try:
            packet = parse_packet(data)
        except ValueError as error:
            self.first_error = self.first_error or str(error)
            self.counts["bad"] += 1
            return False
        outcome = self._judge(packet)
        if outcome is None:
            outcome = self._keep(packet)
        self.counts[outcome] += 1
        return outcome == "kept"

    def _judge(self, packet: Packet) -> str | None:
        """Why a packet is left out; None if it is not."""
        face = (packet.device, packet.subject)
        if self._wanted is not None and packet.subject != self._wanted:
            return "of others"
        if self._face is not None and face != self._face:
            return "of others"
        if packet.channels is None:
            return "faceless"
        if self._face is None:
            self._face, self._rate = face, packet.rate
        return None if packet.rate == self._rate else "at another rate"

    def _keep(self, packet: Packet) -> str:
        stretch = self._stretch_of(packet.frame)
        if stretch is None:
            return "astray"
        if packet.frame in stretch.rows:
            return "repeated"
        if packet.frame < stretch.highest:
            self.counts["late"] += 1
        assert packet.channels is not None, "faceless packets were left out before"
        stretch.rows[packet.frame] = packet.channels.tobytes()
        stretch.lowest = min(stretch.lowest, packet.frame)
        stretch.highest = max(stretch.highest, packet.frame)
        return "kept"

    def _stretch_of(self, frame: int) -> "_Stretch | None":
        """The stretch that a frame number belongs to, the latest first; a new one if need be."""
        if self.is_full:
            return None
        reach = max(MAX_GAP_SECONDS * float(self._rate), 1)
        for stretch in reversed(self._stretches):
            if abs(frame - stretch.highest) <= reach:
                grown = max(frame - stretch.highest, stretch.lowest - frame, 0)
                return stretch if self._span + grown <= MAX_FRAMES else None
        if len(self._stretches) >= MAX_STRETCHES:
            return None
        self._stretches.append(_Stretch(frame, frame))
        return self._stretches[-1]

    @property
    def _span(self) -> int:
        """How many frames there are with those that are lost."""
        return sum(stretch.highest - stretch.lowest + 1 for stretch in self._stretches)

    def motion(self) -> Motion:
        """Give the frames kept so far as a motion of the default head.

        Lost frames are interpolated, which is logged; pauses are cut out. Single frames far from
        all others are left out where there are longer stretches.

        Raises:
            ValueError: If no frame was kept.
        """
        if not self._stretches:
            problems = self.problems().rstrip(".")
            raise ValueError(
                f"No frame of a face came{f'; packets: {problems}' if problems else ''}."
            )
        frames: list[int] = []
        rows: list[bytes] = []
        for stretch in self._longer() or self._stretches[:1]:
            numbers = sorted(stretch.rows)
            shift = frames[-1] + 1 - numbers[0] if frames else 0
            frames += [number + shift for number in numbers]
            rows += [stretch.rows[number] for number in numbers]
        fps = float(self._rate)
        curves = fill_gaps(curves_from_channels(_table(rows)), np.array(frames, np.int64), fps)
        return motion_from_curves(torch.from_numpy(curves).float(), fps)

    def _longer(self) -> "list[_Stretch]":
        return [stretch for stretch in self._stretches if len(stretch.rows) > 1]

    @property
    def num_pauses(self) -> int:
        """How many pauses `motion` cuts out."""
        return max(0, len(self._longer()) - 1)

    def problems(self) -> str:
        """What was wrong with packets, in words; empty if nothing was."""
        counts = self.counts.copy()
        if longer := len(self._longer()):
            counts["astray"] += len(self._stretches) - longer
        told = [f"{counts[kind]} {kind}" for kind in _TOLD if counts[kind]]
        if self.num_pauses:
            told.append(f"{self.num_pauses} longer pauses cut out")
        text = ", ".join(told)
        return f"{text} (the first bad one: {self.first_error})" if self.first_error else text


_TOLD = ("bad", "faceless", "of others", "at another rate", "late", "repeated", "astray")


def _table(rows: list[bytes]) -> NDArray[np.float64]:
    flat = np.frombuffer(b"".join(rows), np.float32)
    return flat.reshape(len(rows), len(CHANNEL_NAMES)).astype(np.float64)
