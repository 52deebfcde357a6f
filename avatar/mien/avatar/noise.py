"""Functions of the place: seeded lattice noise, the grain of everything that is painted; masks.

The noise is a function of the position alone, so two points at one place get one value whatever
their order or number: a painting of 20,000 Gaussians and one of 60,000 show the same freckles.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Points = Float[np.ndarray, "n 3"]
Values = Float[np.ndarray, " n"]

_PRIMES = np.array([73856093, 19349663, 83492791], dtype=np.uint32)


def _hash01(lattice: np.ndarray, seed: int) -> np.ndarray:
    """Spread integer lattice points [..., 3] over [0, 1)."""
    mixed = lattice.astype(np.int64).astype(np.uint32) * _PRIMES
    h = mixed[..., 0] ^ mixed[..., 1] ^ mixed[..., 2]
    h = h ^ np.uint32((seed * 2654435761 + 974711) % 2**32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    h = h ^ (h >> np.uint32(16))
    return np.asarray(h.astype(np.float64) / 2.0**32)


def value_noise(points: Points, cell: float, seed: int) -> Values:
    """Smooth noise in [-1, 1] with features about `cell` wide.

    Args:
        points: Positions, any unit.
        cell: Distance of the lattice points, in the unit of `points`.
        seed: Another seed, another pattern.

    Raises:
        ValueError: If `cell` is not positive.
    """
    if not cell > 0:
        raise ValueError(f"`cell` must be a positive distance, got {cell}.")
    scaled = np.asarray(points, dtype=np.float64) / cell
    base = np.floor(scaled).astype(np.int64)
    f = scaled - base
    f = f * f * (3.0 - 2.0 * f)
    total = np.zeros(len(scaled))
    for corner in np.ndindex(2, 2, 2):
        step = np.array(corner)
        weight = np.where(step, f, 1.0 - f).prod(-1)
        total += weight * _hash01(base + step, seed)
    return total * 2.0 - 1.0


def fractal_noise(points: Points, cell: float, octaves: int, seed: int) -> Values:
    """Sum of octaves of `value_noise`, each half as wide and half as strong, in [-1, 1]."""
    total = np.zeros(len(points))
    norm = 0.0
    for octave in range(octaves):
        weight = 0.5**octave
        total += weight * value_noise(points, cell * 0.5**octave, seed + 101 * octave)
        norm += weight
    return total / norm


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Rise from 0 at `low` to 1 at `high`; falls where `low` > `high`."""
    t = np.clip((np.asarray(x, dtype=np.float64) - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def blob(
    points: Points, center: tuple[float, float, float], radii: tuple[float, float, float]
) -> Values:
    """Fall from 1 at `center` to 1/e at `radii`, as a bell curve along each axis."""
    return np.asarray(np.exp(-(((points - center) / np.array(radii)) ** 2).sum(-1)))
