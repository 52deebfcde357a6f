"""`mien synth`: make the training corpus."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from mien.apps.progress import say, track
from mien.apps.refusal import refusing
from mien.apps.request import check_seed, check_workers
from mien.apps.train import check_folder

CLIPS = 16_000
MAX_CLIPS = 10_000_000


@dataclass(frozen=True)
class Synth:
    """Make clips of text and motion as Parquet shards; stopped and started again, it goes on.

    A clip is a function of the seed and its number, so more workers change nothing but the time.
    A data card beside the shards says what they hold.
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("runs/corpus")
    """Where the shards, their manifest and their data card go."""
    clips: int | None = None
    """How many clips, of 2 to 8 seconds each; 16000 where neither clips nor hours are given."""
    hours: float | None = None
    """How many hours in place of how many clips; the last clip may pass them a little."""
    seed: int = 0
    """Another seed is another corpus."""
    workers: int = os.cpu_count() or 1
    """Processes."""
    cluster: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = ""
    """A Ray cluster in place of processes: its address, auto, or local to start Ray here."""

    def run(self) -> None:
        """Check, make the shards that are missing, count."""
        with refusing():
            self._check()
            check_folder(self.out)
        say(str(self))
        from mien.data_synth.corpus import CorpusConfig, clips_for_hours, write_corpus
        from mien.data_synth.data_card import write_card

        clips = self.clips or CLIPS
        if self.hours is not None:
            clips = clips_for_hours(self.seed, self.hours)
            say(f"{self.hours:g} hours are {clips} clips.")
        shard = max(1, min(1024, clips // 8))  # some for each worker, the same for any number
        config = CorpusConfig(self.seed, clips, shard, self.workers, self.cluster)
        begun = time.perf_counter()
        with refusing():  # a folder that holds another corpus
            steps = write_corpus(self.out, config)
            done, total = next(steps)
        for _ in track(_begun(steps), total - done, "making clips", "shard"):
            pass
        seconds = time.perf_counter() - begun
        say(_summary(self.out, write_card(self.out), (total - done) / total, seconds))

    def _check(self) -> None:
        from mien.data_synth.corpus import check_hours

        check_seed(self.seed)
        if self.clips is not None and self.hours is not None:
            raise ValueError(
                f"Wanted `clips` or `hours`, got both: {self.clips} and {self.hours:g}."
            )
        if self.clips is not None and not 1 <= self.clips <= MAX_CLIPS:
            raise ValueError(f"`clips` must be from 1 to {MAX_CLIPS}, got {self.clips}.")
        if self.hours is not None:
            check_hours(self.hours)
        check_workers(self.workers)


def _begun(steps: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same steps; what goes wrong before the first is the user's to mend: a wrong cluster."""
    with refusing():
        first = next(steps, None)
    if first is not None:
        yield first
        yield from steps


def _summary(folder: Path, card: dict[str, Any], made: float, seconds: float) -> str:
    """One line on what there is, and how fast the part of it was that this run made."""
    speed = made * card["hours"] * 3600 * 25 / seconds
    return (
        f"{folder}: {card['clips']} clips, {card['hours']:.2f} hours, hash {card['corpus_hash']}; "
        + (f"{speed:,.0f} frames a second." if made else "nothing was left to do.")
    )
