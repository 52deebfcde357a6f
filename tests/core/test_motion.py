import json
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mien.motion import Label, Motion
from mien.rotations import rotvec_to_rotmat

Refuses = Callable[[str], AbstractContextManager[None]]


def wave(num_frames: int = 40, num_expr: int = 5, fps: float = 25.0) -> Motion:
    """A motion in which everything moves, each track differently."""
    time = torch.arange(num_frames, dtype=torch.float64)[:, None] / fps

    def track(width: int, speed: float) -> torch.Tensor:
        return 0.4 * torch.sin(time * speed + torch.arange(width, dtype=torch.float64))

    return Motion(
        fps=fps,
        expr=track(num_expr, 3.0),
        jaw_pose=track(3, 2.0),
        neck_pose=track(3, 2.5),
        global_pose=track(3, 1.0),
        eye_pose=track(6, 4.0),
        translation=track(3, 0.5),
        text="a wave",
        labels=(Label(0.0, 0.8, "up"), Label(0.8, 1.6, "down")),
    )


TRACKS = ("expr", "jaw_pose", "neck_pose", "global_pose", "eye_pose", "translation")


def assert_same(left: Motion, right: Motion, atol: float = 0.0) -> None:
    for name in TRACKS:
        torch.testing.assert_close(getattr(left, name), getattr(right, name), rtol=0, atol=atol)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_what_is_saved_is_loaded(suffix: str, tmp_path: Path) -> None:
    motion = wave().replace(shape=torch.linspace(-1, 1, 7), head="other", text='a "wave"\n😀')
    motion.save(tmp_path / f"motion.{suffix}")
    loaded = Motion.load(tmp_path / f"motion.{suffix}")
    assert_same(loaded, motion)
    assert torch.equal(loaded.shape, motion.shape)  # type: ignore[arg-type]
    for name in ("fps", "head", "text", "labels"):
        assert getattr(loaded, name) == getattr(motion, name)
    assert [path.name for path in tmp_path.iterdir()] == [f"motion.{suffix}"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": 0.0}, "`fps` must be above 0"),
        ({"fps": float("nan")}, "`fps` must be above 0"),
        ({"fps": 2000.0}, "at most 1000, got 2000"),
        ({"expr": torch.zeros(0, 5)}, "at least one frame"),
        ({"expr": torch.zeros(40)}, r"`expr` must be \[T, E\]"),
        ({"jaw_pose": torch.zeros(39, 3)}, r"`jaw_pose` must be \[40, 3\], got \[39, 3\]"),
        ({"eye_pose": torch.zeros(40, 3)}, r"`eye_pose` must be \[40, 6\]"),
        ({"neck_pose": torch.zeros(40, 3, dtype=torch.long)}, "floating type"),
        ({"translation": torch.full((40, 3), torch.inf)}, r"must be finite, got inf at \[0, 0\]"),
        ({"shape": torch.zeros(1, 5)}, r"`shape` must be \[S\]"),
    ],
)
def test_what_is_not_a_motion_is_refused(
    changes: dict[str, Any], message: str, refuses: Refuses
) -> None:
    with refuses(message):
        wave().replace(**changes)


def test_a_label_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="0 <= start_s <= end_s, got 2.0 and 1.0"):
        Label(2.0, 1.0, "never")


def test_resampling_to_its_own_rate_changes_nothing() -> None:
    motion = wave()
    assert motion.resample(25.0) is motion


@pytest.mark.parametrize("fps", [12.5, 24.0, 30.0, 59.94, 60.0, 100.0])
def test_resampling_keeps_the_duration_and_follows_the_curve(fps: float) -> None:
    motion = wave(num_frames=50)
    resampled = motion.resample(fps)
    assert resampled.fps == fps
    assert abs(resampled.seconds - motion.seconds) <= 0.5 / fps + 1e-9
    exact = wave(num_frames=resampled.num_frames, fps=fps)
    inside = int((motion.num_frames - 1) / motion.fps * fps)
    for name in TRACKS:
        # linear interpolation at 25 fps of sines up to 4 rad/s: 0.4 (4 / 25)^2 / 8 = 1.3e-3
        torch.testing.assert_close(
            getattr(resampled, name)[:inside], getattr(exact, name)[:inside], rtol=0, atol=2e-3
        )


def test_resampling_to_a_multiple_and_back_is_exact() -> None:
    motion = wave()
    assert_same(motion.resample(100.0).resample(25.0), motion, atol=1e-12)


def test_rotations_are_interpolated_at_constant_speed() -> None:
    turn = torch.tensor([[0.0, 0.1, 0.0], [1.2, 0.1, -1.0]], dtype=torch.float64)
    motion = Motion.rest(2).to(dtype=torch.float64).replace(neck_pose=turn)
    rotmats = rotvec_to_rotmat(motion.resample(100.0).neck_pose[:5])
    steps = rotmats[:-1].transpose(-1, -2) @ rotmats[1:]
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))


def test_slices_concatenate_to_the_whole() -> None:
    motion = wave()
    parts = [motion.slice(0, 13), motion.slice(13, 14), motion.slice(14, 40)]
    joined = Motion.concatenate(parts)
    assert_same(joined, motion)
    assert [label.text for label in joined.labels] == ["up", "up", "up", "down"]
    assert joined.labels[-1] == Label(0.8, 1.6, "down")
    assert parts[0].labels == (Label(0.0, 0.52, "up"),)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 3), (5, 2), (0, 41)])
def test_slices_outside_are_refused(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match=f"<= 40, got {start} and {stop}"):
        wave().slice(start, stop)


def test_unlike_motions_are_not_joined() -> None:
    motion = wave()
    with pytest.raises(ValueError, match="same fps: motion 0 has 25.0, motion 1 has 30.0"):
        Motion.concatenate([motion, motion.replace(fps=30.0)])
    with pytest.raises(ValueError, match="same head"):
        Motion.concatenate([motion, motion.replace(head="flame")])
    with pytest.raises(ValueError, match="different identities"):
        Motion.concatenate([motion, motion.replace(shape=torch.ones(3))])
    with pytest.raises(ValueError, match="at least one"):
        Motion.concatenate([])


def test_head_rotmat_turns_the_neck_first() -> None:
    motion = wave()
    wanted = rotvec_to_rotmat(motion.global_pose) @ rotvec_to_rotmat(motion.neck_pose)
    torch.testing.assert_close(motion.head_rotmat(), wanted)


def test_rest_is_still_and_to_changes_the_type() -> None:
    motion = Motion.rest(3, num_expr=8, fps=30.0).to(torch.zeros(1, dtype=torch.float64))
    assert motion.expr.shape == (3, 8) and motion.expr.dtype == torch.float64
    assert not any(getattr(motion, name).any() for name in TRACKS)


@pytest.mark.parametrize("name", ["motion.pkl", "motion", "motion.npy"])
def test_other_extensions_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.npz or \.safetensors"):
        wave().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "motion.npz"
    wave().save(path)
    before = path.read_bytes()

    def fail(file: Path, **arrays: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        wave(num_frames=3).save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_unwritable_places_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="There is no folder"):
        wave().save(tmp_path / "none" / "motion.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(OSError, match="is a folder"):
        wave().save(tmp_path / "folder.npz")


class Trap:
    """Makes a pickle that leaves a file behind when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_an_npz_with_objects_is_refused_and_not_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "motion.npz", tmp_path / "ran"
    np.savez(path, expr=np.array([Trap(mark)], dtype=object))
    with pytest.raises(ValueError, match="'expr.npy' holds Python objects"):
        Motion.load(path)
    assert not mark.exists()


def write_npz(path: Path, changes: dict[str, Any]) -> None:
    motion = wave()
    header = {**motion._header(), **changes.get("header", {})}
    arrays = {name: getattr(motion, name).numpy() for name in TRACKS} | changes
    arrays.pop("header", None)
    arrays = {name: array for name, array in arrays.items() if array is not None}
    np.savez(path, header=np.asarray(json.dumps(header)), **arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jaw_pose": None}, "'jaw_pose' is missing"),
        ({"jaw_pose": np.zeros((40, 3), int)}, "must be floating numbers, got int64"),
        ({"jaw_pose": np.full((40, 3), np.nan)}, "must be finite"),
        ({"header": {"fps": -1.0}}, "`fps` must be above 0"),
        ({"header": {"fps": "fast"}}, "could not convert"),
        ({"header": {"format_version": 9}}, "format version 9, not 1"),
        ({"header": {"format": "x"}}, "its header names another format"),
        ({"header": {"labels": [[1]]}}, "is not a motion"),
    ],
)
def test_a_wrong_npz_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_npz(tmp_path / "motion.npz", changes)
    with pytest.raises(ValueError, match=message):
        Motion.load(tmp_path / "motion.npz")


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_files_that_are_something_else_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"motion.{suffix}"
    with pytest.raises(ValueError, match="There is no file"):
        Motion.load(path)
    path.write_bytes(b"not an archive, but long enough to look at")
    with pytest.raises(ValueError, match="is not a"):
        Motion.load(path)
    wave().save(path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="is not a"):
        Motion.load(path)


def test_an_array_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "motion.npz"
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }"
    data = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + b"12345678"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("expr.npy", data)
    with pytest.raises(ValueError, match="does not fit its 8 bytes"):
        Motion.load(path)


def test_an_archive_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "motion.npz"
    np.savez_compressed(path, expr=np.zeros((1024, 1024)))
    from mien import files

    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="unpacks to 8 MB; at most 1 MB"):
        files.read_npz(path, max_bytes=2**20)
    with pytest.raises(ValueError, match="has 0 MB; at most 0 MB are read"):
        files.check_size(path, 100)


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_numbers_that_numpy_has_not_are_refused(tmp_path: Path, dtype: str) -> None:
    entry = {"dtype": dtype, "shape": [0], "data_offsets": [0, 0]}
    text = json.dumps({"__metadata__": {"motion": "{}"}, "expr": entry}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ValueError, match="is not a safetensors file"):
        Motion.load(path)


def test_a_deeply_nested_header_is_refused(tmp_path: Path) -> None:
    text = json.dumps({"__metadata__": {"motion": "[" * 100_000}}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ValueError, match="is not a motion"):
        Motion.load(path)
