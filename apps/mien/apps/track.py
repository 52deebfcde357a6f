"""`mien track`: a video or a photo of a face to motion."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mien.apps.drawing import Drawing
from mien.apps.outputs import any_picture, check_outputs, write_outputs
from mien.apps.progress import say
from mien.apps.progress import track as with_progress
from mien.apps.refusal import refusing
from mien.apps.request import Device

if TYPE_CHECKING:
    from mien.motion import Motion
    from mien.tracking import Footage, Tracking


@dataclass(frozen=True)
class Track:
    """Follow the face in a video, or in a photo, and write its motion.

    The largest face is followed. Where it is lost for up to half a second the motion is filled in
    and labeled; around a longer loss the longest part is kept. Needs the extra `track`
    (MediaPipe) and its model file.
    """

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO")]
    """A video (.mp4 .mov .avi .mkv .webm .gif) or a photo (.png .jpg .webp .bmp)."""
    output: Annotated[
        tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(aliases=["-o"], metavar="PATH")
    ] = ()
    """File to write (.npz .csv .safetensors .mp4 .gif .png .glb); give it again for more."""
    crop: str = ""
    """Where to look: x,y,w,h in pixels, or left, right, top, bottom for that half."""
    start: float = 0.0
    """From when on, seconds."""
    stop: float = math.inf
    """Until when, seconds."""
    model: Path | None = None
    """MediaPipe's face_landmarker.task; by default $MIEN_FACE_LANDMARKER or one fetched before."""
    download_model: bool = False
    """Fetch that model file once (3.7 MB, checked by its hash)."""
    smoothing: Literal["zero-phase", "causal", "none"] = "zero-phase"
    """How jitter is taken out; blinks and lip closures stay."""
    avatar: str = "adult"
    """Whose face pictures show: a name from `mien avatar list`, or a folder."""
    size: int = 512
    """Width and height of a video, pixels."""
    device: Device = "cpu"
    """Where frames are drawn."""

    def run(self) -> None:
        """Look, follow, write."""
        from mien.tracking import Crop, Footage, download_model, find_model

        drawing = Drawing(self.avatar, self.size, self.device)
        outputs = self.output
        with refusing():
            check_outputs(outputs, inputs=[self.path])
            drawing.check(any_picture(outputs))
            crop = Crop.parse(self.crop) if self.crop else None
            footage = Footage.open(self.path, crop, self.start, self.stop)
            model = download_model() if self.download_model else find_model(self.model)
        with refusing(str(self.path)):
            tracking = track_footage(footage, model, self.smoothing)
        write_outputs(tracking.motion, outputs, drawing)


def track_video(path: Path) -> "Motion":
    """The motion of the face in a video, for commands that read clips.

    Raises:
        ValueError: If it cannot be tracked; the message says why.
    """
    from mien.tracking import Footage, find_model

    return track_footage(Footage.open(path), find_model()).motion


def track_footage(
    footage: "Footage",
    model: Path,
    smoothing: Literal["zero-phase", "causal", "none"] = "zero-phase",
) -> "Tracking":
    """Track what a file shows, with progress, and tell the user what was noticed.

    Raises:
        ValueError: If the file is damaged or shows no face, or MediaPipe is missing.
    """
    from mien import tracking
    from mien.apps.threads import one_thread

    frames = with_progress(footage.frames(), footage.num_frames, "looking")
    try:
        with tracking.MediaPipeLandmarker(model) as landmarker:
            sightings = tracking.follow(frames, footage.fps, landmarker)
    except ImportError as error:
        raise ValueError(str(error)) from error
    with one_thread():
        found = tracking.track_sightings(sightings, footage.fps, smoothing)
    for note in found.notes:
        say(note)
    return found
