from pathlib import Path

import pytest
import torch

from mien import pipeline
from mien.apps import splats
from mien.apps.splats import splat_folder, write_splat_frames
from mien.avatar import ply
from mien.motion import Motion

AVATAR = "adult-small"


def moving(num_frames: int = 3) -> Motion:
    motion = Motion.rest(num_frames)
    return motion.replace(jaw_pose=torch.linspace(0, 0.2, num_frames)[:, None] * torch.eye(3)[0])


def test_every_frame_is_a_file_with_the_face_as_it_is_then(tmp_path: Path) -> None:
    motion = moving()
    folder = write_splat_frames(motion, tmp_path / "smile.ply", AVATAR)
    assert [path.name for path in sorted(folder.iterdir())] == [
        "00000.ply",
        "00001.ply",
        "00002.ply",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["smile"]
    avatar = pipeline.load_avatar(AVATAR)
    for index, wanted in enumerate(avatar.drive(motion)):
        found = ply.read_ply(folder / f"{index:05}.ply")
        torch.testing.assert_close(found.means, wanted.means, rtol=0, atol=1e-6)
        torch.testing.assert_close(found.colors, wanted.colors, rtol=0, atol=1e-5)
    assert not torch.equal(
        ply.read_ply(folder / "00000.ply").means, ply.read_ply(folder / "00002.ply").means
    )


def test_an_error_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ply.write_ply

    def fails_late(path: Path, gaussians: object) -> None:
        if path.name == "00002.ply":
            raise RuntimeError("a bug")
        whole(path, gaussians)  # type: ignore[arg-type]

    monkeypatch.setattr(ply, "write_ply", fails_late)
    with pytest.raises(RuntimeError, match="a bug"):
        write_splat_frames(moving(), tmp_path / "smile.ply", AVATAR)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "smile").mkdir()
    assert splat_folder(tmp_path / "smile.ply") == tmp_path / "smile"
    (tmp_path / "smile" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="smile: wanted a new or empty folder"):
        write_splat_frames(moving(), tmp_path / "smile.ply", AVATAR)
    (tmp_path / "frown").write_text("a file")
    with pytest.raises(ValueError, match="frown: wanted a new or empty folder"):
        splat_folder(tmp_path / "frown.ply")
    with pytest.raises(ValueError, match="there is no folder"):
        splat_folder(tmp_path / "none" / "smile.ply")
    with pytest.raises(ValueError, match=r"wanted NAME\.ply"):
        splat_folder(tmp_path / "smile.obj")


def test_too_long_clips_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splats, "MAX_FRAMES", 2)
    with pytest.raises(ValueError, match="At most 2 frames are written as splats, got 3"):
        write_splat_frames(moving(), tmp_path / "smile.ply", AVATAR)
