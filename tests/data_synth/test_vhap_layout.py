import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mien.avatar.pictures import PosedPicture
from mien.camera import Camera
from mien.data_synth.vhap_layout import VhapPictures, to_shared_axes
from mien.flame_twin import make_flame_arrays
from mien.head import Head, head_from_flame

WIDTH, HEIGHT = 11, 16
NUM_TIMESTEPS, NUM_CAMERAS = 2, 3
KEYS = {
    "expr": "expr",
    "global_pose": "rotation",
    "neck_pose": "neck_pose",
    "jaw_pose": "jaw_pose",
    "eye_pose": "eyes_pose",
    "translation": "translation",
}


@pytest.fixture(scope="module")
def flame() -> Head:
    return head_from_flame(make_flame_arrays(seed=1))


def camera(index: int) -> Camera:
    return Camera.look_at(
        (0.4 * index - 0.3, 0.1, 1.2), (0.0, 0.0, 0.0), width=WIDTH, height=HEIGHT
    )


def ramp(*shape: int, size: float = 0.2) -> np.ndarray:
    return np.asarray(size * np.sin(np.arange(np.prod(shape)) * 0.7).reshape(shape), np.float32)


def parameters(timestep: int) -> dict[str, np.ndarray]:
    """As `write_flame_param` of VHAP writes them."""
    return {
        "translation": ramp(1, 3) + 0.01 * timestep,
        "rotation": ramp(1, 3),
        "neck_pose": ramp(1, 3),
        "jaw_pose": np.array([[0.1 + 0.1 * timestep, 0.0, 0.0]], np.float32),
        "eyes_pose": ramp(1, 6),
        "shape": ramp(300),
        "expr": ramp(1, 100) * (1 + timestep),
        "static_offset": np.zeros((1, 5143, 3), np.float32),
    }


def pixels(timestep: int, index: int) -> np.ndarray:
    values = np.arange(HEIGHT * WIDTH * 3, dtype=np.int64) * 7 + 31 * timestep + 57 * index
    return (values % 256).astype(np.uint8).reshape(HEIGHT, WIDTH, 3)


def frame(timestep: int, index: int) -> dict[str, Any]:
    """As VHAP's export writes a frame; the axes are OpenGL's."""
    seen = camera(index)
    world_from_camera = np.linalg.inv(seen.viewmat.double().numpy())
    world_from_camera[:3, 1:3] *= -1
    name = f"{timestep:05d}_{index:02d}.png"
    return {
        "timestep_index": timestep, "timestep_index_original": 3 * timestep,
        "timestep_id": f"{3 * timestep:05d}", "camera_index": index, "camera_id": f"2222{index}",
        "cx": float(seen.K[0, 2]), "cy": float(seen.K[1, 2]) + 0.5,
        "fl_x": float(seen.K[0, 0]), "fl_y": float(seen.K[1, 1]), "h": HEIGHT, "w": WIDTH,
        "camera_angle_x": 0.2, "camera_angle_y": 0.3,
        "transform_matrix": world_from_camera.tolist(),
        "file_path": f"images/{name}", "fg_mask_path": f"fg_masks/{name}",
        "flame_param_path": f"flame_param/{timestep:05d}.npz",
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording as VHAP exports it."""
    root = tmp_path / "074_EMO-1_whiteBg"
    for name in ("images", "fg_masks", "flame_param"):
        (root / name).mkdir(parents=True)
    frames = [frame(t, c) for t in range(NUM_TIMESTEPS) for c in range(NUM_CAMERAS)]
    for row in frames:
        values = pixels(row["timestep_index"], row["camera_index"])
        Image.fromarray(values).save(root / row["file_path"])
        Image.fromarray(values[..., 0]).save(root / row["fg_mask_path"])
    for timestep in range(NUM_TIMESTEPS):
        np.savez(root / f"flame_param/{timestep:05d}.npz", **parameters(timestep))  # type: ignore[arg-type]
    write(root, frames)
    return root


def write(root: Path, frames: list[Any], name: str = "transforms.json", **shared: Any) -> None:
    table = {
        "frames": frames,
        "timestep_indices": list(range(NUM_TIMESTEPS)),
        "camera_indices": list(range(NUM_CAMERAS)),
        **shared,
    }
    (root / name).write_text(json.dumps(table), "utf-8")


def test_pictures_masks_cameras_and_motions_are_read(folder: Path, flame: Head) -> None:
    found = VhapPictures(folder, flame)
    assert len(found) == NUM_TIMESTEPS * NUM_CAMERAS
    for number, picture in enumerate(found):
        timestep, index = divmod(number, NUM_CAMERAS)
        assert isinstance(picture, PosedPicture)
        values = torch.from_numpy(pixels(timestep, index)).float() / 255
        torch.testing.assert_close(picture.image, values, rtol=0, atol=0)
        torch.testing.assert_close(picture.mask, values[..., 0], rtol=0, atol=0)
        wanted, K = camera(index), camera(index).K.clone()
        K[1, 2] += 0.5
        torch.testing.assert_close(picture.camera.viewmat, wanted.viewmat)
        torch.testing.assert_close(picture.camera.K, K)
        given = parameters(timestep)
        motion = picture.motion
        assert (motion.head, motion.num_frames, picture.identity) == (flame.name, 1, "074")
        for name, key in KEYS.items():
            torch.testing.assert_close(getattr(motion, name), torch.from_numpy(given[key]))
        torch.testing.assert_close(motion.shape, torch.from_numpy(given["shape"]))


def test_axes_go_there_and_back(folder: Path, flame: Head) -> None:
    for row, picture in zip(VhapPictures(folder, flame).frames, range(3), strict=False):
        given = frame(0, picture)["transform_matrix"]
        torch.testing.assert_close(
            to_shared_axes(row.camera), torch.tensor(given).double(), atol=1e-6, rtol=1e-6
        )


def test_divisions_and_cameras_are_chosen(folder: Path, flame: Head) -> None:
    write(folder, [frame(0, 1)], "transforms_val.json")
    assert len(VhapPictures(folder, flame, "val")) == 1
    chosen = VhapPictures(folder, flame, cameras=[2])
    assert [f.camera_index for f in chosen.frames] == [2] * NUM_TIMESTEPS
    with pytest.raises(ValueError, match="There is no file .*transforms_test.json"):
        VhapPictures(folder, flame, "test")


def test_a_combined_folder_reads_its_siblings(folder: Path, flame: Head) -> None:
    union = folder.parent / "UNION_074"
    union.mkdir()
    row = frame(1, 0)
    for key in ("file_path", "fg_mask_path", "flame_param_path"):
        row[key] = f"../{folder.name}/{row[key]}"
    write(union, [row], "transforms_train.json")
    picture = VhapPictures(union, flame, "train", identity="074")[0]
    torch.testing.assert_close(picture.image, VhapPictures(folder, flame)[NUM_CAMERAS].image)
    assert picture.identity == "074"


def test_shared_lenses_and_older_files_are_read(folder: Path, flame: Head) -> None:
    row = frame(0, 0)
    for key in ("cx", "cy", "fl_x", "fl_y", "camera_angle_x", "camera_angle_y", "w", "h"):
        del row[key]
    row["file_path"] = row["file_path"].removesuffix(".png")
    write(folder, [row], camera_angle_x=0.2, w=WIDTH, h=HEIGHT)
    lens = VhapPictures(folder, flame)[0].camera.K
    focal = WIDTH / 2 / np.tan(0.1)
    wanted = [[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]]
    torch.testing.assert_close(lens, torch.tensor(wanted, dtype=torch.float32))


def test_an_alpha_channel_takes_a_missing_mask_s_place(folder: Path, flame: Head) -> None:
    row = frame(0, 0)
    del row["fg_mask_path"]
    write(folder, [row])
    with pytest.raises(ValueError, match="neither an alpha channel nor"):
        VhapPictures(folder, flame)[0]
    alpha = pixels(1, 1)[..., :1]
    Image.fromarray(np.concatenate([pixels(0, 0), alpha], -1)).save(folder / row["file_path"])
    picture = VhapPictures(folder, flame)[0]
    torch.testing.assert_close(picture.mask, torch.from_numpy(alpha[..., 0]).float() / 255)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda r: r.pop("transform_matrix"), "frame 0 has no camera"),
        (lambda r: r.update(transform_matrix=[[1, 2], [3, 4]]), r"shape \[4, 4\]"),
        (lambda r: r.update(transform_matrix=[[0.0] * 4] * 4), "cannot be inverted"),
        (lambda r: r.update(transform_matrix=(2 * np.eye(4)).tolist()), "a turn and a shift"),
        (lambda r: r.update(transform_matrix=[[1e999] * 4] * 4), "must be finite"),
        (lambda r: r.update(fl_x=0), "focal lengths must be above 0"),
        (lambda r: [r.pop(key) for key in ("fl_x", "camera_angle_x")], "has no lens"),
        (lambda r: r.update(w=10**7), "a side must be 1 to 8192"),
        (lambda r: r.update(w="11"), "`w` must be finite numbers"),
        (lambda r: r.update(file_path="../../../etc/x.png"), "leads out of the recordings"),
        (lambda r: r.update(flame_param_path="/etc/passwd.npz"), "leads out of the recordings"),
        (lambda r: r.update(file_path=["a"]), "`file_path` must be a path"),
        (lambda r: r.update(timestep_index=-1), "`timestep_index` must be a number"),
        (lambda r: r.pop("flame_param_path"), "`flame_param_path` must be a path"),
    ],
)
def test_frames_that_lie_are_refused(
    folder: Path, flame: Head, edit: Callable[[dict[str, Any]], Any], message: str
) -> None:
    row = frame(0, 0)
    edit(row)
    write(folder, [row])
    with pytest.raises(ValueError, match=message) as refusal:
        VhapPictures(folder, flame)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "[]", "{}", '{"frames": 3}', '{"frames": [1]}']
)
def test_json_that_is_none_is_refused(folder: Path, flame: Head, text: str) -> None:
    (folder / "transforms.json").write_text(text, "utf-8")
    with pytest.raises(ValueError, match="transforms.json") as refusal:
        VhapPictures(folder, flame)
    assert "\n" not in str(refusal.value)


def test_pictures_of_another_size_and_damaged_ones_are_refused(folder: Path, flame: Head) -> None:
    found, path = VhapPictures(folder, flame), folder / frame(0, 0)["file_path"]
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save(path)
    with pytest.raises(ValueError, match="must be 11x16 pixels as its camera is, got 12x16"):
        found[0]
    path.write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="is not a readable PNG or JPEG"):
        found[0]
    path.unlink()
    with pytest.raises(ValueError, match="There is no file"):
        found[0]


def test_parameters_of_many_frames_or_none_are_refused(folder: Path, flame: Head) -> None:
    path = folder / "flame_param/00000.npz"
    given = parameters(0)
    doubled = {k: np.repeat(v, 2, 0) if v.shape[0] == 1 else v for k, v in given.items()}
    np.savez(path, **doubled)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must hold one timestep, got 2 frames"):
        VhapPictures(folder, flame)[0]
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match="not a readable npz"):
        VhapPictures(folder, flame)[0]
