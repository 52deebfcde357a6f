"""`mien eval tokenizers`: forms of tokens side by side."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from mien.apps.inputs import check_input, read_clip
from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.reporting import write_report
from mien.apps.request import Device, check_device, check_seed
from mien.apps.train import BABBLE_SECONDS, check_corpus, check_folder, check_least

if TYPE_CHECKING:
    from mien.apps.tokenizer_table import Faces, Row, Variant
    from mien.tokenizer.augment import Curves
    from mien.tokenizer.train import TrainTokenizerConfig

_FRAMES = 64
_NOTES = (
    "Each form was trained for the same number of steps on the same windows, with networks of "
    "the same width; the shipped one longer, on more, and with emphasis. Upper-face dynamics: "
    "the truth's deviation over time minus the decoded one's, mean over points and performances"
    " (FDD as in CodeTalker's paper); 0 is best, above 0 moves too little. Worst lip: the "
    "largest lip error of a frame, mean (LVE). Codes used and perplexity: of a chain, the mean "
    "over its codebooks. Same look: tokens that stay, with all their integers, when "
    "coefficients change and the points' root mean square moves by 0.1 mm. Another person: "
    "tokens that stay when a child or an old person plays the performance and the motion is "
    "found from the points of that face, unknown whose"
)


@dataclass(frozen=True)
class EvaluateTokenizers:
    """Train every form of token alike, and measure all on the same held-out performances.

    Stopped and started again, it goes on: what is trained and measured is kept.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/corpus")
    """Corpus that `mien synth` made."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("reports")
    """Where tokenizers.md and tokenizers.json go."""
    work: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/tokenizer_table")
    """Where the trained tokenizers go, and what is needed to go on."""
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME...")] = ()
    """Forms to train; all where not given. The table has all that are trained."""
    take: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """A real recording (.csv, .gesichter) to code as well."""
    steps: int = 800
    """Optimizer steps of each form."""
    windows: int = 16
    """Windows of 64 frames a step."""
    clips: int = 4000
    """Training clips of the corpus, at most."""
    babble: int = 2000
    """Clips of free, speech-like motion to learn from beside the corpus."""
    test_clips: int = 60
    """Held-out performances, at most."""
    seed: int = 0
    """Of weights, windows and disturbances."""
    device: Device = "cpu"
    """Where to train."""

    def run(self) -> None:
        """Check, train, measure, print and write."""
        with refusing():
            check_corpus(self.data)
            check_seed(self.seed)
            check_device(self.device)
            if self.take is not None:
                check_input(self.take)
            check_least(self, {"steps": 2, "windows": 1, "clips": 1, "babble": 0, "test_clips": 1})
            wanted = self._wanted()
            check_folder(self.out)
            check_folder(self.work)
        say(str(self))
        from mien.apps.threads import one_thread

        with one_thread(), refusing():
            clips, settings = self._clips()
            faces, measured_on = self._faces()
            for rows in self._rows(wanted, clips, faces, measured_on):
                self._write(rows, faces, settings | measured_on)
        print((self.out / "tokenizers.md").read_text(encoding="utf-8"))

    def _wanted(self) -> "list[Variant]":
        from mien.apps.tokenizer_table import VARIANTS

        names = [variant.name for variant in VARIANTS]
        for name in self.only:
            if name not in names:
                raise ValueError(f"--only: wanted names of {', '.join(names)}, got {name!r}.")
        return [variant for variant in VARIANTS if not self.only or variant.name in self.only]

    def _clips(self) -> "tuple[list[Curves], dict[str, Any]]":
        """Curves to learn from; the folder of work is for them and these settings alone."""
        from mien.data_synth.babble import babble
        from mien.tokenizer.data import as_clips, corpus_hash, read_corpus

        say("reading the corpus")
        clips = read_corpus(self.data, "train", self.clips)
        if self.babble:
            clips += as_clips(babble(number, BABBLE_SECONDS) for number in range(self.babble))
        names = ("steps", "windows", "babble", "seed")
        settings: dict[str, Any] = {name: getattr(self, name) for name in names}
        settings |= {"clips": len(clips) - self.babble, "trained_on": corpus_hash(clips)}
        path = self.work / "settings.json"
        if path.is_file():
            known = json.loads(path.read_text(encoding="utf-8"))
            for name, value in settings.items():
                if known.get(name) != value:
                    raise ValueError(
                        f"{self.work} holds tokenizers trained with {name} {known.get(name)}, got "
                        f"{value}; name another folder: --work FOLDER."
                    )
        path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        return clips, settings

    def _faces(self) -> "tuple[Faces, dict[str, Any]]":
        """What all are measured on, and what tells it from others."""
        import numpy as np
        import torch

        from mien.apps.tokenizer_table import PERSON_CLIPS, Faces, played_by_others
        from mien.arkit import motion_from_curves
        from mien.tokenizer.data import corpus_hash, read_corpus

        curves = read_corpus(self.data, "test", self.test_clips)
        motions = [motion_from_curves(torch.from_numpy(np.float32(c)), 25.0) for c in curves]
        say("letting other people play some of the performances")
        played = played_by_others(motions[:PERSON_CLIPS])
        take = None if self.take is None else read_clip(self.take)
        measured_on = {
            "test_clips": len(curves),
            "tested_on": corpus_hash(curves),
            "take": None if self.take is None else self.take.name,
        }
        return Faces(motions, played, take), measured_on

    def _rows(
        self,
        wanted: "Sequence[Variant]",
        clips: "Sequence[Curves]",
        faces: "Faces",
        measured_on: dict[str, Any],
    ) -> "Iterator[list[Row]]":
        """All rows there are, again after each form that was trained."""
        from mien.apps.tokenizer_table import SHIPPED, VARIANTS, measure, measure_rest
        from mien.tokenizer import MotionTokenizer

        say("measuring the shipped one")
        shipped = MotionTokenizer.load()
        fixed = [measure(SHIPPED, shipped, faces), measure_rest(faces, shipped.space)]
        rows: dict[str, Row] = {}
        yield fixed
        for variant in VARIANTS:
            if variant in wanted:
                self._train(variant, clips)
            if (self.work / variant.name / "card.json").is_file():
                rows[variant.name] = self._row(variant, faces, measured_on)
                yield [*rows.values(), *fixed]

    def _train(self, variant: "Variant", clips: "Sequence[Curves]") -> None:
        """Train a form, unless it is; from its newest checkpoint where there is one."""
        from mien.tokenizer.train import optimized

        folder = self.work / variant.name
        if (folder / "card.json").is_file():
            say(f"{variant.name}: trained before")
            return
        say(f"training {variant.name}")
        tokenizer = optimized(self._training(variant), clips)
        seconds = tokenizer.card["training_seconds"]
        tokenizer.save(folder)
        say(f"{variant.name}: trained in {seconds:.0f} s, {self.steps / seconds:.2f} steps/s")

    def _training(self, variant: "Variant") -> "TrainTokenizerConfig":
        from mien.tokenizer.train import TrainTokenizerConfig

        return TrainTokenizerConfig(
            out=self.work / variant.name,
            tokenizer=variant.sizes(),
            steps=self.steps,
            windows=self.windows,
            frames=_FRAMES,
            unquantized_steps=self.steps // 10,
            checkpoint_every=100,
            seed=self.seed,
            cpu=self.device == "cpu",
        )

    def _row(self, variant: "Variant", faces: "Faces", measured_on: dict[str, Any]) -> "Row":
        from mien.apps.tokenizer_table import measured_row, saved_row

        folder = self.work / variant.name
        row = saved_row(folder, measured_on)
        if row is None:
            row, seconds = measured_row(folder, variant, self.steps, faces, measured_on)
            say(f"{variant.name}: measured in {seconds:.0f} s")
        return row

    def _write(self, rows: "Sequence[Row]", faces: "Faces", settings: dict[str, Any]) -> None:
        """Write what is known so far."""
        from mien.apps.tokenizer_table import table
        from mien.tokenizer import FaceSpace

        apart = faces.apart_mm(FaceSpace.default())
        seconds = {row.name: row.training_seconds for row in rows if row.training_seconds}
        parts = [
            f"Forms of tokens, {self.steps} steps each, on {len(faces.motions)} held-out "
            "performances:",
            table(rows),
        ]
        if faces.take is not None:
            parts += ["On the real take:", table(rows, is_take=True)]
        parts.append(f"{_NOTES} ({apart:.2f} mm from the performance's, mean).")
        if seconds:
            each = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
            parts.append(f"Seconds of training: {each}.")
        held = settings | {"apart_mm": apart, "rows": [asdict(row) for row in rows]}
        write_report(self.out, "tokenizers", "\n\n".join(parts), held)
