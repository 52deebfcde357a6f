"""`mien avatar create | list | show | export`: the faces that motions are drawn on."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mien.apps.drawing import Drawing, draw_views
from mien.apps.inputs import check_file, check_input, extension, read_clip
from mien.apps.outputs import check_outputs, writing
from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.request import Device

if TYPE_CHECKING:
    from mien.avatar.avatar import Avatar
    from mien.motion import Motion


@dataclass(frozen=True)
class CreateAvatar:
    """Make an avatar of the one person that one or more photos show.

    A single photo from the front is enough; more, with the head turned by up to 50 degrees, show
    more of the head. What no photo shows is completed. Needs the extra `track` (MediaPipe) and its
    model file.
    """

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO...")]
    """Photos of the same person (JPEG, PNG, WebP, BMP, TIFF); at least 64 pixels a side."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="NAME.avatar")]
    """The folder to write; an earlier avatar is replaced, whole."""
    steps: int = 20
    """Steps of the refinement; 0 for none."""
    model: Path | None = None
    """MediaPipe's face_landmarker.task; by default $MIEN_FACE_LANDMARKER or one fetched before."""
    download_model: bool = False
    """Fetch that model file once (3.7 MB, checked by its hash)."""
    encoder: Path | None = None
    """Folder of a trained photo encoder; by default the shipped one, if there is one."""

    def run(self) -> None:
        """Check, make, write."""
        from mien import tracking
        from mien.apps.threads import one_thread
        from mien.avatar.avatar_folder import check_avatar_folder, save_whole
        from mien.avatar.create import create_avatar, find_encoder

        with refusing():
            check_avatar_folder(self.output)
            for photo in self.photos:
                check_file(photo)
            found = find_encoder(self.encoder)
            model = (
                tracking.download_model()
                if self.download_model
                else tracking.find_model(self.model)
            )
        with refusing(kinds=(ValueError, ImportError)), one_thread():
            made = create_avatar(
                self.photos,
                lambda: tracking.MediaPipeLandmarker(model),
                found,
                self.steps,
                self.output.stem,
                say,
            )
        with refusing(kinds=(OSError,)):
            save_whole(made, self.output)
        say(f"wrote {self.output}")


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
    """Write an avatar's Gaussians as a splat PLY, or its mesh with its look as texture as a GLB.

    Without a clip it is at rest. A PLY holds one frame of the clip, a GLB all of them.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = "adult"
    """A name from `mien avatar list`, or a folder."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="PATH")] = Path("avatar.ply")
    """Where to write: a .ply or a .glb."""
    clip: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """A motion (.csv .npz .safetensors) that poses the face; at rest where not given."""
    frame: int = 0
    """Which frame of the clip a PLY holds, from 0."""

    def run(self) -> None:
        """Check, pose, write."""
        with refusing():
            check_outputs([self.output], [".ply", ".glb"])
            Drawing(self.name).check()
            if self.clip is not None:
                check_input(self.clip)
        from mien import pipeline
        from mien.motion import Motion

        with refusing(str(self.clip or "")):
            motion = Motion.rest(1) if self.clip is None else read_clip(self.clip)
            still = motion.slice(self.frame, self.frame + 1)
        avatar = pipeline.load_avatar(self.name)
        with refusing(kinds=(OSError,)):
            if extension(self.output) == ".glb":
                _write_mesh(avatar, None if self.clip is None else motion, self.output)
            else:
                _write_splats(avatar, still, self.output)
        say(f"wrote {self.output}")


def _write_splats(avatar: "Avatar", still: "Motion", path: Path) -> None:
    from mien.avatar.ply import write_ply

    write_ply(path, next(iter(avatar.drive(still))))


def _write_mesh(avatar: "Avatar", motion: "Motion | None", path: Path) -> None:
    from mien.avatar.surface_paint import surface_paint
    from mien.formats.glb import write_glb
    from mien.formats.surface_texture import texture_from_points

    paint = surface_paint(avatar)
    points = (part.numpy() for part in vars(paint).values())
    texture = texture_from_points(avatar.head, *points)
    write_glb(path, avatar.head, motion, shape=avatar.shape, texture=texture, gains=avatar.gains)
