"""Shards of portraits: one zip a session, put in place whole, listed with checksums, read back.

A shard holds `pictures/NNNN.jpg`, `masks/NNNN.png`, `cameras.json` (who, what and from where) and
`motions.safetensors` (the parameters of every instant and the identity of every person).
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.data_synth.picture_files import read_json
from mien.data_synth.portrait_people import Sitter, sample_session, sample_sitter
from mien.data_synth.portraits import Portrait, PortraitConfig, draw_session
from mien.data_synth.shards import write_whole
from mien.data_synth.spread import spread

__all__ = ["CAMERAS", "MOTIONS", "check_shards", "pack", "read_manifest", "write_portraits"]

FORMAT, VERSION = "mien-portraits", 1
CAMERAS, MOTIONS = "cameras.json", "motions.safetensors"
TRACKS = ("expr", "jaw_pose", "neck_pose", "global_pose", "eye_pose", "translation")
JPEG_QUALITY = 95
_MAX_MANIFEST_BYTES = 16 * 2**20
_CODE = (
    *("cast_light", "creases", "living_skin", "performance", "performer", "portrait_model"),
    *("portrait_people", "portrait_shards", "portrait_views", "portraits", "style"),
)


def write_portraits(
    folder: Path, config: PortraitConfig, workers: int = 1, cluster: str = ""
) -> Iterator[tuple[int, int]]:
    """Write the shards that are missing and then the manifest; yield (shards done, in all).

    A shard appears whole or not at all, so that a killed run goes on where it stopped. A shard
    that is not what the manifest says is made again.

    Args:
        folder: Where.
        config: What.
        workers: Processes; the pictures do not depend on it.
        cluster: See `mien.data_synth.spread.spread`.

    Raises:
        ValueError: If the folder holds something else.
    """
    missing = _claim(folder, config)
    done = config.num_sessions - len(missing)
    yield done, config.num_sessions
    for session, data in spread(partial(session_bytes, config), missing, workers, cluster):
        write_whole(shard_path(folder, session), data)
        done += 1
        yield done, config.num_sessions
    _finish(folder, config)


def session_bytes(config: PortraitConfig, session: int) -> bytes:
    """Make one shard."""
    people = sample_session(config.seed, session)
    sitters = [
        sample_sitter(config.seed, people, person, config.subset(person))
        for person in range(config.num_people)
    ]
    return pack(list(draw_session(config, session)), sitters)


def shard_path(folder: Path, session: int) -> Path:
    """Where a session's shard lies."""
    return folder / f"portraits-{session:05d}.zip"


def pack(pictures: Sequence[Portrait], sitters: Sequence[Sitter]) -> bytes:
    """Pack pictures of some people; the same bytes for the same pictures."""
    buffer = io.BytesIO()
    rows, instants = [], list(dict.fromkeys((p.identity, p.instant) for p in pictures))
    names = {sitter.name: number for number, sitter in enumerate(sitters)}
    moments = {(p.identity, p.instant): p for p in pictures}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for number, picture in enumerate(pictures):
            files = f"pictures/{number:04d}.jpg", f"masks/{number:04d}.png"
            row = {
                "index": picture.index,
                "instant": instants.index((picture.identity, picture.instant)),
                "picture": files[0],
                "mask": files[1],
                "camera": _camera_row(picture),
            }
            rows.append(row)
            _put(archive, files[0], _encode(picture.image.numpy(), "JPEG"))
            _put(archive, files[1], _encode(picture.mask.numpy(), "PNG"))
        table = {
            "format": FORMAT,
            "version": VERSION,
            "people": [_person_row(sitter, pictures) for sitter in sitters],
            "instants": [
                {"person": names[key[0]], "instant": key[1], "expression": moments[key].expression}
                for key in instants
            ],
            "pictures": rows,
        }
        _put(archive, CAMERAS, json.dumps(table).encode())
        _put(archive, MOTIONS, _motions([moments[key] for key in instants], sitters))
    return buffer.getvalue()


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a finished collection says of itself: configuration, shards with SHA-256, and hash.

    Raises:
        ValueError: If there is no finished collection in the folder.
    """
    path = folder / "manifest.json"
    if not path.exists():
        raise ValueError(f"{folder} must hold finished portraits, but has no manifest.json.")
    manifest = read_json(path, _MAX_MANIFEST_BYTES)
    if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
        raise ValueError(f"{path} must be of {FORMAT} {VERSION}; make the portraits again.")
    shards = manifest.get("shards")
    if not isinstance(shards, dict) or not all(
        isinstance(digest, str) and Path(name).name == name for name, digest in shards.items()
    ):
        raise ValueError(f"{path} must list its shards with their checksums.")
    return manifest


def check_shards(folder: Path) -> list[Path]:
    """Give the shards of a finished collection.

    Raises:
        ValueError: If one is missing or is not what the manifest says.
    """
    paths = []
    for name, digest in read_manifest(folder)["shards"].items():
        path = folder / name
        if not path.is_file() or _sha256(path) != digest:
            raise ValueError(f"{path} must be the shard of the manifest; write it again.")
        paths.append(path)
    return paths


def recipe_hash() -> str:
    """A digest of the code and the lexicon that pictures come from."""
    from importlib.resources import files

    root = files("mien.data_synth")
    data = [f for f in (root / "lexicon_data").iterdir() if f.name.startswith("recipes_")]
    code = [root / f"{module}.py" for module in _CODE]
    text = "\0".join(t for _, t in sorted((f.name, f.read_text("utf-8")) for f in (*data, *code)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _claim(folder: Path, config: PortraitConfig) -> list[int]:
    folder.mkdir(parents=True, exist_ok=True)
    path, wanted = folder / "config.json", _identity(config)
    if not path.exists():
        write_whole(path, json.dumps(wanted, indent=1).encode())
    found = read_json(path, _MAX_MANIFEST_BYTES)
    if found != wanted:
        differ = sorted(key for key in wanted if found.get(key) != wanted[key])
        raise ValueError(
            f"{folder} holds other portraits ({', '.join(differ)} differ); use another folder."
        )
    return [number for number in range(config.num_sessions) if not _is_sound(folder, number)]


def _is_sound(folder: Path, session: int) -> bool:
    path = shard_path(folder, session)
    if not path.exists() or not (folder / "manifest.json").exists():
        return path.exists()
    return bool(read_manifest(folder)["shards"].get(path.name) == _sha256(path))


def _finish(folder: Path, config: PortraitConfig) -> None:
    for part in folder.glob("*.part"):
        part.unlink(missing_ok=True)
    paths = [shard_path(folder, number) for number in range(config.num_sessions)]
    shards = {path.name: _sha256(path) for path in paths}
    digest = hashlib.sha256("".join(shards.values()).encode()).hexdigest()
    manifest = {**_identity(config), "shards": shards, "portraits_hash": digest}
    write_whole(folder / "manifest.json", json.dumps(manifest, indent=1).encode())


def _identity(config: PortraitConfig) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, "recipe": recipe_hash(), **asdict(config)}


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), data)  # without the date of today


def _encode(values: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray((values * 255 + 0.5).astype(np.uint8))
    if kind == "JPEG":
        picture.save(buffer, kind, quality=JPEG_QUALITY, subsampling=0)
    else:
        picture.save(buffer, kind, compress_level=1)
    return buffer.getvalue()


def _camera_row(picture: Portrait) -> dict[str, Any]:
    camera = picture.camera
    return {
        "viewmat": camera.viewmat.double().tolist(),
        "K": camera.K.double().tolist(),
        "width": camera.width,
        "height": camera.height,
    }


def _person_row(sitter: Sitter, pictures: Sequence[Portrait]) -> dict[str, Any]:
    own = next(picture for picture in pictures if picture.identity == sitter.name)
    return {
        "identity": sitter.name,
        "split": own.split,
        "subset": sitter.subset,
        "traits": sitter.traits,
        "look": dataclasses.asdict(sitter.look),
        "studio": dataclasses.asdict(sitter.studio),
    }


def _motions(instants: Sequence[Portrait], sitters: Sequence[Sitter]) -> bytes:
    from safetensors.numpy import save

    tracks = {
        name: np.concatenate([getattr(picture.motion, name).numpy() for picture in instants])
        for name in TRACKS
    }
    shapes = np.stack([sitter.identity.shape.numpy() for sitter in sitters])
    data: bytes = save({**tracks, "shape": shapes}, metadata={"head": instants[0].motion.head})
    return data


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
