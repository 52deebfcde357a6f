"""`mien animate`: text to a moving face."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mien.apps.drawing import Drawing
from mien.apps.inputs import load_flame, read_clip
from mien.apps.outputs import any_picture, check_outputs, write_outputs
from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.request import (
    TAKES,
    Device,
    FlameFile,
    check_avatar,
    check_fps,
    check_sampling,
    check_seconds,
    check_seed,
    check_takes,
    plain_prompt,
)
from mien.apps.words import check_words

if TYPE_CHECKING:
    from mien.head import Head
    from mien.motion import Motion


@dataclass(frozen=True)
class Animate:
    """Make a face do what a text says, and write it as video, pictures or motion data.

    The extension decides what is written: .mp4 .gif .png (contact sheet) .csv (Live Link Face)
    .npz .safetensors (Motion) .glb (glTF) .curves.json .curves.png .flame.npz. Existing files are
    replaced, whole.

    With --edit and --between only that part of a clip is made anew, and the rest stays as it is.
    """

    text: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")]
    """What the face does, in English; up to 100 words."""
    output: Annotated[
        tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(aliases=["-o"], metavar="PATH")
    ] = ()
    """File to write; give it again for more."""
    seconds: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """Length, 0.2 to 120 seconds; chosen from the text where not given."""
    seed: int = 0
    """The same seed gives the same motion."""
    fps: float = 25.0
    """Frames a second of what is written; with --edit at 25 the clip's own."""
    edit: Annotated[Path | None, tyro.conf.arg(metavar="CLIP")] = None
    """Clip to change: .npz .safetensors .csv .curves.json .flame.npz or a video."""
    between: Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="START END")] = None
    """What of the clip to change, seconds; TEXT says what the face does there."""
    avatar: str = "adult"
    """Whose face: a name from `mien avatar list`, or a folder."""
    size: int = 512
    """Width and height of a video, pixels."""
    head: FlameFile = None
    """FLAME model (.pkl or .npz) that .flame.npz files are for."""
    temperature: float = 0.9
    """How freely to sample; 0 always takes the likeliest."""
    top_p: float = 0.95
    """Share of the likelihood that is sampled from."""
    takes: int = TAKES
    """Motions to draw, of which the one is kept that shows best what was asked for."""
    rewrite_url: Annotated[str, tyro.conf.arg(metavar="URL")] = ""
    """OpenAI-compatible endpoint that puts any prompt, in any language, in plain English first;
    its key in $MIEN_API_KEY. Nothing is sent anywhere where none is given."""
    rewrite_model: str = ""
    """The name of its model."""
    rewrite_timeout: float = 10.0
    """Seconds after which it is given up."""
    device: Device = "cpu"
    """Where models run and frames are drawn."""

    def run(self) -> None:
        """Check everything, then generate, then write."""
        drawing = Drawing(self.avatar, self.size, self.device)
        with refusing():
            if not self.rewrite_url:
                check_words(plain_prompt(self.text))
            check_seconds(self.seconds)
            check_seed(self.seed)
            check_fps(self.fps)
            check_sampling(self.temperature, self.top_p)
            check_takes(self.takes)
            check_avatar(self.avatar)
            flame = load_flame(self.head)
            clip = self._clip(flame)
            check_outputs(self.output, flame=flame)
            drawing.check(any_picture(self.output))
            text = self._wording()
        say(str(self))
        if text != self.text:
            say(f"read as: {text}")
        from mien import pipeline

        motion = pipeline.animate(
            text,
            self.seconds,
            self.seed,
            None if self.fps == pipeline.TOKEN_FPS else self.fps,
            temperature=self.temperature,
            top_p=self.top_p,
            takes=self.takes,
            device=self.device,
            keep=clip,
            between=self.between,
        )
        write_outputs(motion, self.output, drawing, flame)

    def _wording(self) -> str:
        """The text, or what an endpoint rewrites it to; asked only when all else is checked."""
        url, model, timeout_s = self.rewrite_url, self.rewrite_model, self.rewrite_timeout
        if not url and not model:
            return self.text
        from mien.apps.rewrite import requested_prompt  # brings ssl and http

        text = requested_prompt(self.text, url, model, timeout_s)
        check_words(plain_prompt(text))
        return text

    def _clip(self, flame: "Head | None") -> "Motion | None":
        """The clip to change, checked with what is to be changed; None where there is none."""
        if self.edit is None and self.between is None:
            return None
        if self.edit is None:
            raise ValueError("--between wants a clip to change: --edit CLIP.")
        if self.between is None:
            raise ValueError("--edit wants what of the clip to change: --between START END.")
        clip = read_clip(self.edit, flame)
        from mien import pipeline

        pipeline.check_change(clip, self.between, self.seconds)
        return clip
