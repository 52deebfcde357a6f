"""`mien train avatar`: the photo encoder and the network that moves faces."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mien.apps.portraits import (
    check_portraits,
    held_out_expressions,
    open_known_changes,
    open_known_maps,
    open_people,
)
from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.request import Device, check_device, check_seed, check_workers
from mien.apps.train import check_folder

if TYPE_CHECKING:
    from mien.avatar.encoder_config import EncoderConfig

STARTS = ("adult", "adult-medium", "adult-dark", "child", "child-dark", "elder", "infant")


@dataclass(frozen=True)
class TrainAvatar:
    """Train the photo encoder on portraits; stopped and started again, it goes on.

    What is left out of a training run, for comparisons, is chosen by the last options.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/portraits")
    """Portraits that `mien synth portraits` made."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("runs/encoder")
    """Where the encoder, its card and checkpoints go."""
    size: Literal["full", "small", "tiny"] = "small"
    """Of the encoder and of the maps that it makes."""
    steps: int = 2000
    """Optimizer steps that draw."""
    map_steps: int = 0
    """Steps before these that only compare maps with what people were painted as."""
    change_steps: int = 0
    """Steps behind those that only compare how people's colors change as their faces move."""
    warm_start: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """An encoder to go on from, that this command wrote."""
    people: int = 4
    """People a step."""
    views: int = 2
    """Pictures of a person at one instant that are drawn in a step."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the networks; bf16 needs a processor with bf16 instructions."""
    workers: int = os.cpu_count() or 1
    """Processes that paint people for `--map-steps` and `--change-steps`; training is one."""
    seed: int = 0
    """Of weights and order."""
    resume: bool = True
    """Go on from the newest checkpoint in `out`."""
    device: Device = "cpu"
    """Where to train."""
    subset: Literal["one", "many", "both"] = "both"
    """Learn from people seen by one camera, by many, or both."""
    sinks: bool = True
    """Tell the encoder which of both a person is."""
    position_map: bool = True
    """Show the network the driven head."""
    balanced: bool = True
    """Take rare expressions as often as common ones."""
    mouth_loss: bool = True
    """Judge the mouth by itself as well."""

    def run(self) -> None:
        """Check, train, report."""
        with refusing():
            check_portraits(self.data)
            check_seed(self.seed)
            check_workers(self.workers)
            check_device(self.device)
            config = self.config()
            check_folder(self.out)
        say(str(self))
        from mien.apps.threads import one_thread
        from mien.avatar.avatar import Avatar
        from mien.avatar.encoder_file import load_encoder
        from mien.avatar.learner import mean_start
        from mien.avatar.train_encoder import train_encoder
        from mien.data_synth.portrait_shards import read_manifest

        with one_thread():
            with refusing():
                begin = None if self.warm_start is None else load_encoder(self.warm_start)
                people = open_people(self.data, "train", config.decoder, config.size.photo_side)
                known = None
                if self.map_steps or self.change_steps:
                    known = open_known_maps(self.data, people, self.workers)
                changes = None
                if self.change_steps:
                    changes = open_known_changes(self.data, people, self.workers)
            start = mean_start([Avatar.load(name) for name in STARTS], config.decoder)
            begun = time.perf_counter()
            total = config.map_steps + config.change_steps + config.steps

            def report(step: int, terms: dict[str, float]) -> None:
                told = ", ".join(f"{name} {value:.4f}" for name, value in terms.items())
                spent = time.perf_counter() - begun
                say(f"{step}/{total}: {told}; {spent:.0f} s")

            card = {
                "command": " ".join(["mien", *sys.argv[1:]]),
                "portraits_hash": read_manifest(self.data)["portraits_hash"],
            }
            with refusing():
                train_encoder(
                    config, people, start, known, begin, changes, card=card, report=report
                )
        say(f"wrote {self.out}")

    def config(self) -> "EncoderConfig":
        """What the training itself wants to know."""
        from mien.avatar.encoder_config import EncoderConfig
        from mien.avatar.encoder_size import ENCODER_SIZES
        from mien.avatar.sizes import SIZES

        return EncoderConfig(
            out=self.out,
            size=ENCODER_SIZES[self.size],
            decoder=SIZES[self.size](),
            steps=self.steps,
            map_steps=self.map_steps,
            change_steps=self.change_steps,
            people=self.people,
            views=self.views,
            data=self.subset,
            sinks=self.sinks,
            position_map=self.position_map,
            balanced=self.balanced,
            mouth_loss=self.mouth_loss,
            held_out=held_out_expressions(),
            precision=self.precision,
            seed=self.seed,
            resume=self.resume,
            progress=False,
            cpu=self.device == "cpu",
        )
