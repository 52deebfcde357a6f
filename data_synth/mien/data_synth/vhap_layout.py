"""NeRSemble recordings as VHAP exports and GaussianAvatars reads them, as posed pictures.

A folder holds `transforms.json` (or `transforms_train.json`, `_val`, `_test`), and beside it
`images/TTTTT_CC.png`, `fg_masks/TTTTT_CC.png` and `flame_param/TTTTT.npz`. A combined folder's
paths start with the name of a sibling: `../OTHER/images/...`.

Each frame of the JSON has its camera: `transform_matrix` is the world from the camera with
OpenGL's axes (x right, y up, z backward); `fl_x`, `fl_y`, `cx`, `cy`, `w`, `h` are pixels, given
by the frame or for all of them; older files have `camera_angle_x` in their place. The FLAME
parameters of its timestep are in the file at `flame_param_path`, one row of each.

Source:
    github.com/ShenhanQian/VHAP, vhap/export_as_nerf_dataset.py and combine_nerf_datasets.py;
    github.com/ShenhanQian/GaussianAvatars, scene/dataset_readers.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.pictures import PosedPicture
from mien.camera import Camera
from mien.data_synth.picture_files import (
    MAX_PICTURE_BYTES,
    camera_from_matrices,
    decode_picture,
    numbers,
    read_json,
)
from mien.files import check_size
from mien.formats.flame_params import load_flame_params
from mien.head import Head
from mien.motion import Motion
from mien.text import one_line

__all__ = ["Division", "VhapFrame", "VhapPictures", "to_shared_axes"]

Division = Literal["all", "train", "val", "test"]

_MAX_JSON_BYTES = 256 * 2**20
_MAX_FRAMES = 1_000_000
_OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0, 1.0])
_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, eq=False)
class VhapFrame:
    """One frame of `transforms.json`, checked.

    Attributes:
        image: Path of the picture.
        mask: Path of its foreground, or None.
        flame: Path of its FLAME parameters.
        camera: Where it was taken from.
        timestep: Of the recording.
        camera_index: Of the rig.
    """

    image: Path
    mask: Path | None
    flame: Path
    camera: Camera
    timestep: int
    camera_index: int


class VhapPictures(Sequence[PosedPicture]):
    """The pictures of such a folder, each read when it is asked for.

    Motions are of the FLAME head given, in the world of the cameras.
    """

    def __init__(
        self,
        folder: str | Path,
        head: Head,
        division: Division = "all",
        *,
        identity: str | None = None,
        cameras: Sequence[int] | None = None,
    ) -> None:
        """Open a folder: its JSON is read and checked, its pictures not yet.

        Args:
            folder: What VHAP wrote.
            head: The FLAME model that was tracked with.
            division: Which of the JSON files.
            identity: Name of the person; if None, the folder's up to its first underscore, which
                is NeRSemble's number of the participant.
            cameras: Take only these of the rig.

        Raises:
            ValueError: If a file is missing, too large or damaged, a frame has no camera, or a
                path leads out of the folder and its siblings.
        """
        self.folder, self.head = Path(folder), head
        self.identity = identity or self.folder.resolve().name.split("_")[0]
        name = "transforms.json" if division == "all" else f"transforms_{division}.json"
        path = self.folder / name
        table = read_json(path, _MAX_JSON_BYTES)
        rows = table.get("frames")
        if not isinstance(rows, list) or len(rows) > _MAX_FRAMES:
            raise ValueError(f"{path} must list its `frames`, at most {_MAX_FRAMES:,}.")
        frames = [
            _frame(self.folder, table, row, f"{path}: frame {number}")
            for number, row in enumerate(rows)
        ]
        self.frames = [f for f in frames if cameras is None or f.camera_index in cameras]
        self._motions: dict[Path, Motion] = {}

    def __len__(self) -> int:
        return len(self.frames)

    @overload
    def __getitem__(self, index: int) -> PosedPicture: ...

    @overload
    def __getitem__(self, index: slice) -> list[PosedPicture]: ...

    def __getitem__(self, index: int | slice) -> PosedPicture | list[PosedPicture]:
        if isinstance(index, slice):
            return [self._read(frame) for frame in self.frames[index]]
        return self._read(self.frames[index])

    def __iter__(self) -> Iterator[PosedPicture]:
        return (self._read(frame) for frame in self.frames)

    def _read(self, frame: VhapFrame) -> PosedPicture:
        camera = frame.camera
        picture = _load(frame.image, camera)
        if picture.shape[-1] not in (3, 4):
            raise ValueError(f"{frame.image} must be in color, got one channel.")
        if frame.mask is not None:
            mask = _load(frame.mask, camera)[..., 0]
        elif picture.shape[-1] == 4:
            mask = picture[..., 3]
        else:
            raise ValueError(f"{frame.image} has neither an alpha channel nor a `fg_mask_path`.")
        motion = self._motion(frame.flame)
        return PosedPicture(picture[..., :3], mask, camera, motion, self.identity)

    def _motion(self, path: Path) -> Motion:
        """Parameters of one timestep; the cameras of a rig ask for them one after the other."""
        if path not in self._motions:
            take = load_flame_params(path, self.head, layout="gaussian_avatars")
            if take.motion.num_frames != 1:
                raise ValueError(
                    f"{path} must hold one timestep, got {take.motion.num_frames} frames."
                )
            if len(self._motions) >= 64:
                self._motions.pop(next(iter(self._motions)))
            self._motions[path] = take.motion
        return self._motions[path]


def _load(path: Path, camera: Camera) -> Float[Tensor, "h w c"]:
    check_size(path, MAX_PICTURE_BYTES)
    return decode_picture(path.read_bytes(), str(path), camera.width, camera.height)


def _frame(folder: Path, table: dict[str, Any], row: Any, name: str) -> VhapFrame:
    if not isinstance(row, dict):
        raise ValueError(f"{name} must be an object, got {type(row).__name__}.")
    mask = row.get("fg_mask_path")
    return VhapFrame(
        _path(folder, row.get("file_path"), f"{name}: `file_path`", _SUFFIXES),
        None if mask is None else _path(folder, mask, f"{name}: `fg_mask_path`", _SUFFIXES),
        _path(folder, row.get("flame_param_path"), f"{name}: `flame_param_path`", (".npz",)),
        _camera(table, row, name),
        _whole(row.get("timestep_index"), f"{name}: `timestep_index`"),
        _whole(row.get("camera_index", 0), f"{name}: `camera_index`"),
    )


def _path(folder: Path, given: Any, name: str, suffixes: tuple[str, ...]) -> Path:
    """A path inside the folder or one of its siblings, wherever links may lead."""
    if not isinstance(given, str) or not 0 < len(given) <= 1000 or "\0" in given:
        raise ValueError(f"{name} must be a path, got {one_line(given)[:60]!r}.")
    named = Path(given if given.lower().endswith(suffixes) else given + suffixes[0])
    path, above = (folder / named).resolve(), folder.resolve().parent
    if named.is_absolute() or not path.is_relative_to(above):
        raise ValueError(f"{name} leads out of the recordings: {one_line(given)[:80]!r}.")
    return path


def _whole(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise ValueError(f"{name} must be a number from 0 on, got {one_line(value)[:40]!r}.")
    return value


def _camera(table: dict[str, Any], row: dict[str, Any], name: str) -> Camera:
    if "transform_matrix" not in row:
        raise ValueError(f"{name} has no camera: `transform_matrix` is missing.")
    given = {
        key: row.get(key, table.get(key))
        for key in ("w", "h", "fl_x", "fl_y", "cx", "cy", "camera_angle_x")
    }
    world_from_camera = numbers(row["transform_matrix"], (4, 4), f"{name}: `transform_matrix`")
    world_from_camera = world_from_camera * _OPENCV_FROM_OPENGL
    if abs(np.linalg.det(world_from_camera)) < 1e-9:
        raise ValueError(f"{name}: `transform_matrix` cannot be inverted.")
    viewmat = np.linalg.inv(world_from_camera)
    width, height = given["w"], given["h"]
    lens = _lens(given, width, height, name)
    return camera_from_matrices(viewmat, lens, width, height, name)


def _lens(given: dict[str, Any], width: Any, height: Any, name: str) -> np.ndarray:
    def number(key: str) -> float:
        return float(numbers(given[key], (), f"{name}: `{key}`"))

    for key in ("w", "h"):
        number(key)
    if given["fl_x"] is not None:
        across = number("fl_x")
        down = across if given["fl_y"] is None else number("fl_y")
    elif given["camera_angle_x"] is not None and 0 < number("camera_angle_x") < math.pi:
        across = down = width / 2 / math.tan(number("camera_angle_x") / 2)
    else:
        raise ValueError(f"{name} has no lens: `fl_x` or `camera_angle_x` is missing.")
    middle = [
        side / 2 if given[key] is None else number(key)
        for key, side in (("cx", width), ("cy", height))
    ]
    return np.array([[across, 0.0, middle[0]], [0.0, down, middle[1]], [0.0, 0.0, 1.0]])


def to_shared_axes(camera: Camera) -> Float[Tensor, "4 4"]:
    """The camera's `transform_matrix` as this layout has it: world from camera, OpenGL's axes."""
    world_from_camera = torch.linalg.inv(camera.viewmat.double())
    shared: Tensor = world_from_camera * torch.from_numpy(_OPENCV_FROM_OPENGL)
    return shared
