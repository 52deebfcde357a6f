"""Portraits made ready to learn from: prepared once a split, and found again."""

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from mien.apps.progress import say

if TYPE_CHECKING:
    from mien.avatar.known_changes import KnownChanges
    from mien.avatar.known_maps import KnownMaps
    from mien.avatar.people_data import People
    from mien.avatar.sizes import DecoderSize
    from mien.data_synth.phrases import Split

PHOTO_ROOM = 1.125  # side of the kept face crops over that of the encoder's
_CHANGING = 630  # people whose changes are painted: ten minutes of one core, half a gigabyte
_HELD_OUT_OF = 10  # one expression in so many is never trained on


def check_portraits(folder: Path) -> None:
    """Refuse a folder that holds no finished portraits."""
    if not (folder / "manifest.json").is_file():
        raise ValueError(
            f"{folder}: wanted a folder with portraits; make one with `mien synth portraits`."
        )


def open_people(
    folder: Path, split: "Split", size: "DecoderSize", photo_side: int, cache: Path | None = None
) -> "People":
    """Open the people of one split, preparing their pictures at the first time.

    Args:
        folder: Of the portraits.
        split: Which people.
        size: Of their layouts.
        photo_side: Of an encoder's face crops, pixels.
        cache: Where prepared pictures are kept; beside the portraits where not given.

    Raises:
        ValueError: If the portraits are unfinished or damaged, or hold none of the split.
    """
    from mien.avatar.people_cache import is_cached, write_people
    from mien.avatar.people_data import People
    from mien.data_synth.portrait_reader import PortraitFiles
    from mien.data_synth.portrait_shards import read_manifest
    from mien.head import Head

    head, side = Head.default(), round(photo_side * PHOTO_ROOM)
    key = str(read_manifest(folder)["portraits_hash"])
    kept = (cache or folder / "prepared") / f"{split}-{side}"
    if not is_cached(kept, key, side):
        pictures = PortraitFiles(folder, split)
        say(f"preparing {len(pictures):,} pictures of the split {split}")
        write_people(kept, pictures, side, key, head)
    return People(kept, size, head)


def open_known_maps(folder: Path, people: "People", workers: int = 1) -> "KnownMaps":
    """Open what the people of one split were painted as, painting them again at the first time.

    Args:
        folder: Of the portraits.
        people: Of one split of them.
        workers: Processes that paint.

    Raises:
        ValueError: If another version painted them.
    """
    from mien.avatar.known_maps import KnownMaps, write_known_maps
    from mien.data_synth.portrait_paintings import painted_maps

    count, side = len(people), people.size.resolution
    path = _known_path(folder, people, "maps")
    if not path.is_file():
        say(f"painting {count:,} people once more, for their maps")
        names = [person.name for person in people.everyone]
        maps = painted_maps(folder, names, people.size, workers)
        write_known_maps(path, maps, count, side)
    return KnownMaps(path, count, side)


def open_known_changes(folder: Path, people: "People", workers: int = 1) -> "KnownChanges":
    """Open how the first people of one split change, painting them again at the first time.

    Args:
        folder: Of the portraits.
        people: Of one split of them.
        workers: Processes that paint.

    Raises:
        ValueError: If another version painted them.
    """
    from mien.avatar.known_changes import KnownChanges, write_known_changes
    from mien.data_synth.portrait_paintings import painted_changes

    side, path = people.size.resolution, _known_path(folder, people, "changes")
    first = people.everyone[:_CHANGING]
    count = first[-1].frames[-1] + 1
    if not path.is_file():
        say(f"painting {len(first):,} people at {count:,} instants, for how they change")
        asked = {person.name: person.motions() for person in first}
        changes = (
            pair
            for place, found in painted_changes(folder, asked, people.size, workers)
            for pair in zip(first[place].frames, found, strict=True)
        )
        write_known_changes(path, changes, count, side)
    return KnownChanges(path, count, side)


def _known_path(folder: Path, people: "People", kind: str) -> Path:
    from mien.data_synth.portrait_shards import read_manifest

    key = str(read_manifest(folder)["portraits_hash"])
    return people.folder / f"{kind}-{people.size.resolution}-{key[:16]}.npy"


def held_out_expressions() -> tuple[str, ...]:
    """Entries of the lexicon that no encoder is trained on, the same everywhere."""
    from mien.data_synth.lexicon import Lexicon

    entries = sorted(Lexicon.default().entries)
    return tuple(name for name in entries if zlib.crc32(name.encode()) % _HELD_OUT_OF == 0)
