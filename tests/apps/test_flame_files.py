from pathlib import Path

import numpy as np
import pytest

from mien.apps.cli import main
from mien.apps.tokens import TokenFile
from mien.arkit import CHANNEL_NAMES, curves_from_motion, motion_from_curves
from mien.flame_twin import make_flame_face_arrays
from mien.motion import Motion


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flame") / "FLAME.npz"
    np.savez(path, **make_flame_face_arrays(seed=6))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    curves = np.zeros((20, len(CHANNEL_NAMES)), np.float32)
    rise = np.sin(np.linspace(0, np.pi, 20))
    curves[:, CHANNEL_NAMES.index("jawOpen")] = 0.5 * rise
    curves[:, CHANNEL_NAMES.index("mouthSmileLeft")] = 0.6 * rise
    curves[:, CHANNEL_NAMES.index("headYaw")] = 0.3 * rise
    path = tmp_path / "clip.npz"
    motion_from_curves(curves, 25.0).save(path)
    return path


def test_a_clip_goes_to_flame_and_comes_back(model: Path, clip: Path, tmp_path: Path) -> None:
    there, back = tmp_path / "clip.flame.npz", tmp_path / "back.npz"
    assert main(["convert", str(clip), str(there), "--head", str(model)]) == 0
    assert main(["convert", str(there), str(back), "--head", str(model)]) == 0
    before, after = (curves_from_motion(Motion.load(path)).numpy() for path in (clip, back))
    for name in ("jawOpen", "mouthSmileLeft", "headYaw"):
        column = CHANNEL_NAMES.index(name)
        np.testing.assert_allclose(after[:, column], before[:, column], atol=0.06)


@pytest.mark.parametrize("layout", ["vhap", "deca", "smirk", "flexavatar", "plain"])
def test_a_clip_goes_through_every_layout(
    model: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str
) -> None:
    there, back = tmp_path / "clip.flame.npz", tmp_path / "back.npz"
    argv = ["--head", str(model), "--layout", layout]
    assert main(["convert", str(clip), str(there), *argv]) == 0
    assert "faces do differs by 0." in capsys.readouterr().err
    assert main(["convert", str(there), str(back), *argv]) == 0
    before, after = (curves_from_motion(Motion.load(path)).numpy() for path in (clip, back))
    for name in ("jawOpen", "mouthSmileLeft", "headYaw"):
        column = CHANNEL_NAMES.index(name)
        np.testing.assert_allclose(after[:, column], before[:, column], atol=0.08)


def test_flame_parameters_change_their_layout_alone(
    model: Path, parameters: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.flame.npz"
    argv = ["convert", str(parameters), str(out), "--head", str(model)]
    assert main([*argv, "--layout", "plain", "--fps", "50"]) == 0
    with np.load(out) as written:
        assert written["expression"].shape == (8, 100) and not written["expression"].any()


def test_a_layout_that_cannot_be_used_is_refused(
    model: Path, clip: Path, parameters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    for argv, said in (
        ([clip, out, "--layout", "deca"], "--layout deca is for FLAME parameters"),
        ([parameters, out, "--head", model, "--layout", "deca"], "does not fit the layout 'deca'"),
    ):
        assert main(["convert", *map(str, argv)]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and said in err and not out.exists()


@pytest.mark.parametrize("is_written", [True, False])
def test_flame_files_need_their_model(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], is_written: bool
) -> None:
    there = tmp_path / "clip.flame.npz"
    argv = ["convert", str(clip), str(there)]
    if not is_written:
        np.savez(there, expr=np.zeros((4, 100)), jaw_pose=np.zeros((4, 3)))
        argv = ["caption", str(there)]
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "--head FLAME2023.pkl" in err
    assert there.exists() != is_written


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    path = tmp_path / "take.flame.npz"
    np.savez(path, expr=np.zeros((4, 100)), jaw_pose=np.zeros((4, 3)))
    return path


def test_flame_parameters_become_tokens(
    model: Path, parameters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tokenize", str(parameters), "--head", str(model)]) == 0
    assert len(TokenFile.from_json(capsys.readouterr().out).indices) == 4


PROMPTS = Path(__file__).parents[1] / "prompts" / "unseen_wording.toml"


@pytest.mark.parametrize(
    "argv",
    [
        ["tokenize"],
        ["avatar", "export", "-o", "face.ply", "--clip"],
        ["eval", "-o", "reports", "--prompts", str(PROMPTS), "--take"],
        ["live", "--send"],
    ],
    ids=lambda argv: argv[0],
)
def test_each_command_says_what_it_does_with_flame_parameters(
    argv: list[str],
    parameters: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(parameters.parent)
    assert main([*argv, str(parameters)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    convert = "mien convert take.flame.npz MOTION.npz --head FLAME2023.pkl, first."
    wanted = "they are for: --head FLAME2023.pkl." if argv == ["tokenize"] else convert
    assert said.endswith(wanted)
    assert not (parameters.parent / "face.ply").exists()


def test_a_model_that_is_none_is_refused(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = tmp_path / "FLAME.pkl"
    fake.write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    assert main(["convert", str(clip), str(tmp_path / "a.flame.npz"), "--head", str(fake)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "a.flame.npz").exists() and not Path("hacked").exists()
