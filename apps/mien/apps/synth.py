"""`mien synth`: make the training corpus."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mien.apps.progress import say, track
from mien.apps.refusal import refusing
from mien.apps.request import check_seed
from mien.apps.train import check_folder


@dataclass(frozen=True)
class Synth:
    """Make clips of text and motion as Parquet shards; stopped and started again, it goes on.

    A clip is a function of the seed and its number, so more workers change nothing but the time.
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("runs/corpus")
    """Where the shards and their manifest go."""
    clips: int = 16_000
    """How many clips, of 2 to 8 seconds each."""
    seed: int = 0
    """Another seed is another corpus."""
    workers: int = os.cpu_count() or 1
    """Processes."""

    def run(self) -> None:
        """Check, make the shards that are missing, count."""
        with refusing():
            check_seed(self.seed)
            if not 1 <= self.clips <= 10_000_000:
                raise ValueError(f"`clips` must be from 1 to 10000000, got {self.clips}.")
            if not 1 <= self.workers <= 1024:
                raise ValueError(f"`workers` must be from 1 to 1024, got {self.workers}.")
            check_folder(self.out)
        say(str(self))
        from mien.data_synth.corpus import CorpusConfig, read_manifest, write_corpus

        shard = max(1, min(1024, self.clips // 8))  # some for each worker, the same for any number
        config = CorpusConfig(self.seed, self.clips, shard, self.workers)
        with refusing():  # a folder that holds another corpus
            steps = write_corpus(self.out, config)
            done, total = next(steps)
        for _ in track(steps, total - done, "making clips", "shard"):
            pass
        say(f"{self.out}: {self.clips} clips, hash {read_manifest(self.out)['corpus_hash']}")
