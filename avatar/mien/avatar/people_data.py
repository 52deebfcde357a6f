"""`People`: pictures of many people as training takes them, by person and instant.

What never changes is worked out once: crops and mouths in the files of `people_cache`, meshes and
layouts of a person at first use. Arrays that are the same for all people are held once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mien.avatar.balancing import expression_vectors
from mien.avatar.driving import Driven, drive_person
from mien.avatar.encoder import Sink
from mien.avatar.people_cache import MOTION_TRACKS, PHOTOS, PICTURES, TRACKS, read_table
from mien.avatar.prepared import bake_identity
from mien.avatar.sizes import DecoderSize
from mien.avatar.tensor_file import read_tensors
from mien.avatar.uv_layout import UVLayout
from mien.camera import Camera
from mien.head import Head
from mien.motion import Motion

__all__ = ["People", "Person"]

_MOST_BYTES = 4 * 2**30
_FPS = 25.0


class _Shared:
    """Arrays that are the same for all people."""

    def __init__(self) -> None:
        self.first: dict[str, nn.Module] = {}

    def share(self, kind: str, module: nn.Module) -> None:
        """Let a module hold the first one's arrays where they are equal."""
        first = self.first.setdefault(kind, module)
        for name, value in first.named_buffers(recurse=False):
            own = getattr(module, name)
            if own is not value and own.shape == value.shape and torch.equal(own, value):
                setattr(module, name, value)


class Person:
    """One person of a collection.

    Args:
        name: Unique in the collection.
        sink: By how many cameras at each instant the person is seen.
        frames: Numbers of the person's instants in `People`.
        pictures: Numbers of the person's pictures.
        of: The collection.
    """

    def __init__(
        self, name: str, sink: Sink, frames: list[int], pictures: list[int], of: People
    ) -> None:
        self.sink: Sink = sink
        self.name, self.frames, self.pictures = name, frames, pictures
        self.number = int(of.tracks["people"][frames[0]])
        self._of = of

    @cached_property
    def head(self) -> Head:
        """The head with the person's identity baked in."""
        head = bake_identity(self._of.head, self._of.tracks["shapes"][self.number])
        self._of.shared.share("head", head)
        return head

    @cached_property
    def layout(self) -> UVLayout:
        """Where the person's texels and Gaussians lie."""
        layout = UVLayout(self._of.head, self.head, self._of.size)
        self._of.shared.share("layout", layout)
        return layout

    def motion(self, frame: int) -> Motion:
        """What the face does at one instant, as one frame."""
        return self._does([frame])

    def _does(self, frames: list[int]) -> Motion:
        shape = self._of.tracks["shapes"][self.number]
        return Motion(_FPS, **self._tracks(frames), shape=shape, head=self._of.head.name)

    def motions(self) -> Motion:
        """All that the face does, one frame an instant."""
        return self._does(self.frames)

    def driven(self, frame: int) -> Driven:
        """The person's mesh at one instant."""
        return drive_person(self.head, **self._tracks([frame]))

    def _tracks(self, frames: list[int]) -> dict[str, Any]:
        return {name: self._of.tracks[name][frames] for name in MOTION_TRACKS}

    def views(self, frame: int) -> list[int]:
        """Pictures of one instant."""
        return [number for number in self.pictures if self._of.frame_of[number] == frame]


class People:
    """The people of a folder that `people_cache` wrote.

    Args:
        folder: Of the prepared pictures.
        size: Of the layouts.
        head: Whose parameters they are.

    Raises:
        ValueError: If the folder is damaged, or was made for another head.
    """

    def __init__(self, folder: Path, size: DecoderSize, head: Head) -> None:
        table = read_table(folder)
        if table["head"] != head.name:
            raise ValueError(
                f"{folder} was prepared for the head {table['head']!r}, got {head.name!r}."
            )
        self.folder, self.size, self.head = folder, size, head
        self.tracks = read_tensors(folder / TRACKS, _MOST_BYTES)
        self.expressions: list[str] = list(table["expressions"])
        self.frame_of: list[int] = self.tracks["frames"].tolist()
        self.pictures: np.ndarray = np.load(folder / PICTURES, mmap_mode="r")
        self.photos: np.ndarray = np.load(folder / PHOTOS, mmap_mode="r")
        if not len(self.pictures) == len(self.photos) == len(self.frame_of):
            raise ValueError(f"{folder} is damaged; prepare the pictures again.")
        self.shared = _Shared()
        self.everyone = self._meet(table["people"])

    def __len__(self) -> int:
        return len(self.everyone)

    def _meet(self, rows: Sequence[Sequence[str]]) -> list[Person]:
        of_frame = self.tracks["people"].tolist()
        frames: list[list[int]] = [[] for _ in rows]
        pictures: list[list[int]] = [[] for _ in rows]
        for frame, person in enumerate(of_frame):
            frames[person].append(frame)
        for picture, frame in enumerate(self.frame_of):
            pictures[of_frame[frame]].append(picture)
        return [
            Person(name, "one" if subset == "one_view" else "many", own, seen, self)
            for (name, subset), own, seen in zip(rows, frames, pictures, strict=True)
        ]

    @property
    def picture_side(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        height, width = self.pictures.shape[1:3]
        return int(height), int(width)

    def expression_vectors(self) -> Float[Tensor, "t d"]:
        """What a face does at each instant; see `mien.avatar.balancing`."""
        tracks: dict[str, Any] = {name: self.tracks[name] for name in MOTION_TRACKS}
        return expression_vectors(Motion(_FPS, **tracks))

    def camera(self, picture: int) -> Camera:
        """Where a picture was taken from."""
        height, width = self.picture_side
        return Camera(self.tracks["viewmats"][picture], self.tracks["Ks"][picture], width, height)

    def layers(
        self, pictures: Sequence[int]
    ) -> tuple[Float[Tensor, "b h w 3"], Float[Tensor, "b h w 1"], Float[Tensor, "b h w 1"]]:
        """Image, mask and mouth of some pictures."""
        read = torch.from_numpy(self.pictures[list(pictures)]).float() / 255
        image, mask, mouth = torch.split(read, [3, 1, 1], -1)
        return image, mask, mouth

    def crops(
        self, pictures: Sequence[int], side: int, shift: Int[np.ndarray, "n 2"] | None = None
    ) -> Float[Tensor, "n 3 s s"]:
        """Face crops of some pictures, cut to a side; from the middle unless a shift is given.

        Args:
            pictures: Which.
            side: At most that of the kept crops, pixels.
            shift: First row and column of each.
        """
        room = self.photos.shape[-1] - side
        corners = np.full((len(pictures), 2), room // 2) if shift is None else shift
        cut = [
            self.photos[number][:, top : top + side, left : left + side]
            for number, (top, left) in zip(pictures, corners.tolist(), strict=True)
        ]
        return torch.from_numpy(np.stack(cut)).float() / 255
