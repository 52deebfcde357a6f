from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mien.apps.video import read_video, video_fps, write_image, write_video
from mien.video_file import Frame


def frames(count: int, height: int = 48, width: int = 64) -> Iterator[Frame]:
    y, x = np.mgrid[0:height, 0:width].astype(float)
    for i in range(count):
        planes = [60 + 2 * x, 90 + 2 * y + 30 * np.sin(i / 2), 120 + 60 * np.sin(x / 20 + i / 3)]
        yield np.stack(planes, -1).clip(0, 255).astype(np.uint8)


# Mean and worst bias of a channel, of 255: chroma at half size costs the MP4 some, a palette of
# 256 colors a frame the GIF. Seen: 1.3 and 0.7; 2.0 and 0.4 (PyAV 18.1).
@pytest.mark.parametrize(("name", "error", "bias"), [("a.mp4", 3, 1), ("a.gif", 4, 1)])
def test_a_video_comes_back_frame_by_frame(
    tmp_path: Path, name: str, error: float, bias: float
) -> None:
    assert write_video(tmp_path / name, frames(9)) == 9
    read = np.stack(list(read_video(tmp_path / name))).astype(float)
    written = np.stack(list(frames(9)))
    assert read.shape == written.shape
    assert np.abs(read - written).mean() < error
    assert np.abs((read - written).mean((0, 1, 2))).max() < bias
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_an_mp4_is_what_players_and_browsers_take(tmp_path: Path) -> None:
    import av

    write_video(tmp_path / "a.mp4", frames(5))
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range) == (1, 1)  # BT.709, limited
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays before all of it has come


@pytest.mark.parametrize("fps", [25.0, 30000 / 1001, 60.0])
def test_an_mp4_keeps_its_rate(tmp_path: Path, fps: float) -> None:
    write_video(tmp_path / "a.mp4", frames(30), fps)
    assert video_fps(tmp_path / "a.mp4") == pytest.approx(fps, rel=1e-6)


def test_a_gif_keeps_time_to_a_hundredth(tmp_path: Path) -> None:
    from PIL import Image

    write_video(tmp_path / "a.gif", frames(12), 30.0)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.info["loop"] == 0
        durations = []
        for i in range(12):
            gif.seek(i)
            durations.append(gif.info["duration"])
    assert sum(durations) == 400 and set(durations) == {30, 40}


def test_each_frame_is_used_before_the_next_is_taken(tmp_path: Path) -> None:
    def reused() -> Iterator[Frame]:
        buffer = next(frames(1))
        for frame in frames(6):
            buffer[:] = frame
            yield buffer

    write_video(tmp_path / "one.mp4", reused())
    write_video(tmp_path / "many.mp4", frames(6))
    pairs = zip(read_video(tmp_path / "one.mp4"), read_video(tmp_path / "many.mp4"), strict=True)
    for one, many in pairs:
        np.testing.assert_array_equal(one, many)


def test_an_error_in_the_frames_leaves_the_old_file(tmp_path: Path) -> None:
    def broken() -> Iterator[Frame]:
        yield from frames(3)
        raise RuntimeError("the renderer broke")

    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="the renderer broke"):
        write_video(path, broken())
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "count", "size", "fps", "message"),
    [
        ("a.avi", 2, (48, 64), 25.0, r"must be named .mp4 or .gif, got .*a\.avi"),
        ("a.mp4", 0, (48, 64), 25.0, "at least one frame"),
        ("a.mp4", 2, (48, 63), 25.0, "even sizes, got 63x48"),
        ("a.gif", 2, (48, 64), 0.0, "`fps` must be above 0 and at most 1000, got 0.0"),
        ("a.mp4", 2, (48, 64), float("nan"), "`fps` must be above 0"),
    ],
)
def test_what_cannot_be_a_video_is_refused(
    tmp_path: Path, name: str, count: int, size: tuple[int, int], fps: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / name, frames(count, *size), fps)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_frames_that_change_their_size_or_type_are_refused(tmp_path: Path, name: str) -> None:
    first, second = frames(2)
    for wrong in (second[:-2], second[..., 0], second.astype(np.float32)):
        with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\] and all of one size"):
            write_video(tmp_path / name, [first, wrong])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_refused_before_any_frame(tmp_path: Path) -> None:
    def untouched() -> Iterator[Frame]:
        raise AssertionError("a frame was drawn")
        yield

    with pytest.raises(FileNotFoundError, match="no folder"):
        write_video(tmp_path / "none" / "a.mp4", untouched())


def test_a_picture_is_kept_exactly(tmp_path: Path) -> None:
    from PIL import Image

    picture = next(frames(1, 33, 21))
    write_image(tmp_path / "a.png", picture)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), picture)
    with pytest.raises(ValueError, match="must be named .png"):
        write_image(tmp_path / "a.jpg", picture)


def test_a_turned_video_is_read_upright(tmp_path: Path) -> None:
    import av

    write_video(tmp_path / "a.mp4", frames(3))
    with (
        av.open(str(tmp_path / "a.mp4")) as source,
        av.open(str(tmp_path / "turned.mp4"), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    plain, turned = tmp_path / "a.mp4", bytearray((tmp_path / "turned.mp4").read_bytes())
    # The display matrix of the track header, 16.16 fixed point: a quarter turn, as phones write.
    matrix = turned.index(b"tkhd") + 4 + 40
    one = (1 << 16).to_bytes(4, "big")
    minus = (-(1 << 16)).to_bytes(4, "big", signed=True)
    turned[matrix : matrix + 20] = bytes(4) + one + bytes(4) + minus + bytes(4)
    (tmp_path / "turned.mp4").write_bytes(turned)
    upright = next(read_video(tmp_path / "turned.mp4"))
    # A matrix of (0, 1, -1, 0) asks for a quarter turn clockwise.
    np.testing.assert_array_equal(upright, np.rot90(next(read_video(plain)), -1))


def test_files_that_are_no_videos_are_refused(tmp_path: Path) -> None:
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes(range(256)) * 40)
    sound = tmp_path / "sound.wav"
    _write_sound(sound)
    cases = {
        tmp_path / "none.mp4": "There is no file",
        noise: "not a readable video",
        sound: "has no video in it",
    }
    for path, message in cases.items():
        with pytest.raises(ValueError, match=message):
            next(read_video(path))
        with pytest.raises(ValueError, match=message):
            video_fps(path)


def _write_sound(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate, sound.time_base = 8000, Fraction(1, 8000)
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))


def test_a_video_cut_short_and_one_too_long_are_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames(50))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 4])
    with pytest.raises(ValueError, match=r"cannot be decoded|not a readable|has no frames"):
        list(read_video(tmp_path / "cut.mp4"))
    with pytest.raises(ValueError, match="longer than 1 s"):
        list(read_video(tmp_path / "a.mp4", max_seconds=1.0))
