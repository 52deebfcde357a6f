"""`mien eval`: how well the shipped models do, in one command."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from mien.apps.inputs import check_input, read_clip
from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.reporting import write_report
from mien.apps.request import Device, check_device, check_seed
from mien.apps.train import check_folder

QUICK_CLIPS, QUICK_PROMPTS = 8, 5
PROMPTS = Path("tests/prompts/unseen_wording.toml")  # in mien's repository; no wheel holds it


@dataclass(frozen=True)
class Evaluate:
    """Measure reconstruction, text -> motion and motion -> text on held-out performances.

    Prints a Markdown table and writes it beside the same as JSON. Only performers that training
    never saw are used, in phrases that it never saw; free prompts are judged on the curves.
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("reports")
    """Where eval.md and eval.json go."""
    take: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """A real recording (.csv, .gesichter) to code as well."""
    prompts: Annotated[Path, tyro.conf.arg(metavar="PATH.toml")] = PROMPTS
    """Prompts in free wording, with what must be seen."""
    part: Literal["a", "b", "all"] = "b"
    """Which part of a file that has parts: a may be looked at while a model is improved."""
    clips: int = 200
    """Held-out performances."""
    seeds: int = 3
    """How often each prompt is tried, each time with another seed."""
    seed: int = 1_000_000
    """Of the held-out performances; not the corpus's."""
    quick: bool = False
    """A few clips, prompts and one seed, to see that it runs."""
    device: Device = "cpu"
    """Where models run."""

    def run(self) -> None:
        """Check, measure, print and write."""
        with refusing():
            check_seed(self.seed)
            check_device(self.device)
            if not 1 <= self.clips <= 100_000 or not 1 <= self.seeds <= 1000:
                raise ValueError(
                    f"`clips` must be from 1 to 100000 and `seeds` from 1 to 1000, "
                    f"got {self.clips} and {self.seeds}."
                )
            check_prompts(self.prompts)
            if self.take is not None:
                check_input(self.take)
            check_folder(self.out)
        from mien.apps.evaluation import evaluate
        from mien.apps.threads import one_thread
        from mien.apps.trials import read_prompts

        with refusing():
            prompts = [
                prompt
                for prompt in read_prompts(self.prompts)
                if self.part == "all" or prompt.part in ("", self.part)
            ]
            if not prompts:
                raise ValueError(f"{self.prompts}: there are no prompts in part {self.part}.")
            take = None if self.take is None else read_clip(self.take)
        clips, seeds = self.clips, self.seeds
        if self.quick:
            clips, seeds, prompts = (
                QUICK_CLIPS,
                1,
                prompts[:: max(1, len(prompts) // QUICK_PROMPTS)],
            )
        say(str(self))
        with one_thread():
            report = evaluate(clips, seeds, self.seed, prompts, take, self.device)
        table = report.as_markdown()
        print(table)
        write_report(self.out, "eval", table, asdict(report))
        say(f"wrote {self.out}/eval.md and eval.json")


def check_prompts(path: Path) -> None:
    """Refuse a file of prompts that is not there; the usual one is in the repository alone."""
    if path == PROMPTS and not path.exists():
        raise ValueError(
            f"--prompts: the usual {path} is part of mien's repository, got {Path.cwd()}; "
            "run from the repository's folder, or name prompts of your own: --prompts PATH.toml."
        )
    check_input(path, [".toml"])
