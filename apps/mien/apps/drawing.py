"""How commands draw a motion: on which avatar, how large, where."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.apps.progress import track
from mien.apps.request import Device, check_avatar, check_device, check_size

if TYPE_CHECKING:
    from numpy import ndarray
    from PIL.Image import Image

    from mien.motion import Motion

TILE = 256  # pixels a side on a contact sheet
VIEWS_RADIANS = (-0.7, 0.0, 0.7)


@dataclass(frozen=True)
class Drawing:
    """How a motion is drawn.

    Attributes:
        avatar: Name or folder of the avatar.
        size: Width and height of a picture, pixels.
        device: Where it is drawn.
    """

    avatar: str = "adult"
    size: int = 512
    device: Device = "cpu"

    def check(self, is_used: bool = True) -> None:
        """Refuse what cannot be drawn, before any work is done.

        Args:
            is_used: Whether the avatar will be drawn, so that it is worth loading.

        Raises:
            ValueError: If the avatar, the size or the device cannot be had.
        """
        check_avatar(self.avatar)
        check_size(self.size)
        check_device(self.device)
        from mien import pipeline
        from mien.avatar.avatar_file import find_avatar

        find_avatar(self.avatar)
        if is_used:
            pipeline.load_avatar(self.avatar)


def draw_frames(motion: "Motion", drawing: Drawing) -> "Iterator[ndarray]":
    """Every frame of a motion, with progress."""
    from mien import pipeline

    frames = pipeline.render(motion, drawing.avatar, drawing.size, device=drawing.device)
    return track(frames, motion.num_frames, "drawing")


def draw_sheet(motion: "Motion", drawing: Drawing, tile: int = TILE) -> "Image":
    """A contact sheet of a motion: a dozen frames with their times under the motion's text."""
    import torch

    from mien import pipeline
    from mien.apps.sheet import contact_sheet, sheet_frames

    shown = sheet_frames(motion.num_frames)
    stills = motion.sample(torch.tensor(shown, dtype=torch.float64))
    frames = list(pipeline.render(stills, drawing.avatar, tile, device=drawing.device))
    return contact_sheet(frames, [i / motion.fps for i in shown], motion.text)


def draw_views(drawing: Drawing) -> "Image":
    """A neutral face from the subject's right, the front and the left, side by side."""
    import numpy as np
    from PIL import Image

    from mien import pipeline
    from mien.motion import Motion

    views = [
        next(
            pipeline.render(
                Motion.rest(1), drawing.avatar, drawing.size, yaw=yaw, device=drawing.device
            )
        )
        for yaw in VIEWS_RADIANS
    ]
    return Image.fromarray(np.concatenate(views, axis=1))


def write_avatar_glb(motion: "Motion", avatar_name: str, path: Path) -> None:
    """Write a motion as glTF: the avatar's mesh with its look as texture, 52 units and joints."""
    from mien import pipeline
    from mien.avatar.surface_paint import surface_paint
    from mien.formats.glb import write_glb
    from mien.formats.surface_texture import texture_from_points

    avatar = pipeline.load_avatar(avatar_name)
    parts = (part.numpy() for part in vars(surface_paint(avatar)).values())
    texture = texture_from_points(avatar.head, *parts)
    write_glb(path, avatar.head, motion, shape=avatar.shape, texture=texture, gains=avatar.gains)
