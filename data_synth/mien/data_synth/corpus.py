"""The corpus: clips in Parquet shards, resumable, with checksums."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mien.data_synth.clip import Clip, make_clip, sample_caption, sample_pair, split_of
from mien.data_synth.held_out import HeldOut, clips_for_hours, hold_out
from mien.data_synth.shards import (
    ShardSet,
    clip_from_row,
    pack,
    read_corpus,
    read_manifest,
    shard_path,
)
from mien.data_synth.spread import spread

__all__ = [
    "Clip",
    "CorpusConfig",
    "clip_from_row",
    "clips_for_hours",
    "make_clip",
    "read_corpus",
    "read_manifest",
    "recipe_hash",
    "sample_caption",
    "sample_pair",
    "shard_path",
    "split_of",
    "write_corpus",
]

FORMAT = 1
MAX_HOURS = 10_000.0


@dataclass(frozen=True)
class CorpusConfig:
    """What a corpus holds.

    Attributes:
        seed: Of the whole corpus.
        num_clips: How many clips.
        clips_per_shard: Clips in one Parquet file.
        workers: Processes; the clips do not depend on it.
        cluster: A Ray cluster's address in place of processes, or "local"; nor on this.
    """

    seed: int = 0
    num_clips: int = 4096
    clips_per_shard: int = 1024
    workers: int = 1
    cluster: str = ""

    def __post_init__(self) -> None:
        """Refuse counts that make no corpus."""
        for name in ("num_clips", "clips_per_shard", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")

    @property
    def num_shards(self) -> int:
        """How many Parquet files."""
        return -(-self.num_clips // self.clips_per_shard)


def check_hours(hours: float) -> None:
    """Refuse lengths that no corpus can have.

    Raises:
        ValueError: If they are not above 0 and at most `MAX_HOURS`.
    """
    if not (math.isfinite(hours) and 0 < hours <= MAX_HOURS):
        raise ValueError(f"`hours` must be above 0 and at most {MAX_HOURS:g}, got {hours:g}.")


def write_corpus(folder: Path, config: CorpusConfig) -> Iterator[tuple[int, int]]:
    """Write the shards that are missing and then the manifest; yield (shards done, shards in all).

    A shard appears whole or not at all, so that a killed run goes on where it stopped. A shard
    that is not what the manifest says is made again.

    Raises:
        ValueError: If the folder holds a corpus of another configuration, or Ray is not reached.
    """
    shards = ShardSet(folder, _identity(config), config.num_shards)
    missing = shards.claim()
    done = config.num_shards - len(missing)
    yield done, config.num_shards
    if missing:
        job = partial(shard_bytes, config, recipe_hash(), hold_out(config.seed, config.num_clips))
        for shard, data in spread(job, missing, config.workers, config.cluster):
            shards.place(shard, data)
            done += 1
            yield done, config.num_shards
    shards.finish()


def shard_bytes(config: CorpusConfig, recipe: str, held_out: HeldOut, shard: int) -> bytes:
    """Make one shard.

    Raises:
        ValueError: If this machine's mien makes other clips than the one that asks.
    """
    if recipe != recipe_hash():
        raise ValueError(
            f"All machines must have the same mien: wanted recipe {recipe}, got {recipe_hash()}."
        )
    first = shard * config.clips_per_shard
    last = min(first + config.clips_per_shard, config.num_clips)
    clips = (make_clip(config.seed, i) for i in range(first, last))
    return pack([held_out.keep_apart(clip, config.seed) for clip in clips])


def _identity(config: CorpusConfig) -> dict[str, Any]:
    """Everything that the clips depend on."""
    kept = {k: v for k, v in asdict(config).items() if k not in ("workers", "cluster")}
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
    *("caption", "clauses", "clip", "grammar", "held_out", "idle", "lexicon", "performance"),
    *("performer", "phrases", "score", "style", "wording", "writer"),
)  # fmt: skip
