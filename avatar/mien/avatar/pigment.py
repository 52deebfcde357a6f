"""Skin color from its two pigments, and color conversions for painting."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_SCATTER = np.array([0.97, 0.93, 0.89])  # reflectance of skin without pigment, linear
_MELANIN = np.array([0.55, 1.20, 1.95])  # absorption a unit of melanin: strongest in the blue
_HEMOGLOBIN = np.array([0.14, 1.10, 0.92])  # absorption a unit of blood: green and blue


def skin_color(
    melanin: Float[np.ndarray, " n"] | float, blood: Float[np.ndarray, " n"] | float
) -> Float[np.ndarray, "*n 3"]:
    """Diffuse color of skin, sRGB.

    Args:
        melanin: 0.1 is pale, 0.5 is tan, 1.8 is deep brown.
        blood: 0.3 is usual, 1 is a lip.
    """
    absorbed = (
        np.asarray(melanin)[..., None] * _MELANIN + np.asarray(blood)[..., None] * _HEMOGLOBIN
    )
    return encode_srgb(_SCATTER * np.exp(-absorbed))


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1's encoding of 0 to 1."""
    clipped = np.clip(linear, 0.0, 1.0)
    curved = 1.055 * np.maximum(clipped, 1e-9) ** (1 / 2.4) - 0.055
    return np.asarray(np.where(clipped <= 0.0031308, clipped * 12.92, curved))


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Blend [n, 3] or [3] colors: `share` 0 gives `first`, 1 gives `second`."""
    weight = np.asarray(share)[..., None]
    return np.asarray(first * (1.0 - weight) + second * weight)
