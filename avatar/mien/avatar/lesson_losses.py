"""What a person's drawings are judged by while an encoder learns, on windows of them."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.avatar.learned import Decoded
from mien.avatar.lessons import Lesson
from mien.avatar.losses import l1_loss, ssim
from mien.avatar.people_data import People
from mien.avatar.perceptual import steerable_difference
from mien.avatar.render import Color, render_cameras

__all__ = ["LEAST_WINDOW", "cut", "judge"]

LEAST_WINDOW = 16  # pixels
_MOUTH_SHARE = 4  # the mouth's window has a fourth of the picture's side


def judge(
    people: People,
    lesson: Lesson,
    decoded: Decoded,
    background: Color,
    rng: np.random.Generator,
    window: int,
    with_mouth: bool = True,
) -> dict[str, Float[Tensor, " v"]]:
    """The terms of a lesson's pictures, by their names in `LossWeights`.

    All but the absolute difference are taken on a window somewhere on the person, another at
    every call: over many steps all of the person counts.

    Args:
        people: Whose pictures they are.
        lesson: What was decoded.
        decoded: Its first frame is drawn.
        background: Behind pictures and drawings.
        rng: Where windows lie.
        window: Their side, pixels.
        with_mouth: Judge the mouth by itself as well.
    """
    cameras = [people.camera(view) for view in lesson.views]
    drawn = render_cameras(decoded.gaussians(0), cameras, background).image
    image, mask, mouth = (layer.to(drawn.device) for layer in people.layers(lesson.views))
    wanted = image * mask + drawn.new_tensor(background) * (1 - mask)
    side = min(window, *people.picture_side)
    corners = torch.stack([_corner(m, side, _anywhere(m, rng)) for m in mask[..., 0]])
    seen, true = cut(drawn, corners, side), cut(wanted, corners, side)
    terms = {
        "l1": l1_loss(drawn, wanted),
        "ssim": 1.0 - ssim(seen, true),
        "perceptual": steerable_difference(seen, true),
    }
    if with_mouth:
        terms["mouth"] = _mouth_term(drawn, wanted, mouth)
    return terms


def _mouth_term(drawn: Tensor, wanted: Tensor, mouth: Tensor) -> Float[Tensor, " v"]:
    """About the mouth's term of `losses.picture_terms`: outside the window both are black."""
    height, width = drawn.shape[1:3]
    side = min(max(LEAST_WINDOW, max(height, width) // _MOUTH_SHARE), height, width)
    corners = torch.stack([_corner(m, side, _middle(m)) for m in mouth[..., 0]])
    inside = cut(mouth, corners, side)
    seen, true = (cut(pictures, corners, side) * inside for pictures in (drawn, wanted))
    return steerable_difference(seen, true) * (side * side / (height * width))


def cut(
    pictures: Float[Tensor, "b h w c"], corners: Int[Tensor, "b 2"], side: int
) -> Float[Tensor, "b s s c"]:
    """Cut a square out of each picture; `corners` are its first row and column."""
    parts = [
        picture[top : top + side, left : left + side]
        for picture, (top, left) in zip(pictures, corners.tolist(), strict=True)
    ]
    return torch.stack(parts)


def _corner(layer: Tensor, side: int, middle: tuple[int, int]) -> Int[Tensor, " 2"]:
    """First row and column of a window about a pixel, within the picture."""
    most = [length - side for length in layer.shape]
    return torch.tensor(
        [min(max(at - side // 2, 0), end) for at, end in zip(middle, most, strict=True)]
    )


def _anywhere(mask: Tensor, rng: np.random.Generator) -> tuple[int, int]:
    """A random pixel of the person."""
    inside = (mask > 0.5).nonzero()
    if not len(inside):
        return mask.shape[0] // 2, mask.shape[1] // 2
    row, column = inside[int(rng.integers(len(inside)))].tolist()
    return row, column


def _middle(mouth: Tensor) -> tuple[int, int]:
    inside = (mouth > 0.5).nonzero()
    if not len(inside):
        return mouth.shape[0] // 2, mouth.shape[1] // 2
    row, column = ((inside.amin(0) + inside.amax(0)) // 2).tolist()
    return row, column
