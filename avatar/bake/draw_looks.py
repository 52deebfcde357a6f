"""Draw docs/looks.png, skin tones by ages by expressions, and docs/detail.png, skin that moves.

Run from the repository's root: python avatar/bake/draw_looks.py
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mien.avatar import Avatar, render
from mien.avatar.look import HairStyle
from mien.avatar.recipes import RECIPES, Recipe, make_from
from mien.avatar.tones import Tone, toned
from mien.camera import Camera
from mien.head import Head
from mien.motion import Motion

LOOKS, DETAIL = Path("docs/looks.png"), Path("docs/detail.png")
SIZE, ZOOM = 168, 1.12  # of one face, pixels; nearer than the portrait
NEAR_SIZE, NEAR_ZOOM, NEAR_YAW_DEG = 190, 1.75, 11.5
LEVELS = 64  # of each channel, to keep the picture small
BACKGROUND = (0.27, 0.29, 0.33)
AGES = ("infant", "child", "adult", "elder")
RACES: dict[Tone, tuple[float, float, float]] = {
    "light": (0.1, 0.1, 0.8),
    "medium": (0.15, 0.45, 0.4),
    "dark": (0.75, 0.1, 0.15),
}
FACES: tuple[tuple[dict[str, float], float, float], ...] = (  # units, jaw, yaw in degrees
    ({}, 0.0, 0.0),
    (
        {"mouthSmile": 0.85, "cheekSquint": 0.5, "mouthUpperUp": 0.35, "mouthLowerDown": 0.3},
        0.2,
        -25.0,
    ),
    (
        {"browInnerUp": 0.7, "mouthPucker": 0.5, "eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.4},
        0.0,
        25.0,
    ),
)
DETAILED = ("adult", "elder", "child", "adult-dark")
MOVING_FACES: tuple[tuple[dict[str, float], float], ...] = (  # units, jaw
    ({"mouthSmile": 0.9, "cheekSquint": 0.7}, 0.0),
    ({"browInnerUp": 1.0, "browOuterUp": 0.9, "eyeWide": 0.4}, 0.1),
    ({"browDown": 0.9, "noseSneer": 0.7}, 0.0),
    ({"mouthFrown": 0.9, "mouthShrugLower": 0.7, "browInnerUp": 0.5}, 0.0),
    ({"eyeWide": 0.5, "browInnerUp": 0.5}, 0.9),
)


def person(age: str, tone: Tone) -> Avatar:
    """Give the shipped avatar of an age and tone, or paint one in fewer splats."""
    name = age if tone == "light" else f"{age}-{tone}"
    if name in RECIPES:
        return Avatar.load(name)
    base = RECIPES[age]()
    look = toned(base.look, tone)
    if age == "elder":
        look = dataclasses.replace(
            look, hair_color=base.look.hair_color, brow_color=base.look.brow_color
        )
    style: HairStyle = "coils" if tone == "dark" and age != "infant" else look.hair
    look = dataclasses.replace(look, hair=style, cloth_color=(0.30, 0.28, 0.40))
    described = dict(base.person) | {"race": RACES[tone]}
    return make_from(Recipe(look, described, 0.45), name)


def pose(units: dict[str, float], jaw: float) -> Motion:
    """Give one frame; units without a side are set on both."""
    head = Head.default()
    motion = Motion.rest(1, head.num_expr)
    expr = motion.expr.clone()
    for unit, value in units.items():
        for name in (unit, f"{unit}Left", f"{unit}Right"):
            if name in head.expr_names:
                expr[0, head.expr_names.index(name)] = value
    return motion.replace(expr=expr, jaw_pose=torch.tensor([[0.39 * jaw, 0.0, 0.0]]))


def draw(
    avatar: Avatar,
    units: dict[str, float],
    jaw: float,
    yaw_deg: float,
    size: int = SIZE,
    zoom: float = ZOOM,
) -> np.ndarray:
    """Draw one face, `[size, size, 3]`, 0 to 255."""
    camera = Camera.portrait(size, size, yaw=float(np.deg2rad(yaw_deg)))
    ks = camera.K.clone()
    ks[:2, :2] *= zoom
    camera = Camera(camera.viewmat, ks, size, size)
    image = render(next(avatar.drive(pose(units, jaw), camera)), camera, BACKGROUND).image
    return np.asarray(((image.clamp(0, 1) * (LEVELS - 1)).round() * (255 / (LEVELS - 1))).byte())


def draw_looks() -> list[np.ndarray]:
    """Rows of the first sheet: a tone a pair of rows, an age three faces."""
    rows = []
    for tone in RACES:
        faces = []
        for age in AGES:
            avatar = person(age, tone)
            faces += [draw(avatar, *face) for face in FACES]
        half = len(faces) // 2
        rows += [np.concatenate(faces[:half], 1), np.concatenate(faces[half:], 1)]
    return rows


def draw_detail() -> list[np.ndarray]:
    """Rows of the second: a person without detail, and below with it."""
    rows = []
    for name in DETAILED:
        avatar = Avatar.load(name)
        for shown in (dataclasses.replace(avatar, detail=None), avatar):
            faces = [
                draw(shown, units, jaw, NEAR_YAW_DEG, NEAR_SIZE, NEAR_ZOOM)
                for units, jaw in MOVING_FACES
            ]
            rows.append(np.concatenate(faces, 1))
    return rows


def main() -> None:
    """Draw both sheets."""
    torch.set_num_threads(1)
    for path, rows in ((LOOKS, draw_looks()), (DETAIL, draw_detail())):
        picture = Image.fromarray(np.concatenate(rows, 0))
        picture.save(path, optimize=True)
        sys.stdout.write(
            f"{path}: {picture.width}x{picture.height}, {path.stat().st_size} bytes\n"
        )


if __name__ == "__main__":
    main()
