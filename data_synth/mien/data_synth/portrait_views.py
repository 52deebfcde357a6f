"""Where portraits are taken from and what is behind the sitter."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from mien.camera import Camera
from mien.data_synth.portrait_people import Subset
from mien.identity import Identity

__all__ = ["MAX_PITCH_DEG", "MAX_YAW_DEG", "backdrop", "sample_cameras"]

MAX_YAW_DEG, MAX_PITCH_DEG = 60.0, 30.0
_ONE_YAW_DEG, _ONE_PITCH_DEG = 22.0, 10.0  # where a single camera stands
_FOV_DEG = (12.0, 26.0)
_HEIGHT_M = 0.335  # what the picture holds at an adult's head, top to bottom
_SHARES = (0.92, 1.08)  # of that
_SHORT = 0.6  # how much of an infant's smallness shows in its own eye distances
_CENTER_M = (0.0, -0.030, -0.045)
_JITTER_M = 0.010


def sample_cameras(
    seed: tuple[int, ...], subset: Subset, count: int, size: int, identity: Identity
) -> list[Camera]:
    """Give the cameras of one instant, the same for the same seed.

    Many views spread evenly over the yaws, at all pitches. A single camera stands before the
    face and hardly moves from one instant to the next; the last number of `seed` tells instants
    apart, the others people.
    """
    rng, person = np.random.default_rng([*seed, 0xCA]), np.random.default_rng([*seed[:-1], 0xCA])
    fov, tall = person.uniform(*_FOV_DEG), person.uniform(*_SHARES) * _tallness(identity)
    if subset == "one_view":
        yaw = math.radians(person.uniform(-_ONE_YAW_DEG, _ONE_YAW_DEG) + rng.uniform(-2, 2))
        pitch = math.radians(person.uniform(-_ONE_PITCH_DEG, _ONE_PITCH_DEG) + rng.uniform(-1, 1))
        return [_camera(rng, yaw, pitch, fov, tall, size)]
    shares = (rng.permutation(count) + rng.uniform(size=count)) / count
    yaws = np.radians(MAX_YAW_DEG) * (2 * shares - 1)
    pitches = np.radians(MAX_PITCH_DEG) * rng.uniform(-1, 1, count)
    return [
        _camera(rng, float(yaw), float(pitch), fov, tall, size)
        for yaw, pitch in zip(yaws, pitches, strict=True)
    ]


def _tallness(identity: Identity) -> float:
    """A head's height against the mean adult's, both in their own eye distances."""
    return 1.0 - _SHORT * max(0.0, 1.0 - identity.scale)


def _camera(
    rng: np.random.Generator, yaw: float, pitch: float, fov: float, tall: float, size: int
) -> Camera:
    middle = [tall * c + _JITTER_M * float(rng.uniform(-1, 1)) for c in _CENTER_M]
    distance = tall * _HEIGHT_M / 2 / math.tan(math.radians(fov) / 2)
    way = (
        math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)
    )  # fmt: skip
    eye = [c + distance * w for c, w in zip(middle, way, strict=True)]
    roll = math.radians(2.0) * float(rng.normal())
    up = (math.sin(roll), math.cos(roll), 0.0)
    return Camera.look_at(eye, middle, up, fov_deg=fov, width=size, height=size)


def backdrop(seed: tuple[int, ...], size: int) -> Float[torch.Tensor, "h w 3"]:
    """Give what is behind: one color, a gradient, or something out of focus; sRGB, 0 to 1."""
    rng = np.random.default_rng([*seed, 0xBD])
    kind, base = rng.uniform(), rng.uniform(0.05, 0.9) + 0.07 * rng.normal(size=3)
    if kind < 0.3:
        cells = np.broadcast_to(base, (1, 1, 3))
    elif kind < 0.6:
        cells = base + rng.normal(size=(2, 2, 1)) * 0.14 + rng.normal(size=(2, 2, 3)) * 0.04
    else:
        many = int(rng.integers(3, 9))
        cells = base + rng.normal(size=(many, many, 1)) * 0.16
        cells = cells + rng.normal(size=(many, many, 3)) * 0.06
    small = np.clip(cells * 255, 0, 255).astype(np.uint8)
    wide = Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(wide)).float() / 255
