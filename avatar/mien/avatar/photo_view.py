"""What a posed picture shows at points of the head: color, and how well it is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Tensor

from mien.avatar.noise import smoothstep
from mien.avatar.pictures import PosedPicture
from mien.avatar.visibility import Occluders

Array = np.ndarray

_EDGE_ON, _FACING = 0.25, 0.75  # cosines between which a surface comes into view
_CELL_MM, _BIAS_MM = 3.2, 4.0
_BLUR = 0.35  # of the points' distance in the picture


@dataclass(frozen=True, eq=False)
class PhotoView:
    """Points of the head in a picture.

    Attributes:
        pixels: Where they lie, pixels.
        inside: Whether that is in the picture.
        colors: What the picture shows there, sRGB.
        mask: The picture's mask there.
        seen: 0 where the head hides the point or it is turned away, 1 where it faces the camera.
    """

    pixels: Float[Array, "n 2"]
    inside: Bool[Array, " n"]
    colors: Float[Array, "n 3"]
    mask: Float[Array, " n"]
    seen: Float[Array, " n"]

    @classmethod
    def of(
        cls,
        picture: PosedPicture,
        points: Float[Tensor, "n 3"],
        normals: Float[Tensor, "n 3"],
        occluders: Float[Tensor, "m 3"],
        spacing_m: float = 0.0,
    ) -> PhotoView:
        """Look at points.

        Args:
            picture: With the camera.
            points: In the world that the picture's motion moves the head in, metres.
            normals: Outward, unit length.
            occluders: Points dense enough to stand for what may hide others.
            spacing_m: Between the points; what is finer is smoothed away before it is read.
        """
        camera = picture.camera
        rotmat, shift = (part.double() for part in (camera.viewmat[:3, :3], camera.viewmat[:3, 3]))
        there = points.double() @ rotmat.T + shift
        depth = there[:, 2].clamp(min=1e-3)
        K = camera.K.double()
        pixels = (there[:, :2] / depth[:, None] * K[[0, 1], [0, 1]] + K[:2, 2]).numpy()
        inside = np.all((pixels > 0) & (pixels < [camera.width, camera.height]), axis=1)
        toward = -torch.nn.functional.normalize(there, dim=-1)
        facing = ((normals.double() @ rotmat.T) * toward).sum(-1).numpy()
        hidden_by = occluders.double() @ rotmat.T + shift
        shows = _unhidden(there, normals.double() @ rotmat.T, hidden_by)
        sigma = _BLUR * spacing_m * float(K[0, 0] / depth.median())
        planes = [
            *picture.image.double().numpy().transpose(2, 0, 1),
            picture.mask.double().numpy(),
        ]
        read = np.stack([_read(plane, pixels, sigma) for plane in planes], -1)
        seen = smoothstep(_EDGE_ON, _FACING, facing) * shows * inside
        return cls(pixels, inside, read[:, :3], read[:, 3] * inside, seen)


def _unhidden(points: Tensor, normals: Tensor, occluders: Tensor) -> Float[Array, " n"]:
    """1 for points that nothing hides from a camera at the origin, else 0."""
    middle = float(occluders[:, 2].mean())
    flat, before = (_parallel(each, middle) for each in (points, occluders))
    toward = np.array([0.0, 0.0, -1.0])
    return Occluders(before, _CELL_MM, _BIAS_MM).visible(flat, normals.numpy(), toward)


def _parallel(points: Float[Tensor, "n 3"], middle: float) -> Float[Array, "n 3"]:
    """Points where their lines of sight meet, moved to where these are parallel; millimetres."""
    depth = points[:, 2:].clamp(min=1e-3)
    return torch.cat([points[:, :2] * middle / depth, points[:, 2:]], -1).numpy() * 1e3


def _read(plane: Float[Array, "h w"], pixels: Float[Array, "n 2"], sigma: float) -> Array:
    smooth = gaussian_filter(plane, sigma) if sigma > 0.1 else plane
    return np.asarray(map_coordinates(smooth, pixels.T[::-1] - 0.5, order=1, mode="nearest"))
