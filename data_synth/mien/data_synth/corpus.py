"""The corpus: clips of text and motion, each a function of (seed, index), kept in Parquet shards."""

import hashlib
import json
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.arkit import CHANNEL_NAMES
from mien.data_synth.caption import write_caption
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import Performance, sample_performance
from mien.data_synth.performer import perform
from mien.data_synth.phrases import Split
from mien.data_synth.score import format_score
from mien.data_synth.writer import write, write_events

if TYPE_CHECKING:
    from datasets import Dataset

FORMAT = 1
FPS = 25.0
NUM_TEXTS = 4
NUM_CHANNELS = len(CHANNEL_NAMES)
_PERCENT = {"val": 4, "test": 6}  # the rest is for training


@dataclass(frozen=True, eq=False)
class Clip:
    """One performance, its texts and its motion.

    Attributes:
        index: Its number in the corpus.
        split: train, val or test; test texts use phrases and frames that training never sees.
        texts: Paraphrases that may have asked for it.
        caption: What it shows, in the captions' style.
        score: The canonical score.
        events: (start, end, name) an action, seconds.
        performance: The ground truth.
        curves: float32, 25 frames a second, columns `mien.arkit.CHANNEL_NAMES`.
    """

    index: int
    split: Split
    texts: tuple[str, ...]
    caption: str
    score: str
    events: tuple[tuple[float, float, str], ...]
    performance: Performance
    curves: Float[ndarray, "t 61"]


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


def clip_rng(seed: int, index: int) -> random.Random:
    """The chance of one clip."""
    digest = hashlib.blake2b(f"mien clip {seed} {index}".encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "little"))


def split_of(performance: Performance) -> Split:
    """Which split a performance belongs to, by its performer's seed."""
    percent = performance.style_seed * 2654435761 % (1 << 32) * 100 >> 32
    if percent < _PERCENT["test"]:
        return "test"
    return "val" if percent < _PERCENT["test"] + _PERCENT["val"] else "train"


def make_clip(seed: int, index: int, lexicon: Lexicon | None = None) -> Clip:
    """Make clip `index` of the corpus of `seed`; the same one wherever and whenever."""
    lexicon = lexicon or Lexicon.default()
    rng = clip_rng(seed, index)
    performance = sample_performance(rng, lexicon)
    split = split_of(performance)
    texts = tuple(write(performance, rng, lexicon, split) for _ in range(NUM_TEXTS))
    caption = write_caption(performance, rng, lexicon)
    curves = perform(performance, rng.getrandbits(31), FPS, lexicon)
    events = tuple(write_events(performance, lexicon))
    score = format_score(performance)
    return Clip(index, split, texts, caption, score, events, performance, curves)


def sample_pair(
    seed: int, index: int, lexicon: Lexicon | None = None, split: Split = "train"
) -> tuple[str, str, float]:
    """A text, the score it asks for and the seconds it takes, without any motion.

    Pairs are independent of the clips of the same seed. Only performers of `split` are drawn.

    Example:
        >>> text, score, seconds = sample_pair(0, 1)
        >>> bool(text) and bool(score) and 2.0 <= seconds <= 8.0
        True
    """
    lexicon = lexicon or Lexicon.default()
    rng = clip_rng(seed ^ 0x7E47, index)
    performance = sample_performance(rng, lexicon)
    while split_of(performance) != split:
        performance = sample_performance(rng, lexicon)
    return write(performance, rng, lexicon, split), format_score(performance), performance.seconds


def sample_caption(
    seed: int, index: int, lexicon: Lexicon | None = None, split: Split = "train"
) -> tuple[str, str, float]:
    """A caption, its score and its seconds, without any motion."""
    lexicon = lexicon or Lexicon.default()
    rng = clip_rng(seed ^ 0xCAB7, index)
    performance = sample_performance(rng, lexicon)
    while split_of(performance) != split:
        performance = sample_performance(rng, lexicon)
    return write_caption(performance, rng, lexicon), format_score(performance), performance.seconds


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
    if config.workers == 1:
        results: Iterator[Path] = map(job, missing)
    else:
        pool = ProcessPoolExecutor(config.workers)
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
    partial_path = path.with_suffix(f".{os.getpid()}.part")
    Dataset.from_list(rows, features=_features()).to_parquet(str(partial_path))
    partial_path.replace(path)
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
    rows = Dataset.from_parquet([str(p) for p in paths], cache_dir=str(folder / ".cache"))
    if split is None:
        return rows
    return rows.select([i for i, s in enumerate(rows["split"]) if s == split])


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
    """What a finished corpus says of itself: configuration, shards with their SHA-256, corpus hash."""
    path = folder / "manifest.json"
    if not path.exists():
        raise ValueError(f"{folder} must hold a finished corpus (manifest.json); run `mien synth`.")
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
    if not path.exists():
        _write_whole(path, json.dumps(wanted, indent=1))
    found = json.loads(path.read_text("utf-8"))
    if found != wanted:
        raise ValueError(f"{folder} holds a corpus of {found}, wanted {wanted}; use another folder.")


def _identity(config: CorpusConfig) -> dict[str, Any]:
    """Everything that the clips depend on."""
    kept = {k: v for k, v in asdict(config).items() if k != "workers"}
    return {"format": FORMAT, "recipe": recipe_hash(), **kept}


def recipe_hash() -> str:
    """A digest of the lexicon's files and of the code that turns them into clips."""
    from importlib.resources import files

    root = files("mien.data_synth")
    data = sorted(f for f in (root / "lexicon_data").iterdir() if f.name.endswith(".toml"))
    code = [root / f"{m}.py" for m in _CODE]
    text = "\0".join(f.read_text("utf-8") for f in (*data, *code))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_CODE = (
    "caption", "clauses", "corpus", "grammar", "idle", "lexicon", "performance", "performer",
    "phrases", "score", "style", "wording", "writer",
)  # fmt: skip


def _write_manifest(folder: Path, config: CorpusConfig) -> None:
    shards = {
        shard_path(folder, i).name: _sha256(shard_path(folder, i)) for i in range(config.num_shards)
    }
    digest = hashlib.sha256("".join(shards.values()).encode()).hexdigest()
    manifest = {**_identity(config), "shards": shards, "corpus_hash": digest}
    _write_whole(folder / "manifest.json", json.dumps(manifest, indent=1))


def _write_whole(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, "utf-8")
    part.replace(path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


__all__: Sequence[str] = (
    "Clip", "CorpusConfig", "clip_from_row", "make_clip", "read_corpus", "read_manifest",
    "recipe_hash", "sample_caption", "sample_pair", "split_of", "write_corpus",
)  # fmt: skip
