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

if TYPE_CHECKING:
    from mien.head import Head


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
                "`vertex_ids`, `weights`, `mirror` and `loss_weights` must have one row a point, got "
                f"{count}, {len(self.weights)}, {len(self.mirror)}, {len(self.loss_weights)}."
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

    Args:
        head: A head that carries face points.

    Raises:
        ValueError: If the head has no face points.
    """

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
        self.corner_ids: Tensor
        self.corner_weights: Tensor
        self.loss_weights: Tensor

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
        posed = self._gather(self.head(shape, expr, jaw_pose=jaw_pose, eye_pose=eye_pose))
        neutral = self._gather(self.head.identity(shape))
        return (posed - neutral) / self.head.interpupillary(shape)[..., None, None]

    def _gather(self, vertices: Tensor) -> Tensor:
        picked = vertices[..., self.corner_ids, :]
        return (picked * self.corner_weights.unsqueeze(-1)).sum(-2)
