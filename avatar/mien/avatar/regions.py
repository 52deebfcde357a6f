"""Where a point of the skin lies: lips, lids, cheeks, and so on, as soft masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from mien.avatar.canvas import Canvas
from mien.avatar.noise import blob, smoothstep

Array = np.ndarray
Values = Float[Array, " n"]

# Landmarks of the mean adult at rest, millimetres, +X the subject's left (side = +1).
_CHEEK = (41.0, -31.0, 8.0)
_NOSE_TIP = (0.0, -40.0, 44.0)
_LIP_UPPER = np.array([[0, -61.6], [4.5, -60.6], [9, -62.2], [16, -66.2], [21, -69.6], [25, -72]])
_LIP_LOWER = np.array([[0, -82.6], [6, -82.4], [12, -80.6], [18, -76.8], [22, -73.8], [25, -72]])
COLLAR_Y = -150.0  # the garment's edge at the front of the neck


@dataclass(frozen=True, eq=False)
class Regions:
    """Soft masks over points of the skin, each 0 to 1.

    Attributes:
        lips: Inside the vermilion border.
        lids: Eyelids and the skin below the eye.
        lid_rim: Both edges of the lids.
        lash_line: The upper lid's front edge, where lashes darken it.
        lid_crease: The fold above the upper lid.
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
    lid_crease: Values
    cheeks: Values
    nose: Values
    ears: Values
    nostrils: Values
    cloth: Values


def regions(points: Float[Array, "n 3"], canvas: Canvas) -> Regions:
    """Tell where each point of the skin lies."""
    side = np.abs(points[:, 0])
    mirrored = np.stack([side, points[:, 1], points[:, 2]], -1)
    left = canvas.eyes[0]
    upper, lower = canvas.lid_edge(left, "upper"), canvas.lid_edge(left, "lower")
    to_upper, nearest = cKDTree(upper).query(mirrored)
    edges = np.concatenate([upper, lower, canvas.rim(left, "upper"), canvas.rim(left, "lower")])
    to_rim = cKDTree(edges).query(mirrored)[0]
    above = mirrored[:, 1] - upper[nearest, 1]
    eye = blob(mirrored, (31.5, -2.0, 10.0), (19.0, 13.0, 16.0))
    nostril = blob(mirrored, (7.5, -46.0, 34.0), (3.6, 3.0, 5.0))
    return Regions(
        lips=lip_mask(points),
        lids=eye,
        lid_rim=smoothstep(2.0, 0.3, to_rim),
        lash_line=smoothstep(1.2, 0.3, to_upper) * smoothstep(21.0, 27.0, side),
        lid_crease=np.exp(-(((to_upper - 5.0) / 0.9) ** 2)) * smoothstep(2.0, 3.5, above),
        cheeks=blob(mirrored, _CHEEK, (20.0, 15.0, 24.0)),
        nose=blob(mirrored, _NOSE_TIP, (12.0, 9.0, 11.0))
        + 0.7 * blob(mirrored, (15.0, -42.0, 28.0), (6.0, 7.0, 8.0)),
        ears=smoothstep(66.0, 72.0, side) * (np.abs(points[:, 1] + 19) < 40),
        nostrils=nostril,
        cloth=smoothstep(-0.7, -1.7, collar_distance(points)),  # the hem covers the rest
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
    return np.asarray(smoothstep(-0.9, 1.1, inside) * (points[:, 2] > 8.0))
