"""Draw docs/identities.png: strong expressions on faces of six ages.

    python docs/identities.py

Rows are ages, columns are expressions at full strength, multiplied by `Identity.gains`.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from mien.arkit import ARKIT_NAMES, motion_from_curves
from mien.avatar import render_frames
from mien.avatar.paint import paint
from mien.avatar.recipes import adult, child, elder, infant
from mien.camera import Camera
from mien.head import Head
from mien.identity import semantic
from mien.motion import Motion

AGES = (0.0, 0.12, 0.33, 0.5, 0.67, 1.0)
EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile": 1, "cheekSquint": 1},
    "laugh": {"mouthSmile": 1, "jawOpen": 1, "eyeSquint": 1, "mouthLowerDown": 0.6},
    "frown": {"mouthFrown": 1, "browDown": 1, "mouthShrugLower": 0.7},
    "cry": {"mouthFrown": 1, "jawOpen": 0.6, "mouthStretch": 1, "eyeSquint": 1, "noseSneer": 0.6},
    "scream": {"jawOpen": 1, "mouthStretch": 1, "mouthLowerDown": 1, "mouthUpperUp": 1},
    "surprise": {"jawOpen": 1, "eyeWide": 1, "browInnerUp": 1, "browOuterUp": 1},
    "pucker": {"mouthPucker": 1},
    "disgust": {"noseSneer": 1, "mouthUpperUp": 1, "eyeSquint": 1, "browDown": 1},
    "blink": {"eyeBlink": 1},
}
BACKGROUND = (0.93, 0.92, 0.90)
LABEL = 18  # pixels
ZOOM, MIDDLE = 1.5, 0.47  # how much closer than a portrait, and where the face is in one
COLORS = 224


def motion_of(units: Mapping[str, float]) -> Motion:
    """One frame of an expression, both sides alike."""
    curves = torch.zeros(1, 61)
    for unit, value in units.items():
        for name in (unit, f"{unit}Left", f"{unit}Right"):
            if name in ARKIT_NAMES:
                curves[0, ARKIT_NAMES.index(name)] = value
    return motion_from_curves(curves, 25.0)


def closer(camera: Camera) -> Camera:
    """The same view of the face alone."""
    intrinsics = camera.K.clone()
    intrinsics[:2, :2] *= ZOOM
    intrinsics[0, 2] = camera.width / 2
    intrinsics[1, 2] = camera.height * (0.5 + (0.5 - MIDDLE) * ZOOM)
    return Camera(camera.viewmat, intrinsics, camera.width, camera.height)


def draw(tile: int, fineness: float) -> Image.Image:
    """All ages and expressions in one picture."""
    sheet = Image.new("RGB", (tile * len(EXPRESSIONS), LABEL + tile * len(AGES)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    camera = closer(Camera.portrait(tile, tile))
    for column, name in enumerate(EXPRESSIONS):
        pen.text((column * tile + 4, 2), name, "black", font)
    for row, age in enumerate(AGES):
        make = infant if age < 0.15 else child if age < 0.45 else adult if age < 0.85 else elder
        person = semantic(age=age, gender=0.1)
        avatar = paint(Head.default(), person.shape, make().look, fineness, gains=person.gains)
        posed = (next(avatar.drive(motion_of(units), camera)) for units in EXPRESSIONS.values())
        for column, drawn in enumerate(render_frames(posed, camera, BACKGROUND)):
            pixels = (drawn.image.clamp(0, 1) * 255).round().byte().numpy()
            sheet.paste(Image.fromarray(pixels), (column * tile, LABEL + row * tile))
        pen.text((4, LABEL + row * tile + 2), f"age {age:g}", "black", font)
    return sheet


def main() -> None:
    """Write the picture, with few enough colors to stay small."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/identities.png"))
    parser.add_argument("--tile", type=int, default=160)
    parser.add_argument("--fineness", type=float, default=0.45)
    options = parser.parse_args()
    torch.set_num_threads(1)
    picture = draw(options.tile, options.fineness)
    picture.quantize(COLORS, method=Image.Quantize.MEDIANCUT).save(options.output, optimize=True)


if __name__ == "__main__":
    main()
