"""Skin color from its two pigments, and color conversions for painting."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_SCATTER = np.array([0.97, 0.93, 0.89])  # reflectance of skin without pigment, linear
_MELANIN = np.array([0.55, 1.20, 1.95])  # absorption a unit of melanin: strongest in the blue
_DEEP_MELANIN = np.array([0.75, 1.10, 1.45])  # of each unit above `_DEEP`: browner than red
_DEEP = 0.4
_SURFACE = 0.008  # light that the surface sends back before it meets a pigment, linear
_HEMOGLOBIN = np.array([0.14, 1.10, 0.92])  # absorption a unit of blood: green and blue


def skin_color(
    melanin: Float[np.ndarray, " n"] | float, blood: Float[np.ndarray, " n"] | float
) -> Float[np.ndarray, "*n 3"]:
    """Diffuse color of skin, sRGB.

    Args:
        melanin: 0.1 is pale, 0.8 is light brown, 2 is dark brown.
        blood: 0.3 is usual, 1 is a lip.
    """
    pigment = np.asarray(melanin)[..., None]
    absorbed = np.minimum(pigment, _DEEP) * _MELANIN
    absorbed = absorbed + np.maximum(pigment - _DEEP, 0.0) * _DEEP_MELANIN
    absorbed = absorbed + np.asarray(blood)[..., None] * _HEMOGLOBIN
    return encode_srgb(_SURFACE + (1 - _SURFACE) * _SCATTER * np.exp(-absorbed))


def lip_melanin(melanin: float, lower: Float[np.ndarray, " n"] | float) -> Float[np.ndarray, " n"]:
    """Pigment of lips: less than the skin's; `lower` is 1 on the lower lip, the pinker one."""
    return np.asarray(0.12 + melanin * (0.88 - 0.26 * np.asarray(lower)))


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1's encoding of 0 to 1."""
    clipped = np.clip(linear, 0.0, 1.0)
    curved = 1.055 * np.maximum(clipped, 1e-9) ** (1 / 2.4) - 0.055
    return np.asarray(np.where(clipped <= 0.0031308, clipped * 12.92, curved))


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Blend [n, 3] or [3] colors: `share` 0 gives `first`, 1 gives `second`."""
    weight = np.asarray(share)[..., None]
    return np.asarray(first * (1.0 - weight) + second * weight)
