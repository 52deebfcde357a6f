"""`mien eval avatar`: how well avatars made from photos show people, and how fast."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from mien.apps.portraits import (
    check_portraits,
    held_out_expressions,
    open_known_changes,
    open_known_maps,
    open_people,
)
from mien.apps.progress import say, track
from mien.apps.refusal import refusing
from mien.apps.reporting import write_report
from mien.apps.request import check_seed
from mien.apps.train import check_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.apps.avatar_evaluation import Sitting
    from mien.apps.avatar_report import Ablation, AvatarReport
    from mien.avatar.encoder_file import LoadedEncoder
    from mien.avatar.face_identity import FaceIdentity
    from mien.avatar.known_changes import KnownChanges
    from mien.avatar.known_maps import KnownMaps
    from mien.avatar.people_data import People
    from mien.data_synth.phrases import Split

SWITCHES = {
    "data": "both",
    "sinks": True,
    "position_map": True,
    "balanced": True,
    "mouth_loss": True,
}
SPEED_SIDE = 512


@dataclass(frozen=True)
class EvaluateAvatar:
    """Measure avatars made from 1 to 4 photos of held-out people, from sides and in expressions.

    Prints Markdown tables and writes them beside the same as JSON. Without an encoder only the
    folders of `--compare` are measured, from one photo each.
    """

    encoder: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """What `mien train avatar` wrote."""
    compare: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FOLDER...")] = ()
    """Encoders of an ablation, one row each."""
    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/portraits")
    """Portraits that `mien synth portraits` made; the encoders' own."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("reports")
    """Where avatar.md, avatar.json and avatar.png go."""
    people: int | None = None
    """Held-out people, at most."""
    pictures: int = 8
    """Pictures of each person."""
    judge_steps: int = 500
    """Steps of training the judge of identity, where there is none yet."""
    sheet: int = 6
    """People on the picture."""
    refine_steps: int = 20
    """Steps of the refinement that is timed."""
    speed: tuple[Literal["full", "small", "tiny"], ...] = ("small", "full")
    """Sizes whose speed is measured."""
    repeats: int = 5
    """Measurements of each time."""
    seed: int = 0
    """Of photos and pictures."""

    def run(self) -> None:
        """Check, measure, print and write."""
        with refusing():
            check_portraits(self.data)
            check_seed(self.seed)
            if self.encoder is None and not self.compare and not self.speed:
                raise ValueError("Wanted an encoder, encoders to compare or sizes, got none.")
            for name in ("pictures", "judge_steps", "sheet", "refine_steps", "repeats"):
                if getattr(self, name) < 1:
                    raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
            check_folder(self.out)
        say(str(self))
        from mien.apps.threads import one_thread

        with one_thread(), refusing():
            report = self.report()
        text = report.as_markdown()
        print(text)
        with refusing(kinds=(OSError,)):
            write_report(self.out, "avatar", text.rstrip(), report.as_json())
        say(f"wrote {self.out}/avatar.md and avatar.json")

    def report(self) -> "AvatarReport":
        """Measure everything that was asked for."""
        from mien.apps.avatar_report import AvatarReport
        from mien.apps.bench import describe_machine
        from mien.avatar.encoder_file import load_encoder

        made: dict[str, Any] = {
            "command": " ".join(["mien", *sys.argv[1:]]),
            "machine": describe_machine(),
        }
        parts: dict[str, Any] = {}
        folders = [*([] if self.encoder is None else [self.encoder]), *self.compare]
        if folders:
            judge = self._judge_of_identity(load_encoder(folders[0]))
            if self.encoder is not None:
                say(f"measuring {self.encoder}")
                parts |= self._measure(self.encoder, judge, made)
            parts["ablations"] = tuple(self._compare(folder, judge) for folder in self.compare)
        return AvatarReport(made, speed=self._speed(), **parts)

    def _judge_of_identity(self, loaded: "LoadedEncoder") -> "FaceIdentity":
        """The one beside the portraits, trained at the first time."""
        from mien.avatar.face_identity import FaceIdentity, train_face_identity

        folder = self.data / "identity"
        try:
            return FaceIdentity.load(folder)
        except ValueError:
            say(f"training a judge of identity, {self.judge_steps} steps")
        people = self._people("train", loaded)
        judge = train_face_identity(people, self.judge_steps)
        judge.save(folder, {"people": len(people), "steps": self.judge_steps})
        return judge

    def _people(self, split: "Split", loaded: "LoadedEncoder") -> "People":
        return open_people(self.data, split, loaded.decoder, loaded.encoder.size.photo_side)

    def _measure(
        self, folder: Path, judge: "FaceIdentity", made: dict[str, Any]
    ) -> dict[str, Any]:
        from PIL import Image

        from mien.apps.avatar_evaluation import ceilings, choose_sittings, floors, measure
        from mien.apps.avatar_sheet import avatar_sheet
        from mien.apps.avatar_timing import making_seconds
        from mien.avatar.encoder_file import load_encoder
        from mien.avatar.face_identity import separation

        loaded, hidden = load_encoder(folder), held_out_expressions()
        test = self._people("test", loaded)
        chosen = choose_sittings(
            test, hidden, pictures=self.pictures, most_people=self.people, seed=self.seed
        )
        made |= {"people": len(chosen), "pictures": self.pictures, "encoder": loaded.card}
        known, changes = self._known(test)
        step = max(1, len(chosen) // self.sheet)
        drawn = avatar_sheet(loaded, test, chosen[::step][: self.sheet])
        Image.fromarray(drawn).save(self.out / "avatar.png")
        asked = loaded, test, chosen, judge, hidden
        steps = measure(*asked)
        return {
            "shots": tuple(
                shot for each in track(steps, len(chosen), "drawing", "person") for shot in each
            ),
            "floor": tuple(floors(*asked)),
            "ceiling": () if known is None else tuple(ceilings(*asked, known)),
            "moving": self._moving(loaded, test, chosen, known, changes),
            "judge": separation(judge, test, seed=self.seed),
            "making": making_seconds(loaded, test, chosen[0], self.refine_steps, self.repeats),
        }

    def _known(self, people: "People") -> "tuple[KnownMaps, KnownChanges] | tuple[None, None]":
        """What the people were painted as, and how they change; none where others drew them."""
        workers = os.cpu_count() or 1
        try:
            return (
                open_known_maps(self.data, people, workers),
                open_known_changes(self.data, people, workers),
            )
        except ValueError as error:
            say(f"measuring without a ceiling: {error}")
            return None, None

    def _moving(
        self,
        loaded: "LoadedEncoder",
        people: "People",
        chosen: "Sequence[Sitting]",
        known: "KnownMaps | None",
        changes: "KnownChanges | None",
    ) -> dict[str, float]:
        from mien.apps.avatar_evaluation import change_errors

        if known is None or changes is None:
            return {}
        inside = [sitting for sitting in chosen if sitting.person.frames[-1] < len(changes)]
        return change_errors(loaded, people, inside, known, changes) if inside else {}

    def _compare(self, folder: Path, judge: "FaceIdentity") -> "Ablation":
        from mien.apps.avatar_evaluation import choose_sittings, measure
        from mien.apps.avatar_report import Ablation
        from mien.avatar.encoder_file import load_encoder

        say(f"comparing {folder}")
        loaded, hidden = load_encoder(folder), held_out_expressions()
        test = self._people("test", loaded)
        chosen = choose_sittings(
            test, hidden, pictures=self.pictures, most_people=self.people, seed=self.seed
        )
        shots = [s for each in measure(loaded, test, chosen, judge, hidden, [1]) for s in each]
        moving = self._moving(loaded, test, chosen, *self._known(test))
        return Ablation(folder.name, changes_of(loaded.card), tuple(shots), moving)

    def _speed(self) -> tuple[dict[str, Any], ...]:
        import torch

        from mien.apps.avatar_timing import frame_seconds
        from mien.avatar.sizes import SIZES

        rows = []
        devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
        for name in self.speed:
            for device in devices:
                say(f"timing {name} on {device}")
                row = {"size": name, "device": device, "side": SPEED_SIDE}
                rows.append(row | frame_seconds(SIZES[name](), device, SPEED_SIDE, self.repeats))
        return tuple(rows)


def changes_of(card: dict[str, Any]) -> dict[str, Any]:
    """Settings of an encoder's card that are not the usual ones."""
    config = card.get("config")
    config = config if isinstance(config, dict) else {}
    return {
        name: config[name]
        for name, usual in SWITCHES.items()
        if name in config and config[name] != usual
    }
