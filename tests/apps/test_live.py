import gzip
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from mien.apps import live
from mien.apps.live import Live, listening, receive, send
from mien.apps.refusal import Refusal
from mien.arkit import motion_from_curves
from mien.formats import read_motion, write_motion
from mien.formats.live_link_take import Take
from mien.formats.live_link_udp import packets_from_motion, parse_packet
from mien.motion import Motion

DAO = "llv_livelink_udp/dao.gesichter"
TRACKS = ("expr", "jaw_pose", "neck_pose", "eye_pose")


def recorded(path: Path) -> list[bytes]:
    """The packets of a recording as the network carried them."""
    data, packets, offset = gzip.decompress(path.read_bytes()), [], 5
    while offset < len(data):
        (size,) = struct.unpack_from(">I", data, offset)
        packets.append(data[offset + 4 : offset + 4 + size])
        offset += 4 + size
    return packets


def lively(num_frames: int, fps: float = 60.0) -> Motion:
    generator = torch.Generator().manual_seed(1)
    curves = torch.rand(num_frames, 61, generator=generator)
    curves[:, 52:] = 0.4 * curves[:, 52:] - 0.2
    return motion_from_curves(curves, fps)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind(("127.0.0.1", 0))
        return int(channel.getsockname()[1])


def sending(packets: list[bytes], port: int, pause_s: float = 2e-4) -> threading.Thread:
    """A sender at work on a real socket."""

    def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            for packet in packets:
                channel.sendto(packet, ("127.0.0.1", port))
                time.sleep(pause_s)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def assert_same(found: Motion, wanted: Motion) -> None:
    assert (found.fps, found.num_frames) == (wanted.fps, wanted.num_frames)
    for name in TRACKS:
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), rtol=0, atol=2e-6)


def spoiled(packets: list[bytes]) -> list[bytes]:
    """Out of order, with doubles, noise and cut packets; the first stays first."""
    rng = random.Random(5)
    order = sorted(range(len(packets)), key=lambda i: (i + rng.uniform(0, 6)) if i else -1)
    mixed = [packets[i] for i in order]
    for _ in range(30):
        place, packet = rng.randrange(1, len(mixed)), rng.choice(packets)
        bad = rng.choice([rng.randbytes(rng.randrange(6000)), packet[:-9], b"", packet + b"\0"])
        mixed.insert(place, rng.choice([mixed[place], bad]))
    return mixed


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_the_recorded_stream_over_a_real_socket_gives_the_recording(
    shared: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port, path = free_port(), tmp_path / f"take.{suffix}"
    wanted = read_motion(shared / DAO)
    mixed = spoiled(recorded(shared / DAO))
    with listening("127.0.0.1", port) as channel:
        thread = sending(mixed, port)
        take = Take(max_frames=180)
        numbers = list(receive(take, channel, seconds=20.0, wait_s=20.0))
        thread.join()
    assert numbers == list(range(1, 181))
    assert take.counts["bad"] > 5 and take.counts["repeated"] > 3 and take.counts["late"] > 20
    write_motion(take.motion(), path)
    assert_same(read_motion(path), wanted)


def test_the_command_records_and_says_what_it_saw(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, path = free_port(), tmp_path / "take.npz"
    packets = recorded(shared / DAO)
    once_open = threading.Timer(0.5, lambda: sending([*packets[:9], b"noise", *packets[9:]], port))
    once_open.start()
    Live(output=path, port=port, frames=180, wait=30.0).run()
    told = capsys.readouterr().err
    assert f"listening on 127.0.0.1:{port}" in told and f"wrote {path}" in told
    assert "'LLV Default Device'" in told and "187 frames, 3.12 s, 60 fps" in told
    assert "packets: 1 bad (the first bad one: a packet has 25 to 4096 bytes, got 5.)" in told
    assert_same(Motion.load(path), read_motion(shared / DAO))


def test_a_clip_is_sent_in_its_own_time_and_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    motion = lively(20, fps=50.0)
    motion.save(tmp_path / "clip.npz")
    port = free_port()
    with listening("127.0.0.1", port) as channel:
        start = time.monotonic()
        Live(send=tmp_path / "clip.npz", port=port, subject="Anna").run()
        assert time.monotonic() - start >= 19 / 50
        take = Take(max_frames=20)
        list(receive(take, channel, seconds=10.0, wait_s=10.0))
    assert_same(take.motion(), motion)
    assert take.face.startswith("'Anna' on '6D69656E-")
    assert f"sent 20 frames, 0.40 s, to 127.0.0.1:{port}" in capsys.readouterr().err


def test_frame_numbers_sent_are_the_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_time_of_day_s", lambda: 3600.5)
    port = free_port()
    with listening("127.0.0.1", port) as channel:
        send(lively(2), "127.0.0.1", port)
        assert parse_packet(channel.recv(4096)).frame == 216_030


def test_receiving_stops_in_time() -> None:
    with listening("127.0.0.1", free_port()) as channel:
        start = time.monotonic()
        assert list(receive(Take(), channel, seconds=9.0, wait_s=0.1)) == []
        channel_port = channel.getsockname()[1]
        thread = sending(list(packets_from_motion(lively(60))), channel_port, pause_s=0.02)
        take = Take()
        list(receive(take, channel, seconds=0.3, wait_s=9.0))
        assert time.monotonic() - start < 3.5
        assert 2 <= take.num_frames < 40
        thread.join()


def test_ctrl_c_keeps_what_came(tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "take.csv"
    code = (
        "import pathlib, signal; from mien.apps.live import Live; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # shells may have it ignored
        f"Live(output=pathlib.Path({str(path)!r}), port={port}).run()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "listening" in line, line + process.stderr.read()
    sending(list(packets_from_motion(lively(150))), port).join()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 0, told
    assert "stopped" in told and f"wrote {path}" in told
    assert_same(read_motion(path), lively(150))
    assert [item.name for item in tmp_path.iterdir()] == ["take.csv"]


def test_nothing_is_written_where_nothing_came(tmp_path: Path) -> None:
    path, port = tmp_path / "take.npz", free_port()
    path.write_bytes(b"what was there")
    with pytest.raises(Refusal, match=rf"No packet came on 127.0.0.1:{port}; is this machine's"):
        Live(output=path, port=port, wait=0.1).run()
    threading.Timer(0.2, lambda: sending([b"noise"] * 3, port)).start()
    with pytest.raises(Refusal, match="No frame of a face came; packets: 3 bad"):
        Live(output=path, port=port, wait=1.0).run()
    assert path.read_bytes() == b"what was there"


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    port = free_port()
    with (
        listening("127.0.0.1", port),
        pytest.raises(Refusal, match=rf"127.0.0.1:{port}: .*use"),
    ):
        Live(output=tmp_path / "a.csv", port=port).run()


BAD = [
    ({}, "Give -o PATH to record or --send CLIP to send, got neither"),
    ({"output": Path("a.npz"), "send": Path("b.npz")}, "got both|no such file"),
    ({"output": Path("a.mp4")}, r"wanted one of \.csv \.npz \.safetensors, got \.mp4"),
    ({"output": Path("a.npz"), "port": 0}, "`port` must be from 1 to 65535, got 0"),
    ({"output": Path("a.npz"), "seconds": 0.0}, "`seconds` must be above 0 and at most 3600"),
    ({"output": Path("a.npz"), "seconds": float("nan")}, "`seconds` must be above 0"),
    ({"output": Path("a.npz"), "frames": 10**9}, "`frames` must be from 1 to 216000"),
    ({"output": Path("a.npz"), "wait": -1.0}, "`wait` must be above 0"),
    ({"output": Path("a.npz"), "host": "no-such-host.invalid"}, "`host` must be an address"),
    ({"send": Path("none.npz")}, "none.npz: there is no such file"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options_are_refused(
    options: dict[str, object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match=message):
        Live(**options).run()  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
