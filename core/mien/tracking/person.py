"""Whose face it is: identity and what identity cannot say, in the landmarks' own places."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from mien.head import Head
from mien.point_basis import NUM_POSE, PointBasis
from mien.tracking.landmark_points import LandmarkPoints

__all__ = ["Person"]


@dataclass(frozen=True, eq=False)
class Person:
    """A person as the landmarks see them.

    Attributes:
        shape: Identity coefficients of the default head.
        offset: Where the landmarks lie besides, in the head's own frame, interpupillary distances.
    """

    shape: Float[Tensor, " s"]
    offset: Float[Tensor, "478 3"]

    @staticmethod
    def average() -> "Person":
        """Give the mean of random people."""
        points = LandmarkPoints.shipped()
        offset = torch.zeros(len(points.spread), 3)
        return Person(points.shape_mean, offset)

    @cached_property
    def neutral(self) -> Float[Tensor, "478 3"]:
        """The landmarks of the resting face, interpupillary distances."""
        head = Head.default()
        resting = LandmarkPoints.shipped().gather(head.identity(self.shape))
        return resting / float(head.interpupillary(self.shape)) + self.offset

    @cached_property
    def basis(self) -> PointBasis:
        """How the landmarks move."""
        return PointBasis(LandmarkPoints.shipped().on_head(), self.shape, self.offset)

    @cached_property
    def normals(self) -> Float[Tensor, "478 3"]:
        """Which way the skin looks at each landmark of the resting face, unit length."""
        head = Head.default()
        vertices = head.identity(self.shape)
        corners = vertices[head.faces]
        across = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        summed = torch.zeros_like(vertices)
        for corner in range(3):
            summed.index_add_(0, head.faces[:, corner], across)
        return torch.nn.functional.normalize(LandmarkPoints.shipped().gather(summed), dim=-1)

    @cached_property
    def by_unit(self) -> Float[Tensor, "478 3 43"]:
        """What each unit adds to the resting landmarks, interpupillary distances."""
        count = len(Head.default().expr_names)
        units = torch.eye(count, count + NUM_POSE)
        return self.basis.evaluate(units).permute(1, 2, 0).contiguous()

    @cached_property
    def carried(self) -> Float[Tensor, "478 3"]:
        """How much jaw, left eye and right eye carry each landmark, 0 to 1."""
        return LandmarkPoints.shipped().gather(Head.default().lbs_weights[:, 2:])
