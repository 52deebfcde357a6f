"""Small quadratic problems with bounds, many at once."""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["solve_box_qp"]

_SHORTER = (0.5, 0.2, 0.05)


def solve_box_qp(
    hessian: Float[Tensor, "t p p"],
    linear: Float[Tensor, "t p"],
    start: Float[Tensor, "t p"],
    lower: Float[Tensor, " p"],
    upper: Float[Tensor, " p"],
    num_iterations: int = 8,
    tolerance: float = 1e-5,
) -> Float[Tensor, "t p"]:
    r"""The `x` in the box that makes :math:`x^T H x / 2 - b^T x` least, by projected Newton steps.

    Each step solves for the parameters that are not held at a bound and clips; a problem whose
    value would rise takes a shorter step. Where that gets stuck, one parameter after the other
    is set to its best. Problems that have arrived leave the batch.

    Args:
        hessian: Positive definite.
        linear: `b`.
        start: Where to begin; clipped to the box.
        lower: Bounds, shared by all problems.
        upper: Not below `lower`.
        num_iterations: At most so many steps.
        tolerance: A problem has arrived when no parameter moves by more.

    Source:
        Bertsekas 1982, "Projected Newton methods for optimization problems with simple
        constraints".
    """
    solution = start.clamp(lower, upper)
    rows = torch.arange(len(start), device=start.device)
    gradient = _times(hessian, solution) - linear
    for _ in range(num_iterations):
        current = solution[rows]
        step = _newton_step(hessian, gradient, _held(current, gradient, lower, upper))
        moved, bent = _descend(hessian, gradient, current, step, lower, upper)
        current, gradient = current + moved, gradient + bent
        is_stuck = (moved.abs().amax(1) <= tolerance) & (
            _unsettled(hessian, current, gradient, lower, upper) > tolerance
        )
        if bool(is_stuck.any()):
            swept = _sweep(hessian[is_stuck], current[is_stuck], gradient[is_stuck], lower, upper)
            current[is_stuck], gradient[is_stuck] = swept
        solution[rows] = current
        goes_on = is_stuck | (moved.abs().amax(1) > tolerance)
        if not bool(goes_on.any()):
            break
        if not bool(goes_on.all()):
            rows, gradient, hessian = rows[goes_on], gradient[goes_on], hessian[goes_on]
    return solution


def _times(hessian: Tensor, points: Tensor) -> Tensor:
    return torch.bmm(hessian, points[..., None])[..., 0]


def _held(points: Tensor, gradient: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Which parameters press against a bound."""
    return ((points <= lower) & (gradient > 0)) | ((points >= upper) & (gradient < 0))


def _newton_step(hessian: Tensor, gradient: Tensor, is_held: Tensor) -> Tensor:
    """The full step of the free parameters; held ones stay."""
    free = (~is_held).to(hessian)
    masked = hessian * (free[:, :, None] * free[:, None, :])
    masked.diagonal(dim1=1, dim2=2).add_(1 - free)
    factor = torch.linalg.cholesky(masked)
    step: Tensor = -torch.cholesky_solve((gradient * free)[..., None], factor)[..., 0]
    return step


def _descend(
    hessian: Tensor, gradient: Tensor, start: Tensor, step: Tensor, lower: Tensor, upper: Tensor
) -> tuple[Tensor, Tensor]:
    """A clipped step that raises no problem's value, and what it adds to the gradient."""
    moved = (start + step).clamp(lower, upper) - start
    bent = _times(hessian, moved)
    rises = _change(gradient, moved, bent) > 0
    for length in _SHORTER:
        if not bool(rises.any()):
            return moved, bent
        rows = rises.nonzero()[:, 0]
        shorter = (start[rows] + length * step[rows]).clamp(lower, upper) - start[rows]
        moved[rows] = shorter
        bent[rows] = _times(hessian[rows], shorter)
        rises = rises.index_put((rows,), _change(gradient[rows], shorter, bent[rows]) > 0)
    still = rises[:, None]
    return moved.masked_fill(still, 0.0), bent.masked_fill(still, 0.0)


def _unsettled(
    hessian: Tensor, points: Tensor, gradient: Tensor, lower: Tensor, upper: Tensor
) -> Tensor:
    """How far any one parameter, moved alone, is from its best."""
    alone = points - gradient / hessian.diagonal(dim1=1, dim2=2)
    return (alone.clamp(lower, upper) - points).abs().amax(1)


def _sweep(
    hessian: Tensor, points: Tensor, gradient: Tensor, lower: Tensor, upper: Tensor
) -> tuple[Tensor, Tensor]:
    """Set one parameter after the other to its best; the gradient goes along."""
    points, gradient = points.clone(), gradient.clone()
    for index in range(points.shape[1]):
        best = points[:, index] - gradient[:, index] / hessian[:, index, index]
        move = best.clamp(lower[index], upper[index]) - points[:, index]
        points[:, index] += move
        gradient += hessian[:, index] * move[:, None]
    return points, gradient


def _change(gradient: Tensor, moved: Tensor, bent: Tensor) -> Tensor:
    """How much a move changes the value."""
    return ((gradient + 0.5 * bent) * moved).sum(-1)
