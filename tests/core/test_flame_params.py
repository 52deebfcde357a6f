import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mien.arkit import EXPR_NAMES
from mien.flame_twin import make_flame_face_arrays
from mien.formats import flame_params
from mien.formats.flame_layouts import tracks_from_arrays
from mien.formats.flame_params import (
    FlameTake,
    WriteLayout,
    copy_flame_params,
    fit_flame_params,
    holds_flame_params,
    load_flame_params,
    read_flame_params,
    write_flame_params,
)
from mien.head import Head, head_from_flame
from mien.motion import Motion
from mien.rotations import rotmat_to_rotvec, rotvec_to_rotmat

HEAD = Head.default()
LAYOUTS: tuple[WriteLayout, ...] = ("gaussian_avatars", "deca", "smirk", "pixel3dmm", "plain")
Arrays = dict[str, Any]


@pytest.fixture(scope="module")
def flame() -> Head:
    return head_from_flame(make_flame_face_arrays(seed=4))


def ramp(*shape: int, size: float = 0.3) -> NDArray[np.float32]:
    wave = size * np.sin(np.arange(np.prod(shape)) * 0.7)
    return np.asarray(wave.reshape(shape), dtype=np.float32)


def gaussian_avatars(num_frames: int = 3) -> Arrays:
    return {
        "expr": ramp(num_frames, 100),
        "rotation": ramp(num_frames, 3),
        "neck_pose": ramp(num_frames, 3),
        "jaw_pose": ramp(num_frames, 3, size=0.1),
        "eyes_pose": ramp(num_frames, 6, size=0.2),
        "translation": ramp(num_frames, 3),
        "shape": ramp(300),
        "static_offset": np.zeros((1, 5143, 3), np.float32),
        "timestep_id": np.array(["00000", "00001", "00002"][:num_frames]),
    }


def deca(num_frames: int = 3) -> Arrays:
    return {
        "exp": ramp(num_frames, 50),
        "pose": ramp(num_frames, 6, size=0.2),
        "shape": np.tile(ramp(1, 100), (num_frames, 1)),
        "cam": ramp(num_frames, 3),
    }


def smirk(num_frames: int = 3) -> Arrays:
    return {
        "expression_params": ramp(num_frames, 50),
        "jaw_params": ramp(num_frames, 3, size=0.1),
        "pose_params": ramp(num_frames, 3),
        "eyelid_params": np.abs(ramp(num_frames, 2)),
        "shape_params": np.tile(ramp(1, 300), (num_frames, 1)),
        "cam": ramp(num_frames, 3),
    }


def rows(rotvec: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first two rows of each matrix, as pytorch3d orders a 6D rotation."""
    rotmat = rotvec_to_rotmat(torch.from_numpy(rotvec.reshape(len(rotvec), -1, 3)))
    return rotmat[..., :2, :].reshape(len(rotvec), -1).numpy()


def pixel3dmm(num_frames: int = 3) -> Arrays:
    return {
        "exp": ramp(num_frames, 100),
        "shape": ramp(1, 300),
        "jaw": rows(ramp(num_frames, 3, size=0.1)),
        "neck": rows(ramp(num_frames, 3)),
        "eyes": rows(ramp(num_frames, 6, size=0.2)),
        "eyelids": np.abs(ramp(num_frames, 2)),
        "R": rows(ramp(num_frames, 3, size=0.4)),
        "R_rotation_matrix": ramp(num_frames, 3, 3),
        "t": ramp(num_frames, 3),
    }


def saved(folder: Path, arrays: Arrays) -> Path:
    path = folder / "take.npz"
    np.savez(path, **arrays)
    return path


def loaded(folder: Path, arrays: Arrays, flame: Head, **options: Any) -> FlameTake:
    return load_flame_params(saved(folder, arrays), flame, **options)


def same(found: torch.Tensor | None, wanted: NDArray[np.float32]) -> None:
    assert found is not None
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-6)


def test_gaussian_avatars_is_read(flame: Head, tmp_path: Path) -> None:
    arrays = gaussian_avatars()
    take = loaded(tmp_path, arrays, flame)
    motion = take.motion
    assert (take.layout, take.eyelids, motion.fps) == ("gaussian_avatars", None, 25.0)
    same(motion.expr, arrays["expr"])
    same(motion.global_pose, arrays["rotation"])
    same(motion.neck_pose, arrays["neck_pose"])
    same(motion.jaw_pose, arrays["jaw_pose"])
    same(motion.eye_pose, arrays["eyes_pose"])
    same(motion.translation, arrays["translation"])
    same(motion.shape, arrays["shape"])


def test_one_exported_frame_is_read(flame: Head, tmp_path: Path) -> None:
    assert loaded(tmp_path, gaussian_avatars(1), flame).motion.num_frames == 1


def test_deca_is_read(flame: Head, tmp_path: Path) -> None:
    arrays = deca()
    take = loaded(tmp_path, arrays, flame)
    assert take.layout == "deca" and take.motion.num_expr == 50
    same(take.motion.global_pose, arrays["pose"][:, :3])
    same(take.motion.jaw_pose, arrays["pose"][:, 3:])
    same(take.motion.shape, arrays["shape"][0])
    in_memory = {key + "code": arrays[key] for key in ("exp", "pose", "shape")}
    assert loaded(tmp_path, in_memory, flame).layout == "deca"


def test_smirk_is_read(flame: Head, tmp_path: Path) -> None:
    arrays = smirk()
    take = loaded(tmp_path, arrays, flame, fps=30.0)
    assert take.layout == "smirk" and take.motion.fps == 30.0
    same(take.motion.jaw_pose, arrays["jaw_params"])
    same(take.motion.global_pose, arrays["pose_params"])
    same(take.eyelids, arrays["eyelid_params"])


def test_pixel3dmm_is_read_and_its_head_stands_where_it_says(flame: Head, tmp_path: Path) -> None:
    """Its vertices are R v + t, with v posed by neck, jaw and eyes alone."""
    arrays = pixel3dmm()
    take = loaded(tmp_path, arrays, flame)
    motion = take.motion
    assert take.layout == "pixel3dmm"
    same(motion.jaw_pose, ramp(3, 3, size=0.1))
    same(motion.eye_pose, ramp(3, 6, size=0.2))
    still = torch.zeros(3, 3)
    some = flame.subset(torch.arange(0, flame.num_vertices, 40))
    inner = some.vertices(motion.replace(global_pose=still, translation=still))
    turn = rotvec_to_rotmat(torch.from_numpy(ramp(3, 3, size=0.4)))
    wanted = inner @ turn.mT + torch.from_numpy(arrays["t"])[:, None]
    torch.testing.assert_close(some.vertices(motion), wanted, rtol=0, atol=2e-6)


def test_a_plain_dictionary_is_read(flame: Head, tmp_path: Path) -> None:
    """As SMPL-X tools name them."""
    arrays = {
        "expression": ramp(4, 10),
        "jaw_pose": ramp(4, 1, 3, size=0.1),
        "global_orient": ramp(4, 3),
        "transl": ramp(4, 3),
        "betas": ramp(10),
    }
    take = loaded(tmp_path, arrays, flame)
    assert take.layout == "plain"
    same(take.motion.jaw_pose, arrays["jaw_pose"][:, 0])
    same(take.motion.global_pose, arrays["global_orient"])
    assert float(take.motion.eye_pose.abs().max()) == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_flame_motion_survives_every_layout(
    flame: Head, tmp_path: Path, layout: WriteLayout
) -> None:
    arrays = gaussian_avatars(5)
    del arrays["timestep_id"]
    motion = loaded(tmp_path, arrays, flame, fps=50.0).motion
    path = tmp_path / "out.npz"
    assert write_flame_params(path, motion, flame, layout=layout) is None
    take = load_flame_params(path, flame)
    assert take.layout == layout and take.motion.fps == 50.0
    lacks = {"deca": ("neck_pose", "eye_pose", "translation"), "smirk": ("translation",)}
    for track in ("expr", "jaw_pose", "neck_pose", "eye_pose", "translation"):
        if track not in lacks.get(layout, ()):
            there, back = getattr(motion, track), getattr(take.motion, track)
            torch.testing.assert_close(back, there, rtol=0, atol=2e-6)
    torch.testing.assert_close(take.motion.head_rotmat(), motion.head_rotmat(), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("alias", "layout"),
    [("vhap", "gaussian_avatars"), ("emoca", "deca"), ("flexavatar", "pixel3dmm")],
)
def test_a_layout_goes_by_another_tools_name_too(
    flame: Head, tmp_path: Path, alias: WriteLayout, layout: WriteLayout
) -> None:
    motion = Motion.rest(2).replace(head="flame")
    paths = [tmp_path / "alias.npz", tmp_path / "name.npz"]
    for path, name in zip(paths, (alias, layout), strict=True):
        write_flame_params(path, motion, flame, layout=name)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert load_flame_params(paths[0], flame, layout=alias).layout == layout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parameters_go_from_layout_to_layout_unchanged(
    flame: Head, tmp_path: Path, layout: WriteLayout
) -> None:
    there, back = tmp_path / "b.npz", tmp_path / "c.npz"
    source = saved(tmp_path, gaussian_avatars() | {"fps": np.float64(30)})
    copy_flame_params(source, there, flame, layout=layout)
    copy_flame_params(there, back, flame)
    first, last = (load_flame_params(path, flame).motion for path in (source, back))
    assert load_flame_params(there, flame).layout == layout and last.fps == 30.0
    for track in ("expr", "jaw_pose", "shape"):
        torch.testing.assert_close(getattr(last, track), getattr(first, track), rtol=0, atol=2e-6)
    torch.testing.assert_close(last.head_rotmat(), first.head_rotmat(), rtol=0, atol=2e-6)


def test_eyelids_go_along_or_become_expression(flame: Head, tmp_path: Path) -> None:
    out = tmp_path / "b.npz"
    arrays = smirk() | {"expression_params": np.zeros((3, 50), np.float32)}
    arrays["eyelid_params"] = np.array([[0, 0], [1, 0], [1, 1]], np.float32)
    source = saved(tmp_path, arrays)
    copy_flame_params(source, out, flame, layout="flexavatar", fps=50.0)
    take = load_flame_params(out, flame)
    assert take.motion.num_frames == 6 and take.motion.num_expr == 50
    same(take.eyelids, np.array([[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [1, 1]], np.float32))
    copy_flame_params(source, out, flame, layout="vhap")
    take = load_flame_params(out, flame)
    assert take.eyelids is None
    same(take.motion.global_pose, arrays["pose_params"])
    blinks = read_flame_params(out, flame).expr
    left = blinks[:, EXPR_NAMES.index("eyeBlinkLeft")]
    assert float(left[1]) > 0.7 and float(left[0]) < 0.1


def test_what_has_no_place_for_eyelids_refuses_them(
    flame: Head, tmp_path: Path, refuses: Callable[[str], AbstractContextManager[None]]
) -> None:
    motion = Motion.rest(2).replace(head="flame")
    with refuses("has no eyelids, only smirk, pixel3dmm, plain have"):
        write_flame_params(
            tmp_path / "a.npz", motion, flame, layout="emoca", eyelids=torch.zeros(2, 2)
        )


def test_what_gaussian_avatars_loads_is_all_float32(flame: Head, tmp_path: Path) -> None:
    """It drops arrays of any other type and fails without these."""
    path = tmp_path / "out.npz"
    write_flame_params(path, Motion.rest(2).replace(head="flame"), flame)
    with np.load(path, allow_pickle=False) as file:
        floats = {key: file[key].shape for key in file if file[key].dtype == np.float32}
    assert floats == {
        "expr": (2, 43),
        "rotation": (2, 3),
        "neck_pose": (2, 3),
        "jaw_pose": (2, 3),
        "eyes_pose": (2, 6),
        "translation": (2, 3),
        "shape": (300,),
        "static_offset": (1, 5023, 3),
        "dynamic_offset": (2, 1, 3),
    }


def smile() -> Motion:
    motion = Motion.rest(4)
    expr = motion.expr.clone()
    for name, most in (("mouthSmileLeft", 0.9), ("mouthSmileRight", 0.7), ("browInnerUp", 0.5)):
        expr[:, EXPR_NAMES.index(name)] = torch.linspace(0, most, 4)
    neck = motion.neck_pose.clone()
    neck[:, 1] = torch.linspace(0, 0.3, 4)
    return motion.replace(expr=expr, neck_pose=neck)


def test_a_default_motion_survives_a_file_and_back(flame: Head, tmp_path: Path) -> None:
    motion, path = smile(), tmp_path / "smile.flame.npz"
    result = write_flame_params(path, motion, flame)
    assert result is not None and float(result.error_mm.mean()) < 0.4
    back = read_flame_params(path, flame)
    assert back.head == HEAD.name and back.fps == motion.fps
    lost = (HEAD.face_points(motion) - HEAD.face_points(back)).norm(dim=-1) * HEAD.ipd * 1e3
    assert float(lost.mean()) < 0.3
    torch.testing.assert_close(back.head_rotmat(), motion.head_rotmat(), rtol=0, atol=1e-5)


def test_flame_parameters_are_told_from_a_motion(flame: Head, tmp_path: Path) -> None:
    for name, make in (("a", gaussian_avatars), ("b", deca), ("c", smirk), ("d", pixel3dmm)):
        (tmp_path / name).mkdir()
        assert holds_flame_params(saved(tmp_path / name, make()))
    smile().save(tmp_path / "motion.npz")
    assert not holds_flame_params(tmp_path / "motion.npz")
    (tmp_path / "text.npz").write_text("nothing")
    assert not holds_flame_params(tmp_path / "text.npz")
    assert not holds_flame_params(tmp_path / "missing.npz")


def test_a_head_read_from_a_file_takes_and_gives_motion(tmp_path: Path) -> None:
    """All the way from FLAME's own file format, as the commands do it."""
    arrays = make_flame_face_arrays(seed=5)
    real = {key: value.astype(np.float32) for key, value in arrays.items() if value.dtype == float}
    np.savez(tmp_path / "FLAME.npz", **(arrays | real))
    flame = Head.load(tmp_path / "FLAME.npz")
    path = tmp_path / "smile.flame.npz"
    write_flame_params(path, smile(), flame)
    back = read_flame_params(path, flame)
    place = EXPR_NAMES.index("mouthSmileLeft")
    torch.testing.assert_close(back.expr[:, place], smile().expr[:, place], rtol=0, atol=0.05)


def test_fewer_components_can_be_written(flame: Head, tmp_path: Path) -> None:
    path = tmp_path / "smile.npz"
    write_flame_params(path, smile(), flame, layout="deca")
    assert load_flame_params(path, flame).motion.num_expr == 50
    write_flame_params(path, smile(), flame, num_expr=30)
    assert load_flame_params(path, flame).motion.num_expr == 30
    with pytest.raises(ValueError, match="`num_expr` must be 1 to 100, got 101"):
        write_flame_params(path, smile(), flame, num_expr=101)


def test_lids_closed_beyond_flame_become_a_blink(flame: Head, tmp_path: Path) -> None:
    arrays = {
        "expression_params": np.zeros((2, 50), np.float32),
        "jaw_params": np.zeros((2, 3), np.float32),
        "eyelid_params": np.array([[0.0, 0.0], [1.0, 0.0]], np.float32),
    }
    motion = fit_flame_params(saved(tmp_path, arrays), flame).motion
    left, right = (
        motion.expr[:, EXPR_NAMES.index("eyeBlink" + side)] for side in ("Left", "Right")
    )
    assert float(left[1]) > 0.9 and float(left[0]) < 0.05 and float(right.max()) < 0.05


def test_another_heads_motion_is_not_written(
    flame: Head, tmp_path: Path, refuses: Callable[[str], AbstractContextManager[None]]
) -> None:
    with pytest.raises(ValueError, match="of the head 'other'"):
        write_flame_params(tmp_path / "a.npz", Motion.rest(2).replace(head="other"), flame)
    with pytest.raises(ValueError, match=r"an \.npz file"):
        write_flame_params(tmp_path / "a.csv", Motion.rest(2), flame)
    with refuses("must be one of gaussian_avatars"):
        write_flame_params(tmp_path / "a.npz", Motion.rest(2), flame, layout="bvh")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def without(arrays: Arrays, *keys: str) -> Arrays:
    return {key: value for key, value in arrays.items() if key not in keys}


WRONG: dict[str, tuple[Arrays, str]] = {
    "nothing known": ({"faces": ramp(3, 3)}, "no expression that is known by name"),
    "no expression": (without(gaussian_avatars(), "expr"), "no expression that is known"),
    "nothing": ({}, "it has nothing"),
    "two layouts": (pixel3dmm() | {"pose": ramp(3, 6)}, "fits the layouts deca and pixel3dmm"),
    "two names": ({"expression": ramp(3, 9), "expr": ramp(3, 9)}, "its expr more than once"),
    "turns twice": ({"expr": ramp(3, 9), "pose": ramp(3, 6), "jaw": ramp(3, 3)}, "has `pose` and"),
    "gaze too narrow": (
        gaussian_avatars() | {"eyes_pose": ramp(3, 3)},
        r"`eyes_pose` must be \[3, 6\], got \[3, 3\]",
    ),
    "6D without rows": ({"expr": ramp(3, 9), "jaw": ramp(3, 6)}, r"`jaw` must be \[3, 3\]"),
    "too short": (
        gaussian_avatars() | {"jaw_pose": ramp(2, 3)},
        r"`jaw_pose` must be \[3, 3\], got \[2, 3\]",
    ),
    "endless names": ({"x" * 30_000 + str(i): ramp(2) for i in range(9)}, "xxx"),
    "no frames": ({"expr": np.zeros((0, 100))}, r"`expr` must be \[T, E\], got \[0, 100\]"),
    "not finite": (
        gaussian_avatars() | {"expr": np.full((3, 100), np.nan)},
        "`expr` must be finite",
    ),
    "far off": ({"expr": ramp(3, 9), "trans": ramp(3, 3, size=1e9)}, "`trans` has values up to"),
    "text": ({"expr": np.full((3, 9), "a")}, "`expr` must hold numbers"),
    "too many": ({"expr": ramp(2, 101)}, "101 expression components, but the head has 100"),
    "too long a shape": (deca() | {"shape": ramp(301)}, "301 shape components, but the head has"),
    "shape of four axes": (deca() | {"shape": ramp(1, 1, 1, 9)}, r"`shape` must be \[S\]"),
    "no shape": (deca() | {"shape": np.float32(1)}, r"`shape` must be \[S\]"),
    "parallel rows": (
        pixel3dmm() | {"jaw": np.ones((3, 6), np.float32)},
        "two rows are zero or parallel",
    ),
    "two rates": ({"expr": ramp(3, 9), "fps": ramp(2)}, "`fps` must be one number"),
    "bad rate": ({"expr": ramp(3, 9), "fps": np.float64(-1)}, "`fps` must be above 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_layout_is_refused_in_one_line(flame: Head, tmp_path: Path, name: str) -> None:
    arrays, message = WRONG[name]
    with pytest.raises(ValueError, match=message) as caught:
        loaded(tmp_path, arrays, flame)
    assert "\n" not in str(caught.value) and "take.npz" in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_layout_can_be_named(flame: Head, tmp_path: Path) -> None:
    both = pixel3dmm() | {"pose": ramp(3, 6)}
    assert loaded(tmp_path, both, flame, layout="deca").layout == "deca"
    assert loaded(tmp_path, both, flame, layout="pixel3dmm").layout == "pixel3dmm"
    with pytest.raises(ValueError, match="does not fit the layout 'smirk'"):
        loaded(tmp_path, both, flame, layout="smirk")
    with pytest.raises(ValueError, match="a layout is one of"):
        loaded(tmp_path, both, flame, layout="vhap3")


def test_a_shape_that_changes_is_averaged_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    arrays = deca() | {"shape": ramp(3, 100)}
    tracks = tracks_from_arrays(arrays)
    assert tracks.shape is not None and "the mean is taken" in caplog.text
    np.testing.assert_allclose(tracks.shape, arrays["shape"].mean(0), atol=1e-6)


class Armed:
    """Unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_pickled_arrays_are_refused_unread(flame: Head, tmp_path: Path) -> None:
    armed = np.array([Armed(tmp_path / "ran")], dtype=object)
    path = tmp_path / "armed.npz"
    np.savez(path, expr=armed, allow_pickle=True)
    with pytest.raises(ValueError, match="holds Python objects"):
        load_flame_params(path, flame)
    assert not (tmp_path / "ran").exists()


def archive(path: Path, content: bytes, name: str = "expr.npy") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return path


def npy(header: bytes, version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header


def hostile(kind: str, folder: Path) -> Path:
    path = folder / "hostile.npz"
    if kind == "not a zip":
        path.write_bytes(b"\x80\x04" + bytes(2000))
    elif kind == "cut off":
        whole = saved(folder, gaussian_avatars()).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "damaged":
        stream = io.BytesIO()
        np.savez_compressed(stream, **gaussian_avatars())
        data = bytearray(stream.getvalue())
        data[60:400] = bytes(340)
        path.write_bytes(data)
    elif kind == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for index in range(3):
                file.writestr(f"{index}.npy", bytes(10 * 2**20))
    elif kind == "huge shape":
        archive(
            path, npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 100)}\n")
        )
    elif kind == "empty but huge":
        archive(
            path, npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, %d)}\n" % 10**30)
        )
    elif kind == "huge header":
        archive(path, npy(b" " * 3_000_000, version=2))
    elif kind == "code for a header":
        archive(path, npy(b"__import__('os').system('false')\n"))
    elif kind == "no array":
        archive(path, b"hello", "readme.txt")
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "not a zip",
        "cut off",
        "damaged",
        "bomb",
        "huge shape",
        "empty but huge",
        "huge header",
        "code for a header",
        "no array",
        "missing",
    ],
)
def test_a_hostile_file_is_refused_in_one_line_and_little_memory(
    flame: Head, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flame_params, "MAX_BYTES", 20 * 2**20)
    path = hostile(kind, tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:
            load_flame_params(path, flame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value) and "hostile.npz" in str(caught.value)
    assert peak < 20 * 2**20
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_is_a_take_or_a_refusal(flame: Head, tmp_path: Path, seed: int) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, **gaussian_avatars())
    data = bytearray(stream.getvalue())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(data), 4):
        data[place : place + 8] = rng.bytes(8)
    (tmp_path / "take.npz").write_bytes(data)
    try:
        load_flame_params(tmp_path / "take.npz", flame)
    except ValueError as error:
        assert "take.npz" in str(error) and "\n" not in str(error)


def test_rows_are_not_columns() -> None:
    """The test's own reference: a 6D turn read by columns would be the inverse."""
    rotvec = torch.tensor([[0.3, 0.2, -0.1]])
    sixd = torch.from_numpy(rows(rotvec.numpy()))
    first, second = sixd[:, :3], sixd[:, 3:]
    rotmat = torch.stack([first, second, torch.linalg.cross(first, second)], 1)
    torch.testing.assert_close(rotmat_to_rotvec(rotmat), rotvec, rtol=0, atol=1e-6)
