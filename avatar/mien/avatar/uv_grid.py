"""The texture as a grid: which triangle lies under each texel."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def rasterize_uv(
    uv_corners: Float[np.ndarray, "f 3 2"], resolution: int
) -> Int[np.ndarray, "r r"]:
    """Give the triangle at each texel's center, -1 where there is none; row is v, column is u.

    Args:
        uv_corners: Triangles in the texture, 0 to 1.
        resolution: Texels along one side.
    """
    face_map = np.full((resolution, resolution), -1, dtype=np.int32)
    scaled = uv_corners * resolution - 0.5
    low = np.clip(np.ceil(scaled.min(1)), 0, resolution).astype(int)
    high = np.clip(np.floor(scaled.max(1)), -1, resolution - 1).astype(int)
    for f in np.flatnonzero((high >= low).all(1)):
        u = np.arange(low[f, 0], high[f, 0] + 1)
        v = np.arange(low[f, 1], high[f, 1] + 1)
        grid = np.stack(np.meshgrid(u, v), -1)
        inside = (barycentric(scaled[f][None, None], grid) >= -1e-9).all(-1)
        face_map[low[f, 1] : high[f, 1] + 1, low[f, 0] : high[f, 0] + 1][inside] = f
    return face_map


def barycentric(
    triangle: Float[np.ndarray, "*n 3 2"], point: Float[np.ndarray, "*n 2"]
) -> Float[np.ndarray, "*n 3"]:
    """Barycentric coordinates of points in triangles of the plane."""
    a, b, c = triangle[..., 0, :], triangle[..., 1, :], triangle[..., 2, :]
    area = _cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-14, 1e-14, area)
    second = _cross(point - a, c - a) / area
    third = _cross(b - a, point - a) / area
    return np.stack([1.0 - second - third, second, third], -1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
