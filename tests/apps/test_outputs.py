import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mien import pipeline
from mien.apps import outputs
from mien.apps.cli import main
from mien.apps.drawing import Drawing, draw_sheet
from mien.apps.outputs import WRITABLE, check_outputs, write_outputs
from mien.apps.refusal import Refusal
from mien.apps.video import read_video
from mien.arkit import CHANNEL_NAMES, motion_from_curves
from mien.motion import Motion

SMALL = Drawing(size=64)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may have more than 500 bytes: a write ends as on a full disk, by the system."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def clip() -> Motion:
    """Six frames in which the jaw opens wide."""
    curves = np.zeros((6, len(CHANNEL_NAMES)), np.float32)
    curves[:, CHANNEL_NAMES.index("jawOpen")] = np.linspace(0, 1, 6)
    return motion_from_curves(curves, 25.0, text="opens wide")


def test_one_call_writes_video_pictures_and_data(clip: Motion, tmp_path: Path) -> None:
    paths = [tmp_path / f"out{kind}" for kind in (".mp4", ".gif", ".png", ".csv", ".npz")]
    write_outputs(clip, paths, SMALL)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    frames = list(read_video(paths[0]))
    assert len(frames) == 6 and frames[0].shape == (64, 64, 3)
    assert np.abs(frames[0].astype(int) - frames[5].astype(int)).max() > 30  # the mouth opens
    with Image.open(paths[1]) as animation:
        assert getattr(animation, "n_frames", 1) == 6
    assert Motion.load(paths[4]).text == "opens wide"


def test_the_avatar_is_written_as_gltf_with_its_motion_and_look(
    clip: Motion, tmp_path: Path
) -> None:
    path = tmp_path / "out.glb"
    write_outputs(clip, [path], Drawing("infant"))
    data = path.read_bytes()
    assert data[:4] == b"glTF" and int.from_bytes(data[8:12], "little") == len(data)
    size = int.from_bytes(data[12:16], "little")
    table = json.loads(data[20 : 20 + size])
    assert table["animations"] and table["images"]
    (mesh,) = table["meshes"]
    names = mesh["extras"]["targetNames"]
    smile = [part["targets"][names.index("mouthSmileLeft")] for part in mesh["primitives"]]
    furthest = np.max([table["accessors"][part["POSITION"]]["max"] for part in smile], axis=0)
    avatar = pipeline.load_avatar("infant")
    assert 0 < avatar.gains["mouthSmileLeft"] < 1  # an infant's targets are its own
    column = avatar.head.num_shape + avatar.head.expr_names.index("mouthSmileLeft")
    sculpted = avatar.head.shapedirs[..., column].amax(0).numpy()
    np.testing.assert_allclose(furthest, sculpted * avatar.gains["mouthSmileLeft"], rtol=1e-5)


def test_where_one_output_fails_none_is_left_and_old_ones_stay(
    clip: Motion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "out.csv"
    old.write_text("what was there before")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "draw_sheet", full)
    with pytest.raises(Refusal, match=r"^\S*/out\.png: No space left on device$"):
        write_outputs(clip, [old, tmp_path / "out.npz", tmp_path / "out.png"], SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert old.read_text() == "what was there before"


@pytest.mark.parametrize("kind", sorted({*WRITABLE} - {".flame.npz", ".curves.png"}))
def test_a_file_that_the_system_cannot_hold_is_named(
    clip: Motion, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"out{kind}"
    with full_disk(), pytest.raises(Refusal, match="File too large") as refusal:
        write_outputs(clip.slice(0, 2), [path], SMALL)
    message = str(refusal.value)
    assert message.count(str(path)) == 1 and "\n" not in message and "/." not in message
    assert not list(tmp_path.iterdir())


def test_a_video_without_an_encoder_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(outputs.ENCODERS, ".mp4", "no-such-encoder")
    with pytest.raises(ValueError, match=r"out\.mp4: wanted PyAV with the encoder no-such-enc"):
        check_outputs([tmp_path / "out.mp4"])
    check_outputs([tmp_path / "out.gif"])


def test_an_existing_output_is_replaced_as_a_whole(clip: Motion, tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    path.write_bytes(b"x" * 1_000_000)
    write_outputs(clip, [path], SMALL)
    assert Motion.load(path).num_frames == 6


def test_outputs_that_can_be_written_pass_the_check(tmp_path: Path) -> None:
    check_outputs([tmp_path / "a.MP4", tmp_path / "b.csv"])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"wanted one of \.ply, got \.csv"):
        check_outputs([tmp_path / "b.csv"], [".ply"])


def test_rendering_gives_one_picture_a_frame_that_changes_with_the_face(clip: Motion) -> None:
    frames = list(pipeline.render(clip, size=96))
    assert [frame.shape for frame in frames] == [(96, 96, 3)] * 6
    assert all(frame.dtype == np.uint8 for frame in frames)
    corner = np.round(np.array(pipeline.BACKGROUND) * 255)
    np.testing.assert_array_equal(frames[0][0, 0], corner)
    assert (frames[0] != frames[5]).any()
    turned = next(pipeline.render(clip, size=96, yaw=0.7))
    assert np.abs(turned.astype(int) - frames[0].astype(int)).mean() > 2


def test_rendering_refuses_what_it_cannot_draw_at_once(clip: Motion) -> None:
    with pytest.raises(ValueError, match="even number"):
        pipeline.render(clip, size=65)
    with pytest.raises(ValueError, match="adult"):
        pipeline.render(clip, "nobody")


def test_a_sheet_of_a_short_clip_shows_every_frame(clip: Motion) -> None:
    short, long = draw_sheet(clip.slice(0, 3), SMALL, 64), draw_sheet(clip, SMALL, 64)
    assert short.width < long.width and short.height < long.height


def test_the_avatar_commands_list_draw_and_export(
    clip: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mien.avatar import read_ply

    assert main(["avatar", "list"]) == 0
    names = capsys.readouterr().out.split()
    assert {"adult", "child", "infant"} <= set(names)
    picture, splats, posed = (tmp_path / name for name in ("a.png", "rest.ply", "open.ply"))
    assert main(["avatar", "show", "infant", "-o", str(picture), "--size", "64"]) == 0
    with Image.open(picture) as image:
        assert image.size == (192, 64)
    clip.save(tmp_path / "clip.npz")
    assert main(["avatar", "export", "infant", "-o", str(splats)]) == 0
    argv = ["avatar", "export", "infant", "-o", str(posed), "--frame", "5"]
    assert main([*argv, "--clip", str(tmp_path / "clip.npz")]) == 0
    rest, opened = read_ply(splats).means, read_ply(posed).means
    assert len(rest) == len(opened) and float((rest - opened).norm(dim=1).max()) > 0.01


def test_a_frame_beyond_the_clip_is_refused(
    clip: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip.save(tmp_path / "clip.npz")
    argv = ["avatar", "export", "-o", f"{tmp_path}/a.ply", "--clip", f"{tmp_path}/clip.npz"]
    assert main([*argv, "--frame", "6"]) == 2
    assert "6" in capsys.readouterr().err
    assert not (tmp_path / "a.ply").exists()


def test_a_head_is_written_as_a_mesh_of_its_age(tmp_path: Path) -> None:
    from mien.head import Head

    heights = []
    for age in ("0", "0.7"):
        path = tmp_path / f"{age}.obj"
        assert main(["head", "--age", age, "-o", str(path)]) == 0
        rows = [line.split() for line in path.read_text().splitlines()]
        vertices = torch.tensor([[float(x) for x in row[1:]] for row in rows if row[0] == "v"])
        faces = [row for row in rows if row[0] == "f"]
        assert len(vertices) == len(Head.default().v_template)
        assert len(faces) == len(Head.default().faces)
        heights.append(float(vertices[:, 1].max() - vertices[:, 1].min()))
    assert heights[0] < 0.8 * heights[1]  # an infant's is smaller
    assert main(["head", "--seed", "3", "-o", str(tmp_path / "head.glb")]) == 0
    assert (tmp_path / "head.glb").read_bytes()[:4] == b"glTF"


@pytest.mark.parametrize("options", [["--age", "1.5"], ["--gender", "nan"], ["--seed", "-1"]])
def test_a_head_that_cannot_be_is_refused(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["head", "-o", str(tmp_path / "head.obj"), *options]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())
