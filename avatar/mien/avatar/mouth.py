"""Paints the inside of the mouth: bag, tongue, gums and teeth."""

from __future__ import annotations

import numpy as np

from mien.avatar.canvas import Canvas, splats_of_cells
from mien.avatar.look import Look
from mien.avatar.noise import fractal_noise, smoothstep, value_noise
from mien.avatar.pigment import mix
from mien.avatar.splats import Kind, Splats

Array = np.ndarray

_FLESH = np.array([0.55, 0.22, 0.20])
_THROAT = np.array([0.16, 0.035, 0.035])
_TONGUE = np.array([0.80, 0.44, 0.42])
_GUM = np.array([0.78, 0.44, 0.42])


def paint_mouth(canvas: Canvas, look: Look, fineness: float) -> Splats:
    """Paint all that shows between open lips."""
    parts = [_paint_bag(canvas, look, fineness)]
    if "tongue" in canvas.parts:
        parts.append(_paint_tongue(canvas, look, fineness))
    return Splats.concatenate(parts)


def _paint_bag(canvas: Canvas, look: Look, fineness: float) -> Splats:
    part = canvas.parts["mouth_bag"]
    middle = canvas.centroids()
    rim = np.concatenate([canvas.mouth.upper, canvas.mouth.lower])
    to_rim = np.linalg.norm(middle[:, None] - canvas.vertices[rim][None], axis=-1).min(1)
    spacing = np.interp(to_rim, [1.5, 6.0, 15.0], [0.8, 1.6, 3.2]) / fineness
    cells = canvas.sample(part, np.where(middle[:, 2] > -45, spacing, np.inf))
    points = canvas.positions(cells.faces, cells.bary)
    to_rim = np.linalg.norm(points[:, None] - canvas.vertices[rim][None], axis=-1).min(1)
    lips = np.array([0.70, 0.33, 0.31])
    color = mix(lips, _FLESH, smoothstep(0.5, 6.0, to_rim))
    color = mix(color, _THROAT, smoothstep(12.0, -25.0, points[:, 2]))
    grain = fractal_noise(points, 4.0, 2, look.seed + 51)
    return splats_of_cells(
        Kind.MOUTH, cells, color * (1 + 0.12 * grain)[:, None],
        occlusion=smoothstep(-40.0, 26.0, points[:, 2]) * 0.8 + 0.1, key_light=0.5, gloss=0.25,
    )  # fmt: skip


def _paint_tongue(canvas: Canvas, look: Look, fineness: float) -> Splats:
    part = canvas.parts["tongue"]
    middle = canvas.centroids()
    spacing = np.interp(middle[:, 2], [-40.0, -15.0, 0.0], [3.0, 1.4, 1.1]) / fineness
    cells = canvas.sample(part, spacing)
    points = canvas.positions(cells.faces, cells.bary)
    groove = np.exp(-((points[:, 0] / 1.6) ** 2))
    papillae = value_noise(points, 1.0, look.seed + 52)
    coat = fractal_noise(points, 6.0, 2, look.seed + 53)
    color = mix(_TONGUE, np.array([0.86, 0.60, 0.57]), np.clip(0.3 + 0.5 * coat, 0, 1))
    color = color * (1 - 0.16 * groove + 0.07 * papillae)[:, None]
    bump = 0.16 * np.stack([papillae, value_noise(points, 1.0, look.seed + 54)], -1)
    return splats_of_cells(
        Kind.MOUTH, cells, color, occlusion=smoothstep(-50.0, 10.0, points[:, 2]),
        key_light=0.7, gloss=0.35, bump=bump,
    )  # fmt: skip
