"""Draw docs/detail.png: shipped people without and with what expressions do to their skin.

Run from the repository's root: python avatar/bake/draw_detail.py
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from draw_looks import BACKGROUND, LEVELS, pose
from PIL import Image

from mien.avatar import Avatar, render
from mien.camera import Camera

OUT = Path("docs/detail.png")
SIZE, ZOOM = 190, 1.75  # of one face, pixels; nearer than the portrait
PEOPLE = ("adult", "elder", "child", "adult-dark")
FACES: tuple[tuple[dict[str, float], float], ...] = (  # units, jaw
    ({"mouthSmile": 0.9, "cheekSquint": 0.7}, 0.0),
    ({"browInnerUp": 1.0, "browOuterUp": 0.9, "eyeWide": 0.4}, 0.1),
    ({"browDown": 0.9, "noseSneer": 0.7}, 0.0),
    ({"mouthFrown": 0.9, "mouthShrugLower": 0.7, "browInnerUp": 0.5}, 0.0),
    ({"eyeWide": 0.5, "browInnerUp": 0.5}, 0.9),
)


def draw(avatar: Avatar, units: dict[str, float], jaw: float) -> np.ndarray:
    """Draw one face, `[SIZE, SIZE, 3]`, 0 to 255."""
    camera = Camera.portrait(SIZE, SIZE, yaw=0.2)
    ks = camera.K.clone()
    ks[:2, :2] *= ZOOM
    camera = Camera(camera.viewmat, ks, SIZE, SIZE)
    image = render(next(avatar.drive(pose(units, jaw), camera)), camera, BACKGROUND).image
    return np.asarray(((image.clamp(0, 1) * (LEVELS - 1)).round() * (255 / (LEVELS - 1))).byte())


def main() -> None:
    """Draw the sheet: two rows a person, a face a column."""
    torch.set_num_threads(1)
    rows = []
    for name in PEOPLE:
        avatar = Avatar.load(name)
        if avatar.detail is None:
            raise SystemExit(f"The avatar {name} has no detail.")
        for shown in (dataclasses.replace(avatar, detail=None), avatar):
            rows.append(np.concatenate([draw(shown, *face) for face in FACES], 1))
    Image.fromarray(np.concatenate(rows)).save(OUT, optimize=True)
    sys.stdout.write(f"{OUT}: {OUT.stat().st_size / 1024:.0f} KB\n")


if __name__ == "__main__":
    main()
