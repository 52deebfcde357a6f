"""A texture image from colored points on a head's surface, such as an avatar's Gaussians."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from mien.head import Head

__all__ = ["texture_from_points"]

_SPREAD = 1.2  # texels: how far a point's color reaches
_ENOUGH = 0.2  # of one point on a texel, to need no help from around
_RESOLUTIONS = tuple(2**power for power in range(14))


def texture_from_points(
    head: Head,
    faces: Int[NDArray[Any], " n"],
    bary: Float[NDArray[Any], "n 2"],
    colors: Float[NDArray[Any], "n 3"],
    weights: Float[NDArray[Any], " n"] | None = None,
    resolution: int = 512,
) -> UInt8[NDArray[np.uint8], "r r 3"]:
    """Blend points' colors over the texture chart, and fill what none reaches from nearby.

    Args:
        head: Has the texture chart.
        faces: Which triangle each point lies on.
        bary: Shares of the triangle's second and third corner.
        colors: sRGB in 0..1.
        weights: How much each point counts, 0 to 1; 1 if None.
        resolution: Texels along a side, a power of two.

    Returns:
        The image, first row on top (v = 1), as `write_glb` takes it.

    Raises:
        ValueError: If the head has no chart, no point has weight, or `resolution` is off.
    """
    if not len(head.uv_faces):
        raise ValueError(f"The head {head.name!r} has no texture chart.")
    if resolution not in _RESOLUTIONS:
        raise ValueError(
            f"`resolution` must be a power of two, at most {_RESOLUTIONS[-1]}, got {resolution}."
        )
    counts = np.ones(len(faces)) if weights is None else np.asarray(weights, np.float64)
    if not (counts > 0).any():
        raise ValueError(f"At least one point with a weight above 0 is needed, got {len(faces)}.")
    corners = head.uv.cpu().numpy()[head.uv_faces.cpu().numpy()[faces]]
    shares = np.concatenate([1 - bary.sum(1, keepdims=True), bary], 1)
    uv = (corners * shares[..., None]).sum(1)
    columns, rows = (np.array([0, resolution]) + np.array([1, -1]) * uv * resolution).T
    texels = _within(rows, resolution) * resolution + _within(columns, resolution)
    planes = [
        np.bincount(texels, counts * plane, resolution**2).reshape(resolution, resolution)
        for plane in (np.ones(len(faces)), *np.asarray(colors, np.float64).T)
    ]
    blurred = [gaussian_filter(plane, _SPREAD, mode="nearest") for plane in planes]
    color = _fill(np.stack(blurred, -1))
    return np.asarray(np.rint(np.clip(color, 0, 1) * 255), np.uint8)


def _within(places: NDArray[Any], resolution: int) -> NDArray[np.int64]:
    return np.asarray(np.clip(np.floor(places), 0, resolution - 1), np.int64)


def _fill(planes: Float[NDArray[np.float64], "r r 4"]) -> Float[NDArray[np.float64], "r r 3"]:
    """Divide sums of weighted colors by their weights; where these lack, ask coarser sums."""
    weight = planes[..., :1]
    color = planes[..., 1:] / np.maximum(weight, 1e-12)
    size = len(planes)
    if size == 1:
        return color
    coarse = _fill(planes.reshape(size // 2, 2, size // 2, 2, 4).sum((1, 3)))
    smooth = zoom(coarse, (2, 2, 1), order=1, mode="nearest", grid_mode=True)
    share = np.minimum(weight / _ENOUGH, 1)
    return np.asarray(share * color + (1 - share) * smooth)
