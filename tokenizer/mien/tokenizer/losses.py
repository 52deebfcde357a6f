"""What a good reconstruction is: near points, near velocities, near head rotation, sane values.

Every loss is given per frame; the caller reduces. Points count in millimetres at adult scale.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mien.tokenizer.features import FaceSpace, HeadFrames, Kind

_EPS = 1e-4


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts of the loss; the points' own weight is one.

    Attributes:
        velocity: Of the points' velocity, per mm/frame.
        acceleration: Of the points' acceleration, per mm/frame^2.
        rotation: Of the head's rotation, per degree.
        rotation_velocity: Of its velocity, per degree/frame.
        square: Of the points' squared distance, per mm^2: an unsquared loss alone settles on the
            median, in which short movements such as blinks do not exist.
        coefficient: Of the squared distance to the true coefficients, summed over them: it settles
            what points hardly show, so that no units cancel each other and small ones keep their
            height.
        overflow: Of coefficients outside 0..1 before the clamp, per unit.
        lids: Factor on the weights of the lid points: blinks are short and easily lost.
        brows: The same for the brows, which move few points by little and mean much.
        coefficient_scale: Millimetres that one unit is worth in the coefficient twin.
    """

    velocity: float = 1.0
    acceleration: float = 0.5
    rotation: float = 0.4
    rotation_velocity: float = 0.8
    square: float = 0.15
    coefficient: float = 2.0
    overflow: float = 0.6
    lids: float = 2.0
    brows: float = 4.0
    coefficient_scale: float = 6.0


def _lengths(x: Float[Tensor, "*b n 3"]) -> Float[Tensor, "*b n"]:
    return (x.square().sum(-1) + _EPS).sqrt()


def _rotation_lengths(x: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b"]:
    """Degrees of a small difference of rotation matrices (its Frobenius norm over root two)."""
    return (x.square().sum((-1, -2)) / 2.0 + 1e-8).sqrt() * (180.0 / torch.pi)


def _motion_losses(
    error: Float[Tensor, "b t n 3"], weights: Float[Tensor, " n"], config: LossConfig
) -> Float[Tensor, "b t"]:
    """Position, velocity and acceleration of errors, each padded to T frames by zeros."""
    total = (_lengths(error) * weights).mean(-1)
    total = total + config.square * (error.square().sum(-1) * weights).mean(-1)
    for order, weight in ((1, config.velocity), (2, config.acceleration)):
        if weight > 0 and error.shape[1] > order:
            change = (_lengths(error.diff(n=order, dim=1)) * weights).mean(-1)
            total = total + weight * torch.nn.functional.pad(change, (order, 0))
    return total


def _emphasis(space: FaceSpace, config: LossConfig) -> Float[Tensor, " k"]:
    """Factors on the weights of the points of regions that the config names."""
    factors = torch.ones(space.num_points)
    for prefix, factor in (("lid", config.lids), ("brow", config.brows)):
        if any(name.startswith(prefix) for name in space.regions):
            factors[space.region(prefix).cpu()] = factor
    return factors


def reconstruction_loss(
    predicted: HeadFrames,
    raw_expr: Float[Tensor, "b t e"],
    target: HeadFrames,
    target_points: Float[Tensor, "b t k 3"],
    space: FaceSpace,
    kind: Kind,
    config: LossConfig,
) -> Float[Tensor, "b t"]:
    """Give the loss of each frame, in millimetres at adult scale and their like.

    Args:
        predicted: The decoder's head parameters.
        raw_expr: The decoder's expression before the clamp.
        target: The true head parameters.
        target_points: Displacements of the target's points, IPD units.
        space: The face points of the head.
        kind: "coefficients" replaces points by coefficients.
        config: Weights.
    """
    difference = predicted.coefficients() - target.coefficients()
    if kind == "geometry":
        error = (space.displacements(predicted) - target_points) * space.ipd_mm
        weights = space.weights.to(error) * _emphasis(space, config).to(error)
    else:
        error = torch.nn.functional.pad(difference[..., None], (0, 2)) * config.coefficient_scale
        weights = error.new_ones(error.shape[-2])
    total = _motion_losses(error, weights, config)
    turn = predicted.rotation - target.rotation
    total = total + config.rotation * _rotation_lengths(turn)
    if turn.shape[1] > 1:
        change = _rotation_lengths(turn.diff(dim=1))
        total = total + config.rotation_velocity * torch.nn.functional.pad(change, (1, 0))
    total = total + config.coefficient * difference.square().sum(-1)
    return total + config.overflow * (raw_expr - predicted.expr).abs().mean(-1)
