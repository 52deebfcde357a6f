"""What the tokenizer sees of a face, and what it is measured on.

A frame is the region-weighted displacement of the K face points (geometry) or the head's own
coefficients (the twin for comparisons), plus the head's rotation as rot6d.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.head import Head
from mien.motion import Motion
from mien.rotations import rotmat_to_rot6d, rotvec_to_rotmat
from mien.tokenizer.fast_points import FastPoints

Kind = Literal["geometry", "coefficients"]
PointFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


class HeadFrames(NamedTuple):
    """Head parameters of frames; `rotation` is world_from_head."""

    expr: Float[Tensor, "*b e"]
    jaw_pose: Float[Tensor, "*b 3"]
    eye_pose: Float[Tensor, "*b 6"]
    rotation: Float[Tensor, "*b 3 3"]

    def coefficients(self) -> Float[Tensor, "*b c"]:
        """Give expression, jaw and eyes side by side."""
        return torch.cat([self.expr, self.jaw_pose, self.eye_pose], dim=-1)


@dataclass(frozen=True, eq=False)
class FaceSpace:
    """The face points of one head: how to get them and how much each counts.

    Attributes:
        points: (expr, jaw_pose, eye_pose) -> displacements [..., K, 3] from the neutral face in
            the head's frame, in units of the interpupillary distance.
        weights: [K] loss weights, mean one.
        regions: Point ids by region name.
        ipd_mm: Interpupillary distance of the adult, mm.
        num_expr: Expression coefficients E.
    """

    points: PointFunction
    weights: Float[Tensor, " k"]
    regions: Mapping[str, Tensor]
    ipd_mm: float
    num_expr: int

    @staticmethod
    def default() -> "FaceSpace":
        """Give the face space of the shipped head."""
        head = Head.default()
        points = head.require_points()
        return FaceSpace(
            points=FastPoints(head.point_model()),
            weights=points.loss_weights.float(),
            regions=points.regions,
            ipd_mm=1000.0 * head.ipd,
            num_expr=head.num_expr,
        )

    def to(self, device: torch.device) -> "FaceSpace":
        """Copy to a device."""
        points = self.points
        if isinstance(points, nn.Module):
            points = copy.deepcopy(points).to(device)
        return replace(
            self,
            points=points,
            weights=self.weights.to(device),
            regions={name: ids.to(device) for name, ids in self.regions.items()},
        )

    @property
    def num_points(self) -> int:
        """How many points K."""
        return len(self.weights)

    def displacements(self, frames: HeadFrames) -> Float[Tensor, "*b k 3"]:
        """Give the displacement of each point from the neutral face, IPD units."""
        return self.points(frames.expr, frames.jaw_pose, frames.eye_pose)

    def region(self, prefix: str) -> Tensor:
        """Give the ids of the points whose region's name starts with `prefix`."""
        ids = [ids for name, ids in self.regions.items() if name.startswith(prefix)]
        if not ids:
            raise ValueError(f"No region starts with {prefix!r}; there are {list(self.regions)}.")
        joined: Tensor = torch.unique(torch.cat(ids))
        return joined


def frames_of(motion: Motion) -> HeadFrames:
    """Read the head parameters of a motion; translation and identity are left out."""
    rotation = rotvec_to_rotmat(motion.global_pose) @ rotvec_to_rotmat(motion.neck_pose)
    return HeadFrames(motion.expr, motion.jaw_pose, motion.eye_pose, rotation)


def feature_size(kind: Kind, num_points: int, num_expr: int) -> int:
    """Give the number of features of a frame before the six of the head's rotation."""
    return 3 * num_points if kind == "geometry" else num_expr + 9


def features_of(frames: HeadFrames, space: FaceSpace, kind: Kind) -> Float[Tensor, "*b f"]:
    """Give the features of frames: 3 K weighted displacements (or E + 9 coefficients) and rot6d.

    A point's displacement is multiplied by the square root of its loss weight, so that squared
    distances between features are weighted as the loss is.
    """
    if kind == "geometry":
        moved = space.displacements(frames) * space.weights.to(frames.expr)[:, None].sqrt()
        face = moved.flatten(-2)
    else:
        face = frames.coefficients()
    return torch.cat([face, rotmat_to_rot6d(frames.rotation)], dim=-1)


def motion_features(
    motion: Motion, space: FaceSpace, kind: Kind = "geometry"
) -> Float[Tensor, "t f"]:
    """Give the features [T, 3 K + 6] of a motion at its own frame rate."""
    return features_of(frames_of(motion), space, kind)
