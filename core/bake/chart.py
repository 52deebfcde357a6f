"""One texture of our own: every part an island, the face enlarged where it speaks.

The face is unrolled inside a rounded rectangle by a convex-boundary embedding (no triangle can
flip or overlap), its weights adapted until areas follow an importance map. The rest are
small islands.

Source:
    Tutte 1963; the adapted weights follow Yoshizawa, Belyaev, Seidel (2004), "A fast and simple
    stretch-minimizing mesh parameterization".
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import spsolve

from bake.makehuman import Array, Ids

SQUARENESS = 6.0  # exponent of the rounded rectangle
ITERATIONS = 60
STEP = 0.35  # how strongly one iteration adapts the weights


@dataclass(frozen=True)
class Box:
    """A rectangle of the texture: left, bottom, width, height, in [0, 1]."""

    left: float
    bottom: float
    width: float
    height: float

    def place(self, unit: Array) -> Array:
        """Map `[N, 2]` in [0, 1] into the box."""
        return np.asarray([self.left, self.bottom] + unit * np.array([self.width, self.height]))


def boundary_loops(faces: Ids) -> list[Ids]:
    """Give the boundary loops of an oriented triangle mesh, longest first."""
    edges = {(int(a), int(b)) for f in faces for a, b in zip(f, np.roll(f, -1), strict=True)}
    following = {a: b for a, b in edges if (b, a) not in edges}
    loops = []
    while following:
        start, current = next(iter(following.items()))
        loop = [start]
        del following[start]
        while current != start:
            loop.append(current)
            current = following.pop(current)
        loops.append(np.array(loop))
    return sorted(loops, key=len, reverse=True)


def rounded_rectangle(angles: Array) -> Array:
    """Give points of a superellipse in [0, 1] x [0, 1]; angles run clockwise from the top."""
    direction = np.stack([np.sin(angles), np.cos(angles)], 1)
    radius = (np.abs(direction) ** SQUARENESS).sum(1) ** (-1 / SQUARENESS)
    return np.asarray(0.5 + 0.5 * direction * radius[:, None])


def boundary_angles(loop_points: Array, top: int, importance: Array) -> Array:
    """Spread a loop round the rectangle by length times importance, vertex `top` at the top.

    Perimeter, not angle, is shared out, so corners are not crowded.
    """
    steps = np.linalg.norm(np.roll(loop_points, -1, 0) - loop_points, axis=1)
    steps = steps * np.sqrt((importance + np.roll(importance, -1)) / 2)
    share = np.concatenate([[0], np.cumsum(steps)[:-1]]) / steps.sum()
    share = (share - share[top]) % 1.0
    fine = np.linspace(0, 2 * np.pi, 20001)
    outline = rounded_rectangle(fine)
    run = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(outline, axis=0), axis=1))])
    return np.asarray(np.interp(share, run / run[-1], fine))


def embed(
    points: Array, faces: Ids, importance: Array, boundary: Ids, boundary_uv: Array, aspect: float
) -> Array:
    """Embed a disc with its boundary fixed, areas following 3-D area times importance.

    Args:
        points: `[N, 3]`.
        faces: `[F, 3]`; holes are closed inside with a fan each.
        importance: `[N]`, wanted area factor.
        boundary: Ids of the outer boundary.
        boundary_uv: `[B, 2]`, on a convex outline.
        aspect: Width over height of the box it will be placed in.

    Returns:
        `[N, 2]` in [0, 1].
    """
    count = len(points)
    points, faces, importance = _close_holes(points, faces, importance)
    start = np.concatenate([faces[:, k] for k in (0, 1, 2, 1, 2, 0)])
    end = np.concatenate([faces[:, k] for k in (1, 2, 0, 0, 1, 2)])
    pairs = np.unique(np.stack([start, end], 1), axis=0)
    weights = 1 / np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    wanted = _areas(points, faces) * importance[faces].mean(1)
    wanted /= wanted.sum()
    best, best_spread = np.zeros((0, 2)), np.inf
    for _ in range(ITERATIONS):
        uv = _solve(len(points), pairs, weights, boundary, boundary_uv)
        flat = _areas(np.pad(uv * [aspect, 1], ((0, 0), (0, 1))), faces)
        ratio = np.log(wanted / np.maximum(flat / flat.sum(), 1e-12))
        spread = float(np.average(ratio**2, weights=wanted))
        if spread < best_spread:
            best, best_spread = uv, spread
        stretch = np.zeros(len(points))
        total = np.zeros(len(points))
        for k in range(3):
            np.add.at(stretch, faces[:, k], ratio * wanted)
            np.add.at(total, faces[:, k], wanted)
        factor = np.exp(np.clip(stretch / total, -3, 3) * STEP)
        weights = weights / factor[pairs[:, 1]]
    return best[:count]


def _close_holes(points: Array, faces: Ids, importance: Array) -> tuple[Array, Ids, Array]:
    for loop in boundary_loops(faces)[1:]:
        middle = len(points)
        points = np.concatenate([points, points[loop].mean(0, keepdims=True)])
        importance = np.append(importance, 0.05 * importance[loop].mean())
        fan = np.stack([np.roll(loop, -1), loop, np.full(len(loop), middle)], 1)
        faces = np.concatenate([faces, fan])
    return points, faces, importance


def _areas(points: Array, faces: Ids) -> Array:
    a, b, c = (points[faces[:, k]] for k in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


def _solve(count: int, pairs: Ids, weights: Array, boundary: Ids, boundary_uv: Array) -> Array:
    """Place each inner vertex at the weighted mean of its neighbors."""
    total = np.bincount(pairs[:, 0], weights, count)
    inner = np.setdiff1d(np.arange(count), boundary)
    matrix = csr_matrix((weights / total[pairs[:, 0]], (pairs[:, 0], pairs[:, 1])), (count, count))
    uv = np.zeros((count, 2))
    uv[boundary] = boundary_uv
    left = identity(len(inner), format="csc") - matrix[inner][:, inner]
    uv[inner] = spsolve(left.tocsc(), matrix[inner] @ uv)
    return uv


def sphere_chart(points: Array) -> Array:
    """Unroll a sphere from its front (+Z) to a disc in [0, 1]; the back pole is the rim."""
    direction = points / np.linalg.norm(points, axis=1, keepdims=True)
    polar = np.arccos(np.clip(direction[:, 2], -1, 1)) / np.pi
    flat = direction[:, :2] / np.maximum(
        np.linalg.norm(direction[:, :2], axis=1, keepdims=True), 1e-9
    )
    radius = np.sqrt(polar / polar.max())  # the iris gets a third of the radius
    return np.asarray(0.5 + 0.5 * flat * radius[:, None])


def fit_box(uv: Array) -> Array:
    """Stretch an island to fill [0, 1] x [0, 1]."""
    low, high = uv.min(0), uv.max(0)
    return np.asarray((uv - low) / (high - low))


def grid_cells(box: Box, columns: int, rows: int, margin: float) -> Iterable[Box]:
    """Divide a box into cells with a margin (a share of the cell), row by row."""
    width, height = box.width / columns, box.height / rows
    for row in range(rows):
        for column in range(columns):
            yield Box(
                box.left + (column + margin) * width,
                box.bottom + (row + margin) * height,
                width * (1 - 2 * margin),
                height * (1 - 2 * margin),
            )
