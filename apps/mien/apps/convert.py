"""`mien convert`: a motion file into another format, or a video of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mien.apps.drawing import Drawing
from mien.apps.inputs import MIN_FRAMES, check_input, extension, load_flame, read_clip
from mien.apps.outputs import any_picture, check_outputs, write_outputs, writing
from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.request import Device, FlameFile, check_fps
from mien.apps.splats import splat_folder, write_splat_frames

if TYPE_CHECKING:
    from mien.fit import FitResult
    from mien.head import Head
    from mien.motion import Motion

FLAME = ".flame.npz"


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
    layout: Literal["vhap", "deca", "smirk", "flexavatar", "plain"] | None = None
    """Who is to read what .flame.npz holds: vhap (or GaussianAvatars, the default), deca (EMOCA),
    smirk, flexavatar (Pixel3DMM), plain. Where it is read, that is found out."""
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
            is_flame = _holds_flame(self.path)
            if self.layout is not None and not is_flame and extension(self.output) != FLAME:
                raise ValueError(
                    f"--layout {self.layout} is for FLAME parameters; neither {self.path} nor "
                    f"{self.output} holds them."
                )
        if flame is not None and extension(self.output) == FLAME:
            self._write_flame(flame, is_flame)
            return
        with refusing():
            motion = self._read(flame, is_flame)
        if self.fps is not None:
            motion = motion.resample(self.fps)
        if is_splats:
            with refusing():
                write_splat_frames(motion, self.output, self.avatar)
        else:
            write_outputs(motion, [self.output], drawing, flame)

    def _read(self, flame: "Head | None", is_flame: bool) -> "Motion":
        if flame is None or not is_flame:
            return read_clip(self.path, flame, has_head=True)
        from mien.formats.flame_params import fit_flame_params

        found = fit_flame_params(self.path, flame, layout=self.layout)
        if found.motion.num_frames < MIN_FRAMES:
            raise ValueError(f"{self.path}: wanted at least {MIN_FRAMES} frames, got one.")
        _say_error(found)
        return found.motion

    def _write_flame(self, flame: "Head", is_flame: bool) -> None:
        """Write FLAME parameters; of FLAME parameters, without a change where that can be."""
        from mien.formats.flame_params import copy_flame_params, write_flame_params

        layout = self.layout or "vhap"
        with refusing():
            motion = None if is_flame else read_clip(self.path, flame, has_head=True)
        if motion is not None and self.fps is not None:
            motion = motion.resample(self.fps)
        with writing(self.output) as path, refusing(kinds=(ValueError,)):
            if motion is None:
                copy_flame_params(self.path, path, flame, layout=layout, fps=self.fps)
            else:
                _say_error(write_flame_params(path, motion, flame, layout=layout))


def _say_error(found: "FitResult | None") -> None:
    """How far one head's face points lie from the other's."""
    if found is not None:
        regions = found.region_error_mm
        lips = f", lips by {regions['lips']:.2f} mm" if "lips" in regions else ""
        mean = float(found.error_mm.mean())
        say(f"what the two heads' faces do differs by {mean:.2f} mm{lips}")


def _holds_flame(path: Path) -> bool:
    from mien.formats.flame_params import holds_flame_params

    kind = extension(path)
    return kind == FLAME or (kind == ".npz" and holds_flame_params(path))
