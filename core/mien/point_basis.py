"""Face points as a short formula: linear in expression, rotated about jaw and eyes.

Every face point hangs on three vertices that several joints move. Gathered by joint,

    point = q_0 + sum over jaw and eyes of R_j q_j,

where each `q` is linear in the expression and in the pose features `R - I`. It is the same
function as `mien.face_points.PointModel`, with derivatives that cost little.
"""

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from mien.head import Head
from mien.point_groups import JointReach, PointGroup
from mien.rotations import rotvec_to_rotmat

__all__ = ["NUM_POSE", "PointBasis"]

NUM_POSE = 9
"""Pose parameters after the expression: the rotation vectors of jaw, left eye and right eye."""

_FIRST_MOVING = 2  # global and neck stay where they are: points live in the head's own frame
_SMALL_SQUARED = 1e-6


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
        neutral = self._per_point(share[:, None] * vertices) / self.ipd
        self.still.rest.sub_(neutral)
        self.weights = points.loss_weights.to(like)
        self._reaches = JointReach.all(self.still, moving, self.weights)
        self.moving = tuple(reach.group for reach in self._reaches)
        self._fixed, self._pairs = self._products()

    def _per_point(self, corners: Tensor) -> Tensor:
        """The sum over corners, axis first, `[3, K, ...]`."""
        by_corner = corners.reshape(self.num_points, 3, *corners.shape[1:])
        return by_corner.sum(1).transpose(0, 1)

    def _gather(self, rest: Tensor, expr: Tensor, pose: Tensor, keep_all: bool) -> PointGroup:
        rest, expr, pose = (self._per_point(each) / self.ipd for each in (rest, expr, pose))
        moves = (rest != 0).any(0) | (expr != 0).any(-1).any(0)
        ids = torch.arange(self.num_points, device=rest.device)
        if not keep_all:
            ids = ids[moves]
        return PointGroup.of(ids, rest[:, ids].contiguous(), expr[:, ids], pose[:, ids])

    def evaluate(self, parameters: Float[Tensor, "t p"]) -> Float[Tensor, "t k 3"]:
        """The points' displacements at some parameters (see `normal_equations`)."""
        rotmats, arms, posed = self._carry(parameters)
        for joint, group in enumerate(self.moving):
            posed = posed.index_add(2, group.point_ids, rotmats[:, joint] @ arms[joint])
        return posed.mT

    def _carry(self, parameters: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """The rotations, what each is to turn, and the still part, `[T, 3, K]`."""
        expr = parameters[:, : self.num_expr]
        rotmats = rotvec_to_rotmat(parameters[:, self.num_expr :].reshape(-1, 3, 3))
        features = (rotmats - torch.eye(3).to(rotmats)).flatten(1)
        arms = [group.carried(expr, features) for group in self.moving]
        return rotmats, arms, self.still.carried(expr, features)

    @cached_property
    def at_rest(self) -> tuple[Float[Tensor, "p p"], Float[Tensor, "k3 p"]]:
        r"""At zero parameters, :math:`J^T W J` and :math:`W J`, the same for every frame."""
        zero = self.weights.new_zeros(1, self.num_expr + NUM_POSE)
        hessian, _ = self.normal_equations(zero, self.weights.new_zeros(1, self.num_points, 3))
        slopes = self.weights.new_zeros(3, self.num_points, zero.shape[1])
        for group in (self.still, *self.moving):
            slopes[:, group.point_ids, : self.num_expr] += group.by_expr
        rotmats, arms, _ = self._carry(zero)
        for reach, by_joint in zip(
            self._reaches, self._pose_slopes(zero, rotmats, arms), strict=True
        ):
            first = self.num_expr + 3 * reach.joint
            slopes[:, reach.group.point_ids, first : first + 3] = by_joint[0].permute(1, 2, 0)
        weighted = slopes * self.weights[:, None]
        return hessian[0], weighted.transpose(0, 1).reshape(-1, zero.shape[1])

    def _pose_slopes(
        self, parameters: Tensor, rotmats: Tensor, arms: list[Tensor]
    ) -> list[Tensor]:
        rotvecs = parameters[:, self.num_expr :].reshape(-1, 3, 3)
        turns = _turn_derivatives(rotvecs, rotmats)
        return [
            reach.slopes(rotmats, turns[:, reach.joint], arms[reach.joint])
            for reach in self._reaches
        ]

    def normal_equations(
        self, parameters: Float[Tensor, "t p"], points: Float[Tensor, "t k 3"]
    ) -> tuple[Float[Tensor, "t p p"], Float[Tensor, "t p"]]:
        r"""Gauss-Newton's :math:`J^T W J` and :math:`J^T W (points - posed)`.

        The expression's own block is a sum over entries of the rotations of matrices that never
        change, so the slopes by expression are never formed; a joint's slopes are formed where it
        moves points.

        Args:
            parameters: Expression, then the rotation vectors of jaw, left eye and right eye.
            points: Where the points should be.
        """
        rotmats, arms, posed = self._carry(parameters)
        missing = points.mT - posed
        for joint, group in enumerate(self.moving):
            missing.index_add_(2, group.point_ids, rotmats[:, joint] @ arms[joint], alpha=-1)
        missing *= self.weights
        slopes = self._pose_slopes(parameters, rotmats, arms)
        hessian = parameters.new_zeros(len(parameters), *2 * [parameters.shape[1]])
        hessian[:, : self.num_expr, : self.num_expr] = self._expr_block(rotmats)
        self._fill_pose_blocks(hessian, rotmats, slopes)
        slope = [self._slope_by_expr(rotmats, missing)]
        for reach, by_joint in zip(self._reaches, slopes, strict=True):
            wanted = missing[..., reach.group.point_ids].flatten(1)[..., None]
            slope.append((by_joint.flatten(2) @ wanted)[..., 0])
        return hessian, torch.cat(slope, dim=1)

    def _slope_by_expr(self, rotmats: Tensor, missing: Tensor) -> Tensor:
        found = missing.flatten(1) @ self.still.by_expr.flatten(0, 1)
        for joint, group in enumerate(self.moving):
            turned = rotmats[:, joint].mT @ missing[..., group.point_ids]
            found = found + turned.flatten(1) @ group.by_expr.flatten(0, 1)
        return found

    def _fill_pose_blocks(self, hessian: Tensor, rotmats: Tensor, slopes: list[Tensor]) -> None:
        """Set the rows and columns of jaw and eyes, in place."""
        for reach in self._reaches:
            mine = self._columns(reach.joint)
            weighted = slopes[reach.joint] * reach.weights
            block = reach.against_expr(rotmats, weighted)
            hessian[:, mine, : self.num_expr] = block
            hessian[:, : self.num_expr, mine] = block.mT
            own = slopes[reach.joint].flatten(2)
            hessian[:, mine, mine] = weighted.flatten(2) @ own.mT
            for other, (here, there) in reach.shared.items():
                its = self._columns(other)
                theirs = slopes[other][..., there].flatten(2)
                block = weighted[..., here].flatten(2) @ theirs.mT
                hessian[:, mine, its] = block
                hessian[:, its, mine] = block.mT

    def _columns(self, joint: int) -> slice:
        return slice(self.num_expr + 3 * joint, self.num_expr + 3 * joint + 3)

    def _products(self) -> tuple[Tensor, dict[tuple[int, int], Tensor]]:
        """What `_expr_block` sums: the constant part, and the parts by pair of joints."""
        spread = []
        for group in (self.still, *self.moving):
            full = torch.zeros_like(self.still.by_expr)
            spread.append(full.index_add(1, group.point_ids, group.by_expr))
        fixed = self.weights.new_zeros(self.num_expr, self.num_expr)
        pairs = {}
        for first, left in enumerate(spread):
            weighted = left * self.weights[:, None]
            fixed = fixed + torch.einsum("ake,akf->ef", weighted, left)
            for second in range(first + 1, len(spread)):
                product = torch.einsum("ake,bkf->abef", weighted, spread[second])
                if bool(product.any()):
                    pairs[first, second] = (product + product.mT).reshape(9, -1)
        return fixed, pairs

    def _expr_block(self, rotmats: Tensor) -> Tensor:
        block = self._fixed.expand(len(rotmats), -1, -1)
        for (first, second), product in self._pairs.items():
            relative = rotmats[:, second - 1]
            if first > 0:
                relative = rotmats[:, first - 1].mT @ relative
            block = block + (relative.flatten(1) @ product).reshape(block.shape)
        return block


def _turn_derivatives(rotvecs: Tensor, rotmats: Tensor) -> Tensor:
    """The change of each rotation matrix, flattened, per component of its vector, `[T,J,3,9]`.

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
    return torch.stack(columns, dim=-2)
