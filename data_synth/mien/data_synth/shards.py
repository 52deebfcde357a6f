"""Parquet shards of clips: packed, put in place whole, listed with their checksums, read back."""

import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.arkit import CHANNEL_NAMES
from mien.data_synth.clip import Clip
from mien.data_synth.performance import Performance
from mien.data_synth.phrases import Split

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "ShardSet",
    "clip_from_row",
    "pack",
    "read_corpus",
    "read_manifest",
    "shard_path",
    "write_whole",
]

NUM_CHANNELS = len(CHANNEL_NAMES)


@dataclass(frozen=True)
class ShardSet:
    """The shards of one corpus, done or not.

    Attributes:
        folder: Where they lie.
        identity: Everything that the clips depend on; it goes into the manifest.
        num_shards: How many there are when all are done.
    """

    folder: Path
    identity: dict[str, Any]
    num_shards: int

    def claim(self) -> list[int]:
        """Make the folder this corpus's own; give the shards that are missing or damaged.

        Raises:
            ValueError: If the folder holds another corpus.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "config.json"
        if not path.exists():
            write_whole(path, json.dumps(self.identity, indent=1).encode())
        found = json.loads(path.read_text("utf-8"))
        if found != self.identity:
            raise ValueError(
                f"{self.folder} holds a corpus of {found}, wanted {self.identity}; "
                "use another folder."
            )
        return [i for i in range(self.num_shards) if not self._is_sound(i)]

    def place(self, shard: int, data: bytes) -> None:
        """Put a shard in its place; it appears whole or not at all."""
        write_whole(shard_path(self.folder, shard), data)

    def finish(self) -> None:
        """Write the manifest, and clear away what killed runs left."""
        for part in self.folder.glob("*.part"):
            part.unlink(missing_ok=True)
        paths = [shard_path(self.folder, i) for i in range(self.num_shards)]
        shards = {path.name: _sha256(path) for path in paths}
        digest = hashlib.sha256("".join(shards.values()).encode()).hexdigest()
        manifest = {**self.identity, "shards": shards, "corpus_hash": digest}
        write_whole(self.folder / "manifest.json", json.dumps(manifest, indent=1).encode())

    def _is_sound(self, shard: int) -> bool:
        """Whether a shard is there and, where a manifest is, as it says."""
        path = shard_path(self.folder, shard)
        if not path.exists():
            return False
        if not (self.folder / "manifest.json").exists():
            return True
        return bool(read_manifest(self.folder)["shards"].get(path.name) == _sha256(path))


def shard_path(folder: Path, shard: int) -> Path:
    """Where a shard lies."""
    return folder / f"clips-{shard:05d}.parquet"


def pack(clips: Sequence[Clip]) -> bytes:
    """Clips as one Parquet file; the same bytes for the same clips."""
    from datasets import Dataset

    buffer, features, rows = io.BytesIO(), _features(), [_row(clip) for clip in clips]
    columns = {name: [row[name] for row in rows] for name in features}
    with _no_progress_bars():
        Dataset.from_dict(columns, features=features).to_parquet(buffer)
    return buffer.getvalue()


def read_corpus(folder: Path, split: Split | None = None) -> "Dataset":
    """The corpus as a `datasets.Dataset`; rows become clips by :func:`clip_from_row`.

    Raises:
        ValueError: If there is no finished corpus, a shard is not what the manifest says, or
            there is no clip in any.
    """
    import pyarrow.parquet
    from datasets import Dataset

    manifest = read_manifest(folder)
    paths = [folder / name for name in manifest["shards"]]
    for path, digest in zip(paths, manifest["shards"].values(), strict=True):
        if not path.exists() or _sha256(path) != digest:
            raise ValueError(
                f"{path} must be the shard of the manifest; run `mien synth` again to mend it."
            )
    if not any(pyarrow.parquet.read_metadata(path).num_rows for path in paths):
        raise ValueError(f"{folder} must hold clips, but none of its {len(paths)} shards has any.")
    with _no_progress_bars():
        rows = Dataset.from_parquet([str(p) for p in paths], cache_dir=str(folder / ".cache"))
    if split is None:
        return rows
    return rows.select([i for i, s in enumerate(rows["split"]) if s == split])


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a finished corpus says of itself: configuration, SHA-256 of shards, corpus hash."""
    path = folder / "manifest.json"
    if not path.exists():
        raise ValueError(
            f"{folder} must hold a finished corpus, but has no manifest.json; run `mien synth`."
        )
    manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return manifest


def clip_from_row(row: dict[str, Any]) -> Clip:
    """Rebuild a clip from a row of the corpus."""
    curves = np.frombuffer(row["curves"], np.float16).reshape(-1, NUM_CHANNELS)
    performance = Performance.from_json(row["performance"])
    events = tuple((s, e, t) for s, e, t in json.loads(row["events"]))
    return Clip(
        row["index"], row["split"], tuple(row["texts"]), row["caption"], row["score"], events,
        performance, curves.astype(np.float32),
    )  # fmt: skip


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there, so that it is never seen half done."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    with part.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """The caller shows progress; `datasets` need not."""
    import datasets

    shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    yield
    if not shown:
        datasets.enable_progress_bars()


def _row(clip: Clip) -> dict[str, Any]:
    return {
        "index": clip.index,
        "split": clip.split,
        "seconds": clip.performance.seconds,
        "texts": list(clip.texts),
        "caption": clip.caption,
        "score": clip.score,
        "events": json.dumps(clip.events),
        "performance": clip.performance.to_json(),
        "curves": clip.curves.astype(np.float16).tobytes(),
    }


def _features() -> Any:
    from datasets import Features, List, Value

    text = Value("string")
    return Features(
        {
            "index": Value("int64"),
            "split": text,
            "seconds": Value("float32"),
            "texts": List(text),
            "caption": text,
            "score": text,
            "events": text,
            "performance": text,
            "curves": Value("binary"),
        }
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
