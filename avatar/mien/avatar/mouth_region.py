"""Where the mouth is in a picture, from the head that is known to be in it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from mien.camera import Camera
from mien.head import Head

_MARGIN = 0.15  # of the mouth's extent, for the skin around the lips


def mouth_mask(head: Head, vertices: Float[Tensor, "v 3"], camera: Camera) -> Float[Tensor, "h w"]:
    """1 within the outline of the lips and a little around it, else 0.

    Seen from behind, or behind the camera, there is no mouth.

    Args:
        head: With face points.
        vertices: Posed, metres.
        camera: Of the picture.
    """
    points = head.require_points()
    outer = points.gather(vertices)[points.regions["lips_outer"]].double()
    viewmat, K = camera.viewmat.double(), camera.K.double()
    seen = outer @ viewmat[:3, :3].T + viewmat[:3, 3]
    blank = vertices.new_zeros(camera.height, camera.width)
    if float(seen[:, 2].min()) <= 0 or not _faces_viewer(seen, head, vertices, viewmat):
        return blank
    flat = (seen @ K.T)[:, :2] / seen[:, 2:]
    center = flat.mean(0)
    outline = (center + (flat - center) * (1 + _MARGIN)).numpy()
    return torch.from_numpy(_fill(outline, camera.width, camera.height)).to(blank)


def _faces_viewer(seen: Tensor, head: Head, vertices: Tensor, viewmat: Tensor) -> bool:
    """Tell whether the way from the jaw's joint out to the lips comes toward the camera."""
    inside = head.J_regressor[2].to(vertices) @ vertices
    outward = seen.mean(0) - (viewmat[:3, :3] @ inside.double() + viewmat[:3, 3])
    return float(outward @ seen.mean(0)) < 0


def _fill(outline: Float[np.ndarray, "n 2"], width: int, height: int) -> Float[np.ndarray, "h w"]:
    """Pixels whose center lies in the convex hull of an outline."""
    try:
        sides = ConvexHull(outline).equations  # [S, 3], negative inside
    except QhullError:  # seen edge on
        return np.zeros((height, width))
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    inside = np.ones((height, width), dtype=bool)
    for a, b, c in sides:
        inside &= a * x + b * y + c <= 0
    return inside.astype(np.float64)
