"""`mien eval full`: every figure of the field, with floors, ceilings, twins and intervals."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mien.apps.cli import run_alone
from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.reporting import write_report
from mien.apps.request import check_seed
from mien.apps.train import check_corpus, check_folder

if TYPE_CHECKING:
    from mien.apps.benchmark.systems import System
    from mien.apps.endpoint import Endpoint

SHIPPED = "mien (shipped)"
QUICK_CLIPS, QUICK_TRAIN = 64, 200


@dataclass(frozen=True)
class EvaluateFull:
    """Measure the shipped models and their twins as the field does.

    Text to motion: L2, FD, Tok, CorE, R-precision, MM-Dist, diversity, multimodality, LVE, FDD,
    jerk, energy. Motion to text: CorE, CorM, CorI, BLEU-4, ROUGE-L, CIDEr-D, MiniLM, timed
    events. Each with a 95 % interval, between the truth, the nearest neighbor and a random clip.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/corpus")
    """Corpus that `mien synth` made; floors know its train split, figures are of its test."""
    evaluator: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/evaluator")
    """What `mien train evaluator` wrote."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("reports")
    """Where full.md and full.json go."""
    twins: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """What `mien train twins` wrote; all that are done are measured."""
    twin: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="NAME=LLM_FOLDER[,TOKENIZER_FOLDER]"),
    ] = ()
    """Another model to measure beside the shipped one; give it again for more."""
    clips: int = 200
    """Test clips, at most."""
    train_clips: int = 4000
    """Training clips that the floors know, at most."""
    generations: int = 3
    """Motions made for each text."""
    varied_texts: int = 16
    """Texts that multimodality is measured on; 0 leaves it out."""
    varied: int = 30
    """Motions made for each of these."""
    repeats: int = 20
    """Repeats of each figure."""
    seed: int = 0
    """Of generations and repeats."""
    floors_only: bool = False
    """Leave the shipped model out: floors, ceiling and twins alone."""
    quick: bool = False
    """Two pools of clips, one generation, to see that it runs."""
    judge_url: str = ""
    """OpenAI-compatible endpoint that marks captions too; the key in $MIEN_API_KEY."""
    judge_model: str = ""
    """The name of its model."""

    def run(self) -> None:
        """Check, measure, print and write."""
        with refusing():
            check_corpus(self.data)
            check_folder(self.out)
            check_seed(self.seed)
            judge = self._judge()
            twins = self._twins()
            if self.clips < 64 or self.train_clips < 1:
                raise ValueError(
                    f"`clips` must be at least 64 and `train-clips` 1, got {self.clips} "
                    f"and {self.train_clips}."
                )
        say(str(self))
        from mien.apps.benchmark.evaluator import Evaluator
        from mien.apps.benchmark.report import full_report
        from mien.apps.benchmark.systems import load_system
        from mien.apps.benchmark.train_evaluator import read_clips
        from mien.apps.benchmark.yardstick import Protocol
        from mien.apps.threads import one_thread
        from mien.llm.word_encoder import WordEncoder
        from mien.tokenizer import MotionTokenizer

        with refusing():
            evaluator = Evaluator.load(self.evaluator)
            self._check_corpus_of(evaluator.card)
            generations, texts = (1, 0) if self.quick else (self.generations, self.varied_texts)
            protocol = Protocol(
                self.repeats, generations, self.seed, varied_texts=texts, varied=self.varied
            )
            systems: list[System] = []
            if not self.floors_only:
                systems.append(load_system(SHIPPED))
            systems += [load_system(*twin) for twin in twins]
            train = read_clips(self.data, "train", QUICK_TRAIN if self.quick else self.train_clips)
            test = read_clips(self.data, "test", QUICK_CLIPS if self.quick else self.clips)
            if len(test) < 64 or not train:
                raise ValueError(
                    f"{self.data}: wanted 64 test clips and training clips, got {len(test)} and "
                    f"{len(train)}; make a larger corpus."
                )
        reader = systems[0].describe if systems and not self.floors_only else None
        with one_thread():
            report = full_report(
                train,
                test,
                systems,
                evaluator,
                MotionTokenizer.load(),
                WordEncoder.default(),
                protocol,
                reader=reader,
                judge=judge,
                say=say,
            )
        text = report.as_markdown()
        print(text)
        with refusing(kinds=(OSError,)):
            write_report(self.out, "full", text.rstrip(), report.as_json())
        say(f"wrote {self.out}/full.md and full.json")

    def _twins(self) -> list[tuple[str, Path, Path | None]]:
        """Name, weights and tokenizer of each twin."""
        if self.twins is None and not self.twin:
            return []
        from mien.apps.benchmark.systems import find_twins

        found = [] if self.twins is None else find_twins(self.twins)
        twins = [read_twin(text) for text in self.twin]
        twins = [*((name, model, None) for name, model in found), *twins]
        names = [name for name, _, _ in twins]
        if len(set(names)) < len(names):
            raise ValueError(f"Twins must have different names, got {', '.join(names)}.")
        return twins

    def _judge(self) -> "Endpoint | None":
        if not self.judge_url:
            if self.judge_model:
                raise ValueError("`judge-model` wants a `judge-url` too.")
            return None
        from mien.apps.endpoint import Endpoint

        return Endpoint.from_environment(self.judge_url, self.judge_model, 60.0)

    def _check_corpus_of(self, card: dict[str, object]) -> None:
        """The evaluator must not have learned from what is now a test clip."""
        from mien.data_synth.corpus import read_manifest

        wanted = read_manifest(self.data)["corpus_hash"]
        if card.get("corpus_hash") != wanted:
            raise ValueError(
                f"{self.evaluator}: wanted an evaluator trained on the corpus {wanted[:12]} of "
                f"{self.data}, got one of {str(card.get('corpus_hash'))[:12]}; train it again."
            )


def read_twin(text: str) -> tuple[str, Path, Path | None]:
    """Read NAME=LLM_FOLDER[,TOKENIZER_FOLDER].

    Example:
        >>> name, model, tokenizer = read_twin("smaller=/")
        >>> name, str(model), tokenizer
        ('smaller', '/', None)
    """
    name, _, folders = text.partition("=")
    model, _, tokenizer = folders.partition(",")
    if not name or not model:
        raise ValueError(f"A twin must be NAME=LLM_FOLDER[,TOKENIZER_FOLDER], got {text!r}.")
    for folder in filter(None, (model, tokenizer)):
        if not Path(folder).is_dir():
            raise ValueError(f"{folder}: wanted a folder with a twin's weights.")
    return name, Path(model), Path(tokenizer) if tokenizer else None


def main() -> int:
    """Run the command; 0 done, 2 bad input."""
    return run_alone(EvaluateFull)
