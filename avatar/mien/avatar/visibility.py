"""How much light reaches a point of the head at rest: occlusion and soft shadows, baked once.

From many directions the head is drawn as a coarse depth map of points; a point is lit from there
if nothing stands before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Occluders:
    """Points dense enough to stand for a surface.

    Attributes:
        points: Positions, millimetres.
        cell: Width of a depth map's cell, at least the points' distance, millimetres.
        bias: How far behind the front a point may lie and still count as front, millimetres.
    """

    points: Float[Array, "m 3"]
    cell: float = 2.2
    bias: float = 3.0

    def visible(
        self,
        points: Float[Array, "n 3"],
        normals: Float[Array, "n 3"],
        direction: Float[Array, 3],
    ) -> Float[Array, " n"]:
        """1 for points that see out along `direction`, else 0; slopes get more bias."""
        right, up = _basis(direction)
        low = np.array([(self.points @ right).min(), (self.points @ up).min()])
        own = self._cells(self.points, right, up, low)
        width, height = own.max(0) + 1
        front = np.full(width * height, -np.inf)
        np.maximum.at(front, own[:, 0] * height + own[:, 1], self.points @ direction)
        asked = self._cells(points, right, up, low)
        inside = (asked >= 0).all(1) & (asked < [width, height]).all(1)
        asked = np.clip(asked, 0, [width - 1, height - 1])
        depth = front[asked[:, 0] * height + asked[:, 1]]
        cosine = np.maximum(np.abs(normals @ direction), 0.12)
        bias = self.bias + self.cell * np.sqrt(1 - cosine**2) / cosine
        shows = np.where(inside, points @ direction + bias >= depth, True)
        return np.asarray(shows, dtype=np.float64)

    def _cells(self, points: Array, right: Array, up: Array, low: Array) -> Array:
        flat = np.stack([points @ right, points @ up], -1)
        return np.asarray(np.floor((flat - low) / self.cell).astype(int))

    def openness(
        self, points: Float[Array, "n 3"], normals: Float[Array, "n 3"], directions: int = 96
    ) -> Float[Array, " n"]:
        """Share of the surrounding light that arrives, weighted by its angle, 0 to 1."""
        lifted = points + 1.5 * normals
        arrived, possible = np.zeros(len(points)), np.zeros(len(points))
        for direction in sphere(directions):
            weight = np.maximum(normals @ direction, 0.0)
            arrived += weight * self.visible(lifted, normals, direction)
            possible += weight
        return np.asarray(arrived / np.maximum(possible, 1e-9))

    def key_light(
        self,
        points: Float[Array, "n 3"],
        normals: Float[Array, "n 3"],
        direction: Float[Array, 3],
        spread_deg: float = 16.0,
        samples: int = 32,
    ) -> Float[Array, " n"]:
        """Share of a round, wide light that is not shadowed, 0 to 1."""
        lifted = points + 1.5 * normals
        total = np.zeros(len(points))
        for way in cone(direction, spread_deg, samples):
            total += self.visible(lifted, normals, way)
        return total / samples


def sphere(count: int) -> Float[Array, "n 3"]:
    """Evenly spread directions (Fibonacci's spiral)."""
    index = np.arange(count) + 0.5
    z = 1.0 - 2.0 * index / count
    angle = np.pi * (1.0 + 5.0**0.5) * index
    ring = np.sqrt(1.0 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], -1)


def cone(direction: Float[Array, 3], spread_deg: float, count: int) -> Float[Array, "n 3"]:
    """Directions spread evenly over a cone of half angle `spread_deg`."""
    axis = np.asarray(direction, float) / np.linalg.norm(direction)
    right, up = _basis(axis)
    index = np.arange(count) + 0.5
    radius = np.tan(np.deg2rad(spread_deg)) * np.sqrt(index / count)
    angle = np.pi * (1.0 + 5.0**0.5) * index
    ways = (
        axis + (radius * np.cos(angle))[:, None] * right + (radius * np.sin(angle))[:, None] * up
    )
    return np.asarray(ways / np.linalg.norm(ways, axis=-1, keepdims=True))


def _basis(direction: Array) -> tuple[Array, Array]:
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    return right, np.cross(direction, right)
