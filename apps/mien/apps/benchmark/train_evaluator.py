"""`mien train evaluator`: the text-motion model that `mien eval full` measures in."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mien.apps.cli import run_alone
from mien.apps.progress import say, track
from mien.apps.refusal import refusing
from mien.apps.request import check_seed
from mien.apps.train import check_corpus, check_folder

if TYPE_CHECKING:
    from mien.data_synth.clip import Clip
    from mien.data_synth.phrases import Split


@dataclass(frozen=True)
class TrainEvaluator:
    """Train the evaluator that retrieval metrics are measured in, on the train split alone.

    A few minutes on one core. Writes model.safetensors and card.json with the corpus's hash.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/corpus")
    """Corpus that `mien synth` made."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("runs/evaluator")
    """Where weights and card go."""
    clips: int = 8000
    """Clips to learn from, at most."""
    checks: int = 512
    """Clips of each of the validation and test splits to measure with, at most."""
    steps: int = 1200
    """Optimizer steps."""
    batch: int = 128
    """Clips a step."""
    texts: int = 2
    """Texts used of each clip."""
    seed: int = 0
    """Of weights and batches."""

    def run(self) -> None:
        """Check, train, measure on the test split, write."""
        with refusing():
            check_corpus(self.data)
            check_folder(self.out)
            check_seed(self.seed)
            if self.clips < 64 or self.checks < 2:
                raise ValueError(
                    f"`clips` must be at least 64 and `checks` 2, got {self.clips}, {self.checks}."
                )
        say(str(self))
        from mien.apps.benchmark.training import (
            TrainEvaluatorConfig,
            check,
            prepare,
            train_evaluator,
        )
        from mien.apps.threads import one_thread
        from mien.data_synth.corpus import read_manifest
        from mien.llm.word_encoder import WordEncoder
        from mien.tokenizer.features import FaceSpace

        with refusing():
            config = TrainEvaluatorConfig(
                steps=self.steps, batch=self.batch, texts=self.texts, seed=self.seed
            )
            train = read_clips(self.data, "train", self.clips)
            val, test = (read_clips(self.data, s, self.checks) for s in ("val", "test"))
            if min(len(train), len(val), len(test)) < 4:
                raise ValueError(
                    f"{self.data}: wanted at least 4 clips of each split, got "
                    f"{len(train)}, {len(val)} and {len(test)}; make a larger corpus."
                )
        encoder = WordEncoder.default()
        with one_thread():
            evaluator, figures = train_evaluator(train, val, encoder, config, report=say)
            tested = check(
                evaluator,
                prepare(evaluator, test, encoder, FaceSpace.default(), 1),
                self.seed,
            )
        manifest = read_manifest(self.data)
        card = {
            "command": " ".join(["mien", *sys.argv[1:]]),
            "corpus_hash": manifest["corpus_hash"],
            "corpus_recipe": manifest["recipe"],
            "config": asdict(config),
            "clips": {"train": len(train), "val": len(val), "test": len(test)},
            "val": figures,
            "test": tested,
        }
        evaluator.save(self.out, card)
        for name, value in tested.items():
            print(f"{name:<16} val {figures[name]:.3f}  test {value:.3f}")
        say(f"wrote {self.out}")


def read_clips(corpus: Path, split: "Split", most: int) -> "list[Clip]":
    """Clips of one split, the first ones."""
    from mien.data_synth.corpus import clip_from_row, read_corpus

    rows = read_corpus(corpus, split)
    rows = rows.select(range(min(most, len(rows))))
    return [clip_from_row(row) for row in track(rows, len(rows), f"reading {split}", "clip")]


def main() -> int:
    """Run the command; 0 done, 2 bad input."""
    return run_alone(TrainEvaluator)


if __name__ == "__main__":
    sys.exit(main())
