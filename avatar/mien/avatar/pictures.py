"""`PosedPicture`: a picture of a head whose camera and motion are known, to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mien.camera import Camera
from mien.motion import Motion


@dataclass(frozen=True, eq=False)
class PosedPicture:
    """One picture of one person at one instant.

    Attributes:
        image: Display-referred sRGB, 0 to 1; any background.
        mask: What of each pixel the person covers, 0 to 1.
        camera: Where it was taken from, in the world that `motion` moves the head in; of the
            picture's size.
        motion: One frame; its `shape`, where known, is the person's identity coefficients.
        identity: Name of the person: the same for all pictures of one, never shared by two.

    Raises:
        ValueError: If sizes disagree, a value lies outside 0 to 1, or `motion` is not one frame.
    """

    image: Float[Tensor, "h w 3"]
    mask: Float[Tensor, "h w"]
    camera: Camera
    motion: Motion
    identity: str

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        wanted = {"image": (*size, 3), "mask": size}
        for name, shape in wanted.items():
            value = getattr(self, name)
            if tuple(value.shape) != shape:
                raise ValueError(
                    f"`{name}` must be {list(shape)} as its camera is, got {list(value.shape)}."
                )
            if not value.is_floating_point():
                raise ValueError(f"`{name}` must be of a floating type, got {value.dtype}.")
            least, most = (float(bound) for bound in torch.aminmax(value))
            if not (least >= 0 and most <= 1):  # a NaN fails too
                raise ValueError(f"`{name}` must lie in [0, 1], got {least:g} to {most:g}.")
        if self.motion.num_frames != 1:
            raise ValueError(
                f"`motion` must be the one frame of the picture, got {self.motion.num_frames}."
            )
        if not self.identity:
            raise ValueError("`identity` must name the person, got an empty string.")
