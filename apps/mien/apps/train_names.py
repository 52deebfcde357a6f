"""`mien train names`: what names the things that a prompt asks for."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.request import check_seed
from mien.apps.train import report_stage


@dataclass(frozen=True)
class TrainNames:
    """Tune MiniLM to name what prompts ask for; stopped and started again, it goes on.

    It is added to a language model that `mien train llm` made, and learns from the same texts.
    """

    model: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/llm")
    """The language model; the result goes to `names` in it."""
    pieces: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Its encoded texts; `work/pieces` in the model's folder where not given."""
    steps: int = 1000
    """Optimizer steps."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of products of matrices; bf16 needs a processor with bf16 instructions."""
    seed: int = 0
    """Of weights and batches."""

    def run(self) -> None:
        """Check, tune, report."""
        with refusing():
            check_seed(self.seed)
            if self.steps < 1:
                raise ValueError(f"`steps` must be at least 1, got {self.steps}.")
        say(str(self))
        from mien.llm.name_tuning import NameTuningConfig, tune_names

        usual = NameTuningConfig(self.model)
        config = replace(
            usual,
            pieces=self.pieces,
            schedule=replace(usual.schedule, steps=self.steps),
            precision=self.precision,
            seed=self.seed,
        )
        with refusing():
            folder = tune_names(
                config,
                lambda progress: report_stage("names", progress),
                " ".join(["mien", *sys.argv[1:]]),
            )
        say(f"wrote {folder}")
