"""The painted person that a photo's avatar begins from: its own head, in the photo's colors."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.look import Color, HairStyle, Look
from mien.avatar.paint import paint
from mien.avatar.photo_colors import Palette
from mien.avatar.pigment import skin_color
from mien.avatar.tones import Tone, toned
from mien.head import Head

_MELANIN = np.geomspace(0.08, 3.0, 60)
_BLOOD = np.linspace(0.15, 0.75, 13)
_USUAL_BLOOD, _REDDER = 0.3, 0.08  # what a unit from it costs, sRGB
_TONES: tuple[tuple[float, Tone], ...] = ((0.45, "light"), (1.3, "medium"), (9.0, "dark"))
_COILS_FROM = 1.6  # melanin: from there on, short hair most often grows in coils
_FINENESS = 0.6


def look_of(palette: Palette) -> Look:
    """Choose the look that comes nearest to a photo's colors.

    Brows and lashes are left out: the photo has its own.
    """
    shades = skin_color(_MELANIN[:, None], _BLOOD[None])
    off = np.linalg.norm(shades - (palette.skin.color + palette.skin.bright) / 2, axis=-1)
    off = off + _REDDER * np.abs(_BLOOD - _USUAL_BLOOD)
    row, column = np.unravel_index(int(off.argmin()), off.shape)
    melanin, blood = float(_MELANIN[row]), float(_BLOOD[column])
    tone: Tone = next(name for most, name in _TONES if melanin <= most)
    look = toned(Look(), tone)
    short: HairStyle = "coils" if melanin > _COILS_FROM else "short"
    look = dataclasses.replace(
        look,
        melanin=melanin,
        blood=blood,
        freckles=0.0,
        brow_density=0.0,
        lash_length_mm=0.0,
        hair="bob" if palette.has_long_hair else short,
    )
    if palette.hair is not None:
        look = dataclasses.replace(look, hair_color=_color(palette.hair.color))
    if palette.iris is not None:
        look = dataclasses.replace(look, iris_color=_color(palette.iris))
    if palette.cloth is not None:
        look = dataclasses.replace(look, cloth_color=_color(palette.cloth))
    return look


def paint_start(shape: Float[Tensor, " s"], palette: Palette, name: str = "photo") -> Avatar:
    """Paint a person of the default head in a photo's colors."""
    with torch.no_grad():
        return paint(Head.default(), shape, look_of(palette), _FINENESS, name=name)


def _color(values: Float[np.ndarray, 3]) -> Color:
    red, green, blue = (float(part) for part in np.clip(values, 0.02, 0.98))
    return red, green, blue
