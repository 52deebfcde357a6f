"""The pieces of `mien.point_basis`: what a joint carries, and which points it moves.

Arrays of points hold the axis before the point, `[3, N]`, so that a rotation of many points is
one matrix product a frame and the sum over points and axes another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["JointReach", "PointGroup"]


@dataclass(frozen=True, eq=False)
class PointGroup:
    """What one joint carries: some points' weighted positions about it.

    Attributes:
        point_ids: Which points, rising.
        rest: Where they are at rest.
        by_expr: Their change per expression component.
        by_pose: Their change per entry of `R - I` of jaw, left eye and right eye.
        by_both: The two side by side, transposed.
    """

    point_ids: Int[Tensor, " n"]
    rest: Float[Tensor, "3 n"]
    by_expr: Float[Tensor, "3 n e"]
    by_pose: Float[Tensor, "3 n 27"]
    by_both: Float[Tensor, "c n3"]

    @classmethod
    def of(
        cls,
        point_ids: Int[Tensor, " n"],
        rest: Float[Tensor, "3 n"],
        by_expr: Float[Tensor, "3 n e"],
        by_pose: Float[Tensor, "3 n 27"],
    ) -> "PointGroup":
        """Lay the slopes out for one product."""
        by_both = torch.cat([by_expr, by_pose], dim=-1).flatten(0, 1).T.contiguous()
        return cls(point_ids, rest, by_expr.contiguous(), by_pose.contiguous(), by_both)

    def widened(self, point_ids: Int[Tensor, " m"]) -> "PointGroup":
        """The same for more points, of which the new ones stay at zero."""
        places = _common(self.point_ids, point_ids)[1]

        def wide(given: Tensor) -> Tensor:
            found = given.new_zeros(3, len(point_ids), *given.shape[2:])
            found[:, places] = given
            return found

        return PointGroup.of(point_ids, wide(self.rest), wide(self.by_expr), wide(self.by_pose))

    def carried(
        self, expr: Float[Tensor, "t e"], features: Float[Tensor, "t 27"]
    ) -> Float[Tensor, "t 3 n"]:
        """Where the points are before the joint turns them."""
        both = torch.cat([expr, features], dim=1)
        return torch.addmm(self.rest.flatten(), both, self.by_both).reshape(len(expr), 3, -1)


@dataclass(frozen=True, eq=False)
class _Passed:
    """The part of a group that one joint's features move."""

    places: Tensor
    by_feature: Tensor
    by_expr: Tensor


@dataclass(frozen=True, eq=False)
class JointReach:
    """The points that one joint's three parameters move, and how.

    Attributes:
        joint: Which of `moving`.
        group: What the joint carries, over all the points that its parameters move.
        weights: Their weights.
        by_feature: The still part's change per entry of the joint's rotation, transposed.
        own_by_feature: The same of what the joint carries.
        by_expr: The still part's change per expression component.
        passed: By joint, what of its group has points here.
        shared: By joint before this one: places here and there of common points.
    """

    joint: int
    group: PointGroup
    weights: Float[Tensor, " n"]
    by_feature: Float[Tensor, "9 n3"]
    own_by_feature: Float[Tensor, "9 n3"]
    by_expr: Float[Tensor, "n3 e"]
    passed: dict[int, _Passed]
    shared: dict[int, tuple[Tensor, Tensor]]

    @classmethod
    def all(
        cls, still: PointGroup, moving: Sequence[PointGroup], weights: Float[Tensor, " k"]
    ) -> tuple["JointReach", ...]:
        """Find what each joint reaches."""
        ids = [_reached(still, moving, joint) for joint in range(len(moving))]
        wide = [group.widened(mine) for group, mine in zip(moving, ids, strict=True)]
        reaches = []
        for joint, mine in enumerate(ids):
            both = {other: _common(mine, ids[other]) for other in range(joint)}
            reaches.append(
                cls(
                    joint,
                    wide[joint],
                    weights[mine],
                    _transposed(still.by_pose[:, mine][..., _features(joint)]),
                    _transposed(wide[joint].by_pose[..., _features(joint)]),
                    still.by_expr[:, mine].flatten(0, 1),
                    _find_passed(wide, joint, mine),
                    {other: places for other, places in both.items() if len(places[0])},
                )
            )
        return tuple(reaches)

    def slopes(
        self,
        rotmats: Float[Tensor, "t j 3 3"],
        turns: Float[Tensor, "t 3 9"],
        arms: Float[Tensor, "t 3 n"],
    ) -> Float[Tensor, "t 3 3 n"]:
        """The points' change per parameter of the joint: parameter, axis, point.

        Args:
            rotmats: Of all joints.
            turns: The change of this joint's rotation per parameter.
            arms: What the joint carries, before it turns.
        """
        own = _by_parameter(turns, self.own_by_feature)
        slopes = _by_parameter(turns, self.by_feature) + rotmats[:, None, self.joint] @ own
        slopes += (turns.reshape(-1, 9, 3) @ arms).reshape(slopes.shape)
        for other, part in self.passed.items():
            inner = _by_parameter(turns, part.by_feature)
            slopes[..., part.places] += rotmats[:, None, other] @ inner
        return slopes

    def against_expr(
        self, rotmats: Float[Tensor, "t j 3 3"], weighted: Float[Tensor, "t 3 3 n"]
    ) -> Float[Tensor, "t 3 e"]:
        """Weighted slopes of the joint times the points' slopes by expression."""
        turned = rotmats[:, None, self.joint].mT @ weighted
        found = weighted.flatten(2) @ self.by_expr
        found = found + turned.flatten(2) @ self.group.by_expr.flatten(0, 1)
        for other, part in self.passed.items():
            turned = rotmats[:, None, other].mT @ weighted[..., part.places]
            found = found + turned.flatten(2) @ part.by_expr
        return found


def _find_passed(moving: Sequence[PointGroup], joint: int, ids: Tensor) -> dict[int, _Passed]:
    """What other joints carry of the points that one joint's features move."""
    passed = {}
    for other, group in enumerate(moving):
        theirs, ours = _common(group.point_ids, ids)
        by_feature = _transposed(group.by_pose[:, theirs][..., _features(joint)])
        by_expr = group.by_expr[:, theirs].flatten(0, 1)
        if other != joint and (bool(by_feature.any()) or bool(by_expr.any())):
            passed[other] = _Passed(ours, by_feature, by_expr)
    return passed


def _features(joint: int) -> slice:
    return slice(9 * joint, 9 * joint + 9)


def _reached(still: PointGroup, moving: Sequence[PointGroup], joint: int) -> Tensor:
    """Ids of the points that move with a joint's parameters."""
    moves = (still.by_pose[..., _features(joint)] != 0).any(-1).any(0)
    for group in moving:
        moves[group.point_ids] |= (group.by_pose[..., _features(joint)] != 0).any(-1).any(0)
    moves[moving[joint].point_ids] = True
    return moves.nonzero()[:, 0]


def _common(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Places, in each of two rising lists of ids, of the ids that both hold."""
    is_equal = first[:, None] == second[None]
    return is_equal.any(1).nonzero()[:, 0], is_equal.any(0).nonzero()[:, 0]


def _transposed(by_feature: Tensor) -> Tensor:
    return by_feature.flatten(0, 1).T.contiguous()


def _by_parameter(turns: Tensor, by_feature: Tensor) -> Tensor:
    """`[T, 3, 9]` times `[9, 3 n]`: `[T, 3, 3, n]`."""
    return (turns.flatten(0, 1) @ by_feature).reshape(len(turns), 3, 3, -1)
