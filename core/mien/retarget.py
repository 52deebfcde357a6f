"""A motion of one head as a motion of another, by way of the face points both have."""

import copy
import dataclasses
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mien.fit import FitResult, fit
from mien.head import Head
from mien.motion import Motion
from mien.rotations import rotvec_to_rotmat

__all__ = ["neck_shift", "points_of", "retarget", "retarget_points", "with_fewer_components"]

_NECK = 1
_CHUNK = 500  # frames, to bound memory
_FREE_BOUNDS = (-6.0, 6.0)  # of components that have no names, in standard deviations


def retarget(
    motion: Motion,
    source: Head,
    target: Head,
    *,
    shape: Float[Tensor, " s"] | None = None,
    **options: Any,
) -> FitResult:
    """Give the motion of `target` that does what `motion` does on `source`.

    The face goes by the face points of each head's mean person, displacements from neutral in eye
    distances, so neither identity nor size leaks: of one performance by two people the same comes
    out. The skull's turn becomes the target's neck's, and the target's neck joint goes where the
    source's goes, in metres.

    Args:
        motion: Of the source head; its `shape` is the person who moves.
        source: The head it was made for.
        target: The head to move.
        shape: Who the target is; its mean if None.
        options: For `fit`, such as `noise_mm`. Its 0.1 suits heads that can do the same. Between
            the default head and ICT-FaceKit, there and back, 0.1 to 1 lose 0.49 to 0.50 mm of a
            recording's 2.6, 2 loses 0.57 and 4 loses 0.84; jitter is 1.6 times the recording's at
            0.1, 1.3 times at 1 and the same at 2, where coefficients come back nearest.

    Returns:
        What `fit` gives. Its errors leave out points that either head lacks.

    Raises:
        ValueError: If a head carries no face points, or not the same ones, or the motion is not
            of the source head.
    """
    _check_motion(motion, source)
    points = points_of(motion, source)
    return retarget_points(motion, points, source, target, shape=shape, **options)


def retarget_points(
    motion: Motion,
    points: Float[Tensor, "t k 3"],
    source: Head,
    target: Head,
    *,
    shape: Float[Tensor, " s"] | None = None,
    **options: Any,
) -> FitResult:
    """As `retarget`, with the mean person's face points given; the skull goes as in `motion`."""
    is_seen = _seen_by_both(source, target)
    if "expr_bounds" not in options and not _has_named_expression(target):
        options["expr_bounds"] = _FREE_BOUNDS
    result = fit(
        _with_weights(target, is_seen),
        points.to(target.v_template),
        motion.head_rotmat().to(target.v_template),
        motion.fps,
        **options,
    )
    found = result.motion.replace(
        shape=None if shape is None else shape.to(target.v_template),
        translation=neck_shift(motion, source).to(target.v_template),
        text=motion.text,
        labels=motion.labels,
        head=target.name,
    )
    return _measured(dataclasses.replace(result, motion=found), points, target, is_seen)


def points_of(motion: Motion, head: Head) -> Float[Tensor, "t k 3"]:
    """Give `head.face_points(motion)`, without slopes and some frames at a time."""
    starts = range(0, motion.num_frames, _CHUNK)
    parts = [motion.slice(at, min(at + _CHUNK, motion.num_frames)) for at in starts]
    with torch.no_grad():
        return torch.cat([head.face_points(part) for part in parts])


def neck_shift(motion: Motion, head: Head) -> Float[Tensor, "t 3"]:
    """Give how far the neck joint is from its place at rest, metres.

    The whole head turns about its root joint and then shifts, so it takes the neck along.
    """
    motion = motion.to(head.v_template)
    joints = head.joints(motion.shape, motion.expr)
    arm = joints[:, _NECK] - joints[:, 0]
    turned = (rotvec_to_rotmat(motion.global_pose) @ arm[..., None])[..., 0]
    return turned - arm + motion.translation


def with_fewer_components(head: Head, num_expr: int) -> Head:
    """Give the head with its first expression components only.

    Raises:
        ValueError: If it has not that many.
    """
    if not 1 <= num_expr <= head.num_expr:
        raise ValueError(f"`num_expr` must be 1 to {head.num_expr}, got {num_expr}.")
    return Head(
        head.v_template,
        head.shapedirs[..., : head.num_shape + num_expr],
        head.posedirs,
        head.J_regressor,
        head.lbs_weights,
        head.faces,
        num_shape=head.num_shape,
        name=head.name,
        expr_names=head.expr_names[:num_expr],
        parts=head.parts,
        points=head.points,
    )


def _check_motion(motion: Motion, source: Head) -> None:
    if motion.head != source.name or motion.num_expr > source.num_expr:
        raise ValueError(
            f"The motion is of the head {motion.head!r} with {motion.num_expr} expression "
            f"components, but the source head is {source.name!r} with {source.num_expr}."
        )


def _seen_by_both(source: Head, target: Head) -> Bool[Tensor, " k"]:
    """Which points both heads have; a weight of zero means that a head lacks the point."""
    first, second = source.require_points(), target.require_points()
    if len(first) != len(second):
        raise ValueError(
            f"The heads {source.name!r} and {target.name!r} carry different face points, "
            f"{len(first)} and {len(second)}."
        )
    return (first.loss_weights > 0).cpu() & (second.loss_weights > 0).cpu()


def _has_named_expression(head: Head) -> bool:
    return not head.expr_names or head.expr_names[0] != "expr_0"


def _with_weights(head: Head, is_seen: Tensor) -> Head:
    """The same head, blind to some points; buffers are shared."""
    points = head.require_points()
    weights = points.loss_weights * is_seen.to(points.loss_weights)
    blind = copy.copy(head)
    blind.points = dataclasses.replace(points, loss_weights=weights)
    return blind


def _measured(result: FitResult, points: Tensor, target: Head, is_seen: Tensor) -> FitResult:
    """The result with errors over the points that both heads have."""
    posed = points_of(result.motion, target)
    apart = torch.linalg.vector_norm(posed - points.to(posed), dim=-1)
    ipd = float(target.interpupillary(result.motion.shape))
    apart_mm = apart * (ipd * 1000)
    regions = {
        name: float(apart_mm[:, ids].mean())
        for name, ids in target.require_points().regions.items()
        if bool(is_seen[ids].all())
    }
    return dataclasses.replace(
        result, error_mm=apart_mm[:, is_seen].mean(1), region_error_mm=regions
    )
