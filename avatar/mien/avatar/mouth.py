"""Paints the inside of the mouth: bag, tongue, gums and teeth."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from mien.avatar.canvas import Canvas, splats_of_cells
from mien.avatar.look import Look
from mien.avatar.noise import fractal_noise, smoothstep, value_noise
from mien.avatar.pigment import lip_melanin, mix, skin_color
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
    for jaw in ("upper", "lower"):
        if f"gums_{jaw}" in canvas.parts:
            parts.append(_paint_gums(canvas, look, fineness, f"gums_{jaw}"))
        if f"teeth_{jaw}" in canvas.parts and look.teeth:
            parts.append(_paint_teeth(canvas, look, fineness, f"teeth_{jaw}"))
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
    lips = 0.85 * skin_color(lip_melanin(look.melanin, 1.0) * 0.7, look.lip_blood + 0.25)
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


def _paint_teeth(canvas: Canvas, look: Look, fineness: float, part: str) -> Splats:
    middle = canvas.centroids()
    normal = canvas.normals[canvas.faces].mean(1)
    shows = (normal * _outward(middle)).sum(-1) > -0.35
    spacing = np.interp(middle[:, 2], [-25.0, 0.0, 12.0], [2.2, 1.2, 0.75]) / fineness
    cells = canvas.sample(canvas.parts[part], np.where(shows, spacing, np.inf))
    points = canvas.positions(cells.faces, cells.bary)
    normals = canvas.smooth_normals(cells.faces, cells.bary)
    front = smoothstep(-0.1, 0.65, (normals * _outward(points)).sum(-1))
    height = points[:, 1] - canvas.vertices[canvas.faces[canvas.parts[part]], 1].mean()
    toward_gum = height if part.endswith("upper") else -height
    tooth = np.array(look.tooth_color)
    color = mix(tooth, tooth * [0.97, 0.90, 0.78], smoothstep(1.0, 4.5, toward_gum))
    color = mix(color, tooth * [0.90, 0.95, 1.0], 0.5 * smoothstep(-2.5, -4.5, toward_gum))
    color = color * (1 + 0.04 * fractal_noise(points, 3.0, 2, look.seed + 55))[:, None]
    color = mix(np.array([0.55, 0.38, 0.31]), color, 0.50 + 0.50 * front)
    return splats_of_cells(
        Kind.MOUTH, cells, color, occlusion=(0.55 + 0.45 * front) * _depth_light(points),
        key_light=(0.4 + 0.6 * front) * _depth_light(points), gloss=0.55 * front, overlap=1.4,
    )  # fmt: skip


def _paint_gums(canvas: Canvas, look: Look, fineness: float, part: str) -> Splats:
    middle = canvas.centroids()
    spacing = np.interp(middle[:, 2], [-25.0, 0.0, 12.0], [3.0, 1.8, 1.2]) / fineness
    cells = canvas.sample(canvas.parts[part], spacing)
    points = canvas.positions(cells.faces, cells.bary)
    patches = fractal_noise(points, 4.0, 2, look.seed + 56)
    color = np.array(_GUM) * (1 + 0.10 * patches)[:, None]
    light = _depth_light(points)
    return splats_of_cells(
        Kind.MOUTH, cells, color, occlusion=0.8 * light, key_light=0.6 * light, gloss=0.5
    )


def _outward(points: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
    """From the middle of the dental arch to the lips and cheeks, unit length."""
    away = (points - [0.0, 0.0, -18.0]) * [1.0, 0.0, 1.0]
    return np.asarray(away / np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-9))


def _depth_light(points: Float[Array, "n 3"]) -> Float[Array, " n"]:
    """Less light toward the throat."""
    return 0.25 + 0.75 * smoothstep(-22.0, 14.0, points[:, 2])
