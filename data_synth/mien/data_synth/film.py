"""Films of known faces: renders whose motion, person and camera are known to the last digit."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from mien.arkit import motion_from_curves
from mien.avatar import Avatar, render_frames
from mien.camera import Camera
from mien.data_synth.clip import FPS, make_clip
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performer import minimum_jerk
from mien.head import Head
from mien.identity import semantic
from mien.motion import Motion

__all__ = ["Film", "random_film"]

REST_S, EASE_S = 0.4, 0.4  # how long films begin at rest, and take to leave it
HEIGHT_M = 0.34  # what the picture holds at the face, top to bottom
CENTER_M = (0.0, -0.025, 0.0)
ADULTS = ("adult", "elder")
_SENSOR_NOISE = 3.0  # standard deviation, of 255


@dataclass(frozen=True, eq=False)
class Film:
    """A person before a camera.

    Attributes:
        avatar: The person.
        motion: What they are asked to do.
        camera: What sees them.
        seed: Of the sensor's noise.
    """

    avatar: Avatar
    motion: Motion
    camera: Camera
    seed: int = 0

    @property
    def truth(self) -> Motion:
        """What the face really does: some people move less than asked; with their identity."""
        names = Head.default().expr_names
        gains = torch.tensor([self.avatar.gains.get(name, 1.0) for name in names])
        jaw = self.avatar.gains.get("jawOpen", 1.0)
        return self.motion.replace(
            expr=self.motion.expr * gains,
            jaw_pose=self.motion.jaw_pose * jaw,
            shape=self.avatar.shape,
        )

    def frames(self, noise: float = _SENSOR_NOISE) -> Iterator[UInt8[ndarray, "h w 3"]]:
        """Draw it, sRGB, with a little sensor noise (standard deviation, of 255)."""
        rng = np.random.default_rng(self.seed)
        backdrop = tuple(rng.uniform(0.2, 0.95, 3).tolist())
        drawn = render_frames(
            self.avatar.drive(self.motion, self.camera), self.camera, backdrop, num_threads=1
        )
        for picture in drawn:
            pixels = picture.image.clamp(0, 1).numpy() * 255
            pixels = pixels + rng.normal(0, noise, pixels.shape).astype(np.float32)
            yield pixels.round().clip(0, 255).astype(np.uint8)


def random_film(
    seed: int,
    seconds: float = 4.0,
    size: int = 384,
    most_degrees: float = 30.0,
    motion: Motion | None = None,
) -> Film:
    """A random grown person seen from a random side, doing what a clip of the corpus does.

    Args:
        seed: The same film for the same seed.
        seconds: Its length, at most.
        size: Width and height of the picture, pixels.
        most_degrees: How far the camera goes around the head, to either side.
        motion: What the person does instead.
    """
    rng = np.random.default_rng(seed)
    person = semantic(
        age=float(rng.uniform(0.5, 0.95)),
        gender=float(rng.uniform()),
        weight=float(rng.uniform(0.2, 0.8)),
        race=tuple(rng.dirichlet([0.7] * 3).tolist()),
        seed=int(rng.integers(2**31)),
    )
    avatar = dataclasses.replace(Avatar.load(str(rng.choice(ADULTS))), shape=person.shape)
    yaw = math.radians(float(rng.uniform(-most_degrees, most_degrees)))
    pitch = math.radians(float(rng.uniform(-most_degrees, most_degrees))) / 3
    camera = camera_around(yaw, pitch, float(rng.uniform(14, 45)), size)
    if motion is None:
        motion = _performed(seed, seconds)
    return Film(avatar, motion, camera, seed)


def camera_around(yaw: float, pitch: float, fov_deg: float, size: int) -> Camera:
    """A camera on a sphere around the head, from where the head fills the picture; radians."""
    distance = HEIGHT_M / 2 / math.tan(math.radians(fov_deg) / 2)
    way = (math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch))
    eye = [middle + distance * part for middle, part in zip(CENTER_M, way, strict=True)]
    return Camera.look_at(eye, CENTER_M, fov_deg=fov_deg, width=size, height=size)


def _performed(seed: int, seconds: float) -> Motion:
    """What a clip of the corpus does, after a moment of rest."""
    curves = make_clip(seed, 0, Lexicon.default()).curves[: round(seconds * FPS)]
    times = np.arange(len(curves)) / FPS
    grown = minimum_jerk(((times - REST_S) / EASE_S).clip(0, 1))
    return motion_from_curves((curves * grown[:, None]).astype(np.float32), FPS)
