"""Face points as a short formula: linear in expression, rotated about jaw and eyes.

Every face point hangs on three vertices that several joints move. Gathered by joint,

    point = q_0 + sum over jaw and eyes of R_j q_j,

where each `q` is linear in the expression and in the pose features `R - I`. It is the same
function as `mien.face_points.PointModel`, with derivatives that cost little.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.head import Head
from mien.rotations import rotvec_to_rotmat

__all__ = ["NUM_POSE", "PointBasis"]

NUM_POSE = 9
"""Pose parameters after the expression: the rotation vectors of jaw, left eye and right eye."""

_FIRST_MOVING = 2  # global and neck stay where they are: points live in the head's own frame
_SMALL_SQUARED = 1e-6


@dataclass(frozen=True, eq=False)
class _Group:
    """What one joint carries: some points' weighted positions about it."""

    point_ids: Int[Tensor, " n"]
    rest: Float[Tensor, "n 3"]
    by_expr: Float[Tensor, "n 3 e"]
    by_pose: Float[Tensor, "n 3 27"]


class PointBasis:
    """The points of a head for one identity, as displacements in interpupillary distances.

    Args:
        head: A head that carries face points.
        shape: Identity, `[S]`; the head's mean if None.
        like: Gives device and floating type.

    Raises:
        ValueError: If the head has no face points.
    """

    def __init__(self, head: Head, shape: Tensor | None, like: Tensor) -> None:
        points = head.require_points()
        shape = None if shape is None else shape.to(head.v_template)
        corners = points.vertex_ids.flatten()
        share = points.weights.to(like).flatten()  # [K 3]
        vertices = head.identity(shape)[corners].to(like)
        by_expr = head.shapedirs[corners][..., head.num_shape :].to(like)
        posedirs = head.posedirs[NUM_POSE:].reshape(3 * NUM_POSE, -1, 3)[:, corners]
        by_pose = posedirs.permute(1, 2, 0).to(like)
        joints = head.joints(shape).to(like)
        joint_dirs = head.joint_dirs[..., head.num_shape :].to(like)
        weights = head.lbs_weights[corners].to(like) * share[:, None]
        self.num_points = len(points)
        self.ipd = float(head.interpupillary(shape))
        self.num_expr = by_expr.shape[-1]

        still = weights[:, :_FIRST_MOVING].sum(1)
        rest = still[:, None] * vertices
        expr, pose = still[:, None, None] * by_expr, still[:, None, None] * by_pose
        moving = []
        for joint in range(_FIRST_MOVING, weights.shape[1]):
            weight = weights[:, joint]
            center, center_dirs = joints[joint], joint_dirs[joint]
            rest = rest + weight[:, None] * center
            expr = expr + weight[:, None, None] * center_dirs
            moving.append(
                self._gather(
                    weight[:, None] * (vertices - center),
                    weight[:, None, None] * (by_expr - center_dirs),
                    weight[:, None, None] * by_pose,
                    keep_all=False,
                )
            )
        self.still = self._gather(rest, expr, pose, keep_all=True)
        self.moving = tuple(moving)
        neutral = self._per_point(share[:, None] * vertices) / self.ipd
        self.still.rest.sub_(neutral)
        self.weights = points.loss_weights.to(like)
        self._fixed, self._pairs = self._products()

    def _per_point(self, corners: Tensor) -> Tensor:
        return corners.reshape(self.num_points, 3, *corners.shape[1:]).sum(1)

    def _gather(self, rest: Tensor, expr: Tensor, pose: Tensor, keep_all: bool) -> _Group:
        rest, expr, pose = (self._per_point(each) / self.ipd for each in (rest, expr, pose))
        moves = rest.abs().sum(-1) + expr.abs().sum((-1, -2)) > 0
        ids = torch.arange(self.num_points, device=rest.device)
        if not keep_all:
            ids = ids[moves]
        return _Group(ids, rest[ids], expr[ids], pose[ids])

    def evaluate(self, parameters: Float[Tensor, "t p"]) -> Float[Tensor, "t k 3"]:
        """The points' displacements at some parameters (see `normal_equations`)."""
        expr, rotmats, features = self._split(parameters)
        posed = _carried(self.still, expr, features)
        for joint, group in enumerate(self.moving):
            turned = _carried(group, expr, features) @ rotmats[:, joint].transpose(-1, -2)
            posed = posed.index_add(1, group.point_ids, turned)
        return posed

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Expression, rotation matrices and pose features."""
        rotmats = rotvec_to_rotmat(parameters[:, self.num_expr :].reshape(-1, 3, 3))
        features = (rotmats - torch.eye(3).to(rotmats)).flatten(1)
        return parameters[:, : self.num_expr], rotmats, features

    def normal_equations(
        self, parameters: Float[Tensor, "t p"], points: Float[Tensor, "t k 3"]
    ) -> tuple[Float[Tensor, "t p p"], Float[Tensor, "t p"]]:
        r"""Gauss-Newton's :math:`J^T W J` and :math:`J^T W (points - posed)`.

        The expression's own block is a sum over entries of the rotations of matrices that never
        change, so the slopes by expression are never formed.

        Args:
            parameters: Expression, then the rotation vectors of jaw, left eye and right eye.
            points: Where the points should be.
        """
        expr, rotmats, features = self._split(parameters)
        rotvecs = parameters[:, self.num_expr :].reshape(-1, 3, 3)
        turns = _turn_derivatives(rotvecs, rotmats)  # [T, joint, 9 entries of dR, 3 parameters]
        posed, slopes = self._linearize_pose(expr, rotmats, features, turns)
        missing = (points - posed)[..., None]
        weighted = torch.cat([slopes, missing], dim=-1) * self.weights[:, None, None]
        against_expr = self._against_expr(rotmats, weighted)  # [T, E, 10]
        against_pose = slopes.flatten(1, 2).transpose(1, 2) @ weighted.flatten(1, 2)
        hessian = posed.new_empty(len(expr), self.num_expr + NUM_POSE, self.num_expr + NUM_POSE)
        hessian[:, : self.num_expr, : self.num_expr] = self._expr_block(rotmats)
        hessian[:, : self.num_expr, self.num_expr :] = against_expr[..., :-1]
        hessian[:, self.num_expr :, : self.num_expr] = against_expr[..., :-1].transpose(1, 2)
        hessian[:, self.num_expr :, self.num_expr :] = against_pose[..., :-1]
        return hessian, torch.cat([against_expr[..., -1], against_pose[..., -1]], dim=1)

    def _linearize_pose(
        self, expr: Tensor, rotmats: Tensor, features: Tensor, turns: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The points, and their change per pose parameter, `[T, K, 3, 9]`."""
        posed = _carried(self.still, expr, features)
        slopes = _by_turns(self.still.by_pose, turns)
        for joint, group in enumerate(self.moving):
            carried = _carried(group, expr, features)
            rotmat = rotmats[:, joint]
            posed = posed.index_add(1, group.point_ids, carried @ rotmat.transpose(-1, -2))
            inner = _by_turns(group.by_pose, turns)
            outer = torch.einsum("tab,tnbp->tnap", rotmat, inner)
            own = turns[:, joint].reshape(-1, 3, 3, 3)
            outer[..., 3 * joint : 3 * joint + 3] += torch.einsum("tabp,tnb->tnap", own, carried)
            slopes.index_add_(1, group.point_ids, outer)
        return posed, slopes

    def _against_expr(self, rotmats: Tensor, columns: Tensor) -> Tensor:
        """The slopes by expression, transposed, times some columns, `[T, E, C]`."""
        found = _times(self.still.by_expr, columns)
        for joint, group in enumerate(self.moving):
            picked = columns[:, group.point_ids]
            turned = torch.einsum("tab,tnac->tnbc", rotmats[:, joint], picked)
            found = found + _times(group.by_expr, turned)
        return found

    def _products(self) -> tuple[Tensor, dict[tuple[int, int], Tensor]]:
        """What `_expr_block` sums: the constant part, and the parts by pair of joints."""
        spread = []
        for group in (self.still, *self.moving):
            full = torch.zeros_like(self.still.by_expr)
            spread.append(full.index_add(0, group.point_ids, group.by_expr))
        fixed = self.weights.new_zeros(self.num_expr, self.num_expr)
        pairs = {}
        for first, left in enumerate(spread):
            weighted = left * self.weights[:, None, None]
            fixed = fixed + torch.einsum("kae,kaf->ef", weighted, left)
            for second in range(first + 1, len(spread)):
                product = torch.einsum("kae,kbf->abef", weighted, spread[second])
                if bool(product.any()):
                    pairs[first, second] = product.reshape(9, -1)
        return fixed, pairs

    def _expr_block(self, rotmats: Tensor) -> Tensor:
        block = self._fixed.expand(len(rotmats), -1, -1)
        for (first, second), product in self._pairs.items():
            relative = rotmats[:, second - 1]
            if first > 0:
                relative = rotmats[:, first - 1].transpose(-1, -2) @ relative
            part = (relative.flatten(1) @ product).reshape(block.shape)
            block = block + part + part.transpose(1, 2)
        return block


def _carried(group: _Group, expr: Tensor, features: Tensor) -> Tensor:
    by_expr = expr @ group.by_expr.flatten(0, 1).T
    by_pose = features @ group.by_pose.flatten(0, 1).T
    return group.rest + (by_expr + by_pose).reshape(len(expr), -1, 3)


def _times(by_expr: Tensor, columns: Tensor) -> Tensor:
    """`[n,3,E]` transposed times `[T,n,3,C]`: `[T,E,C]`, as one product for all frames."""
    flat = columns.flatten(1, 2).transpose(0, 1).flatten(1)
    product = by_expr.flatten(0, 1).T @ flat
    return product.reshape(by_expr.shape[-1], len(columns), -1).transpose(0, 1)


def _by_turns(by_pose: Tensor, turns: Tensor) -> Tensor:
    """How points change through the pose features, `[T, n, 3, 9]`."""
    columns = []
    for joint in range(3):
        block = by_pose[..., 9 * joint : 9 * joint + 9].flatten(0, 1)  # [n 3, 9]
        flat = turns[:, joint].transpose(0, 1).flatten(1)  # one product for all frames is quicker
        columns.append((block @ flat).reshape(len(block), -1, 3))
    slopes = torch.cat(columns, dim=-1).transpose(0, 1)
    return slopes.reshape(len(turns), -1, 3, NUM_POSE)


def _turn_derivatives(rotvecs: Tensor, rotmats: Tensor) -> Tensor:
    """The change of each rotation matrix, flattened, per component of its vector, `[T,J,9,3]`.

    Source:
        Gallego and Yezzi 2015, "A compact formula for the derivative of a 3-D rotation in
        exponential coordinates"; here through the left Jacobian, whose series serves small angles.
    """
    squared = (rotvecs * rotvecs).sum(-1)[..., None, None]
    is_small = squared < _SMALL_SQUARED
    angle = torch.where(is_small, torch.ones_like(squared), squared).sqrt()
    first = torch.where(is_small, 0.5 - squared / 24, (1 - angle.cos()) / angle**2)
    second = torch.where(is_small, 1 / 6 - squared / 120, (angle - angle.sin()) / angle**3)
    identity = torch.eye(3).to(rotvecs)
    axes = identity.expand(*rotvecs.shape[:-1], 3, 3)
    # rows v x e_i are the columns of the matrix that takes e_i to v x e_i
    skew = torch.linalg.cross(rotvecs[..., None, :].expand_as(axes), axes).transpose(-1, -2)
    jacobian = identity + first * skew + second * (skew @ skew)
    columns = []
    for component in range(3):
        axis = jacobian[..., :, component]
        columns.append(torch.linalg.cross(axis[..., :, None], rotmats, dim=-2).flatten(-2))
    return torch.stack(columns, dim=-1)
