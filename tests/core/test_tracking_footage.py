"""Footage and the model file: what is read, and what is refused in one line."""

import struct
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from PIL import Image

from mien import video_file
from mien.tracking import Crop, Footage, download_model, find_model
from mien.tracking import footage as footage_module
from mien.tracking.model_file import ENVIRONMENT


def write(path: Path, times: list[int], size: tuple[int, int] = (64, 48)) -> Path:
    """A video at 10 frames a second whose frames brighten, at given ticks."""
    import av

    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", 10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for index, tick in enumerate(times):
            pixels = np.full((height, width, 3), 20 + 20 * index, np.uint8)
            pixels[:, width // 2 :] = 0
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write(tmp_path / "clip.mp4", list(range(8)))


def brightness(footage: Footage) -> list[int]:
    return [round(float(frame[:, :20].mean())) for frame in footage.frames()]


def near(found: list[int], wanted: list[int]) -> bool:
    return len(found) == len(wanted) and bool(np.allclose(found, wanted, atol=6))


def test_all_frames_of_a_video_come_in_order(video: Path) -> None:
    footage = Footage.open(video)
    assert (footage.fps, footage.num_frames, footage.is_photo) == (10.0, 8, False)
    assert near(brightness(footage), [20 + 20 * i for i in range(8)])


def test_start_and_stop_cut_a_video(video: Path) -> None:
    footage = Footage.open(video, start_s=0.2, stop_s=0.5)
    assert footage.num_frames == 3
    assert near(brightness(footage), [60, 80, 100])


def test_uneven_frames_are_repeated_to_an_even_rate(tmp_path: Path) -> None:
    path = write(tmp_path / "uneven.mp4", [0, 1, 2, 6, 7, 8])
    footage = Footage.open(path)
    count = footage.fps * 0.9
    assert len(list(footage.frames())) == pytest.approx(count, abs=1)


def test_crops_cut_halves_and_boxes(video: Path) -> None:
    right = next(Footage.open(video, Crop.parse("right")).frames())
    assert right.shape == (48, 32, 3) and right.mean() < 8
    box = next(Footage.open(video, Crop.parse("0,8,32,40")).frames())
    assert box.shape == (40, 32, 3)


@pytest.mark.parametrize("text", ["middle", "1,2,3", "1,2,3,x", "-1,0,40,40", ""])
def test_a_crop_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="A crop must be left, right"):
        Crop.parse(text)


@pytest.mark.parametrize(
    ("text", "match"), [("40,0,40,40", "leaves the picture"), ("0,0,8,40", "at least 32")]
)
def test_a_crop_outside_the_picture_is_refused(video: Path, text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Footage.open(video, Crop.parse(text))


def test_a_photo_is_one_frame(tmp_path: Path) -> None:
    pixels: ndarray = np.zeros((40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "face.png")
    footage = Footage.open(tmp_path / "face.png")
    assert footage.is_photo and footage.num_frames == 1
    assert [frame.shape for frame in footage.frames()] == [(40, 60, 3)]


def test_a_photo_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    image = Image.new("RGB", (60, 40))
    exif = image.getexif()
    exif[0x0112] = 6  # orientation: turn by a quarter
    image.save(tmp_path / "face.jpg", exif=exif)
    assert next(Footage.open(tmp_path / "face.jpg").frames()).shape == (60, 40, 3)


@pytest.mark.parametrize("name", ["notes.mp4", "notes.png"])
def test_a_text_file_is_no_footage(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("dear diary\n" * 50)
    with pytest.raises(ValueError, match=f"{name}.* is not a readable (video|picture)"):
        Footage.open(path)


def test_a_playlist_in_disguise_opens_nothing_else(video: Path) -> None:
    path = video.with_name("playlist.mp4")
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{video}\n#EXT-X-ENDLIST\n")
    with pytest.raises(ValueError, match="is not a readable video"):
        Footage.open(path)


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary")
    with pytest.raises(ValueError, match="must be a video or a photo, one of .mp4"):
        Footage.open(tmp_path / "notes.txt")


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file"):
        Footage.open(tmp_path / "none.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ValueError, match="is empty"):
        Footage.open(tmp_path / "empty.mp4")


def test_a_cut_off_video_is_refused(video: Path) -> None:
    video.write_bytes(video.read_bytes()[:300])
    with pytest.raises(ValueError, match="clip.mp4"):
        list(Footage.open(video).frames())


def test_a_sound_file_has_no_video(tmp_path: Path) -> None:
    import wave

    with wave.open(str(tmp_path / "voice.mp4"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "none"))
        file.writeframes(bytes(16000))
    with pytest.raises(ValueError, match="has no video"):
        Footage.open(tmp_path / "voice.mp4")


def test_bounds_hold_before_anything_is_decoded(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "large.png")
    for module in (footage_module, video_file):
        monkeypatch.setattr(module, "MAX_PIXELS", 1000)
    with pytest.raises(ValueError, match="1,000 pixels a frame, got 64x48"):
        Footage.open(video)
    with pytest.raises(ValueError, match="1,000 pixels, got 64x48"):
        Footage.open(tmp_path / "large.png")
    monkeypatch.undo()
    monkeypatch.setattr(footage_module, "MAX_SECONDS", 0.5)
    with pytest.raises(ValueError, match="0.5 s at most"):
        Footage.open(video)


@pytest.mark.parametrize(("start", "stop"), [(-1.0, 2.0), (2.0, 1.0), (5.0, 6.0)])
def test_times_outside_the_video_are_refused(video: Path, start: float, stop: float) -> None:
    with pytest.raises(ValueError, match="`start` must"):
        Footage.open(video, start_s=start, stop_s=stop)


def test_a_model_is_found_by_path_then_environment_then_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    with pytest.raises(ValueError, match="--model"):
        find_model()
    for name in ("given.task", "named.task"):
        with zipfile.ZipFile(tmp_path / name, "w"):
            pass
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "named.task"))
    assert find_model().name == "named.task"
    assert find_model(tmp_path / "given.task").name == "given.task"


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.task").write_text("hello")
    with pytest.raises(ValueError, match="not a face_landmarker.task bundle"):
        find_model(tmp_path / "model.task")
    with pytest.raises(ValueError, match="no file"):
        find_model(tmp_path / "none.task")


def test_a_fetched_file_with_another_hash_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    other = tmp_path / "other.task"
    other.write_bytes(b"PK other")
    with pytest.raises(ValueError, match="must have the SHA-256"):
        download_model(other.as_uri())
    with pytest.raises(ValueError, match="cannot be fetched"):
        download_model((tmp_path / "none").as_uri())
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_video_of_one_frame_is_read(tmp_path: Path) -> None:
    footage = Footage.open(write(tmp_path / "one.mp4", [0]))
    assert [frame.shape for frame in footage.frames()] == [(48, 64, 3)]


def test_a_video_of_four_thousand_pixels_is_read(tmp_path: Path) -> None:
    footage = Footage.open(write(tmp_path / "large.mp4", [0, 1], (3840, 2160)))
    assert [frame.shape for frame in footage.frames()] == [(2160, 3840, 3)] * 2


def test_a_video_whose_title_is_not_utf8_is_read(tmp_path: Path) -> None:
    import av

    path = tmp_path / "titled.mkv"
    with av.open(str(path), "w", metadata_encoding="latin-1") as container:
        container.metadata["title"] = "caf\u00e9"
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in [av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")] * 3:
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert len(list(Footage.open(path).frames())) == 3


@pytest.mark.parametrize("side", [9_500, 30_000])
def test_a_photo_that_unpacks_to_too_much_is_refused_without_a_warning(
    tmp_path: Path, side: int
) -> None:
    path = tmp_path / "huge.png"
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    with pytest.raises(ValueError, match="huge.png"):
        Footage.open(path)
