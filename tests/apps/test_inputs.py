from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from mien.apps.cli import main
from mien.apps.inputs import read_clip
from mien.formats import motion_files
from mien.motion import Motion


@pytest.mark.parametrize(
    ("track", "value", "said"),
    [
        ("expr", 85.0, "units from 0 to 1, got 85"),
        ("expr", -3.0, "units from 0 to 1, got -3"),
        ("jaw_pose", 50.0, "angles in radians, got 50 in `jaw_pose`"),
        ("global_pose", -90.0, "angles in radians, got -90 in `global_pose`"),
        ("translation", 170.0, "metres, got 170 in `translation`"),
    ],
)
def test_a_motion_in_other_units_is_refused(
    track: str, value: float, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "clip.npz"
    rest = Motion.rest(5)
    values = getattr(rest, track).clone()
    values[3, 1] = value
    rest.replace(**{track: values}).save(path)
    with pytest.raises(ValueError, match=said) as caught:
        read_clip(path)
    assert "clip.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_a_motion_that_overshoots_a_little_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "clip.npz"
    motion = Motion.rest(5).replace(expr=torch.full((5, 43), 1.2))
    motion.save(path)
    assert torch.equal(read_clip(path).expr, motion.expr)


def test_a_full_disk_is_told_in_one_line_by_safetensors_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(motion: Motion, path: object) -> None:
        raise SafetensorError("I/O error: No space left on device")

    source, output = tmp_path / "clip.npz", tmp_path / "clip.safetensors"
    Motion.rest(5).save(source)
    monkeypatch.setitem(motion_files._WRITERS, ".safetensors", full)
    assert main(["convert", str(source), str(output)]) == 2
    error = capsys.readouterr().err
    assert "No space left" in error and error.count("\n") == 1
    assert not output.exists()
