import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES, EYE_LOOK_RADIANS, curves_from_motion
from mien.formats import read_live_link, write_live_link
from mien.formats.live_link_channels import EYE_REST_OUTWARD_RADIANS, LIVE_LINK_NAMES
from mien.formats.timecode import format_timecodes, frame_times
from mien.motion import Motion

TAKE = "jmtechart_livelink/MySlate_3_iPhone.csv"
TRACKS = ("expr", "jaw_pose", "neck_pose", "eye_pose")


def table(
    timecodes: list[str],
    names: tuple[str, ...] = LIVE_LINK_NAMES,
    count_name: str = "BlendShapeCount",
    **columns: float,
) -> list[list[str]]:
    """A file's cells: a slow ramp in JawOpen, constants where named."""
    rows = [["Timecode", count_name, *names]]
    for index, timecode in enumerate(timecodes):
        values = {"JawOpen": 0.1 + 0.001 * index, **columns}
        cells = [f"{values.get(name, 0.0):.10f}" for name in names]
        rows.append([timecode, str(len(names)), *cells])
    return rows


def save(path: Path, rows: list[list[str]], delimiter: str = ",") -> Path:
    path.write_text("".join(delimiter.join(row) + "\n" for row in rows))
    return path


def steady(num_frames: int, fps: float) -> list[str]:
    return format_timecodes(num_frames, fps)


def channel(motion: Motion, name: str) -> torch.Tensor:
    return curves_from_motion(motion)[:, CHANNEL_NAMES.index(name)]


def test_the_real_take_is_read(shared: Path) -> None:
    motion = read_live_link(shared / TAKE)
    assert (motion.fps, motion.num_frames) == (60.0, 328)
    raw = np.loadtxt(shared / TAKE, delimiter=",", skiprows=1, usecols=range(2, 63))
    curves = curves_from_motion(motion).numpy()
    plain = [i for i, name in enumerate(ARKIT_NAMES) if "eyeLook" not in name]
    np.testing.assert_allclose(curves[:, plain], raw[:, plain], rtol=0, atol=1e-6)


def test_the_real_takes_eye_angles_agree_with_its_look_units(shared: Path) -> None:
    raw = np.loadtxt(shared / TAKE, delimiter=",", skiprows=1, usecols=range(2, 63))
    curves = curves_from_motion(read_live_link(shared / TAKE)).numpy()
    for side in ("Left", "Right"):
        for way, radians in EYE_LOOK_RADIANS.items():
            column = CHANNEL_NAMES.index(f"eyeLook{way}{side}")
            # the phone's own yaw differs from its units by up to 0.003 rad, worst seen 0.012 units
            np.testing.assert_allclose(
                curves[:, column], raw[:, column], rtol=0, atol=0.008 / radians
            )


def test_the_real_take_survives_writing_and_25_fps(shared: Path, tmp_path: Path) -> None:
    motion = read_live_link(shared / TAKE)
    write_live_link(motion, tmp_path / "again.csv")
    again = read_live_link(tmp_path / "again.csv")
    assert again.fps == motion.fps
    for name in TRACKS:
        torch.testing.assert_close(getattr(again, name), getattr(motion, name), rtol=0, atol=2e-7)
    slow = motion.resample(25.0)
    write_live_link(slow, tmp_path / "slow.csv")
    back = read_live_link(tmp_path / "slow.csv").resample(60.0)
    assert abs(back.num_frames - motion.num_frames) <= 1
    # blinks lose their tips at 25 fps: the worst unit is off by 0.18, the mean square by 0.006
    error = back.expr[: motion.num_frames] - motion.expr[: back.num_frames]
    assert error.abs().max() < 0.25 and error.pow(2).mean().sqrt() < 0.01


@pytest.mark.parametrize(
    "fps", [12.5, 23.976, 24.0, 25.0, 29.97, 30.0, 48.0, 50.0, 59.94, 60.0, 100.0]
)
def test_a_motion_comes_back_at_any_rate(fps: float, tmp_path: Path) -> None:
    time_s = torch.arange(130)[:, None] / fps
    motion = Motion.rest(130, fps=fps)
    motion = motion.replace(
        expr=0.5 + 0.4 * torch.sin(time_s * 3 + torch.arange(43)),
        jaw_pose=torch.cat([0.2 + 0.1 * torch.sin(time_s), time_s * 0, time_s * 0], dim=-1),
        neck_pose=0.4 * torch.sin(time_s + torch.arange(3)),
        eye_pose=0.3 * torch.sin(2 * time_s + torch.arange(6)),
    )
    write_live_link(motion, tmp_path / "motion.csv")
    back = read_live_link(tmp_path / "motion.csv")
    assert back.fps == pytest.approx(fps, rel=2e-5)
    for name in TRACKS:
        torch.testing.assert_close(getattr(back, name), getattr(motion, name), rtol=0, atol=5e-7)


def unreal_times(timecodes: list[str]) -> list[float]:
    """Seconds as Unreal's LiveLinkFaceImporter reads them: it knows 30 and 60 fps alone."""
    parts = [[float(part) for part in code.split(":")] for code in timecodes]
    rate = 60 if max(part[3] for part in parts) > 30 else 30
    return [h * 3600 + m * 60 + s + f / rate for h, m, s, f in parts]


@pytest.mark.parametrize("seconds", [0.6, 1.0, 3.0, 65.0])
@pytest.mark.parametrize("fps", [10.0, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0, 120.0])
def test_unreal_reads_our_timecodes_as_the_same_times(fps: float, seconds: float) -> None:
    count = int(seconds * fps) + 1
    codes = format_timecodes(count, fps)
    np.testing.assert_allclose(unreal_times(codes), np.arange(count) / fps, rtol=0, atol=2e-5)
    found = frame_times(codes)
    assert found.fps == pytest.approx(fps, rel=1e-3)
    assert np.array_equal(found.frames, np.arange(count))


def test_what_is_written_has_the_apps_own_header(shared: Path, tmp_path: Path) -> None:
    write_live_link(Motion.rest(2), tmp_path / "motion.csv")
    ours = (tmp_path / "motion.csv").read_text().splitlines()
    assert ours[0] == (shared / TAKE).read_text().splitlines()[0]
    assert ours[1].startswith("00:00:00:00.000,61,0.0000000000,")
    assert len({line.count(",") for line in ours}) == 1 and len(ours) == 3


@pytest.mark.parametrize("count_name", ["BlendShapeCount", "BlendshapeCount"])
def test_both_spellings_of_the_count_are_read(count_name: str, tmp_path: Path) -> None:
    path = save(tmp_path / "take.csv", table(steady(70, 60.0), count_name=count_name))
    assert read_live_link(path).num_frames == 70


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_windows_files_are_read(newline: str, mark: str, tmp_path: Path) -> None:
    rows = table(steady(70, 60.0))
    text = mark + newline.join(",".join(row) for row in rows) + newline * 3
    (tmp_path / "take.csv").write_bytes(text.encode())
    assert read_live_link(tmp_path / "take.csv").num_frames == 70


def test_columns_may_come_in_any_order_and_52_suffice(tmp_path: Path) -> None:
    names = tuple(reversed(LIVE_LINK_NAMES[:52]))
    path = save(tmp_path / "take.csv", table(steady(70, 60.0), names, EyeLookOutLeft=0.5))
    motion = read_live_link(path)
    assert not motion.neck_pose.any()
    assert motion.eye_pose[0, 1] == pytest.approx(0.5 * EYE_LOOK_RADIANS["Out"])
    assert channel(motion, "jawOpen")[69] == pytest.approx(0.169)


def test_an_eye_that_rests_outward_looks_straight_ahead(tmp_path: Path) -> None:
    """The phone reports the optical axis; without any eyeLook the gaze is straight."""
    rest = EYE_REST_OUTWARD_RADIANS
    rows = table(steady(70, 60.0), LeftEyeYaw=-rest, RightEyeYaw=rest)
    assert read_live_link(save(tmp_path / "take.csv", rows)).eye_pose.abs().max() < 1e-6


@pytest.mark.parametrize(
    ("name", "part", "axis", "sign"),
    [
        ("HeadYaw", "neck_pose", 1, 1),
        ("HeadPitch", "neck_pose", 0, -1),
        ("HeadRoll", "neck_pose", 2, 1),
        ("LeftEyePitch", "eye_pose", 0, 1),
    ],
)
def test_angles_have_the_documented_signs(
    name: str, part: str, axis: int, sign: int, tmp_path: Path
) -> None:
    rows = table(steady(70, 60.0), LIVE_LINK_NAMES, "BlendShapeCount", **{name: 0.2})
    pose = getattr(read_live_link(save(tmp_path / "take.csv", rows)), part)
    torch.testing.assert_close(pose[:, axis], torch.full((70,), 0.2 * sign), rtol=0, atol=3e-3)


def test_dropped_frames_are_interpolated_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = table(steady(200, 60.0))
    del rows[20:27], rows[100]
    with caplog.at_level(logging.WARNING):
        motion = read_live_link(save(tmp_path / "take.csv", rows))
    assert (motion.fps, motion.num_frames) == (60.0, 200)
    wanted = 0.1 + 0.001 * torch.arange(200)
    torch.testing.assert_close(channel(motion, "jawOpen"), wanted, rtol=0, atol=1e-6)
    assert "8 dropped frames in 2 places (at most 7 at once)" in caplog.text


def test_frames_dropped_where_the_second_passes_do_not_change_the_rate(tmp_path: Path) -> None:
    rows = table(steady(90, 60.0))
    del rows[58:64]
    motion = read_live_link(save(tmp_path / "take.csv", rows))
    assert (motion.fps, motion.num_frames) == (60.0, 90)


def test_midnight_passes(tmp_path: Path) -> None:
    codes = [f"23:59:59:{f:02}.500" for f in range(30)] + [
        f"00:00:00:{f:02}.500" for f in range(30)
    ]
    motion = read_live_link(save(tmp_path / "take.csv", table(codes)))
    assert (motion.fps, motion.num_frames) == (30.0, 60)


@pytest.mark.parametrize("rate", [30, 60])
@pytest.mark.parametrize("mark", [";", ":"])
def test_drop_frame_timecodes_lose_no_frame(rate: int, mark: str, tmp_path: Path) -> None:
    codes = []
    number = 50 * rate  # SMPTE 12M: the first numbers of a minute are skipped, but each tenth
    for _ in range(20 * rate):
        if number % (60 * rate) == 0 and number % (600 * rate) != 0:
            number += rate // 15
        second, frame = divmod(number, rate)
        codes.append(f"00:{second // 60:02}:{second % 60:02}{mark}{frame:02}")
        number += 1
    motion = read_live_link(save(tmp_path / "take.csv", table(codes)))
    assert motion.num_frames == 20 * rate
    assert motion.fps == pytest.approx(rate * 1000 / 1001)


def test_a_60_fps_recording_under_30_fps_timecodes_is_60_fps(tmp_path: Path) -> None:
    codes = [f"01:02:{i // 60:02}:{i % 60 / 2:06.3f}" for i in range(150)]
    motion = read_live_link(save(tmp_path / "take.csv", table(codes)))
    assert (motion.fps, motion.num_frames) == (60.0, 150)


def test_the_last_field_of_a_59_94_take_may_pass_59(tmp_path: Path) -> None:
    codes = [f"00:00:{int(t):02}:{t % 1 * 60:06.3f}" for t in (np.arange(200) + 0.85) * 1.001 / 60]
    assert max(float(code[-6:]) for code in codes) > 59.9
    motion = read_live_link(save(tmp_path / "take.csv", table(codes)))
    assert motion.num_frames == 200 and motion.fps == pytest.approx(59.94, abs=0.01)


def test_a_phones_clock_does_not_tear_a_long_take(tmp_path: Path) -> None:
    """59.96 by its clock: in ten minutes 21 frames of 60 too many, none of which is missing."""
    times = 30 * np.arange(1200) * 1.0006 / 60
    codes = [f"00:{int(t) // 60:02}:{int(t) % 60:02}:{t % 1 * 60:06.3f}" for t in times.tolist()]
    found = frame_times(codes)
    assert np.array_equal(np.diff(found.frames), np.ones(1199))


def test_one_row_is_one_frame(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save(tmp_path / "take.csv", table(["00:00:00:00.000"]))
    with caplog.at_level(logging.WARNING):
        motion = read_live_link(path)
    assert (motion.fps, motion.num_frames) == (60.0, 1)
    assert "too short to tell its frame rate; 60 is assumed" in caplog.text
    assert read_live_link(path, fps=25.0).fps == 25.0


def change(line: int, column: str, text: str) -> Callable[[list[list[str]]], None]:
    def apply(rows: list[list[str]]) -> None:
        rows[line - 1][rows[0].index(column)] = text

    return apply


def drop_column(rows: list[list[str]]) -> None:
    index = rows[0].index("MouthClose")
    for row in rows:
        del row[index]


def cut_last_row(rows: list[list[str]]) -> None:
    del rows[-1][30:]


def keep_header(rows: list[list[str]]) -> None:
    del rows[1:]


def repeat_column(rows: list[list[str]]) -> None:
    for row in rows:
        row.append(row[5])


def times_100(rows: list[list[str]]) -> None:
    for row in rows[1:]:
        row[2:] = [str(float(cell) * 100) for cell in row[2:]]


BAD = [
    (drop_column, "lacks 1 of Timecode and the 52 ARKit columns: MouthClose"),
    (change(5, "JawOpen", "nan"), "Line 5, column JawOpen: a finite number is wanted, got nan"),
    (change(5, "JawOpen", "inf"), "Line 5, column JawOpen: a finite number is wanted, got inf"),
    (change(7, "CheekPuff", "0.1x"), "Line 7, column CheekPuff: a number is wanted, got '0.1x'"),
    (change(7, "CheekPuff", ""), "Line 7, column CheekPuff: a number is wanted, got ''"),
    (change(8, "Timecode", "noon"), "must look like 00:32:09:07.867, got 'noon' in row 7"),
    (change(8, "Timecode", "00:99:00:00"), "must look like"),
    (change(40, "Timecode", "00:00:00:01.000"), "must not run backward"),
    (change(71, "Timecode", "09:00:00:01.000"), "gaps of at most 10 s are filled"),
    (change(9, "JawOpen", "-30"), "Line 9, column JawOpen: Units must lie in 0..1.*got -30"),
    (change(9, "HeadYaw", "20"), "Line 9, column HeadYaw: Angles must be radians.*got 20"),
    (times_100, "Line 2, column JawOpen: Units must lie in 0..1 .divide percentages by 100., got"),
    (keep_header, "at least one row under the header, got none"),
    (cut_last_row, "Line 71 has 30 fields, but the header has 63; is the file cut off"),
    (repeat_column, "Column 'EyeLookOutLeft' comes twice"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD)
def test_spoiled_files_are_refused_by_line_and_column(
    spoil: Callable[[list[list[str]]], None], message: str, tmp_path: Path
) -> None:
    rows = table(steady(70, 60.0))
    spoil(rows)
    with pytest.raises(ValueError, match=message) as caught:
        read_live_link(save(tmp_path / "take.csv", rows))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("delimiter", "name"),
    [(";", "semicolons"), ("\t", "tabs"), ("|", "bars"), (" ", "begin with")],
)
def test_other_delimiters_are_named(delimiter: str, name: str, tmp_path: Path) -> None:
    path = save(tmp_path / "take.csv", table(steady(70, 60.0)), delimiter)
    with pytest.raises(ValueError, match=name):
        read_live_link(path)


@pytest.mark.parametrize("data", [b"", b"\n", b"\x89PNG\r\n\x1a\n\xff", b"hello", b"a,b\n1,2\n"])
def test_files_that_are_something_else_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "take.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"not text|must begin with|lacks 53"):
        read_live_link(path)


def test_a_2_gb_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "take.csv"
    path.touch()
    os.truncate(path, 2 * 2**30)  # sparse
    started = time.perf_counter()
    with pytest.raises(ValueError, match="has 2,048 MB; at most 256 MB are read"):
        read_live_link(path)
    assert time.perf_counter() - started < 1.0
    with pytest.raises(ValueError, match="must be a file"):
        read_live_link(tmp_path)


def test_channels_that_never_move_and_unknown_columns_are_fine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = table(steady(70, 60.0), BrowInnerUp=0.25)
    for row in rows:
        row.append("Mood" if row is rows[0] else "glad")
    with caplog.at_level(logging.WARNING):
        motion = read_live_link(save(tmp_path / "take.csv", rows))
    assert torch.equal(channel(motion, "browInnerUp"), torch.full((70,), 0.25))
    assert "1 unknown columns were left out: ['Mood']" in caplog.text


VALID = "".join(",".join(row) + "\n" for row in table(steady(8, 25.0))).encode()
PIECES = [b",", b"\n", b"nan", b"-", b"1e999", b":", b"\xff", b'"', b"\0", b"00:00:00:00", b" "]


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A valid file with a few cuts, insertions, repetitions and changed bytes."""
    data = bytearray(VALID)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.sampled_from([0, 1, 3, 12, 400])))
        kind = draw(st.sampled_from(["cut", "put", "repeat", "flip", "end"]))
        if kind == "cut":
            del data[start:stop]
        elif kind == "put":
            data[start:stop] = draw(st.sampled_from(PIECES) | st.binary(max_size=6))
        elif kind == "repeat":
            data[start:start] = data[start:stop]
        elif kind == "flip" and start < len(data):
            data[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "end":
            del data[start:]
    return bytes(data)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=mutations())
def test_any_file_is_a_motion_or_a_clear_refusal(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "take.csv"
    path.write_bytes(data)
    try:
        motion = read_live_link(path)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert motion.num_frames >= 1 and bool(torch.isfinite(motion.expr).all())


@pytest.mark.parametrize("text", ["0.1 0", "1_0", "0x1", "1,5e", '"0.1"', "0.1j", "--1"])
def test_the_first_of_many_broken_fields_is_named(text: str, tmp_path: Path) -> None:
    rows = table(steady(400, 60.0))
    for line in (123, 124, 300):
        rows[line - 1][rows[0].index("NoseSneerLeft")] = text.replace(",", ".")
    with pytest.raises(ValueError, match="Line 123, column NoseSneerLeft: a number is wanted"):
        read_live_link(save(tmp_path / "take.csv", rows))
