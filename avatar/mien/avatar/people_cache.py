"""Pictures of many people, prepared once for training and kept as flat files that are mapped.

`pictures.npy` holds bytes `[n, h, w, 5]`: sRGB, what the person covers, what the mouth covers.
`photos.npy` holds the face crops that an encoder is shown, `[n, 3, s, s]`, a little larger than it
takes. Parameters and cameras lie in `tracks.safetensors`, names in `people.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import save_file
from torch import Tensor

from mien.avatar.driving import drive_person
from mien.avatar.mouth_region import mouth_mask
from mien.avatar.photo_pose import crop_face
from mien.avatar.prepared import bake_identity
from mien.camera import Camera
from mien.files import check_size, whole_file
from mien.head import Head
from mien.motion import Motion

__all__ = ["SeenPicture", "is_cached", "read_table", "write_people"]

FORMAT = 1
TABLE, TRACKS, PICTURES, PHOTOS = "people.json", "tracks.safetensors", "pictures.npy", "photos.npy"
MOTION_TRACKS = ("expr", "global_pose", "neck_pose", "jaw_pose", "eye_pose", "translation")
_MAX_TABLE_BYTES = 256 * 2**20


class SeenPicture(Protocol):
    """A `PosedPicture` of a collection, with what training must know of it besides."""

    @property
    def image(self) -> Float[Tensor, "h w 3"]:
        """As in `PosedPicture`."""
        ...

    @property
    def mask(self) -> Float[Tensor, "h w"]:
        """As in `PosedPicture`."""
        ...

    @property
    def camera(self) -> Camera:
        """As in `PosedPicture`."""
        ...

    @property
    def motion(self) -> Motion:
        """As in `PosedPicture`; its `shape` is known."""
        ...

    @property
    def identity(self) -> str:
        """As in `PosedPicture`."""
        ...

    @property
    def subset(self) -> Literal["one_view", "many_view"]:
        """Whether one camera sees the person at each instant, or many."""
        ...

    @property
    def instant(self) -> int:
        """Which instant of the person; pictures of one instant differ by camera alone."""
        ...

    @property
    def expression(self) -> str:
        """What the face was asked to show."""
        ...


def write_people(
    folder: Path, pictures: Sequence[SeenPicture], photo_side: int, key: str, head: Head
) -> None:
    """Prepare pictures, and write them whole or not at all.

    Args:
        folder: Made if it is not there.
        pictures: All of one size.
        photo_side: Of the face crops that are kept, pixels.
        key: Of the collection, so that another is not taken for it.
        head: Whose parameters the pictures have.

    Raises:
        ValueError: If there is no picture, or a person's identity is not known, or sizes differ.
    """
    if not len(pictures):
        raise ValueError("People are learned from one picture or more, got none.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).unlink(missing_ok=True)
    desk = _Desk(head, photo_side)
    first = pictures[0].camera
    shapes = {
        PICTURES: (len(pictures), first.height, first.width, 5),
        PHOTOS: (len(pictures), 3, photo_side, photo_side),
    }
    kept, photos = (
        np.lib.format.open_memmap(folder / name, "w+", np.uint8, shape)
        for name, shape in shapes.items()
    )
    for number, picture in enumerate(pictures):
        if (picture.camera.height, picture.camera.width) != (first.height, first.width):
            raise ValueError(
                f"Pictures must all be of {first.width}x{first.height}, got "
                f"{picture.camera.width}x{picture.camera.height}."
            )
        kept[number], photos[number] = desk.prepare(picture)
    kept.flush()
    photos.flush()
    desk.write(folder, key)


def is_cached(folder: Path, key: str, photo_side: int) -> bool:
    """Tell whether a folder holds the prepared pictures of a collection."""
    try:
        table = read_table(folder)
    except ValueError:
        return False
    return (table.get("key"), table.get("photo_side")) == (key, photo_side)


def read_table(folder: Path) -> dict[str, Any]:
    """Read the table of a folder.

    Raises:
        ValueError: If the folder holds no prepared pictures of this format.
    """
    path = folder / TABLE
    if not path.is_file():
        raise ValueError(f"{folder} must hold prepared pictures, but has no {TABLE}.")
    check_size(path, _MAX_TABLE_BYTES)
    try:
        table: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found = table["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged; prepare the pictures again.") from error
    if found != FORMAT:
        raise ValueError(f"{path} is of the format {found}, wanted {FORMAT}; prepare it again.")
    return table


class _Desk:
    """Where pictures are prepared one by one, and what is found out on the way."""

    def __init__(self, head: Head, photo_side: int) -> None:
        self.head, self.photo_side = head, photo_side
        self.people: dict[str, dict[str, Any]] = {}
        self.frames: dict[tuple[str, int], int] = {}
        self.expressions: list[str] = []
        self.rows: dict[str, list[Tensor]] = {}
        self.posed: tuple[int, Tensor] = (-1, torch.empty(0))
        self.person: tuple[str, Head] = ("", head)

    def prepare(
        self, picture: SeenPicture
    ) -> tuple[UInt8[np.ndarray, "h w 5"], UInt8[np.ndarray, "3 s s"]]:
        frame = self._frame(picture)
        vertices = self._vertices(picture, frame)
        camera = picture.camera
        mouth = mouth_mask(self.head, vertices, camera)
        layers = torch.cat([picture.image, picture.mask[..., None], mouth[..., None]], -1)
        points = self.head.require_points().gather(vertices) @ camera.viewmat[:3, :3].T
        flat = (points + camera.viewmat[:3, 3]) @ camera.K.T
        photo = crop_face(picture.image, flat[:, :2] / flat[:, 2:], self.photo_side)
        for name, value in (("viewmats", camera.viewmat), ("Ks", camera.K)):
            self.rows.setdefault(name, []).append(value.float())
        self.rows.setdefault("frames", []).append(torch.tensor(frame))
        return _bytes(layers), _bytes(photo)

    def _frame(self, picture: SeenPicture) -> int:
        shape = picture.motion.shape
        if shape is None:
            raise ValueError(f"A picture of {picture.identity!r} has no identity coefficients.")
        known = self.people.setdefault(
            picture.identity,
            {"name": picture.identity, "subset": picture.subset, "number": len(self.people)},
        )
        if known["number"] == len(self.rows.get("shapes", [])):
            self.rows.setdefault("shapes", []).append(shape.float())
        place = picture.identity, picture.instant
        if place not in self.frames:
            self.frames[place] = len(self.frames)
            self.expressions.append(picture.expression)
            self.rows.setdefault("people", []).append(torch.tensor(known["number"]))
            for name in MOTION_TRACKS:
                self.rows.setdefault(name, []).append(getattr(picture.motion, name)[0].float())
        return self.frames[place]

    def _vertices(self, picture: SeenPicture, frame: int) -> Float[Tensor, "v 3"]:
        if self.person[0] != picture.identity:
            assert picture.motion.shape is not None, "frames are of known people"
            self.person = picture.identity, bake_identity(self.head, picture.motion.shape)
        if self.posed[0] != frame:
            tracks = {name: getattr(picture.motion, name) for name in MOTION_TRACKS}
            driven = drive_person(self.person[1], **tracks)
            self.posed = frame, driven.posed(self.head.lbs_weights)[0]
        return self.posed[1]

    def write(self, folder: Path, key: str) -> None:
        tracks = {name: torch.stack(rows).contiguous() for name, rows in self.rows.items()}
        with whole_file(folder / TRACKS) as target:
            save_file(tracks, target)
        table = {
            "format": FORMAT,
            "key": key,
            "photo_side": self.photo_side,
            "head": self.head.name,
            "people": [[p["name"], p["subset"]] for p in self.people.values()],
            "expressions": self.expressions,
        }
        with whole_file(folder / TABLE) as target:
            target.write_text(json.dumps(table) + "\n", encoding="utf-8")


def _bytes(values: Tensor) -> UInt8[np.ndarray, ...]:
    return np.asarray((values * 255 + 0.5).clamp(0, 255).to(torch.uint8).numpy())
