"""The corpus: clips in Parquet shards, resumable, with checksums."""

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.arkit import CHANNEL_NAMES
from mien.data_synth.clip import Clip, make_clip, sample_caption, sample_pair, split_of
from mien.data_synth.performance import Performance
from mien.data_synth.phrases import Split

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "Clip",
    "CorpusConfig",
    "clip_from_row",
    "make_clip",
    "read_corpus",
    "read_manifest",
    "recipe_hash",
    "sample_caption",
    "sample_pair",
    "split_of",
    "write_corpus",
]

FORMAT = 1
NUM_CHANNELS = len(CHANNEL_NAMES)


@dataclass(frozen=True)
class CorpusConfig:
    """What a corpus holds.

    Attributes:
        seed: Of the whole corpus.
        num_clips: How many clips.
        clips_per_shard: Clips in one Parquet file.
        workers: Processes; the clips do not depend on it.
    """

    seed: int = 0
    num_clips: int = 4096
    clips_per_shard: int = 1024
    workers: int = 1

    def __post_init__(self) -> None:
        """Refuse counts that make no corpus."""
        for name in ("num_clips", "clips_per_shard", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")

    @property
    def num_shards(self) -> int:
        """How many Parquet files."""
        return -(-self.num_clips // self.clips_per_shard)


def write_corpus(folder: Path, config: CorpusConfig) -> Iterator[tuple[int, int]]:
    """Write the shards that are missing and then the manifest; yield (shards done, shards in all).

    A shard appears whole or not at all, so that a killed run goes on where it stopped.

    Raises:
        ValueError: If the folder holds a corpus of another configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, config)
    missing = [i for i in range(config.num_shards) if not shard_path(folder, i).exists()]
    done = config.num_shards - len(missing)
    yield done, config.num_shards
    job = partial(write_shard, folder, config)
    with ExitStack() as stack:
        results: Iterator[Path] = map(job, missing)
        if config.workers > 1:
            pool = stack.enter_context(ProcessPoolExecutor(config.workers))
            results = pool.map(job, missing)
        for _ in results:
            done += 1
            yield done, config.num_shards
    _write_manifest(folder, config)


def shard_path(folder: Path, shard: int) -> Path:
    """Where a shard lies."""
    return folder / f"clips-{shard:05d}.parquet"


def write_shard(folder: Path, config: CorpusConfig, shard: int) -> Path:
    """Make one shard and put it in place in one step."""
    from datasets import Dataset

    first = shard * config.clips_per_shard
    last = min(first + config.clips_per_shard, config.num_clips)
    rows = [_row(make_clip(config.seed, i)) for i in range(first, last)]
    path = shard_path(folder, shard)
    part = path.with_suffix(f".{os.getpid()}.part")
    with _no_progress_bars():
        Dataset.from_list(rows, features=_features()).to_parquet(str(part))
    part.replace(path)
    return path


def read_corpus(folder: Path, split: Split | None = None) -> "Dataset":
    """The corpus as a `datasets.Dataset`; rows become clips by :func:`clip_from_row`.

    Raises:
        ValueError: If there is no finished corpus or a shard is not what the manifest says.
    """
    from datasets import Dataset

    manifest = read_manifest(folder)
    paths = [folder / name for name in manifest["shards"]]
    for path, digest in zip(paths, manifest["shards"].values(), strict=True):
        if not path.exists() or _sha256(path) != digest:
            raise ValueError(f"{path} must be the shard of the manifest; remove it and run again.")
    with _no_progress_bars():
        rows = Dataset.from_parquet([str(p) for p in paths], cache_dir=str(folder / ".cache"))
    if split is None:
        return rows
    return rows.select([i for i, s in enumerate(rows["split"]) if s == split])


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """The caller shows progress; `datasets` need not."""
    import datasets

    shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    yield
    if not shown:
        datasets.enable_progress_bars()


def clip_from_row(row: dict[str, Any]) -> Clip:
    """Rebuild a clip from a row of the corpus."""
    curves = np.frombuffer(row["curves"], np.float16).reshape(-1, NUM_CHANNELS)
    performance = Performance.from_json(row["performance"])
    events = tuple((s, e, t) for s, e, t in json.loads(row["events"]))
    return Clip(
        row["index"], row["split"], tuple(row["texts"]), row["caption"], row["score"], events,
        performance, curves.astype(np.float32),
    )  # fmt: skip


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a finished corpus says of itself: configuration, SHA-256 of shards, corpus hash."""
    path = folder / "manifest.json"
    if not path.exists():
        raise ValueError(
            f"{folder} must hold a finished corpus, but has no manifest.json; run `mien synth`."
        )
    manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return manifest


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


def _claim(folder: Path, config: CorpusConfig) -> None:
    """Note the configuration, or see that it is the same."""
    wanted = _identity(config)
    path = folder / "config.json"
    for part in folder.glob("*.part"):
        part.unlink()  # left by a killed run
    if not path.exists():
        _write_whole(path, json.dumps(wanted, indent=1))
    found = json.loads(path.read_text("utf-8"))
    if found != wanted:
        raise ValueError(
            f"{folder} holds a corpus of {found}, wanted {wanted}; use another folder."
        )


def _identity(config: CorpusConfig) -> dict[str, Any]:
    """Everything that the clips depend on."""
    kept = {k: v for k, v in asdict(config).items() if k != "workers"}
    return {"format": FORMAT, "recipe": recipe_hash(), **kept}


def recipe_hash() -> str:
    """A digest of the lexicon's files and of the code that turns them into clips."""
    from importlib.resources import files

    root = files("mien.data_synth")
    data = [f for f in (root / "lexicon_data").iterdir() if f.name.endswith(".toml")]
    code = [root / f"{m}.py" for m in _CODE]
    parts = sorted((f.name, f.read_text("utf-8")) for f in (*data, *code))
    text = "\0".join(text for _, text in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_CODE = (
    *("caption", "clauses", "clip", "grammar", "idle", "lexicon", "performance"),
    *("performer", "phrases", "score", "style", "wording", "writer"),
)  # fmt: skip


def _write_manifest(folder: Path, config: CorpusConfig) -> None:
    paths = [shard_path(folder, i) for i in range(config.num_shards)]
    shards = {path.name: _sha256(path) for path in paths}
    digest = hashlib.sha256("".join(shards.values()).encode()).hexdigest()
    manifest = {**_identity(config), "shards": shards, "corpus_hash": digest}
    _write_whole(folder / "manifest.json", json.dumps(manifest, indent=1))


def _write_whole(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, "utf-8")
    part.replace(path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
