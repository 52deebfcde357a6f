"""Paints skin: pigment, lips, lids, the garment at the neck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree

from mien.avatar.bristles import brow_shade
from mien.avatar.canvas import Canvas, along_axes, splats_of_cells
from mien.avatar.look import Look
from mien.avatar.noise import fractal_noise, smoothstep, value_noise
from mien.avatar.pigment import mix, skin_color
from mien.avatar.shading import Studio
from mien.avatar.splats import Kind, Splats
from mien.avatar.visibility import Occluders

Array = np.ndarray
Values = Float[Array, " n"]

# Landmarks of the mean adult at rest, millimetres, +X the subject's left (side = +1).
_CHEEK = (41.0, -31.0, 8.0)
_NOSE_TIP = (0.0, -40.0, 44.0)
_CHIN = (0.0, -100.0, 25.0)
_LIP_UPPER = np.array([[0, -61.6], [4.5, -60.6], [9, -62.2], [16, -66.2], [21, -69.6], [25, -72]])
_LIP_LOWER = np.array([[0, -82.6], [6, -82.4], [12, -80.6], [18, -76.8], [22, -73.8], [25, -72]])
COLLAR_Y = -150.0  # the garment's edge at the front of the neck


@dataclass(frozen=True, eq=False)
class Regions:
    """Soft masks over points of the skin, each 0 to 1.

    Attributes:
        lips: Inside the vermilion border.
        lids: Eyelids and the skin below the eye.
        lid_rim: The lid margin itself.
        lash_line: The upper lid's margin, where lashes darken it.
        cheeks: Apples of the cheeks.
        nose: Tip and wings.
        ears: Both.
        nostrils: Inside the nose.
        cloth: Under the garment.
    """

    lips: Values
    lids: Values
    lid_rim: Values
    lash_line: Values
    cheeks: Values
    nose: Values
    ears: Values
    nostrils: Values
    cloth: Values


def regions(points: Float[Array, "n 3"], canvas: Canvas) -> Regions:
    """Tell where each point of the skin lies."""
    side = np.abs(points[:, 0])
    mirrored = np.stack([side, points[:, 1], points[:, 2]], -1)
    lid_points = canvas.vertices[np.concatenate([canvas.eyes[0].upper, canvas.eyes[0].lower])]
    to_rim = np.linalg.norm(mirrored[:, None] - lid_points, axis=-1).min(1)
    upper = canvas.vertices[canvas.eyes[0].upper[1:-1]]
    to_upper = np.linalg.norm(mirrored[:, None] - upper, axis=-1).min(1)
    eye = _blob(mirrored, (31.5, -2.0, 10.0), (19.0, 13.0, 16.0))
    nostril = _blob(mirrored, (7.5, -46.0, 34.0), (3.6, 3.0, 5.0))
    return Regions(
        lips=lip_mask(points),
        lids=eye,
        lid_rim=smoothstep(2.2, 0.4, to_rim),
        lash_line=smoothstep(1.9, 0.5, to_upper),
        cheeks=_blob(mirrored, _CHEEK, (20.0, 15.0, 24.0)),
        nose=_blob(mirrored, _NOSE_TIP, (12.0, 9.0, 11.0))
        + 0.7 * _blob(mirrored, (15.0, -42.0, 28.0), (6.0, 7.0, 8.0)),
        ears=smoothstep(66.0, 72.0, side) * (np.abs(points[:, 1] + 17) < 32),
        nostrils=nostril,
        cloth=smoothstep(0.5, -0.5, collar_distance(points)),
    )


def collar_distance(points: Float[Array, "n 3"]) -> Values:
    """Height above the garment's edge, which dips at the front, millimetres."""
    depth = points[:, 2]
    return np.asarray(points[:, 1] - COLLAR_Y + 0.30 * (depth + 45.0))


def lip_mask(points: Float[Array, "n 3"]) -> Values:
    """Soft mask of the vermilion, by its upper and lower border as seen from the front."""
    side = np.abs(points[:, 0])
    upper = np.interp(side, _LIP_UPPER[:, 0], _LIP_UPPER[:, 1])
    lower = np.interp(side, _LIP_LOWER[:, 0], _LIP_LOWER[:, 1])
    inside = np.minimum(np.minimum(upper - points[:, 1], points[:, 1] - lower), 24.6 - side)
    return np.asarray(smoothstep(-0.5, 0.9, inside) * (points[:, 2] > 8.0))


def _blob(
    points: Array, center: tuple[float, float, float], radii: tuple[float, float, float]
) -> Array:
    return np.asarray(np.exp(-(((points - center) / radii) ** 2).sum(-1)))


def paint_skin(
    canvas: Canvas, look: Look, fineness: float, hair_cover: Array, left_out: Array
) -> Splats:
    """Paint the whole skin.

    Args:
        canvas: The head.
        look: The person.
        fineness: 1 is about 35,000 splats; their distance goes with its inverse.
        hair_cover: For each triangle how much hair lies over it, 0 to 1.
        left_out: Mask of triangles that carry nothing.
    """
    spacing = np.where(left_out, np.inf, skin_spacing(canvas, hair_cover) / fineness)
    cells = canvas.sample(canvas.parts["skin"], spacing)
    points = canvas.positions(cells.faces, cells.bary)
    normals = canvas.smooth_normals(cells.faces, cells.bary)
    where = regions(points, canvas)
    occluders = Occluders(points, cell=4.0)
    openness = occluders.openness(points, normals)
    key = occluders.key_light(points, normals, np.array(Studio().key))
    cover = hair_cover[cells.faces]
    albedo = _albedo(points, where, look, cover)
    is_cloth = where.cloth > 0.5
    least = 0.15 + 0.40 * where.lips  # lips shade each other only while they are closed
    to_cut = cKDTree(canvas.cut_edge()).query(points)[0]
    skin = splats_of_cells(
        Kind.SKIN,
        cells,
        albedo,
        occlusion=(least + (1 - least) * openness) * (1 - 0.55 * cover),
        key_light=(least + (1 - least) * key) * (1 - 0.75 * cover),
        opacity=0.995 * smoothstep(1.0, 22.0, to_cut),
        gloss=_gloss(points, where, look) * (1 - cover),
        bump=_bump(points, where, look) - along_axes(canvas, cells, _wrinkle_slope(points, look)),
        lift_mm=np.where(is_cloth, 2.5, 0.0),
    )
    kinds = torch.where(torch.from_numpy(is_cloth), int(Kind.CLOTH), int(Kind.SKIN)).byte()
    order = torch.argsort(kinds, stable=True)
    painted = dict(vars(skin)) | {"kinds": kinds}
    return Splats(**{name: value[order] for name, value in painted.items()})


def skin_spacing(canvas: Canvas, hair_cover: Array) -> Array:
    """Wanted distance of splats on each triangle, millimetres: fine where a face speaks."""
    middle = canvas.centroids()
    where = regions(middle, canvas)
    side = np.abs(middle[:, 0])
    face = smoothstep(-55.0, -5.0, middle[:, 2]) * (middle[:, 1] > -118) * (side < 68)
    spacing = 2.4 - 1.35 * face
    spacing = np.where(where.ears > 0.5, 1.5, spacing)
    fine = np.clip(where.lips + where.lid_rim + where.lids * 1.2 + 0.6 * where.nose, 0, 1)
    spacing = spacing + (0.66 - spacing) * fine
    spacing = np.where((where.lid_rim > 0.3) | (where.lips > 0.3), 0.48, spacing)
    spacing = np.where(where.cloth > 0.5, 3.6, spacing)
    spacing = np.where(np.abs(collar_distance(middle)) < 10.0, 1.0, spacing)
    spacing = np.where(middle[:, 1] < -185, 5.0, spacing)
    spacing = np.where((where.cloth > 0.5) & (middle[:, 2] < -90), 6.0, spacing)
    covered = smoothstep(0.5, 0.9, hair_cover)
    return np.asarray(spacing + (np.maximum(spacing, 4.0) - spacing) * covered)


def _albedo(points: Array, where: Regions, look: Look, cover: Array) -> Array:
    seed = look.seed
    mottle = fractal_noise(points, 11.0, 4, seed + 1)
    patches = fractal_noise(points, 34.0, 2, seed + 2)
    grain = value_noise(points, 0.9, seed + 3)
    flush = look.flush * (
        0.30 * where.cheeks + 0.24 * where.nose + 0.30 * where.ears
        + 0.10 * _blob(points, _CHIN, (14.0, 10.0, 14.0))
    )  # fmt: skip
    blood = look.blood * (1 + 0.30 * mottle + 0.22 * patches) + flush * (1 + 0.35 * mottle)
    blood = blood + 0.13 * where.lids * (1 + 0.3 * mottle) + 0.22 * where.lid_rim
    melanin = look.melanin * (1 + 0.10 * patches + 0.10 * mottle + 0.06 * grain)
    melanin = melanin + 0.05 * where.lids + 0.02
    melanin = melanin + look.freckles * _freckles(points, where, seed) * 0.5
    creases = value_noise(points * [1.0, 0.16, 0.25], 1.1, seed + 7)
    lip_blood = look.lip_blood * (1 + 0.12 * creases + 0.08 * mottle)
    groove = _wrinkles(points, look)
    blood, melanin = blood - 0.25 * groove, melanin - 0.12 * groove
    blood = blood + where.lips * (lip_blood - blood)
    melanin = melanin + where.lips * (0.14 + 0.35 * look.melanin) * 0.6
    color = skin_color(np.maximum(melanin, 0), np.maximum(blood, 0))
    color = mix(color, np.array([0.10, 0.035, 0.03]), 0.9 * where.nostrils)
    color = mix(color, np.array(look.brow_color), 0.42 * look.brow_density * brow_shade(points))
    color = mix(color, np.array(look.brow_color) * 0.5, 0.75 * where.lash_line)
    scalp = np.array(look.hair_color) * 0.55
    color = mix(color, scalp, smoothstep(0.12, 1.0, cover))
    return mix(color, _cloth(points, look), where.cloth > 0.5)


def _wrinkles(points: Array, look: Look) -> Array:
    """Height of the lines of age, millimetres: the forehead's, and those beside the eyes."""
    if not look.wrinkles:
        return np.zeros(len(points))
    wander = 2.2 * fractal_noise(points * [0.5, 1.0, 1.0], 22.0, 2, look.seed + 81)
    strength = 0.6 + 0.4 * value_noise(points, 16.0, look.seed + 82)
    forehead = _blob(points * [0.75, 1, 1], (0.0, 47.0, 18.0), (34.0, 17.0, 30.0))
    lines = forehead * _grooves((points[:, 1] + wander) / 7.5)
    side = np.abs(points[:, 0])
    fan = np.arctan2(points[:, 1] + 2.0, side - 38.0 + 1e-6)
    corner = np.stack([side, points[:, 1], points[:, 2]], -1)
    feet = _blob(corner, (54.0, -3.0, 0.0), (9.0, 13.0, 16.0)) * _grooves(fan * 3.2 + 0.2 * wander)
    bag = _blob(corner, (32.0, -15.0, 12.0), (13.0, 5.0, 9.0)) * _grooves(
        (points[:, 1] + 0.02 * (side - 32) ** 2) / 5.0
    )
    return np.asarray(look.wrinkles * strength * (0.45 * lines + 0.45 * feet + 0.25 * bag))


def _grooves(phase: Array) -> Array:
    """Narrow valleys, one a unit of phase, between broad ridges: 0 down to -1."""
    return -(np.maximum(np.cos(2 * np.pi * phase), 0.0) ** 3)


def _wrinkle_slope(points: Array, look: Look) -> Array:
    """Gradient of `_wrinkles`."""
    if not look.wrinkles:
        return np.zeros_like(points)
    steps = 0.25 * np.eye(3)
    rise = [_wrinkles(points + step, look) - _wrinkles(points - step, look) for step in steps]
    return np.stack(rise, -1) / 0.5


def _cloth(points: Array, look: Look) -> Array:
    weave = value_noise(points * [1.0, 0.25, 1.0], 2.2, look.seed + 21)
    folds = fractal_noise(points, 40.0, 2, look.seed + 22)
    hem = smoothstep(-7.0, -5.5, collar_distance(points)) * 0.10
    shade = 1 + 0.06 * weave + 0.08 * folds - hem
    return np.clip(np.array(look.cloth_color) * shade[:, None], 0, 1)


def _freckles(points: Array, where: Regions, seed: int) -> Array:
    mirrored = points * [0.6, 1.0, 0.6]
    belt = np.exp(-(((mirrored - [0, -26, 12]) / [30.0, 16.0, 26.0]) ** 2).sum(-1))
    spots = smoothstep(0.34, 0.62, value_noise(points, 2.3, seed + 11))
    return np.asarray(spots * (belt + 0.12) * (1 - where.lips))


def _gloss(points: Array, where: Regions, look: Look) -> Array:
    forehead = _blob(points * [0.7, 1, 1], (0.0, 50.0, 15.0), (26.0, 22.0, 30.0))
    bridge = _blob(points, (0.0, -22.0, 36.0), (6.0, 26.0, 16.0))
    oil = 0.40 + 0.25 * forehead + 0.35 * bridge + 0.3 * where.nose + 0.10 * where.cheeks
    pores = 1 + 0.35 * value_noise(points, 1.4, look.seed + 13)
    return np.clip(oil * pores + where.lips * (look.lip_gloss * 1.2 - 0.3), 0, 1)


def _bump(points: Array, where: Regions, look: Look) -> Array:
    seed = look.seed
    fine = np.stack([value_noise(points, 1.5, seed + 31), value_noise(points, 1.5, seed + 32)], -1)
    broad = np.stack([fractal_noise(points, 7.0, 2, seed + s) for s in (33, 34)], -1)
    bump = 0.045 * fine + 0.05 * broad
    creases = value_noise(points * [1.0, 0.16, 0.25], 1.0, seed + 7)
    return np.asarray(bump + where.lips[:, None] * 0.14 * np.stack([creases, -creases], -1))
