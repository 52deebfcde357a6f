"""Colors that change with the direction they are seen from: real spherical harmonics.

Degrees 0 to 3, with the constants, signs and order of 3D Gaussian Splatting and gsplat. The
kernels take a share of the Gaussians, without the GIL; `reference.spherical_harmonics` is the
same in torch.

Source:
    Efficient Spherical Harmonic Evaluation (Sloan, JCGT 2013).
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from mien.avatar.workers import count_threads, run_shares
from mien.jit import kernel


def spherical_harmonics(
    coefficients: Float[Tensor, "n k 3"],
    directions: Float[Tensor, "c n 3"],
    num_threads: int | None = None,
) -> Float[Tensor, "c n 3"]:
    """Sums harmonics toward `directions`, differentiable in both; float32 on a CPU.

    Args:
        coefficients: K is 1, 4, 9 or 16, for degrees 0 to 3.
        directions: From each of C eyes to each of N Gaussians, of any length but zero.
        num_threads: None takes `torch.get_num_threads()`.
    """
    threads = count_threads(num_threads)
    return _Harmonics.apply(coefficients, directions, threads)  # type: ignore[no-any-return, no-untyped-call]


def view_colors(
    coefficients: Float[Tensor, "n k 3"],
    means: Float[Tensor, "n 3"],
    viewmats: Float[Tensor, "c 4 4"],
    num_threads: int | None = None,
) -> Float[Tensor, "c n 3"]:
    """Gives the colors that each of C cameras sees: one half more than the sum, not below zero."""
    eyes = torch.linalg.inv(viewmats.double())[:, :3, 3].to(means)
    directions = means[None] - eyes[:, None]
    return (spherical_harmonics(coefficients, directions, num_threads) + 0.5).clamp_min(0)


class _Harmonics(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        coefficients, directions, threads = args
        ctx.save_for_backward(coefficients, directions)
        ctx.threads = threads
        colors = torch.empty(directions.shape, dtype=torch.float32)
        given = _as_arrays(coefficients, directions)
        run_shares(
            lambda start, stop: _evaluate(*given, start, stop, colors.numpy()),
            len(coefficients),
            threads,
        )
        return colors.to(coefficients.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> Any:
        coefficients, directions = ctx.saved_tensors
        given = _as_arrays(coefficients, directions, gradients[0])
        of_both = [torch.empty(t.shape, dtype=torch.float32) for t in (coefficients, directions)]
        run_shares(
            lambda start, stop: _differentiate(
                *given, start, stop, of_both[0].numpy(), of_both[1].numpy()
            ),
            len(coefficients),
            ctx.threads,
        )
        return of_both[0].to(coefficients.dtype), of_both[1].to(directions.dtype), None


def _as_arrays(*tensors: Tensor) -> list[Any]:
    return [t.detach().float().contiguous().numpy() for t in tensors]


@njit(inline="always")
def _unit(directions: Any, eye: int, i: int) -> Any:
    x, y = np.float64(directions[eye, i, 0]), np.float64(directions[eye, i, 1])
    z = np.float64(directions[eye, i, 2])
    length = max(math.sqrt(x * x + y * y + z * z), 1e-12)
    return x / length, y / length, z / length, length


@njit(inline="always")
def _fill_bases(x: float, y: float, z: float, bases: Any) -> None:
    """Evaluates the first `len(bases)` harmonics toward a unit vector."""
    bases[0] = 0.2820947917738781
    if bases.shape[0] > 1:
        bases[1], bases[2] = -0.48860251190292 * y, 0.48860251190292 * z
        bases[3] = -0.48860251190292 * x
    if bases.shape[0] > 4:
        bases[4], bases[5] = 1.092548430592079 * x * y, -1.092548430592079 * y * z
        bases[6] = 0.9461746957575601 * z * z - 0.3153915652525201
        bases[7] = -1.092548430592079 * x * z
        bases[8] = 0.5462742152960395 * (x * x - y * y)
    if bases.shape[0] > 9:
        ring = 0.4570457994644658 - 2.285228997322329 * z * z
        bases[9] = -0.5900435899266435 * y * (3.0 * x * x - y * y)
        bases[10] = 2.890611442640554 * x * y * z
        bases[11], bases[13] = ring * y, ring * x
        bases[12] = z * (1.865881662950577 * z * z - 1.119528997770346)
        bases[14] = 1.445305721320277 * z * (x * x - y * y)
        bases[15] = -0.5900435899266435 * x * (x * x - 3.0 * y * y)


@njit(inline="always")
def _slope(x: float, y: float, z: float, of: Any) -> Any:
    """Gives the gradient by x, y, z of the sum of harmonics weighted by `of [K]`."""
    dx, dy, dz = 0.0, 0.0, 0.0
    if of.shape[0] > 1:
        dx, dy = -0.48860251190292 * of[3], -0.48860251190292 * of[1]
        dz = 0.48860251190292 * of[2]
    if of.shape[0] > 4:
        dx += 1.092548430592079 * (y * of[4] - z * of[7] + x * of[8])
        dy += 1.092548430592079 * (x * of[4] - z * of[5] - y * of[8])
        dz += 1.8923493915151202 * z * of[6] - 1.092548430592079 * (y * of[5] + x * of[7])
    if of.shape[0] > 9:
        ring = 0.4570457994644658 - 2.285228997322329 * z * z
        flat, third = x * x - y * y, 1.7701307697799305
        dx += -third * (2.0 * x * y * of[9] + flat * of[15]) + ring * of[13]
        dy += -third * (flat * of[9] - 2.0 * x * y * of[15]) + ring * of[11]
        dx += 2.890611442640554 * z * (y * of[10] + x * of[14])
        dy += 2.890611442640554 * z * (x * of[10] - y * of[14])
        dz += 2.890611442640554 * x * y * of[10] + 1.445305721320277 * flat * of[14]
        dz += -4.570457994644658 * z * (y * of[11] + x * of[13])
        dz += (5.597644988851731 * z * z - 1.119528997770346) * of[12]
    return dx, dy, dz


@kernel("void(f4[:,:,::1], f4[:,:,::1], i8, i8, f4[:,:,::1])")
def _evaluate(coefficients: Any, directions: Any, start: int, stop: int, colors: Any) -> None:
    """Fills `colors [C, N, 3]` of Gaussians `start` to `stop`."""
    bases = np.empty(coefficients.shape[1])
    for eye in range(directions.shape[0]):
        for i in range(start, stop):
            x, y, z, _ = _unit(directions, eye, i)
            _fill_bases(x, y, z, bases)
            red, green, blue = 0.0, 0.0, 0.0
            for k in range(bases.shape[0]):
                red += bases[k] * coefficients[i, k, 0]
                green += bases[k] * coefficients[i, k, 1]
                blue += bases[k] * coefficients[i, k, 2]
            colors[eye, i, 0], colors[eye, i, 1], colors[eye, i, 2] = red, green, blue


@kernel("void(f4[:,:,::1], f4[:,:,::1], f4[:,:,::1], i8, i8, f4[:,:,::1], f4[:,:,::1])")
def _differentiate(
    coefficients: Any, directions: Any, of_colors: Any, start: int, stop: int,
    of_coefficients: Any, of_directions: Any,
) -> None:  # fmt: skip
    """Fills both gradients of Gaussians `start` to `stop`."""
    of_coefficients[start:stop] = np.float32(0.0)
    bases, of = np.empty(coefficients.shape[1]), np.empty(coefficients.shape[1])
    for eye in range(directions.shape[0]):
        for i in range(start, stop):
            x, y, z, length = _unit(directions, eye, i)
            _fill_bases(x, y, z, bases)
            for k in range(bases.shape[0]):
                of[k] = 0.0
                for channel in range(3):
                    gradient = np.float64(of_colors[eye, i, channel])
                    of_coefficients[i, k, channel] += bases[k] * gradient
                    of[k] += coefficients[i, k, channel] * gradient
            dx, dy, dz = _slope(x, y, z, of)
            along = dx * x + dy * y + dz * z
            of_directions[eye, i, 0] = (dx - along * x) / length
            of_directions[eye, i, 1] = (dy - along * y) / length
            of_directions[eye, i, 2] = (dz - along * z) / length
