import gzip
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.arkit import CHANNEL_NAMES, curves_from_motion
from mien.formats import llv, read_llv, read_motion, write_motion
from mien.motion import Motion

DAO = "llv_livelink_udp/dao.gesichter"


def packet(frame: int, values: list[float], fps: tuple[int, int] = (60, 1)) -> bytes:
    names = b"".join(struct.pack(">i", len(name)) + name for name in (b"DEVICE", b"face"))
    tail = struct.pack(">ifiiB", frame, 0.25, *fps, len(values))
    return b"\x06" + names + tail + struct.pack(f">{len(values)}f", *values)


def recording(packets: list[bytes], version: int = 6, count: int | None = None) -> bytes:
    head = struct.pack(">BI", version, len(packets) if count is None else count)
    return head + b"".join(struct.pack(">I", len(each)) + each for each in packets)


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data))
    return path


def values(jaw: float) -> list[float]:
    found = [0.0] * 61
    found[CHANNEL_NAMES.index("jawOpen")] = jaw
    return found


def test_the_real_capture_is_read_and_its_gap_filled(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        motion = read_llv(shared / DAO)
    assert (motion.fps, motion.num_frames) == (60.0, 187)
    assert "7 dropped frames in 1 places" in caplog.text
    assert motion.neck_pose.abs().max() > 0.3


def test_in_the_real_capture_the_eyes_turn_against_the_head(shared: Path) -> None:
    """The reflex that holds the gaze; it fails if the head's or the eyes' signs are swapped."""
    curves = curves_from_motion(read_llv(shared / DAO)).double().numpy()

    def velocity(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.diff(curves[:, CHANNEL_NAMES.index(name)])

    eyes = velocity("leftEyeYaw") + velocity("rightEyeYaw")
    assert np.corrcoef(eyes, velocity("headYaw"))[0, 1] < -0.8
    pitch = np.linalg.lstsq(
        np.stack([velocity("headPitch"), velocity("headYaw"), velocity("headRoll")], axis=1),
        velocity("leftEyePitch"),
    )[0]
    assert pitch[0] < 0


def test_the_synthetic_sweep_is_clipped(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        motion = read_motion(shared / "llv_livelink_udp/debug-all-blendshapes.gesichter")
    assert motion.num_frames == 3720 and motion.expr.min() == 0 and motion.expr.max() == 1
    assert "outside 0..1 were clipped" in caplog.text


def test_a_recording_is_read_exactly(tmp_path: Path) -> None:
    data = recording([packet(100 + i, values(0.1 * i), (30000, 1001)) for i in range(5)])
    motion = read_llv(save(tmp_path / "a.gesichter", data))
    assert motion.fps == pytest.approx(29.97, abs=1e-3)
    jaw = curves_from_motion(motion)[:, CHANNEL_NAMES.index("jawOpen")]
    torch.testing.assert_close(jaw, 0.1 * torch.arange(5))


GOOD = [packet(i, values(0.1)) for i in range(4)]
BAD = [
    (recording(GOOD, version=5), "LLV version 6 is read, got 5"),
    (recording(GOOD, count=2**31), "2147483648 packets do not fit"),
    (recording([]), "0 packets do not fit"),
    (recording(GOOD)[:-3], "Packet 3 says"),
    (recording(GOOD, count=5), "Packet 4 says 0 bytes|a packet has 25"),
    (recording([b"\x06\x00\x00\x01\x20" + bytes(290)]), "Packet 0: it has a name of 288 bytes"),
    (b"\x06", "cut off or not an LLV recording"),
    (recording([*GOOD, packet(9, [0.1] * 60)]), "must hold 61 channels, got 60"),
    (recording([*GOOD, packet(9, values(0.1), (60, 0))]), "frame rate 60/0"),
    (recording([*GOOD, packet(9, values(0.1), (30, 1))]), r"one frame rate, got \[30.0, 60.0\]"),
    (recording([*GOOD, packet(9, values(float("nan")))]), "Packet 4: channel JawOpen.*got nan"),
    (recording([*GOOD, packet(2, values(0.1))]), "must not fall: 3 is followed by 2"),
    (recording([*GOOD, packet(2**30, values(0.1))]), "gaps of at most 10 s"),
    (recording([GOOD[0][:1] + b"\x7f\xff\xff\xff" + GOOD[0][5:]]), "has a name of 2147483647"),
]


@pytest.mark.parametrize(("data", "message"), BAD)
def test_spoiled_recordings_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read_llv(save(tmp_path / "a.gesichter", data))


def test_files_that_are_not_gzipped_or_cut_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gesichter"
    path.write_bytes(b"plain")
    with pytest.raises(ValueError, match="not a gzipped LLV recording"):
        read_llv(path)
    path.write_bytes(gzip.compress(recording(GOOD))[:-9])
    with pytest.raises(ValueError, match="not a gzipped LLV recording"):
        read_llv(path)


def test_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llv, "MAX_BYTES", 2**20)
    path = save(tmp_path / "a.gesichter", bytes(2**21))
    with pytest.raises(ValueError, match="unpacks to more than 1 MB"):
        read_llv(path)


def test_files_are_read_and_written_by_extension(tmp_path: Path) -> None:
    for suffix in ("csv", "npz", "safetensors"):
        write_motion(Motion.rest(60, fps=30.0), tmp_path / f"a.{suffix}")
        assert read_motion(tmp_path / f"a.{suffix}").num_frames == 60
    with pytest.raises(ValueError, match=r"ends in \.csv, \.gesichter, .*got 'a\.bvh'"):
        read_motion("a.bvh")
    with pytest.raises(ValueError, match=r"ends in \.csv, \.npz, \.safetensors; got 'a\.txt'"):
        write_motion(Motion.rest(1), "a.txt")
