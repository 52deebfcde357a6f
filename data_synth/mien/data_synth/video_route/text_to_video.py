"""Text-to-video models behind one small protocol, and those of diffusers."""

import importlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from mien.data_synth.video_route.prompts import NEGATIVE

__all__ = ["DiffusersTextToVideo", "TextToVideo", "Video"]

WAN = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
_MISSING = (
    "Text-to-video needs diffusers: pip install 'mien[video]' "
    "(or pip install 'diffusers>=0.35,<1' ftfy)."
)


@dataclass(frozen=True, eq=False)
class Video:
    """A video in memory.

    Attributes:
        frames: sRGB.
        fps: Frames a second.
    """

    frames: UInt8[ndarray, "t h w 3"]
    fps: float

    def __post_init__(self) -> None:
        """Refuse what is no video."""
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or not self.frames.size:
            raise ValueError(f"`frames` must be [T, H, W, 3], got {self.frames.shape}.")
        if self.frames.dtype != np.uint8:
            raise ValueError(f"`frames` must be uint8, got {self.frames.dtype}.")
        if not 0 < self.fps <= 240:
            raise ValueError(f"`fps` must be above 0 and at most 240, got {self.fps}.")


class TextToVideo(Protocol):
    """Makes a video of a prompt."""

    @property
    def name(self) -> str:
        """Which model it is, for the manifest."""
        ...

    def make(self, prompt: str, seconds: float, seed: int) -> Video:
        """A video of about so many seconds; the same one for the same arguments."""
        ...


class DiffusersTextToVideo:
    """A text-to-video pipeline of diffusers: Wan 2.1 and 2.2, or any with the same call.

    Args:
        pipeline: For example a `diffusers.WanPipeline`, on its device.
        name: The model's id.
        fps: Frames a second that the model was trained on; 16 for Wan.
        height: Pixels.
        width: Pixels.
        steps: Of denoising.
        guidance: Scale of classifier-free guidance.
        negative: What the video should not show.
    """

    def __init__(
        self,
        pipeline: Any,
        name: str = WAN,
        fps: float = 16.0,
        height: int = 480,
        width: int = 832,
        steps: int = 50,
        guidance: float = 5.0,
        negative: str = NEGATIVE,
    ) -> None:
        self._pipeline, self.name, self.fps = pipeline, name, fps
        self._options = {
            "height": height,
            "width": width,
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "negative_prompt": negative,
        }

    @staticmethod
    def load(name: str = WAN, device: str = "cuda", **options: Any) -> "DiffusersTextToVideo":
        """Load a model by its hub id or folder; on a GPU in bfloat16.

        Args:
            name: A folder or hub id of a diffusers pipeline.
            device: Where it runs.
            options: As the constructor's.

        Raises:
            ValueError: If diffusers is not installed or there is no such model.
        """
        try:
            diffusers: Any = importlib.import_module("diffusers")
        except ImportError as error:
            raise ValueError(_MISSING) from error
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        try:
            pipeline = diffusers.DiffusionPipeline.from_pretrained(name, torch_dtype=dtype)
        except OSError as error:
            raise ValueError(f"{name!r} must be a diffusers pipeline ({error}).") from error
        pipeline.set_progress_bar_config(disable=True)
        return DiffusersTextToVideo(pipeline.to(device), name, **options)

    def num_frames(self, seconds: float) -> int:
        """Frames for so many seconds: one more than a multiple of the VAE's step in time."""
        step = int(getattr(self._pipeline, "vae_scale_factor_temporal", 1))
        return 1 + step * max(1, -(-(round(seconds * self.fps) - 1) // step))

    def make(self, prompt: str, seconds: float, seed: int) -> Video:
        """See `TextToVideo`."""
        found = self._pipeline(
            prompt=prompt,
            num_frames=self.num_frames(seconds),
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
            **self._options,
        )
        frames = np.asarray(found.frames[0], np.float32)
        return Video((frames.clip(0, 1) * 255).round().astype(np.uint8), self.fps)
