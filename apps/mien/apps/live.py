"""`mien live`: record Live Link Face from the network, or send a clip as if it came from there."""

import ipaddress
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mien.apps.inputs import check_input, read_clip
from mien.apps.outputs import check_outputs
from mien.apps.progress import say, track
from mien.apps.refusal import Refusal, refusing

if TYPE_CHECKING:
    from mien.formats.live_link_take import Take
    from mien.motion import Motion

PORT = 11111  # Live Link Face's own
MAX_SECONDS, MAX_FRAMES = 3600.0, 216_000
QUEUE_BYTES = 2**20  # some 50 seconds of packets that the system holds for us
_POLL_S = 0.2


@dataclass(frozen=True)
class Live:
    """Record the face that Live Link Face sends over the network, or send a clip the same way.

    Recording stops at --seconds, at --frames, or with Ctrl-C, which keeps what came. Nothing is
    ever sent back. By default only this machine can reach it: for a phone give --host 0.0.0.0 and
    enter this machine's address in the app (Settings, Live Link, Targets).
    """

    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="PATH")] = None
    """Where to write the take: .csv (Live Link Face), .npz or .safetensors."""
    send: Annotated[Path | None, tyro.conf.arg(metavar="CLIP")] = None
    """Send this clip (.csv .npz .safetensors .gesichter) once, in its own time, and stop."""
    host: str = "127.0.0.1"
    """Where to listen, 0.0.0.0 for all networks; with --send, where to send."""
    port: int = PORT
    """UDP port."""
    seconds: float = MAX_SECONDS
    """Record at most this long from the first frame on; up to an hour."""
    frames: int = MAX_FRAMES
    """Record at most this many frames."""
    wait: float = 60.0
    """Wait at most this long for the first frame, seconds."""
    subject: str | None = None
    """Record the face of this name, the first that appears where not given; with --send, its
    name (mien)."""

    def run(self) -> None:
        """Check, then record or send."""
        with refusing():
            self._check()
        if self.send is None:
            self._record()
        else:
            with refusing():
                motion = read_clip(self.send)
            send(motion, self.host, self.port, self.subject or "mien")

    def _check(self) -> None:
        if (self.send is None) == (self.output is None):
            got = "neither" if self.send is None else "both"
            raise ValueError(f"Give -o PATH to record or --send CLIP to send, got {got}.")
        if self.send is not None:
            check_input(self.send)
        if self.output is not None:
            check_outputs([self.output], [".csv", ".npz", ".safetensors"])
        if not 1 <= self.port <= 65535:
            raise ValueError(f"`port` must be from 1 to 65535, got {self.port}.")
        if not 0 < self.seconds <= MAX_SECONDS:
            raise ValueError(
                f"`seconds` must be above 0 and at most {MAX_SECONDS:g}, got {self.seconds:g}."
            )
        if not 1 <= self.frames <= MAX_FRAMES:
            raise ValueError(f"`frames` must be from 1 to {MAX_FRAMES}, got {self.frames}.")
        if not 0 < self.wait <= MAX_SECONDS:
            raise ValueError(
                f"`wait` must be above 0 and at most {MAX_SECONDS:g}, got {self.wait:g}."
            )

    def _record(self) -> None:
        from mien.formats import write_motion
        from mien.formats.live_link_take import Take

        assert self.output is not None, "checked before"
        take = Take(self.subject, self.frames)
        with listening(self.host, self.port) as channel:
            say(f"listening on {self.host}:{self.port}; Ctrl-C stops and keeps what came")
            _fill(take, channel, self.seconds, self.wait)
        with refusing():
            motion = take.motion()
            write_motion(motion, self.output)
        say(f"{take.face}: {motion.num_frames} frames, {motion.seconds:.2f} s, {motion.fps:g} fps")
        if problems := take.problems():
            say(f"packets: {problems}")
        say(f"wrote {self.output}")


def _fill(take: "Take", channel: socket.socket, seconds: float, wait_s: float) -> None:
    """Receive with a bar, until the limits or Ctrl-C; only an empty take is an error."""
    try:
        for _ in track(receive(take, channel, seconds, wait_s), 0, "recording"):
            pass
    except KeyboardInterrupt:
        say("stopped")
    if not take.num_frames and not take.problems():
        where = "{}:{}".format(*channel.getsockname()[:2])
        raise Refusal(
            f"No packet came on {where}; is this machine's address set in the app, and is --host "
            "one that the phone reaches?"
        )


def receive(take: "Take", channel: socket.socket, seconds: float, wait_s: float) -> Iterator[int]:
    """Add what arrives to a take; yields the number of frames after each new one.

    Args:
        take: Counts and leaves out what is not a frame of its face.
        channel: As `listening` gives it.
        seconds: Stop this long after the first frame.
        wait_s: Stop if there is no frame by then.
    """
    from mien.formats.live_link_udp import MAX_PACKET_BYTES

    stop = time.monotonic() + wait_s
    while not take.is_full and time.monotonic() < stop:
        try:
            data = channel.recv(MAX_PACKET_BYTES + 1)  # longer ones are cut there, and refused
        except TimeoutError:
            continue
        except ConnectionError:  # Windows tells here that an earlier answer was not wanted
            continue
        is_first = not take.num_frames
        if take.add(data):
            if is_first:
                stop = time.monotonic() + seconds
            yield take.num_frames


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that receives packets; its queue is bounded, the oldest wait there.

    Raises:
        Refusal: If the host has no such address, or the port is taken.
    """
    family, address = _resolve(host, port)
    with socket.socket(family, socket.SOCK_DGRAM) as channel:
        with refusing(f"{host}:{port}", kinds=(OSError,)):
            channel.bind(address)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)
        channel.settimeout(_POLL_S)
        yield channel


def send(motion: "Motion", host: str, port: int, subject: str = "mien") -> int:
    """Send a motion as packets, one a frame, each in its time; gives how many.

    Args:
        motion: Of the default head.
        host: Where to.
        port: The receiver's.
        subject: What the receiver is to call the face.

    Raises:
        Refusal: If the host cannot be found or reached, or the name is too long.
    """
    from mien.formats.live_link_udp import packets_from_motion

    family, address = _resolve(host, port)
    first_frame = int(_time_of_day_s() * motion.fps)
    with refusing():
        packets = list(packets_from_motion(motion, first_frame=first_frame, subject=subject))
    with socket.socket(family, socket.SOCK_DGRAM) as channel, refusing(kinds=(OSError,)):
        start = time.monotonic()
        for index, packet in enumerate(track(packets, len(packets), "sending")):
            time.sleep(max(0.0, start + index / motion.fps - time.monotonic()))
            channel.sendto(packet, address)
    say(f"sent {len(packets)} frames, {motion.seconds:.2f} s, to {host}:{port}")
    return len(packets)


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The address of a host, without asking the network where it is numbers already."""
    try:
        version = ipaddress.ip_address(host).version
        return (socket.AF_INET if version == 4 else socket.AF_INET6), (host, port)
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise Refusal(f"`host` must be an address or a known name, got {host!r}.") from error
    family, _, _, _, address = found[0]
    return family, (str(address[0]), port)


def _time_of_day_s() -> float:
    now = time.localtime()
    return now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec + time.time() % 1
