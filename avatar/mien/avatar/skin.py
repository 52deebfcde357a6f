"""Paints skin: pigment, lips, lids, the garment at the neck."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree

from mien.avatar.bristles import brow_shade
from mien.avatar.canvas import Canvas, along_axes, splats_of_cells
from mien.avatar.hair import STYLES, cover_at, hair_cover
from mien.avatar.look import Look
from mien.avatar.noise import blob, fractal_noise, smoothstep, value_noise
from mien.avatar.pigment import lip_melanin, mix, skin_color
from mien.avatar.regions import Regions, collar_distance, regions
from mien.avatar.shading import Studio
from mien.avatar.splats import Kind, Splats
from mien.avatar.strands import Ribbons, bind_ribbons
from mien.avatar.visibility import Occluders
from mien.avatar.wrinkles import wrinkle_height, wrinkle_slope

Array = np.ndarray

_CHIN = (0.0, -100.0, 25.0)  # of the mean adult at rest, millimetres


def paint_skin(
    canvas: Canvas, look: Look, fineness: float, left_out: Array, hair: Float[Array, "m 3"]
) -> Splats:
    """Paint the whole skin.

    Args:
        canvas: The head.
        look: The person.
        fineness: 1 is about 35,000 splats; their distance goes with its inverse.
        left_out: Mask of triangles that carry nothing.
        hair: Points of the hair, which shades the skin.
    """
    spacing = np.where(left_out, np.inf, skin_spacing(canvas, hair_cover(canvas, look)) / fineness)
    cells = canvas.sample(canvas.parts["skin"], spacing)
    points = canvas.positions(cells.faces, cells.bary)
    normals = canvas.smooth_normals(cells.faces, cells.bary)
    where = regions(points, canvas)
    occluders = Occluders(points, cell=4.0)
    veil = 1 - (1 - _veil(points, normals, hair)) * STYLES[look.hair].cover
    openness = occluders.openness(points, normals) * (0.35 + 0.65 * veil)
    key = occluders.key_light(points, normals, np.array(Studio().key)) * veil
    cover = cover_at(points, look)
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
        bump=_bump(points, where, look) - along_axes(canvas, cells, wrinkle_slope(points, look)),
        lift_mm=np.where(is_cloth, 2.5, 0.0),
    )
    kinds = torch.where(torch.from_numpy(is_cloth), int(Kind.CLOTH), int(Kind.SKIN)).byte()
    order = torch.argsort(kinds, stable=True)
    painted = dict(vars(skin)) | {"kinds": kinds}
    sorted_skin = Splats(**{name: value[order] for name, value in painted.items()})
    return Splats.concatenate([sorted_skin, _hem(canvas, look)])


def _veil(points: Array, normals: Array, hair: Array) -> Array:
    """Share of the light from the front that passes the hair, evened out over millimetres."""
    front = np.array([0.0, 0.2, 1.0])
    passed = Occluders(hair, cell=5.0).key_light(points, normals, front, spread_deg=50.0)
    distance, near = cKDTree(points).query(points, k=40, distance_upper_bound=9.0)
    weight = np.exp(-((distance / 4.0) ** 2))
    padded = np.append(passed, 0.0)
    return np.asarray((padded[near] * weight).sum(1) / weight.sum(1))


def skin_spacing(canvas: Canvas, cover: Array) -> Array:
    """Wanted distance of splats on each triangle, millimetres: fine where a face speaks.

    Args:
        canvas: The head.
        cover: For each triangle how much hair lies over it, 0 to 1.
    """
    middle = canvas.centroids()
    where = regions(middle, canvas)
    side = np.abs(middle[:, 0])
    face = smoothstep(-55.0, -5.0, middle[:, 2]) * (middle[:, 1] > -118) * (side < 68)
    spacing = 2.4 - 1.35 * face
    spacing = np.where(where.ears > 0.02, 1.3, spacing)
    fine = np.clip(where.lips + where.lid_rim + where.lids * 1.2 + 0.6 * where.nose, 0, 1)
    spacing = spacing + (0.66 - spacing) * fine
    by_mouth = blob(middle, (0.0, -72.0, 22.0), (27.0, 13.0, 22.0)) > 0.4
    spacing = np.where((where.lid_rim > 0.05) | (where.lips > 0.05) | by_mouth, 0.48, spacing)
    mirrored = np.stack([side, middle[:, 1], middle[:, 2]], -1)
    by_wing = (
        blob(mirrored, (17.0, -43.0, 23.0), (9.0, 9.0, 9.0)) > 0.3
    )  # stretched by many a nose
    spacing = np.where(by_wing, np.minimum(spacing, 0.6), spacing)
    spacing = np.where(where.cloth > 0.5, 3.6, spacing)
    spacing = np.where(np.abs(collar_distance(middle)) < 10.0, 1.0, spacing)
    spacing = np.where(middle[:, 1] < -185, 5.0, spacing)
    spacing = np.where((where.cloth > 0.5) & (middle[:, 2] < -90), 6.0, spacing)
    covered = smoothstep(0.5, 0.9, cover) * (middle[:, 1] > -80) * (where.ears < 0.02)
    return np.asarray(spacing + (np.maximum(spacing, 4.0) - spacing) * covered)


def _albedo(points: Array, where: Regions, look: Look, cover: Array) -> Array:
    seed = look.seed
    mottle = fractal_noise(points, 11.0, 4, seed + 1)
    patches = fractal_noise(points, 34.0, 2, seed + 2)
    grain = value_noise(points, 0.9, seed + 3)
    flush = look.flush * (
        0.30 * where.cheeks + 0.24 * where.nose + 0.30 * where.ears
        + 0.10 * blob(points, _CHIN, (14.0, 10.0, 14.0))
    )  # fmt: skip
    blood = look.blood * (1 + 0.30 * mottle + 0.22 * patches) + flush * (1 + 0.35 * mottle)
    blood = blood + 0.09 * where.lids * (1 + 0.3 * mottle) + 0.14 * where.lid_rim
    uneven = 0.10 * patches + 0.10 * mottle + 0.06 * grain
    melanin = look.melanin * (1 + uneven / (1 + 0.6 * look.melanin))
    melanin = melanin + 0.05 * where.lids + 0.02
    blood, melanin = blood + 0.05 * where.lid_crease, melanin + 0.08 * where.lid_crease
    melanin = melanin + look.freckles * _freckles(points, where, seed) * 0.5
    creases = value_noise(points * [1.0, 0.16, 0.25], 1.1, seed + 7)
    lip_blood = look.lip_blood * (1 + 0.12 * creases + 0.08 * mottle)
    groove = wrinkle_height(points, look)
    blood, melanin = blood - 0.25 * groove, melanin - 0.12 * groove
    blood = blood + where.lips * (lip_blood - blood)
    lower = smoothstep(-70.5, -73.5, points[:, 1])
    melanin = melanin + where.lips * (lip_melanin(look.melanin, lower) - melanin)
    color = skin_color(np.maximum(melanin, 0), np.maximum(blood, 0))
    color = mix(color, np.array([0.10, 0.035, 0.03]), 0.9 * where.nostrils)
    color = mix(color, np.array(look.brow_color), 0.42 * look.brow_density * brow_shade(points))
    color = mix(color, np.array(look.brow_color) * 0.4, 0.8 * where.lash_line)
    scalp = np.array(look.hair_color) * 0.55
    color = mix(color, scalp, smoothstep(0.05, 0.7, cover))
    return mix(color, _cloth(points, look), where.cloth > 0.5)


def _hem(canvas: Canvas, look: Look) -> Splats:
    """The garment's rolled edge: one ribbon across each triangle that it crosses."""
    ids = np.flatnonzero(canvas.parts["skin"])
    corners = canvas.vertices[canvas.faces[ids]]
    height = collar_distance(corners.reshape(-1, 3)).reshape(-1, 3)
    alone = np.where((height > 0).sum(1) == 1, height.argmax(1), height.argmin(1))
    crossed = (height.max(1) > 0) & (height.min(1) <= 0)
    ids, corners, height, alone = (a[crossed] for a in (ids, corners, height, alone))
    row = np.arange(len(ids))
    start, end = (
        corners[row, alone]
        + (corners[row, other] - corners[row, alone])
        * (height[row, alone] / (height[row, alone] - height[row, other]))[:, None]
        for other in ((alone + 1) % 3, (alone + 2) % 3)
    )
    outward = canvas.normals[canvas.faces[ids]].mean(1)
    ribbons = Ribbons(
        centers=(start + end) / 2 + 3.0 * outward,
        along=(end - start) / 2,
        outward=outward,
        width=np.full(len(ids), 1.6),
        color=1.06 * _cloth((start + end) / 2, look),
        opacity=np.full(len(ids), 0.99),
        occlusion=np.full(len(ids), 0.75),
        gloss=np.zeros(len(ids)),
    )
    return bind_ribbons(Kind.CLOTH, ribbons, canvas, ids, overlap=1.1)


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
    forehead = blob(points * [0.7, 1, 1], (0.0, 50.0, 15.0), (26.0, 22.0, 30.0))
    bridge = blob(points, (0.0, -22.0, 36.0), (6.0, 26.0, 16.0))
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
