"""The common ground of every head: about 500 semantic points of the face.

A frame of motion is described by the displacement of these points from the same person's neutral
face, in the head's own frame, divided by the interpupillary distance. It knows neither identity
nor which coefficients made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mien.rotations import rotvec_to_rotmat

if TYPE_CHECKING:
    from mien.head import Head

_MOVING = (2, 3, 4)  # jaw, left eye, right eye
_NECK_FEATURES = 9  # pose features of the neck, which stands still here


@dataclass(frozen=True, eq=False)
class PointSet:
    """Where the face points lie on one head.

    Attributes:
        vertex_ids: `[K, 3]`, the corners each point hangs on.
        weights: `[K, 3]`, barycentric; one-hot where the point is a vertex.
        regions: Point ids by region; a point may lie in several.
        mirror: `[K]`, the point's counterpart on the other side; itself on the midline.
        loss_weights: `[K]`, mean 1; lips, lids, brows and irises count more.
    """

    vertex_ids: Int[Tensor, "k 3"]
    weights: Float[Tensor, "k 3"]
    regions: dict[str, Int[Tensor, " n"]]
    mirror: Int[Tensor, " k"]
    loss_weights: Float[Tensor, " k"]

    def __post_init__(self) -> None:
        """Check that the arrays agree."""
        count = len(self.vertex_ids)
        if not len(self.weights) == len(self.mirror) == len(self.loss_weights) == count:
            raise ValueError(
                "`vertex_ids`, `weights`, `mirror` and `loss_weights` must have one row a point, "
                f"got {count}, {len(self.weights)}, {len(self.mirror)}, {len(self.loss_weights)}."
            )

    def __len__(self) -> int:
        return len(self.vertex_ids)

    def gather(self, vertices: Float[Tensor, "*b v 3"]) -> Float[Tensor, "*b k 3"]:
        """Read the points off a mesh."""
        weights = self.weights.to(vertices)
        return (vertices[..., self.vertex_ids, :] * weights.unsqueeze(-1)).sum(-2)

    def to(self, device: torch.device | str) -> PointSet:
        """Copy to a device."""
        return PointSet(
            self.vertex_ids.to(device),
            self.weights.to(device),
            {name: ids.to(device) for name, ids in self.regions.items()},
            self.mirror.to(device),
            self.loss_weights.to(device),
        )


class PointModel(nn.Module):
    """Face points as a function of expression, jaw and gaze: what tokens are made of and fit to.

    The same function as posing the whole head and reading the points off, in fewer products: the
    neck stands still, so only jaw and eyes turn, and each only what it carries.

    Args:
        head: A head that carries face points.

    Raises:
        ValueError: If the head has no face points.
    """

    corner_ids: Tensor
    corner_weights: Tensor
    loss_weights: Tensor

    def __init__(self, head: Head) -> None:
        super().__init__()
        points = head.require_points()
        corners, local = torch.unique(points.vertex_ids, return_inverse=True)
        self.head = head.subset(corners)
        self.num_expr = head.num_expr
        self.num_points = len(points)
        self.register_buffer("corner_ids", local)
        self.register_buffer("corner_weights", points.weights.to(head.v_template))
        self.register_buffer("loss_weights", points.loss_weights.to(head.v_template))
        rows = self.head.posedirs[_NECK_FEATURES:].abs().sum(1).nonzero().flatten()
        self.register_buffer("feature_rows", rows)
        self.register_buffer("feature_dirs", self.head.posedirs[_NECK_FEATURES:][rows])
        for joint in _MOVING:
            ids = self.head.lbs_weights[:, joint].nonzero().flatten()
            self.register_buffer(f"carried_by_{joint}", ids)

    def forward(
        self,
        expr: Float[Tensor, "*b e"],
        jaw_pose: Float[Tensor, "*b 3"],
        eye_pose: Float[Tensor, "*b 6"],
        shape: Float[Tensor, "*#b s"] | None = None,
    ) -> Float[Tensor, "*b k 3"]:
        """Give the points' displacements from the same person's neutral face.

        Args:
            expr: Expression coefficients.
            jaw_pose: Rotation vector, radians.
            eye_pose: Left and right rotation vectors, radians.
            shape: Identity; the head's template if None.

        Returns:
            Displacements in the head's own frame, in interpupillary distances.
        """
        neutral = self.head.identity(shape)
        joints = self.head.joints(shape, expr)
        poses = torch.cat([jaw_pose, eye_pose], -1)
        poses = poses.reshape(*poses.shape[:-1], 3, 3)
        identity = torch.eye(3, dtype=poses.dtype, device=poses.device)
        turns = rotvec_to_rotmat(poses) - identity
        offsets = self.head.offsets(expr)
        features = turns.flatten(-3)[..., self.get_buffer("feature_rows")]
        offsets = offsets + (features @ self.get_buffer("feature_dirs")).view_as(offsets)
        moved = offsets
        for index, joint in enumerate(_MOVING):
            ids = self.get_buffer(f"carried_by_{joint}")
            arms = neutral[..., ids, :] + offsets[..., ids, :] - joints[..., joint, None, :]
            arms = arms * self.head.lbs_weights[ids, joint, None]
            moved = moved.index_add(-2, ids, arms @ turns[..., index, :, :].mT)
        return self._gather(moved) / self.head.interpupillary(shape)[..., None, None]

    def _gather(self, vertices: Tensor) -> Tensor:
        picked = vertices[..., self.corner_ids, :]
        return (picked * self.corner_weights.unsqueeze(-1)).sum(-2)
