"""Points as affine combinations of mesh vertices."""

import numpy as np

from bake.makehuman import Array, Ids


def regress_point(vertices: Array, candidates: Ids, point: Array, width: float) -> Array:
    """Give weights over all vertices, summing to one, that reproduce `point` on this mesh.

    Nearby candidates count more (a Gaussian of `width` metres); the least change to these weights
    makes the result exact.
    """
    near = vertices[candidates]
    falloff = np.exp(-((near - point) ** 2).sum(1) / (2 * width**2))
    falloff /= falloff.sum()
    system = np.concatenate([near.T, np.ones((1, len(near)))])
    wanted = np.array([*point, 1.0])
    scaled = system * falloff
    fix = falloff * (system.T @ np.linalg.solve(scaled @ system.T, wanted - system @ falloff))
    row = np.zeros(len(vertices))
    row[candidates] = falloff + fix
    return row
