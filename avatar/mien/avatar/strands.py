"""Strands: hairs as chains of long, thin splats, bound to triangles that carry them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from mien.avatar.canvas import MM, Canvas
from mien.avatar.placing import surface_frame
from mien.avatar.splats import Kind, Splats

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Ribbons:
    """Straight pieces of hair in space.

    Attributes:
        centers: Middles, millimetres.
        along: From middle to end, millimetres.
        outward: Which way the flat side faces; need not be unit or exactly across.
        width: Half width, millimetres.
        color: sRGB.
        opacity: 0 to 1.
        occlusion: Light that reaches it, 0 to 1.
        gloss: Strength of its highlight, 0 to 1.
    """

    centers: Float[Array, "n 3"]
    along: Float[Array, "n 3"]
    outward: Float[Array, "n 3"]
    width: Float[Array, " n"]
    color: Float[Array, "n 3"]
    opacity: Float[Array, " n"]
    occlusion: Float[Array, " n"]
    gloss: Float[Array, " n"]


def bind_ribbons(
    kind: Kind,
    ribbons: Ribbons,
    canvas: Canvas,
    carriers: Int[Array, " c"],
    roots: Float[Array, "n 3"] | None = None,
    overlap: float = 0.92,
) -> Splats:
    """Hang ribbons on the nearest of the triangles `carriers`.

    Args:
        kind: HAIR or BRISTLE.
        ribbons: In the canvas's space.
        canvas: Its vertices are where the ribbons were made.
        carriers: Triangles that may carry them.
        roots: Nearest to what; None takes the ribbons' own centers.
        overlap: Standard deviation over half the length of a piece.
    """
    tree = cKDTree(canvas.centroids()[carriers])
    faces = torch.from_numpy(carriers[tree.query(ribbons.centers if roots is None else roots)[1]])
    count = len(faces)
    bary = torch.full((count, 2), 1 / 3, dtype=torch.float64)
    frame = surface_frame(
        faces,
        bary,
        torch.from_numpy(canvas.vertices) * MM,
        torch.from_numpy(canvas.normals),
        torch.from_numpy(canvas.faces),
    )
    across = np.cross(ribbons.outward, ribbons.along)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)

    def local(vectors: Array) -> torch.Tensor:
        return frame.from_world(torch.from_numpy(vectors) * MM).float()

    def column(values: Array) -> torch.Tensor:
        return torch.from_numpy(np.clip(values, 0.0, 1.0)).float()

    return Splats(
        kinds=torch.full((count,), int(kind), dtype=torch.uint8),
        faces=faces,
        bary=bary.float(),
        offset=frame.from_world(torch.from_numpy(ribbons.centers) * MM - frame.origin).float(),
        long_axis=local(ribbons.along * overlap),
        wide_axis=local(across * ribbons.width[:, None]),
        thickness=torch.from_numpy(ribbons.width * 0.5 * MM).float(),
        albedo=column(ribbons.color),
        opacity=column(ribbons.opacity),
        occlusion=column(ribbons.occlusion),
        key_light=column(ribbons.occlusion),
        gloss=column(ribbons.gloss),
        bump=torch.zeros(count, 2),
    )
