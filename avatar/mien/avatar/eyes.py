"""Paints eyeballs: sclera, iris, pupil and the cornea's shine; and the lids' wet rim."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from mien.avatar.canvas import Canvas, along_axes, splats_of_cells
from mien.avatar.look import Look
from mien.avatar.noise import fractal_noise, smoothstep, value_noise
from mien.avatar.pigment import mix, skin_color
from mien.avatar.sampling import Cells
from mien.avatar.splats import Kind, Splats

Array = np.ndarray

_IRIS_RADIUS_MM = 6.1
_PUPIL = 0.31  # of the iris's radius
_CORNEA_TILT = 1.5  # 1 is half the eyeball's radius; this keeps the glint off the lid
_SCLERA = np.array([0.905, 0.885, 0.865])
_RIM = np.array([0.80, 0.52, 0.46])  # caruncle and lid margin, wet and pink


def paint_eyes(canvas: Canvas, look: Look, fineness: float) -> Splats:
    """Paint both eyeballs and what shows of their sockets."""
    parts = [_paint_eye(canvas, look, fineness, part) for part in ("eye_left", "eye_right")]
    parts += [_paint_rim(canvas, look, fineness, k) for k in (0, 1)]
    return Splats.concatenate(parts)


def _paint_eye(canvas: Canvas, look: Look, fineness: float, part: str) -> Splats:
    mask = canvas.parts[part]
    center = canvas.vertices[np.unique(canvas.faces[mask])].mean(0)
    middle = canvas.centroids() - center
    angle = np.arctan2(np.hypot(middle[:, 0], middle[:, 1]), middle[:, 2])
    spacing = np.interp(np.rad2deg(angle), [0, 25, 34, 80], [0.29, 0.29, 0.60, 1.1])
    spacing = np.where(angle < np.deg2rad(88), spacing, np.inf) / fineness
    cells = canvas.sample(mask, spacing)
    points = canvas.positions(cells.faces, cells.bary) - center
    flat = points[:, :2]
    radius = np.where(points[:, 2] > 0, np.hypot(flat[:, 0], flat[:, 1]), 99.0)
    iris = radius / (_IRIS_RADIUS_MM * look.iris_scale)
    return splats_of_cells(
        Kind.EYE,
        cells,
        _eye_color(points, iris, look),
        overlap=1.4,
        gloss=0.25 + 0.75 * smoothstep(1.25, 0.9, iris),
        bump=_cornea(canvas, cells, points, iris),
    )


def _eye_color(points: Array, iris: Array, look: Look) -> Array:
    around = np.arctan2(points[:, 1], points[:, 0])
    sclera = _sclera_color(points, look)
    ring = np.stack([np.cos(around), np.sin(around), iris * 0.22], -1)
    fibers = value_noise(ring, 0.085, look.seed + 41) * 0.6
    fibers = fibers + value_noise(ring, 0.21, look.seed + 42) * 0.4
    base = np.array(look.iris_color)
    warm = np.clip(base * [1.30, 1.06, 0.72] + [0.06, 0.03, 0.0], 0, 1)
    color = mix(base, warm, smoothstep(0.72, 0.42, iris + 0.10 * fibers))
    color = color * (1 + 0.34 * fibers + 0.18 * (smoothstep(0.40, 0.55, iris) - 0.5))[:, None]
    color = color * (1 - 0.72 * smoothstep(0.74, 0.98, iris))[:, None]
    color = mix(
        color, np.array([0.012, 0.010, 0.010]), smoothstep(_PUPIL + 0.06, _PUPIL - 0.04, iris)
    )
    return mix(color, sclera, smoothstep(0.95, 1.10, iris))


def _sclera_color(points: Array, look: Look) -> Array:
    outward = np.abs(points[:, 0])
    veins = np.abs(fractal_noise(points * [0.45, 1.0, 1.0], 2.0, 2, look.seed + 43))
    threads = smoothstep(0.10, 0.0, veins) * smoothstep(6.5, 12.0, outward)
    pink = np.clip(smoothstep(7.5, 14.5, outward) * 0.40 + 0.16 * threads, 0, 1)
    return mix(_SCLERA, np.array([0.82, 0.60, 0.55]), pink)


def _cornea(canvas: Canvas, cells: Cells, points: Array, iris: Array) -> Array:
    """Tilt normals as on the cornea, which is rounder than the eyeball."""
    outward = np.zeros_like(points)
    outward[:, :2] = points[:, :2]
    tilt = _CORNEA_TILT * outward / np.linalg.norm(points, axis=-1, keepdims=True)
    tilt = tilt * smoothstep(1.12, 0.92, iris)[:, None]
    return along_axes(canvas, cells, tilt)


def _paint_rim(canvas: Canvas, look: Look, fineness: float, index: int) -> Splats:
    """Paint the first rings of the socket: the wet margin between lid and eyeball."""
    part = canvas.parts[("socket_left", "socket_right")[index]]
    window = canvas.eyes[index]
    upper, lower = canvas.rim(window, "upper"), canvas.rim(window, "lower")
    to_rim = cKDTree(np.concatenate([upper, lower])).query(canvas.centroids())[0]
    spacing = np.where(to_rim < 3.0, 0.5 / fineness, np.inf)
    cells = canvas.sample(part, spacing)
    points = canvas.positions(cells.faces, cells.bary)
    chord = np.interp(points[:, 0], upper[[0, -1], 0], upper[[0, -1], 1])
    below = smoothstep(0.5, -0.8, points[:, 1] - chord)
    skin = skin_color(np.array([look.melanin + 0.10]), np.array([look.blood + 0.35]))
    wet = 0.6 / (1 + 0.9 * look.melanin)
    color = mix(skin * 0.8, wet * _RIM + (1 - wet) * skin, below)
    lashes = smoothstep(1.3, 0.3, cKDTree(upper).query(points)[0])
    color = mix(color, np.array(look.brow_color) * 0.4, 0.8 * lashes * (1 - below))
    return splats_of_cells(
        Kind.SKIN, cells, color, occlusion=0.35 + 0.45 * below, key_light=0.2 + 0.6 * below,
        gloss=0.9 * below,
    )  # fmt: skip
