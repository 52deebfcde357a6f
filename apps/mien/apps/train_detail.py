"""`mien train detail`: what expressions do to the skin of a painted avatar."""

import dataclasses
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from mien.apps.drawing import Drawing
from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.request import Device, check_device, check_seed
from mien.apps.train import check_least

_TEST_SEED, _TEST_FACES = 0x7E57, 200


@dataclass(frozen=True)
class TrainDetail:
    """Train the network that creases, flushes and shades a painted avatar's skin with its face.

    It learns from the same person painted alive, at sampled faces, and is measured at others.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """A painted avatar: a name from `mien avatar list`, or a folder."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="NAME.avatar")]
    """The folder to write; an earlier avatar is replaced, whole."""
    age: float | None = None
    """From 0, a baby, to 1, ninety years: how deep creases fold; needed where the avatar is not a
    shipped one."""
    faces: int = 1600
    """Faces to learn from."""
    steps: int = 2000
    """Optimizer steps."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the network; bf16 needs a processor with bf16 instructions."""
    seed: int = 0
    """Of faces, weights and order."""
    device: Device = "cpu"
    """Where to train."""

    def run(self) -> None:
        """Check, train, measure, write."""
        from mien.avatar.avatar_folder import check_avatar_folder, save_whole

        with refusing():
            check_avatar_folder(self.output)
            check_least(self, {"faces": 1, "steps": 1})
            check_seed(self.seed)
            check_device(self.device)
            Drawing(self.name).check()
            age = self._age()
        say(str(self))
        from mien.apps.threads import one_thread
        from mien.avatar.avatar import Avatar
        from mien.avatar.detail import DetailSize
        from mien.avatar.detail_file import rounded_detail
        from mien.avatar.train_detail import DetailConfig, detail_figures, train_detail
        from mien.data_synth.living_lessons import living_frames, sample_faces
        from mien.data_synth.living_skin import LivingPerson

        with refusing():
            avatar = Avatar.load(self.name)
            if avatar.learned is not None:
                raise ValueError(f"The avatar {avatar.name!r} is not a painted one, but learned.")
        begun = time.perf_counter()

        def report(step: int, loss: float) -> None:
            say(f"{step}/{self.steps}: {loss:.6f}; {time.perf_counter() - begun:.0f} s")

        with one_thread():
            size = DetailSize()
            config = DetailConfig(
                size,
                self.steps,
                precision=self.precision,
                seed=self.seed,
                cpu=self.device == "cpu",
            )
            person, layout = LivingPerson.of_avatar(avatar, age), avatar.detail_layout(size.side)
            learned, test = (
                living_frames(avatar, person, layout, sample_faces(seed, count))
                for seed, count in ((self.seed, self.faces), (_TEST_SEED, _TEST_FACES))
            )
            detail = rounded_detail(train_detail(config, layout, learned, report))
            figures = asdict(detail_figures(detail, layout, test))
        say(", ".join(f"{name} {value:.4f}" for name, value in figures.items()))
        command = " ".join(["mien", *sys.argv[1:]])
        detail.card = {"command": command, "age": age, "seed": self.seed, **figures}
        with refusing(kinds=(OSError,)):
            save_whole(dataclasses.replace(avatar, detail=detail), self.output)
        say(f"wrote {self.output}")

    def _age(self) -> float:
        from mien.avatar.recipes import RECIPES

        age = self.age
        if age is None and self.name in RECIPES:
            age = float(RECIPES[self.name]().person["age"])
        if age is None or not 0 <= age <= 1:
            raise ValueError(
                f"--age must be given, from 0 to 1, for {self.name!r}, got {self.age}."
            )
        return age
