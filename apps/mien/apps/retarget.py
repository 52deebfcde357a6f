"""`mien eval retarget`: how much of a motion survives on other heads and back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mien.apps.inputs import check_input, load_flame
from mien.apps.refusal import refusing
from mien.apps.request import FlameFile, check_seed


@dataclass(frozen=True)
class EvaluateRetarget:
    """Send motions through points, FLAME, ICT-FaceKit and back, and print what was lost.

    The first rows need nothing. A FLAME model of your own replaces a made one in its format. The
    last line says how much of five people is left in what they all do.
    """

    frames: int = 100
    """At most so many frames of each motion."""
    seed: int = 0
    """Of the random motions."""
    head: FlameFile = None
    """A FLAME model (.pkl or .npz) of your own."""
    ict: Annotated[Path | None, tyro.conf.arg(metavar="PATH.npz")] = None
    """ICT-FaceKit, packed as `mien.shapes_files.read_ict_npz` says."""
    take: Annotated[
        tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(metavar="PATH.csv")
    ] = ()
    """A Live Link Face recording; give it again for more."""

    def run(self) -> None:
        """Check, measure, print."""
        with refusing():
            check_seed(self.seed)
            if not 2 <= self.frames <= 10_000:
                raise ValueError(f"`frames` must be from 2 to 10000, got {self.frames}.")
            for path in self.take:
                check_input(path, [".csv"])
            if self.ict is not None:
                check_input(self.ict, [".npz"])
            flame = load_flame(self.head)
        from mien.apps.threads import one_thread
        from mien.identity_leak import format_people
        from mien.roundtrips import format_hops, measure_hops

        with refusing(), one_thread():
            hops = measure_hops(self.frames, self.seed, flame=flame, ict=self.ict, takes=self.take)
            people = format_people(self.frames, self.seed)
        print(f"{format_hops(hops)}\n\n{people}")
