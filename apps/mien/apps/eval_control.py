"""`mien eval control`: how well motion can be directed and changed."""

import math
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.reporting import markdown_table, write_report
from mien.apps.train import check_folder


@dataclass(frozen=True)
class EvaluateControl:
    """Measure editing, prompts that take over, long streams, and times that are asked for.

    Prints a Markdown table and writes it beside the same as JSON.
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("reports")
    """Where control.md and control.json go."""
    minutes: int = 10
    """Length of the stream that is looked at for drift."""

    def run(self) -> None:
        """Check, measure, print, write."""
        with refusing():
            if not 2 <= self.minutes <= 600:
                raise ValueError(f"`minutes` must be from 2 to 600, got {self.minutes}.")
            check_folder(self.out)
        say(str(self))
        from mien import pipeline
        from mien.apps import control
        from mien.apps.threads import one_thread

        model, tokenizer = pipeline.language_model(), pipeline.tokenizer()
        with one_thread():
            say("changing words")
            edits = control.measure_edits(model)
            say("asking for times")
            obeyed = control.measure_times(model, tokenizer)
        say("taking over")
        over = control.measure_take_overs()
        say(f"streaming {self.minutes} minutes")
        drift = control.measure_drift(60.0 * self.minutes)
        around = [edit for edit in edits if edit.frames]  # some texts change all of a motion
        kept, other = (
            statistics.mean([getattr(edit, name) for edit in around] or [math.nan])
            for name in ("kept", "control")
        )
        rows = [
            (
                "a word of the text changed: codes kept outside of the changed actions",
                f"{len(around)} pairs of texts, one seed",
                f"{kept:.0%}",
                f"between two seeds {other:.0%}",
            ),
            (
                "time asked for and time planned: temporal IoU",
                f"{obeyed.prompts} prompts",
                f"{obeyed.planned:.2f}",
                f"on the curves {obeyed.shown:.2f}",
            ),
            (
                "a prompt takes over: largest step of the points in the second behind it",
                f"{over.turns} turns",
                f"{over.step_mm:.2f} mm",
                f"begun at rest {over.alone_mm:.2f} mm, 99th percentile elsewhere "
                f"{over.usual_mm:.2f} mm",
            ),
            *(
                (f"a long stream: {name}", f"{drift.seconds:.0f} s", *_ends(values, unit))
                for name, values, unit in (
                    ("points from rest, root mean square", drift.size_mm, "mm"),
                    ("step of the points a frame", drift.step_mm, "mm"),
                    ("head from straight, mean", drift.head_degrees, "degrees"),
                )
            ),
        ]
        found: dict[str, Any] = {
            "edits": [asdict(edit) for edit in edits],
            "times": asdict(obeyed),
            "take_over": asdict(over),
            "drift": asdict(drift),
        }
        table = markdown_table(("what", "on", "figure", "beside it"), rows)
        print(table)
        write_report(self.out, "control", table, found)


def _ends(values: tuple[float, ...], unit: str) -> tuple[str, str]:
    """The last minute, beside the first and the range of all."""
    return (
        f"last minute {values[-1]:.2f} {unit}",
        f"first {values[0]:.2f}, all from {min(values):.2f} to {max(values):.2f}",
    )
