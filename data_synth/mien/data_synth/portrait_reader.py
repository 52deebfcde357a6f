"""Portraits read back from their shards, in order or one by one."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args, overload

import torch

from mien.data_synth.phrases import Split
from mien.data_synth.picture_files import (
    MAX_PICTURE_BYTES,
    camera_from_matrices,
    decode_picture,
    numbers,
    parse_json,
)
from mien.data_synth.portrait_people import Subset
from mien.data_synth.portrait_shards import CAMERAS, MOTIONS, TRACKS, check_shards
from mien.data_synth.portraits import Portrait
from mien.motion import Motion
from mien.text import one_line

__all__ = ["PortraitFiles", "ShardFile"]

_MAX_TABLE_BYTES = 64 * 2**20
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, NotImplementedError),
    *(RuntimeError, OverflowError),
)
_FPS = 25.0


@dataclass(frozen=True, eq=False)
class ShardFile:
    """One shard, its tables read, its pictures not yet.

    Attributes:
        path: The zip.
        people: Rows of `cameras.json`.
        instants: Likewise.
        pictures: Likewise.
        tracks: Parameters of every instant, and `shape` of every person.
        head: Whose parameters they are.
    """

    path: Path
    people: list[dict[str, Any]]
    instants: list[dict[str, Any]]
    pictures: list[dict[str, Any]]
    tracks: dict[str, torch.Tensor]
    head: str

    @classmethod
    def open(cls, path: Path) -> ShardFile:
        """Read a shard's tables.

        Raises:
            ValueError: If it is damaged or no such shard.
        """
        table = parse_json(_entry(path, CAMERAS, _MAX_TABLE_BYTES), f"{path}: {CAMERAS}")
        lists = []
        for name in ("people", "instants", "pictures"):
            rows = table.get(name)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ValueError(f"{path}: {CAMERAS} must list its {name}.")
            lists.append(rows)
        people, instants, pictures = lists
        tracks, head = _tracks(path, len(people), len(instants))
        return cls(path, people, instants, pictures, tracks, head)

    def read(self, number: int) -> Portrait:
        """Read one picture.

        Raises:
            ValueError: If it is missing, damaged, or has no camera of its size.
        """
        row = self.pictures[number]
        name = f"{self.path}: picture {number}"
        instant = _at(self.instants, row.get("instant"), f"{name}: its instant")
        person = _at(self.people, instant.get("person"), f"{name}: its person")
        given = row.get("camera")
        if not isinstance(given, dict):
            raise ValueError(f"{name} has no camera.")
        viewmat = numbers(given.get("viewmat"), (4, 4), f"{name}: `viewmat`")
        lens = numbers(given.get("K"), (3, 3), f"{name}: `K`")
        camera = camera_from_matrices(viewmat, lens, given.get("width"), given.get("height"), name)
        files = {}
        for kind, channels in (("picture", 3), ("mask", 1)):
            entry = str(row.get(kind))
            data = _entry(self.path, entry, MAX_PICTURE_BYTES)
            values = decode_picture(data, f"{self.path}: {entry}", camera.width, camera.height)
            if values.shape[-1] != channels:
                raise ValueError(
                    f"{self.path}: {entry} must have {channels} channels, got {values.shape[-1]}."
                )
            files[kind] = values
        return Portrait(
            files["picture"],
            files["mask"][..., 0],
            camera,
            self._motion(row["instant"], instant["person"], str(instant.get("expression"))),
            str(person.get("identity") or ""),
            index=_count(row.get("index"), f"{name}: `index`"),
            split=cast(Split, _one_of(person.get("split"), Split, name)),
            subset=cast(Subset, _one_of(person.get("subset"), Subset, name)),
            expression=str(instant.get("expression")),
            instant=_count(instant.get("instant"), f"{name}: `instant`"),
        )

    def person_of(self, number: int) -> dict[str, Any]:
        """The row of the person on a picture."""
        name = f"{self.path}: picture {number}"
        instant = _at(self.instants, self.pictures[number].get("instant"), name)
        return _at(self.people, instant.get("person"), name)

    def _motion(self, instant: int, person: int, text: str) -> Motion:
        tracks: dict[str, Any] = {
            name: self.tracks[name][instant : instant + 1] for name in TRACKS
        }
        return Motion(
            fps=_FPS, **tracks, shape=self.tracks["shape"][person], head=self.head, text=text
        )


class PortraitFiles(Sequence[Portrait]):
    """The pictures of a finished collection, or of one split or subset of it.

    Example:
        pictures = PortraitFiles("portraits", split="train", subset="many_view")
        pictures[0].image.shape
    """

    def __init__(
        self, folder: str | Path, split: Split | None = None, subset: Subset | None = None
    ) -> None:
        """Open a collection; its checksums are compared, its pictures not yet read.

        Raises:
            ValueError: If it is unfinished or damaged, or holds none of these.
        """
        self.shards = [ShardFile.open(path) for path in check_shards(Path(folder))]
        wanted = {"split": split, "subset": subset}
        self._where = [
            (shard, number)
            for shard in self.shards
            for number in range(len(shard.pictures))
            if all(
                value is None or shard.person_of(number).get(name) == value
                for name, value in wanted.items()
            )
        ]
        if not self._where:
            raise ValueError(
                f"{folder} holds no portraits with split {split or 'any'} and subset "
                f"{subset or 'any'}."
            )

    def __len__(self) -> int:
        return len(self._where)

    @overload
    def __getitem__(self, index: int) -> Portrait: ...

    @overload
    def __getitem__(self, index: slice) -> list[Portrait]: ...

    def __getitem__(self, index: int | slice) -> Portrait | list[Portrait]:
        if isinstance(index, slice):
            return [shard.read(number) for shard, number in self._where[index]]
        shard, number = self._where[index]
        return shard.read(number)

    def __iter__(self) -> Iterator[Portrait]:
        return (shard.read(number) for shard, number in self._where)


def _entry(path: Path, name: str, max_bytes: int) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(name)
            if info.file_size > max_bytes:
                raise ValueError(
                    f"{path}: {one_line(name)[:80]} has {info.file_size / 2**20:,.0f} MB; at most "
                    f"{max_bytes / 2**20:,.0f} MB are read."
                )
            with archive.open(info) as stream:
                return stream.read(max_bytes)
    except _BROKEN as error:
        raise ValueError(
            f"{path} is damaged: {one_line(name)[:80]} cannot be read ({one_line(error)[:80]})."
        ) from error


def _tracks(path: Path, people: int, instants: int) -> tuple[dict[str, torch.Tensor], str]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = _entry(path, MOTIONS, _MAX_TABLE_BYTES)
    try:
        tracks: dict[str, torch.Tensor] = load(data)
        size = int.from_bytes(data[:8], "little")
        header = parse_json(data[8 : 8 + size], f"{path}: {MOTIONS}")
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {MOTIONS} is damaged ({one_line(error)[:80]}).") from error
    counts = {**dict.fromkeys(TRACKS, instants), "shape": people}
    for name, count in counts.items():
        track = tracks.get(name)
        if track is None or track.ndim != 2 or len(track) != count:
            came = "none" if track is None else list(track.shape)
            raise ValueError(f"{path}: `{name}` must be [{count}, .], got {came}.")
    given = header.get("__metadata__")
    return tracks, str(given.get("head", "")) if isinstance(given, dict) else ""


def _at(rows: list[dict[str, Any]], number: Any, name: str) -> dict[str, Any]:
    index = _count(number, name)
    if index >= len(rows):
        raise ValueError(f"{name} must be 0 to {len(rows) - 1}, got {index}.")
    return rows[index]


def _count(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} must be a number from 0 on, got {one_line(value)[:40]}.")
    return value


def _one_of(value: Any, choices: Any, name: str) -> str:
    names = get_args(choices)
    if value not in names:
        raise ValueError(f"{name} must be of {', '.join(names)}, got {one_line(value)[:40]}.")
    return str(value)
