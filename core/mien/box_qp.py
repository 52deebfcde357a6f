"""Small quadratic problems with bounds, many at once."""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["solve_box_qp"]

_STEPS = (1.0, 0.5, 0.2, 0.05)
_STILL = 1e-5


def solve_box_qp(
    hessian: Float[Tensor, "t p p"],
    linear: Float[Tensor, "t p"],
    start: Float[Tensor, "t p"],
    lower: Float[Tensor, " p"],
    upper: Float[Tensor, " p"],
    num_iterations: int = 8,
) -> Float[Tensor, "t p"]:
    r"""The `x` in the box that makes :math:`x^T H x / 2 - b^T x` least, by projected Newton steps.

    Each step solves for the parameters that are not held at a bound, clips, and keeps the best of
    a few step lengths, so that the value never rises.

    Args:
        hessian: Positive definite.
        linear: `b`.
        start: Where to begin; clipped to the box.
        lower: Bounds, shared by all problems.
        upper: Not below `lower`.
        num_iterations: At most so many steps; it stops when nothing moves.

    Source:
        Bertsekas 1982, "Projected Newton methods for optimization problems with simple
        constraints".
    """
    solution = start.clamp(lower, upper)
    for _ in range(num_iterations):
        gradient = torch.einsum("tpq,tq->tp", hessian, solution) - linear
        is_held = ((solution <= lower) & (gradient > 0)) | ((solution >= upper) & (gradient < 0))
        step = _newton_step(hessian, gradient, is_held)
        moved = _best(hessian, linear, solution, step, lower, upper)
        change = (moved - solution).abs().amax()
        solution = moved
        if float(change) < _STILL:
            break
    return solution


def _newton_step(hessian: Tensor, gradient: Tensor, is_held: Tensor) -> Tensor:
    """The full step of the free parameters; held ones stay."""
    free = (~is_held).to(hessian)
    masked = hessian * free[:, :, None] * free[:, None, :] + torch.diag_embed(1 - free)
    factor = torch.linalg.cholesky(masked)
    step: Tensor = -torch.cholesky_solve((gradient * free)[..., None], factor)[..., 0]
    return step


def _best(
    hessian: Tensor, linear: Tensor, start: Tensor, step: Tensor, lower: Tensor, upper: Tensor
) -> Tensor:
    """Each problem's best point along its clipped step, `start` included."""
    best, least = start, _value(hessian, linear, start)
    for length in _STEPS:
        tried = (start + length * step).clamp(lower, upper)
        value = _value(hessian, linear, tried)
        is_better = value < least
        best = torch.where(is_better[:, None], tried, best)
        least = torch.where(is_better, value, least)
        has_stopped = (tried - start).abs().amax(1) < _STILL
        if bool((is_better | has_stopped).all()):
            break
    return best


def _value(hessian: Tensor, linear: Tensor, point: Tensor) -> Tensor:
    curved = torch.einsum("tpq,tq->tp", hessian, point)
    return ((0.5 * curved - linear) * point).sum(-1)
