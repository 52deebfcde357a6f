"""A few small pictures of two painted people, as a collection gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from mien.avatar.avatar import Avatar
from mien.avatar.pictures import PosedPicture
from mien.avatar.render import render
from mien.camera import Camera
from mien.head import Head
from mien.motion import Motion

SIDE = 48
PHOTO_SIDE = 36  # a little more than the tiny encoder's 32
GRAY = (0.5, 0.5, 0.5)


@dataclass(frozen=True, eq=False)
class Seen(PosedPicture):
    """A picture with what training knows besides."""

    subset: Literal["one_view", "many_view"]
    instant: int
    expression: str


def performed(**units: float) -> Motion:
    names = Head.default().expr_names
    expr = torch.zeros(1, len(names))
    for name, value in units.items():
        expr[0, names.index(name)] = value
    return Motion.rest(1).replace(expr=expr)


INSTANTS = {
    "rest": performed(),
    "smile": performed(mouthSmileLeft=0.8, mouthSmileRight=0.8),
    "brows": performed(browInnerUp=1.0),
}


def seen_pictures() -> list[Seen]:
    """The child seen from two sides at each instant, the adult from one."""
    found = []
    for name, subset, yaws in (
        ("child-dark", "many_view", (-0.5, 0.5)),
        ("adult-small", "one_view", (0.1,)),
    ):
        avatar = Avatar.load(name)
        for instant, (expression, motion) in enumerate(INSTANTS.items()):
            for yaw in yaws:
                camera = Camera.portrait(SIDE, SIDE, yaw=yaw)
                drawn = render(next(avatar.drive(motion, camera)), camera, GRAY, num_threads=1)
                found.append(
                    Seen(
                        drawn.image.clamp(0, 1),
                        drawn.alpha.clamp(0, 1),
                        camera,
                        motion.replace(shape=avatar.shape),
                        name,
                        subset,  # type: ignore[arg-type]
                        instant,
                        expression,
                    )
                )
    return found
