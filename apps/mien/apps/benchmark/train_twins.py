"""`mien train twins`: what the shipped language model is compared with."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import tyro

from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.request import check_seed
from mien.apps.train import TrainTokenizer, check_corpus, check_folder

if TYPE_CHECKING:
    from mien.apps.benchmark.twins import TwinConfig
    from mien.llm.stage import Progress

Kind = Literal["words", "pooled", "coefficients", "mead"]


@dataclass(frozen=True)
class TrainTwins:
    """Train twins of the language model, each different in one thing; stopped, it goes on.

    words: ours, at the twins' budget. pooled: text as one vector, as in T2M-GPT. coefficients:
    tokens of head parameters. mead: eight emotions and their labels. `mien eval full --twins`
    measures them beside the shipped model.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/corpus")
    """Corpus that `mien synth` made."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("runs/twins")
    """Where each twin gets a folder of its name."""
    kinds: tuple[Kind, ...] = get_args(Kind)
    """Which."""
    pieces: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Encoded texts and motion to share: FOLDER/work/pieces of a language model that was trained
    on the same corpus with the same seed; a folder in `out` where not given."""
    start: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Language model from whose weights words and pooled begin, so that both know how faces move
    and differ in how they read; llm/mien/llm/weights is the shipped one. From nothing where not
    given."""
    budget: float = 0.35
    """Share of the shipped model's steps in each stage."""
    clips: int = 0
    """Clips of the corpus to learn from, in thousands begun; 0 takes all."""
    drills: int = 14_100
    """Single actions to learn from beside the corpus."""
    free_prompts: int = 100_000
    """Prompts in free wording to learn from."""
    tokenizer_steps: int = 2500
    """Optimizer steps of the tokenizer of coefficients."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of products of matrices; bf16 needs a processor with bf16 instructions."""
    seed: int = 0
    """Of weights and batches."""

    def run(self) -> None:
        """Check, train one after the other, report."""
        with refusing():
            check_corpus(self.data)
            check_folder(self.out)
            check_seed(self.seed)
            if self.start is not None:
                from mien.llm.warm_start import check_start  # brings torch

                check_start(self.start)
            if not self.kinds:
                raise ValueError(f"`kinds` must name at least one of {', '.join(get_args(Kind))}.")
            for name in ("tokenizer_steps", "drills", "free_prompts"):
                if getattr(self, name) < (name == "tokenizer_steps"):
                    raise ValueError(f"`{name}` is too small: {getattr(self, name)}.")
        say(str(self))
        from mien.apps.benchmark.twins import load_tokenizer, train_twin

        with refusing():
            twins = [self._config(kind) for kind in dict.fromkeys(self.kinds)]
        if "coefficients" in self.kinds:
            self._train_tokenizer()
        with refusing():
            for twin in twins:
                load_tokenizer(twin)
        for twin in twins:
            folder = train_twin(
                twin, _Reporter(twin.kind), lambda piece: say(f"encoded {piece}"), _command()
            )
            say(f"wrote {folder}")

    def _config(self, kind: Kind) -> "TwinConfig":
        from mien.apps.benchmark.twins import TwinConfig, twin_training
        from mien.llm.train import TrainLlmConfig

        training = TrainLlmConfig(
            corpus=self.data,
            drills=self.drills,
            free_prompts=self.free_prompts,
            precision=self.precision,
            seed=self.seed,
            start=self.start,
        )
        return TwinConfig(
            kind,
            twin_training(training, self.out, kind, self.budget),
            self.pieces or self.out / "pieces",
            self.clips,
        )

    def _train_tokenizer(self) -> None:
        """Train the tokenizer of coefficients where it is missing and nobody else is at it."""
        folder = self.out / "coefficients/tokenizer"
        if (folder / "model.safetensors").is_file() or int(os.environ.get("WORLD_SIZE", "1")) > 1:
            return
        TrainTokenizer(
            data=self.data,
            out=folder,
            kind="coefficients",
            steps=self.tokenizer_steps,
            seed=self.seed,
        ).run()


@dataclass(frozen=True)
class _Reporter:
    """Says how far a twin is."""

    kind: str

    def __call__(self, stage: str, progress: "Progress") -> None:
        losses = ", ".join(f"{task} {loss:.3f}" for task, loss in progress.losses.items())
        say(
            f"{self.kind}, {stage} {progress.step}/{progress.steps}: {losses}; "
            f"{progress.seconds_left:.0f} s left"
        )


def _command() -> str:
    """What was typed, for cards."""
    return " ".join(["mien", *sys.argv[1:]])
