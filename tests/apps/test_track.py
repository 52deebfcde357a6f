"""`mien track`, with a landmarker that needs no picture."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from tests.apps.staging import stage_landmarks

from mien import tracking
from mien.apps.cli import VERBS, main
from mien.apps.track import track_video
from mien.apps.video import write_video
from mien.arkit import EXPR_NAMES
from mien.motion import Motion
from mien.tracking.staged import StagedLandmarker

COUNT = 12
Run = Callable[..., str]


class Stage(nullcontext[StagedLandmarker]):
    """Stands for MediaPipe: one face smiles, others are beside it; opened like MediaPipe."""

    lost: range = range(0)
    others = 0

    def __init__(self, model: Path) -> None:
        motion = Motion.rest(COUNT)
        motion.expr[4:, EXPR_NAMES.index("mouthSmileLeft")] = 0.7
        super().__init__(StagedLandmarker(motion, lost=self.lost, others=self.others))


@pytest.fixture(autouse=True)
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Stage]:
    own = stage_landmarks(Stage, tmp_path, monkeypatch)
    monkeypatch.setitem(VERBS, "track", ("track:Track", "video -> motion"))
    return own


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    frames = (np.full((64, 96, 3), 10 * i, np.uint8) for i in range(COUNT))
    write_video(path, frames, 25.0)
    return path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that must be refused in one line; gives that line."""

    def run(*argv: object) -> str:
        assert main([str(arg) for arg in argv]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("mien: error: ") and err.count("\n") == 1
        return err

    return run


def test_a_video_becomes_a_motion_file(video: Path, tmp_path: Path) -> None:
    output = tmp_path / "motion.npz"
    assert main(["track", str(video), "-o", str(output)]) == 0
    motion = Motion.load(output)
    assert (motion.num_frames, motion.fps, motion.head) == (COUNT, 25.0, "mien")
    smile = motion.expr[:, EXPR_NAMES.index("mouthSmileLeft")]
    assert float(smile[-1]) > float(smile[0]) + 0.3


def test_several_files_are_written_and_halves_and_times_are_kept(
    video: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / "a.csv", tmp_path / "b.npz"]
    args = ["--crop", "left", "--start", "0.08", "--stop", "0.24"]
    assert main(["track", str(video), "-o", str(outputs[0]), "-o", str(outputs[1]), *args]) == 0
    assert Motion.load(outputs[1]).num_frames == 4 and outputs[0].stat().st_size > 0


def test_the_user_hears_of_other_faces(
    video: Path, tmp_path: Path, stage: type[Stage], capsys: pytest.CaptureFixture[str]
) -> None:
    stage.others = 1
    assert main(["track", str(video), "-o", str(tmp_path / "a.npz")]) == 0
    assert "2 faces were seen at once; the largest was followed" in capsys.readouterr().err


def test_no_face_is_one_line_and_no_file(
    video: Path, tmp_path: Path, stage: type[Stage], refused: Run
) -> None:
    stage.lost = range(COUNT)
    assert "No face was found" in refused("track", video, "-o", tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


def test_a_text_file_named_mp4_is_refused(tmp_path: Path, refused: Run) -> None:
    path = tmp_path / "letter.mp4"
    path.write_text("dear diary")
    assert "not a readable video" in refused("track", path, "-o", tmp_path / "a.npz")


def test_a_damaged_video_is_refused(video: Path, tmp_path: Path, refused: Run) -> None:
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    assert "clip.mp4" in refused("track", video, "-o", tmp_path / "a.npz")


def test_a_missing_model_tells_where_to_get_it(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Run
) -> None:
    monkeypatch.delenv("MIEN_FACE_LANDMARKER")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    line = refused("track", video, "-o", tmp_path / "a.npz")
    assert "--model" in line and "--download-model" in line


def test_missing_mediapipe_names_the_extra(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Run
) -> None:
    from mien.tracking.landmarker import MediaPipeLandmarker

    monkeypatch.setattr(tracking, "MediaPipeLandmarker", MediaPipeLandmarker)
    monkeypatch.setitem(__import__("sys").modules, "mediapipe.tasks.python", None)
    assert "pip install 'mien[track]'" in refused("track", video, "-o", tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (["--crop", "middle"], "A crop must be"),
        (["--crop", "90,0,40,40"], "leaves the picture"),
        (["--start", "2"], "`start` must lie"),
        (["--start", "0.4", "--stop", "0.1"], "`start` must be"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    video: Path, tmp_path: Path, refused: Run, args: list[str], match: str
) -> None:
    assert match in refused("track", video, "-o", tmp_path / "a.npz", *args)


def test_other_commands_can_read_a_video(video: Path) -> None:
    assert track_video(video).num_frames == COUNT


def test_an_output_is_wanted(video: Path, refused: Run) -> None:
    assert "Name at least one file to write with -o" in refused("track", video)
