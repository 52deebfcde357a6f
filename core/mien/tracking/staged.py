"""A landmarker that needs no picture: it reports the landmarks of a motion that is known.

For tests, and to tell the solver's errors from the landmarker's.
"""

from collections.abc import Collection

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from mien.arkit import ARKIT_NAMES, curves_from_motion
from mien.head import Head
from mien.motion import Motion
from mien.tracking.landmark_points import LandmarkPoints
from mien.tracking.landmarker import Face

__all__ = ["StagedLandmarker"]

_DEFAULT_SIZE = 100.0


class StagedLandmarker:
    """See `FaceLandmarker`.

    Args:
        motion: What the face does, of the default head, with its identity if it has one.
        pixels: An interpupillary distance in the picture.
        center: Where the head's origin lies, pixels.
        noise: Standard deviation of the landmarks, pixels.
        lost: Frames in which there is no face.
        others: How many smaller faces are beside it.
    """

    def __init__(
        self,
        motion: Motion,
        pixels: float = _DEFAULT_SIZE,
        center: tuple[float, float] = (256.0, 256.0),
        noise: float = 0.0,
        lost: Collection[int] = (),
        others: int = 0,
    ) -> None:
        self.fps, self.pixels, self.center = motion.fps, pixels, np.array([*center, 0.0])
        self.noise, self.lost, self.others = noise, set(lost), others
        self.points = self._points(motion)
        self.scores = curves_from_motion(motion)[:, : len(ARKIT_NAMES)].double().numpy()
        self.turns = motion.head_rotmat().double().numpy()
        self.rng = np.random.default_rng(0)

    @staticmethod
    @torch.no_grad()
    def _points(motion: Motion) -> Float[ndarray, "t 478 3"]:
        vertices: Tensor = Head.default().vertices(motion)
        flip = np.array([1.0, -1.0, -1.0])
        marks = LandmarkPoints.shipped().gather(vertices).double().numpy() * flip
        found: Float[ndarray, "t 478 3"] = marks / Head.default().ipd
        return found

    def find(self, frame: UInt8[ndarray, "h w 3"], time_s: float) -> list[Face]:
        """The face at that time; the pixels are not looked at."""
        index = round(time_s * self.fps)
        if index in self.lost or index >= len(self.points):
            return []
        beside = [self._face(index, 0.5, 300.0 * (each + 1)) for each in range(self.others)]
        return [*beside, self._face(index, 1.0, 0.0)]

    def _face(self, index: int, size: float, aside: float) -> Face:
        marks = self.points[index] * self.pixels * size + self.center + (aside, 0.0, 0.0)
        marks = marks + self.rng.normal(0, self.noise, marks.shape) if self.noise else marks
        return Face(marks, self.scores[index], self.turns[index])
