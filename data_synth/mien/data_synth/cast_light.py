"""The main light on a posed face: which splats it reaches past nose, brow, lips and hair.

The painting bakes this for the face at rest and one direction; here it is found anew for any
expression and direction by depth maps of the mesh, seen from all over a wide lamp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mien.avatar.visibility import cone
from mien.jit import kernel

__all__ = ["Lamp", "lit_share"]

Array = np.ndarray

CELL_M = 0.0034
SIDE = 120  # cells across; a head with its shoulders in the light's view
_LIFT_M = 0.0015
_BIAS_M = 0.0025


@dataclass(frozen=True)
class Lamp:
    """A round, wide light far away.

    Attributes:
        direction: To its middle, world frame.
        spread_deg: Half its width as seen from the head.
        samples: Places on it that are looked from.
    """

    direction: tuple[float, float, float]
    spread_deg: float = 14.0
    samples: int = 8


@kernel("void(f4[:,::1], i8[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,:,::1], f4, f4)")
def draw_depths(
    vertices: Any, faces: Any, extra: Any, rights: Any, ups: Any, maps: Any, cell: Any, half: Any
) -> None:
    """Draws how near the mesh, and extra points, come to the lamp from each of its places."""
    side = maps.shape[1]
    flat = np.empty((len(vertices), 3), np.float32)
    for k in range(len(rights)):
        rx, ry, rz = rights[k, 0], rights[k, 1], rights[k, 2]
        ux, uy, uz = ups[k, 0], ups[k, 1], ups[k, 2]
        dx, dy, dz = ry * uz - rz * uy, rz * ux - rx * uz, rx * uy - ry * ux
        grid = maps[k]
        for i in range(side):
            for j in range(side):
                grid[i, j] = np.float32(-1e9)
        for v in range(len(vertices)):
            x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
            flat[v, 0] = (x * rx + y * ry + z * rz + half) / cell
            flat[v, 1] = (x * ux + y * uy + z * uz + half) / cell
            flat[v, 2] = x * dx + y * dy + z * dz
        for f in range(len(faces)):
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            ax, ay, bx, by = flat[a, 0], flat[a, 1], flat[b, 0], flat[b, 1]
            cx, cy = flat[c, 0], flat[c, 1]
            area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            if abs(area) < np.float32(1e-9):
                continue
            low_i = max(int(np.floor(min(ax, bx, cx))), 0)
            high_i = min(int(np.ceil(max(ax, bx, cx))), side - 1)
            low_j = max(int(np.floor(min(ay, by, cy))), 0)
            high_j = min(int(np.ceil(max(ay, by, cy))), side - 1)
            for i in range(low_i, high_i + 1):
                for j in range(low_j, high_j + 1):
                    x, y = np.float32(i) + np.float32(0.5), np.float32(j) + np.float32(0.5)
                    w1 = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
                    w2 = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
                    w0 = np.float32(1.0) - w1 - w2
                    if w0 < np.float32(-1e-3) or w1 < np.float32(-1e-3) or w2 < np.float32(-1e-3):
                        continue
                    near = w0 * flat[a, 2] + w1 * flat[b, 2] + w2 * flat[c, 2]
                    grid[i, j] = max(grid[i, j], near)
        for p in range(len(extra)):
            x, y, z = extra[p, 0], extra[p, 1], extra[p, 2]
            i = int((x * rx + y * ry + z * rz + half) / cell)
            j = int((x * ux + y * uy + z * uz + half) / cell)
            if 0 <= i < side and 0 <= j < side:
                near = x * dx + y * dy + z * dz - np.float32(0.002)
                grid[i, j] = max(grid[i, j], near)


@kernel("void(f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,:,::1], f4, f4, f4, f4, f4[::1])")
def read_depths(
    points: Any, normals: Any, rights: Any, ups: Any, maps: Any, cell: Any, half: Any, lift: Any,
    bias: Any, lit: Any,
) -> None:  # fmt: skip
    """Reads for each point from which share of the places it is seen, between cells smoothly."""
    side, one = maps.shape[1], np.float32(1.0)
    for p in range(len(points)):
        nx, ny, nz = normals[p, 0], normals[p, 1], normals[p, 2]
        x, y, z = points[p, 0] + lift * nx, points[p, 1] + lift * ny, points[p, 2] + lift * nz
        total = np.float32(0.0)
        for k in range(len(rights)):
            rx, ry, rz = rights[k, 0], rights[k, 1], rights[k, 2]
            ux, uy, uz = ups[k, 0], ups[k, 1], ups[k, 2]
            dx, dy, dz = ry * uz - rz * uy, rz * ux - rx * uz, rx * uy - ry * ux
            cosine = max(abs(nx * dx + ny * dy + nz * dz), np.float32(0.15))
            slope = np.sqrt(max(one - cosine * cosine, np.float32(0.0))) / cosine
            own = x * dx + y * dy + z * dz + bias + np.float32(0.7) * cell * slope
            u = (x * rx + y * ry + z * rz + half) / cell - np.float32(0.5)
            v = (x * ux + y * uy + z * uz + half) / cell - np.float32(0.5)
            i, j = int(np.floor(u)), int(np.floor(v))
            if i < 0 or j < 0 or i + 1 >= side or j + 1 >= side:
                total += one
                continue
            fu, fv = u - np.float32(i), v - np.float32(j)
            grid = maps[k]
            if own >= grid[i, j]:
                total += (one - fu) * (one - fv)
            if own >= grid[i + 1, j]:
                total += fu * (one - fv)
            if own >= grid[i, j + 1]:
                total += (one - fu) * fv
            if own >= grid[i + 1, j + 1]:
                total += fu * fv
        lit[p] = total / np.float32(len(rights))


def lit_share(
    lamp: Lamp,
    vertices: Float[Array, "v 3"],
    faces: Int[Array, "f 3"],
    points: Float[Array, "n 3"],
    normals: Float[Array, "n 3"],
    extra: Float[Array, "m 3"],
) -> Float[Array, " n"]:
    """Share of the lamp that each point sees, 0 to 1.

    Args:
        lamp: The light.
        vertices: Posed mesh, metres.
        faces: Its triangles that cast shadows.
        points: Where light is asked for, metres.
        normals: There, unit length.
        extra: Points that cast shadows too, such as hair, metres.
    """
    ways = cone(np.array(lamp.direction), lamp.spread_deg, lamp.samples)
    helper = np.array([0.0, 1.0, 0.0]) if abs(ways[0, 1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    rights = np.cross(helper, ways)
    rights /= np.linalg.norm(rights, axis=-1, keepdims=True)
    ups = np.cross(ways, rights)
    center = vertices.mean(0)
    maps = np.empty((lamp.samples, SIDE, SIDE), np.float32)
    axes = _plain(rights), _plain(ups)
    half = np.float32(SIDE * CELL_M / 2)
    cell = np.float32(CELL_M)
    mesh = _plain(vertices - center), np.ascontiguousarray(faces, np.int64)
    draw_depths(*mesh, _plain(extra - center), *axes, maps, cell, half)
    lit = np.empty(len(points), np.float32)
    places = _plain(points - center), _plain(normals)
    read_depths(*places, *axes, maps, cell, half, np.float32(_LIFT_M), np.float32(_BIAS_M), lit)
    return lit


def _plain(array: Array) -> Array:
    return np.ascontiguousarray(array, np.float32)
