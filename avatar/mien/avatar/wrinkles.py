"""Lines of age: how far the skin sinks in them, and how steeply."""

from __future__ import annotations

import numpy as np

from mien.avatar.look import Look
from mien.avatar.noise import Points, Values, blob, fractal_noise, value_noise


def wrinkle_height(points: Points, look: Look) -> Values:
    """Height of the lines of age, millimetres: the forehead's, and those beside the eyes."""
    if not look.wrinkles:
        return np.zeros(len(points))
    wander = 2.2 * fractal_noise(points * [0.5, 1.0, 1.0], 22.0, 2, look.seed + 81)
    strength = 0.6 + 0.4 * value_noise(points, 16.0, look.seed + 82)
    forehead = blob(points * [0.75, 1, 1], (0.0, 47.0, 18.0), (34.0, 17.0, 30.0))
    lines = forehead * _grooves((points[:, 1] + wander) / 7.5)
    side = np.abs(points[:, 0])
    fan = np.arctan2(points[:, 1] + 2.0, side - 38.0 + 1e-6)
    corner = np.stack([side, points[:, 1], points[:, 2]], -1)
    feet = blob(corner, (54.0, -3.0, 0.0), (9.0, 13.0, 16.0)) * _grooves(fan * 3.2 + 0.2 * wander)
    bag = blob(corner, (32.0, -15.0, 12.0), (13.0, 5.0, 9.0)) * _grooves(
        (points[:, 1] + 0.02 * (side - 32) ** 2) / 5.0
    )
    return np.asarray(look.wrinkles * strength * (0.45 * lines + 0.45 * feet + 0.25 * bag))


def _grooves(phase: Values) -> Values:
    """Narrow valleys, one a unit of phase, between broad ridges: 0 down to -1."""
    return -(np.maximum(np.cos(2 * np.pi * phase), 0.0) ** 3)


def wrinkle_slope(points: Points, look: Look) -> Points:
    """Gradient of `wrinkle_height`."""
    if not look.wrinkles:
        return np.zeros_like(points)
    steps = 0.25 * np.eye(3)
    rise = [
        wrinkle_height(points + step, look) - wrinkle_height(points - step, look) for step in steps
    ]
    return np.stack(rise, -1) / 0.5
