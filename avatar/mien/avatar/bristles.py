"""Paints brows and lashes, hair by hair."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from mien.avatar.canvas import Canvas
from mien.avatar.look import Look
from mien.avatar.splats import Kind, Splats
from mien.avatar.strands import Ribbons, bind_ribbons

Array = np.ndarray

# The left brow of the mean adult from its inner to its outer end, millimetres: side, height of
# the middle, half height, and which way its hairs lie (degrees up from the side).
_BROW = np.array(
    [
        [11.0, 16.0, 3.0, 74.0],
        [15.0, 17.2, 3.7, 58.0],
        [22.0, 19.6, 3.6, 36.0],
        [32.0, 22.6, 3.0, 22.0],
        [40.0, 23.2, 2.3, 4.0],
        [47.0, 20.8, 1.5, -20.0],
        [54.0, 16.4, 0.6, -34.0],
    ]
)


def paint_bristles(canvas: Canvas, look: Look, fineness: float) -> Splats:
    """Paint both brows and all lashes."""
    rng = np.random.default_rng(look.seed + 61)
    parts = []
    for side in (1.0, -1.0):
        parts.append(_paint_brow(canvas, look, fineness, side, rng))
        parts.append(_paint_lashes(canvas, look, fineness, side, "upper", rng))
        parts.append(_paint_lashes(canvas, look, fineness, side, "lower", rng))
    return Splats.concatenate(parts)


def brow_shade(points: Float[Array, "n 3"]) -> Float[Array, " n"]:
    """How much of the skin's color is the brow's shadow, 0 to 1."""
    side = np.abs(points[:, 0])
    middle = np.interp(side, _BROW[:, 0], _BROW[:, 1])
    half = np.interp(side, _BROW[:, 0], _BROW[:, 2]) + 0.6
    within = np.exp(-(((points[:, 1] - middle) / half) ** 2))
    ends = np.clip((side - 9.0) / 5.0, 0, 1) * np.clip((56.0 - side) / 8.0, 0, 1)
    return np.asarray(within * ends * (points[:, 2] > -25))


def _front(canvas: Canvas) -> tuple[cKDTree, Array]:
    """Look up the skin's triangles by their place in the front view."""
    middle = canvas.centroids()
    normal = canvas.normals[canvas.faces].mean(1)
    ids = np.flatnonzero(canvas.parts["skin"] & (middle[:, 2] > -30) & (normal[:, 2] > 0.05))
    return cKDTree(middle[ids, :2]), ids


def _onto_skin(canvas: Canvas, flat: Array) -> tuple[Array, Array]:
    """Depth and normal of the skin in front view, by planes through the nearest triangles."""
    tree, ids = _front(canvas)
    _, near = tree.query(flat, k=4)
    middle, normal = canvas.centroids()[ids][near], canvas.normals[canvas.faces[ids]].mean(1)[near]
    offset = flat[:, None] - middle[..., :2]
    depth = middle[..., 2] - (offset * normal[..., :2]).sum(-1) / np.maximum(normal[..., 2], 0.2)
    weight = 1.0 / (np.linalg.norm(offset, axis=-1) + 0.3)
    weight /= weight.sum(-1, keepdims=True)
    facing = (normal * weight[..., None]).sum(1)
    points = np.concatenate([flat, (depth * weight).sum(-1)[:, None]], -1)
    return points, facing / np.linalg.norm(facing, axis=-1, keepdims=True)


def _paint_brow(
    canvas: Canvas, look: Look, fineness: float, side: float, rng: np.random.Generator
) -> Splats:
    count = int(300 * look.brow_density * min(fineness, 1.0) ** 0.7)
    place = 1.0 - np.sqrt(rng.uniform(0.0, 1.0, count)) * 0.98
    x = 11.0 + place * 43.0 + rng.normal(0, 0.5, count)
    middle, half, degrees = (np.interp(x, _BROW[:, 0], _BROW[:, k]) for k in (1, 2, 3))
    level = rng.uniform(-1, 1, count)
    y = middle + level * half
    inward = np.interp(x, [11, 20, 40], [14.0, 24.0, 20.0])
    angle = np.deg2rad(degrees - level * inward + rng.normal(0, 7.0, count))
    length = np.interp(x, [11, 20, 38, 54], [5.5, 7.5, 7.0, 4.5]) * rng.uniform(0.7, 1.15, count)
    bend = np.deg2rad(-16.0 - 8 * level)
    flat = np.stack([side * x, y], -1)
    pieces = []
    for index in range(2):
        turn = angle + bend * (index + 0.5) / 2
        step = np.stack([side * np.cos(turn), np.sin(turn)], -1) * (length / 2)[:, None]
        pieces.append((flat + step / 2, step, np.full(count, float(index))))
        flat = flat + step
    middles = np.concatenate([piece[0] for piece in pieces])
    steps = np.concatenate([piece[1] for piece in pieces])
    order = np.concatenate([piece[2] for piece in pieces])
    start, _ = _onto_skin(canvas, middles - steps / 2)
    end, outward = _onto_skin(canvas, middles + steps / 2)
    shade = np.tile(rng.uniform(0.75, 1.3, count), 2)
    ribbons = Ribbons(
        centers=(start + end) / 2 + outward * (0.35 + 0.35 * order)[:, None],
        along=(end - start) / 2,
        outward=outward,
        width=np.where(order == 0, 0.19, 0.14),
        color=np.array(look.brow_color) * shade[:, None],
        opacity=np.where(order == 0, 0.72, 0.55),
        occlusion=np.full(2 * count, 0.8),
        gloss=np.full(2 * count, 0.2),
    )
    return bind_ribbons(Kind.BRISTLE, ribbons, canvas, _front(canvas)[1])


def _paint_lashes(
    canvas: Canvas,
    look: Look,
    fineness: float,
    side: float,
    row: Literal["upper", "lower"],
    rng: np.random.Generator,
) -> Splats:
    window = canvas.eyes[0 if side > 0 else 1]
    rim = canvas.lid_edge(window, row)
    rim = rim if side > 0 else rim[::-1]  # inner to outer corner
    length, count, rise, droop = (look.lash_length_mm, 170, 0.75, 0.1) if row == "upper" else (
        look.lash_length_mm * 0.42, 60, -0.75, 0.9)  # fmt: skip
    count = int(count * min(fineness, 1.0) ** 0.6)
    place = np.sort(rng.uniform(0.17 if row == "upper" else 0.25, 0.97, count))
    even = np.linspace(0.0, 1.0, len(rim))
    root = np.stack([np.interp(place, even, column) for column in rim.T], -1)
    lean = np.interp(place, [0, 0.35, 1.0], [-0.35, 0.0, 0.75]) + rng.normal(0, 0.10, count)
    reach = length * np.interp(place, [0, 0.25, 0.7, 1], [0.45, 0.8, 1.0, 0.85])
    reach = reach * rng.uniform(0.75, 1.1, count)
    forward = np.stack(
        [side * (lean + 0.25 * place), np.full(count, droop * rise), np.ones(count)], -1
    )
    upward = np.stack([side * lean * 1.1, np.full(count, rise), np.full(count, 0.42)], -1)
    point, pieces = root, []
    for index in range(3):
        curl = (0.05, 0.45, 0.95)[index] if row == "upper" else 0.6
        way = forward * (1 - curl) + upward * curl
        way /= np.linalg.norm(way, axis=-1, keepdims=True)
        step = way * (reach / 3)[:, None]
        end = point + step
        surface, _ = _onto_skin(canvas, end[:, :2])
        end[:, 2] = np.maximum(end[:, 2], surface[:, 2] + 0.6)
        pieces.append(((point + end) / 2, (end - point) / 2, np.full(count, float(index))))
        point = end
    centers, along, order = (np.concatenate([p[k] for p in pieces]) for k in range(3))
    strength = (0.6 if row == "upper" else 0.16) * min(1.0, look.lash_length_mm / 6.0)
    ribbons = Ribbons(
        centers=centers,
        along=along,
        outward=np.broadcast_to([0.0, 0.25, 1.0], centers.shape).copy(),
        width=0.085 - 0.020 * order,
        color=np.broadcast_to(np.array(look.brow_color) * 0.35, centers.shape).copy(),
        opacity=strength * (1.0 - 0.22 * order),
        occlusion=np.full(len(centers), 0.7),
        gloss=np.zeros(len(centers)),
    )
    return bind_ribbons(
        Kind.BRISTLE, ribbons, canvas, _faces_near(canvas, rim), np.tile(root, (3, 1))
    )


def _faces_near(canvas: Canvas, line: Array) -> Array:
    distance = cKDTree(line).query(canvas.centroids())[0]
    return np.flatnonzero((distance < 3.0) & canvas.parts["skin"])
