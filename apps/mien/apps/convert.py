"""`mien convert`: a motion file into another format, or a video of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mien.apps.drawing import Drawing
from mien.apps.inputs import check_input, extension, load_flame, read_clip
from mien.apps.outputs import any_picture, check_outputs, write_outputs
from mien.apps.refusal import refusing
from mien.apps.request import Device, FlameFile, check_fps
from mien.apps.splats import splat_folder, write_splat_frames


@dataclass(frozen=True)
class Convert:
    """Write a clip in another format; the extensions say which.

    Reads .csv (Live Link Face), .gesichter (a recording of its stream), .npz and .safetensors
    (Motion), .curves.json and .flame.npz (FLAME parameters). Writes .mp4 .gif .png (contact sheet)
    .csv .npz .safetensors .glb .curves.json .curves.png .flame.npz, and .ply (a folder of splats,
    one file a frame).
    """

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """The clip."""
    output: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """The file to write; an existing one is replaced, whole."""
    fps: float | None = None
    """Frames a second of what is written; those of the clip where not given."""
    avatar: str = "adult"
    """Whose face pictures show: a name from `mien avatar list`, or a folder."""
    size: int = 512
    """Width and height of a video, pixels."""
    head: FlameFile = None
    """FLAME model (.pkl or .npz) that .flame.npz files are for."""
    device: Device = "cpu"
    """Where frames are drawn."""

    def run(self) -> None:
        """Read, resample, write."""
        drawing = Drawing(self.avatar, self.size, self.device)
        is_splats = extension(self.output) == ".ply"
        with refusing():
            check_input(self.path)
            flame = load_flame(self.head)
            if is_splats:
                splat_folder(self.output)
            else:
                check_outputs([self.output], inputs=[self.path], flame=flame)
            if self.fps is not None:
                check_fps(self.fps)
            drawing.check(is_splats or any_picture([self.output]))
            motion = read_clip(self.path, flame, has_head=True)
        if self.fps is not None:
            motion = motion.resample(self.fps)
        if is_splats:
            with refusing():
                write_splat_frames(motion, self.output, self.avatar)
        else:
            write_outputs(motion, [self.output], drawing, flame)
