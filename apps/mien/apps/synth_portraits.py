"""`mien synth portraits`: pictures of made-up people, to train photo encoders on."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mien.apps.progress import say, track
from mien.apps.refusal import refusing
from mien.apps.request import check_seed, check_workers
from mien.apps.train import check_folder

if TYPE_CHECKING:
    from mien.data_synth.portraits import PortraitConfig


@dataclass(frozen=True)
class SynthPortraits:
    """Draw portraits as shards; stopped and started again, it goes on.

    People come in sessions, one shard each; eight of ten are for training, one for validation, one
    for tests. Some people are seen by many cameras at each instant, the others by one.
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("runs/portraits")
    """Where the shards, their manifest and their data card go."""
    sessions: int = 60
    """How many sessions; skin, age and hair are of one kind in each."""
    many_view_people: int = 3
    """People of a session who are seen by many cameras."""
    one_view_people: int = 4
    """Those seen by one."""
    views: int = 6
    """Cameras at each instant of the former."""
    instants: int = 8
    """Instants of the former, rest among them."""
    one_view_instants: int = 12
    """Instants of the latter."""
    size: int = 192
    """Width and height, pixels."""
    seed: int = 0
    """Another seed is another collection."""
    workers: int = os.cpu_count() or 1
    """Processes."""
    cluster: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = ""
    """A Ray cluster in place of processes: its address, auto, or local to start Ray here."""

    def run(self) -> None:
        """Check, draw the shards that are missing, count."""
        with refusing():
            check_seed(self.seed)
            check_workers(self.workers)
            config = self.config()
            check_folder(self.out)
        say(str(self))
        from mien.data_synth.portrait_card import describe_portraits, write_portrait_card
        from mien.data_synth.portrait_shards import write_portraits

        begun = time.perf_counter()
        with refusing():  # a folder that holds another collection
            steps = write_portraits(self.out, config, self.workers, self.cluster)
            done, total = next(steps)
        for _ in track(steps, total - done, "drawing", "session"):
            pass
        seconds = time.perf_counter() - begun
        made = (total - done) * config.session_pictures
        say(f"{self.out}: {made:,} pictures drawn, {made / seconds:.1f} a second.")
        print(describe_portraits(write_portrait_card(self.out)))

    def config(self) -> "PortraitConfig":
        """What is drawn."""
        from mien.data_synth.portraits import PortraitConfig

        return PortraitConfig(
            seed=self.seed,
            num_sessions=self.sessions,
            many_view_people=self.many_view_people,
            one_view_people=self.one_view_people,
            views=self.views,
            instants=self.instants,
            one_view_instants=self.one_view_instants,
            size=self.size,
        )
