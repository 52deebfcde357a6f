"""`mien avatar list | show | export`: the faces that motions are drawn on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mien.apps.drawing import Drawing, draw_views
from mien.apps.inputs import check_input, read_clip
from mien.apps.outputs import check_outputs, writing
from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.request import Device


@dataclass(frozen=True)
class ListAvatars:
    """Print the avatars there are, one a line."""

    def run(self) -> None:
        """Print them."""
        from mien.avatar.avatar_file import shipped_names

        for name in shipped_names():
            print(name)


@dataclass(frozen=True)
class ShowAvatar:
    """Draw an avatar's neutral face from its right, the front and its left."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = "adult"
    """A name from `mien avatar list`, or a folder."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="PATH.png")] = Path("avatar.png")
    """Where to write the picture."""
    size: int = 512
    """Width and height of each view, pixels."""
    device: Device = "cpu"
    """Where it is drawn."""

    def run(self) -> None:
        """Check, draw, write."""
        drawing = Drawing(self.name, self.size, self.device)
        with refusing():
            check_outputs([self.output], [".png"])
            drawing.check()
        with writing(self.output) as path:
            draw_views(drawing).save(path)


@dataclass(frozen=True)
class ExportAvatar:
    """Write an avatar's Gaussians as a splat PLY, at rest or as one frame of a clip poses them."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = "adult"
    """A name from `mien avatar list`, or a folder."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="PATH.ply")] = Path("avatar.ply")
    """Where to write the splats."""
    clip: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """A motion (.csv .npz .safetensors) that poses the face; at rest where not given."""
    frame: int = 0
    """Which frame of the clip, from 0."""

    def run(self) -> None:
        """Check, pose, write."""
        with refusing():
            check_outputs([self.output], [".ply"])
            Drawing(self.name).check()
            if self.clip is not None:
                check_input(self.clip)
        from mien import pipeline
        from mien.avatar.ply import write_ply
        from mien.motion import Motion

        with refusing(str(self.clip or "")):
            motion = Motion.rest(1) if self.clip is None else read_clip(self.clip)
            still = motion.slice(self.frame, self.frame + 1)
        avatar = pipeline.load_avatar(self.name)
        with refusing(kinds=(OSError,)):
            write_ply(self.output, next(iter(avatar.drive(still))))
        say(f"wrote {self.output}")
