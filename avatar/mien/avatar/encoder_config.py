"""`EncoderConfig`: how a photo encoder is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mien.acceleration import Precision
from mien.avatar.encoder import EncoderSize
from mien.avatar.encoder_size import small as small_encoder
from mien.avatar.lesson_losses import LEAST_WINDOW
from mien.avatar.lessons import DataKind
from mien.avatar.losses import LossWeights
from mien.avatar.sizes import DecoderSize, small

__all__ = ["EncoderConfig"]


@dataclass(frozen=True)
class EncoderConfig:
    """How an encoder is trained.

    Attributes:
        out: Folder of the encoder and its checkpoints.
        size: Of the encoder.
        decoder: Of the maps that it makes.
        loss: Weights of the terms. All but the absolute difference are taken on windows.
        steps: Optimizer steps that draw.
        map_steps: Steps before all others that compare maps alone.
        change_steps: Steps behind those that compare changes of color alone; the network that
            moves faces begins anew with them, and nothing else learns.
        people: People a step that draws.
        map_people: People a step that compares maps, or changes.
        views: Pictures of a person at one instant that are drawn in a step, where there are many.
        most_photos: Photos that the encoder is shown at once: 1 to this many.
        window: Side of the window that a step judges a picture's structure in, pixels.
        encoder_rate: Learning rate of the encoder's attention at its highest; at rates that suit
            convolutions its tokens grow until they say one thing about a person.
        head_rate: Of its convolutions: what is seen at a glance, and maps of what was gathered.
        unet_rate: Of the network that moves faces.
        template_rate: Of the mean person.
        warmup: Steps in which the rates rise, in both parts of the training.
        data: People seen by one camera, by many, or both.
        sinks: Tell the encoder which of both a person is.
        position_map: Show the network the driven head.
        balanced: See `mien.avatar.lessons.Lessons`.
        mouth_loss: Judge the mouth by itself as well.
        held_out: Expressions that are never shown.
        precision: Of the networks.
        checkpoint_every: Steps between checkpoints; 0 for none.
        seed: Of networks and order.
        resume: Continue from the newest checkpoint in `out`, if there is one.
        progress: Show a progress bar.
        cpu: Stay on the CPU even where there is a GPU.
    """

    out: Path = Path("runs/encoder")
    size: EncoderSize = field(default_factory=small_encoder)
    decoder: DecoderSize = field(default_factory=small)
    loss: LossWeights = field(default_factory=LossWeights)
    steps: int = 2000
    map_steps: int = 0
    change_steps: int = 0
    people: int = 4
    map_people: int = 8
    views: int = 2
    most_photos: int = 4
    window: int = 64
    encoder_rate: float = 2e-4
    head_rate: float = 1e-3
    unet_rate: float = 1e-3
    template_rate: float = 5e-3
    warmup: int = 30
    data: DataKind = "both"
    sinks: bool = True
    position_map: bool = True
    balanced: bool = True
    mouth_loss: bool = True
    held_out: tuple[str, ...] = ()
    precision: Precision = "fp32"
    checkpoint_every: int = 200
    seed: int = 0
    resume: bool = True
    progress: bool = True
    cpu: bool = False

    def __post_init__(self) -> None:
        for name in ("people", "map_people", "views", "most_photos", "warmup"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be 1 or more, got {getattr(self, name)}.")
        for name in ("steps", "map_steps", "change_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be 0 or more, got {getattr(self, name)}.")
        if not self.steps + self.map_steps + self.change_steps:
            raise ValueError("There must be a step or more, got none.")
        if self.window < LEAST_WINDOW:
            raise ValueError(f"`window` must be {LEAST_WINDOW} or more, got {self.window}.")
        for name in ("encoder_rate", "head_rate", "unet_rate", "template_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)}.")
