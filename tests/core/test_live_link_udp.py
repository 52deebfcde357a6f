import gzip
import logging
import random
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.arkit import CHANNEL_NAMES, curves_from_motion, motion_from_curves
from mien.formats import read_llv
from mien.formats.live_link_take import Take
from mien.formats.live_link_udp import Packet, build_packet, packets_from_motion, parse_packet
from mien.motion import Motion

DAO = "llv_livelink_udp/dao.gesichter"
TRACKS = ("expr", "jaw_pose", "neck_pose", "eye_pose")


def recorded(path: Path) -> Iterator[bytes]:
    """The packets of a recording as the network carried them."""
    data = gzip.decompress(path.read_bytes())
    offset = 5
    while offset < len(data):
        (size,) = struct.unpack_from(">I", data, offset)
        yield data[offset + 4 : offset + 4 + size]
        offset += 4 + size


def lively(num_frames: int, fps: float = 60.0) -> Motion:
    generator = torch.Generator().manual_seed(1)
    curves = torch.rand(num_frames, len(CHANNEL_NAMES), generator=generator)
    curves[:, 52:] = 0.4 * curves[:, 52:] - 0.2
    return motion_from_curves(curves, fps)


def sent(num_frames: int, first_frame: int = 0, fps: float = 60.0) -> list[bytes]:
    return list(packets_from_motion(lively(num_frames, fps), first_frame=first_frame))


def taken(packets: list[bytes], subject: str | None = None) -> Take:
    take = Take(subject)
    for packet in packets:
        take.add(packet)
    return take


def assert_same(found: Motion, wanted: Motion) -> None:
    assert (found.fps, found.num_frames) == (wanted.fps, wanted.num_frames)
    for name in TRACKS:
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), rtol=0, atol=1e-6)


def test_a_recorded_packet_is_built_again_byte_for_byte(shared: Path) -> None:
    for data in recorded(shared / DAO):
        assert build_packet(parse_packet(data)) == data


def test_a_take_of_the_recorded_packets_is_the_recording(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    take = taken(list(recorded(shared / DAO)))
    with caplog.at_level(logging.WARNING):
        motion = take.motion()
    assert_same(motion, read_llv(shared / DAO))
    assert "7 dropped frames in 1 places (at most 7 at once)" in caplog.text
    assert (take.counts["kept"], take.problems()) == (180, "")
    assert take.face == "'LLV Default Device' on 'DEADC0DE-1337-1337-1337-CAFEBABE'"


def test_disorder_doubles_and_noise_change_nothing(shared: Path) -> None:
    packets = list(recorded(shared / DAO))
    rng = random.Random(3)
    order = sorted(range(180), key=lambda i: (i + rng.uniform(0, 9)) if i else 0)
    mixed = [packets[i] for i in order]
    for _ in range(40):
        place = rng.randrange(1, len(mixed))
        spoiled = bytearray(rng.choice(packets))
        kind = rng.randrange(4)
        if kind == 0:
            mixed.insert(place, rng.randbytes(rng.randrange(400)))
        elif kind == 1:
            mixed.insert(place, bytes(spoiled[: rng.randrange(len(spoiled) - 250)]))
        elif kind == 2:
            mixed.insert(place, mixed[place])
        else:
            mixed.insert(place, bytes(spoiled) + b"\0")
    take = taken(mixed)
    assert_same(take.motion(), read_llv(shared / DAO))
    assert take.counts["kept"] == 180
    assert take.counts["bad"] + take.counts["repeated"] == 40
    assert take.counts["late"] > 20 and "the first bad one:" in take.problems()


@pytest.mark.parametrize("fps", [24.0, 25.0, 29.97, 30000 / 1001, 59.94, 60.0])
def test_a_sent_motion_comes_back(fps: float) -> None:
    motion = lively(30, fps)
    back = taken(list(packets_from_motion(motion, first_frame=12345))).motion()
    assert back.fps == pytest.approx(fps, rel=1e-6)
    assert_same(back.replace(fps=fps), motion)


def test_packets_end_early_while_no_face_is_seen() -> None:
    packets = sent(20)
    faceless = [build_packet(Packet("d", "s", i, 0.0, Fraction(60), None)) for i in range(3)]
    assert parse_packet(faceless[0]).channels is None
    take = taken(faceless + packets[:8] + packets[12:])
    assert take.motion().num_frames == 20
    assert take.problems() == "3 faceless"


def test_the_first_face_is_kept_or_the_one_that_is_named() -> None:
    motion = lively(10)
    anna, ben = (list(packets_from_motion(motion, subject=name)) for name in ("Anna", "Ben"))
    mixed = [packet for pair in zip(anna, ben, strict=True) for packet in pair]
    assert taken(mixed).face.startswith("'Anna'")
    take = taken(mixed, "Ben")
    assert take.face.startswith("'Ben'") and take.motion().num_frames == 10
    assert take.problems() == "10 of others"


def test_midnight_and_long_pauses_are_cut_out() -> None:
    packets = sent(40, first_frame=5_183_980)[:20] + sent(40, first_frame=-20)[20:]
    take = taken(packets)
    assert_same(take.motion(), lively(40))
    packets = sent(40)[:20] + sent(40, first_frame=100_000)[20:]
    take = taken(packets)
    assert_same(take.motion(), lively(40))
    assert take.problems() == "1 longer pauses cut out"


def test_a_stray_frame_number_is_left_out() -> None:
    packets = sent(20)
    packets[10:10] = [*sent(1, first_frame=2**31 - 1), *sent(1, first_frame=-(2**31))]
    take = taken(packets)
    assert_same(take.motion(), lively(20))
    assert take.problems() == "2 astray"


def test_a_take_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Take(max_frames=5)
    assert [take.add(packet) for packet in sent(7)] == [True] * 5 + [False] * 2
    assert take.is_full and take.motion().num_frames == 5
    monkeypatch.setattr("mien.formats.live_link_take.MAX_FRAMES", 1000)
    wide = Take(max_frames=1000)
    for number in range(0, 10_000, 500):  # within reach of each other, but far in all
        wide.add(sent(1, first_frame=number)[0])
    assert wide.motion().num_frames == 501 and wide.num_frames < 20
    with pytest.raises(ValueError, match="A take has 1 to 1000 frames, got 0"):
        Take(max_frames=0)


def test_another_frame_rate_is_left_out() -> None:
    take = taken(sent(5) + sent(5, first_frame=5, fps=30.0))
    assert take.motion().num_frames == 5 and take.problems() == "5 at another rate"


def test_an_empty_take_says_what_came() -> None:
    with pytest.raises(ValueError, match=r"^No frame of a face came\.$"):
        Take().motion()
    with pytest.raises(ValueError, match="came; packets: 1 bad .the first bad one: a packet has"):
        taken([b"hello"]).motion()


GOOD = sent(1)[0]
BAD = [
    (b"", "a packet has 25 to 4096 bytes, got 0"),
    (GOOD + bytes(5000), "a packet has 25 to 4096 bytes, got 5310"),
    (b"\x07" + GOOD[1:], "packets of version 6 are read, got 7"),
    (GOOD[:-1], "must hold 61 channels, got 61 in 243 bytes"),
    (GOOD[:68], "must hold 61 channels, got 61 in 2 bytes"),
    (GOOD[:60], "cut off in its frame time"),
    (GOOD[:43], "cut off in its names"),
    (GOOD[:1] + b"\xff" * 4 + GOOD[5:], "has a name of -1 bytes"),
    (GOOD[:57] + struct.pack(">ii", 60, 0) + GOOD[65:], "has frame rate 60/0"),
    (GOOD[:57] + struct.pack(">ii", 5000, 1) + GOOD[65:], "has frame rate 5000/1"),
    (GOOD[:-4] + struct.pack(">f", float("nan")), "channel RightEyeRoll: Angles must be radians"),
    (GOOD[:66] + struct.pack(">f", 3.0) + GOOD[70:], "EyeBlinkLeft: Units must lie in 0..1"),
]


@pytest.mark.parametrize(("data", "message"), BAD)
def test_spoiled_packets_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_packet(data)


def test_what_does_not_fit_a_packet_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 256 bytes, got 300"):
        next(packets_from_motion(lively(1), subject="x" * 300))
    with pytest.raises(ValueError, match="must have 32 bits"):
        next(packets_from_motion(lively(1), first_frame=2**31))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    place=st.integers(0, len(GOOD) - 1),
    bit=st.integers(0, 7),
    stop=st.integers(0, len(GOOD) + 8),
    extra=st.binary(max_size=8),
)
def test_any_bytes_are_a_packet_or_a_clear_refusal(
    place: int, bit: int, stop: int, extra: bytes
) -> None:
    data = bytearray(GOOD)
    data[place] ^= 1 << bit
    try:
        packet = parse_packet(bytes(data[:stop]) + extra)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert packet.channels is None or bool(np.isfinite(packet.channels).all())


def test_the_jaw_arrives_in_its_channel() -> None:
    motion = Motion.rest(1).replace(jaw_pose=torch.tensor([[0.2, 0.0, 0.0]]))
    channels = parse_packet(next(packets_from_motion(motion))).channels
    assert channels is not None
    column = CHANNEL_NAMES.index("jawOpen")
    assert channels[column] == pytest.approx(float(curves_from_motion(motion)[0, column]))
