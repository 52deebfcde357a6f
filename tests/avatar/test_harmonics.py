import math
import warnings

import pytest
import torch
from torch import Tensor

from mien.avatar import reference
from mien.avatar.harmonics import spherical_harmonics, view_colors
from mien.camera import Camera

DEGREES = [0, 1, 2, 3]


def make(degree: int, count: int = 30) -> tuple[Tensor, Tensor, Tensor]:
    """Gives coefficients, directions of two eyes, and a gradient of the colors."""
    generator = torch.Generator().manual_seed(degree)
    shapes = (count, (degree + 1) ** 2, 3), (2, count, 3), (2, count, 3)
    first, second, third = (torch.randn(*shape, generator=generator) for shape in shapes)
    return first.requires_grad_(), second.requires_grad_(), third


def grads(colors: Tensor, of_colors: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    of = of_colors.to(colors)
    return torch.autograd.grad(colors, leaves, of, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("degree", DEGREES)
def test_the_kernels_give_what_the_reference_gives_and_its_gradients(degree: int) -> None:
    coefficients, directions, of_colors = make(degree)
    exact = [t.detach().double().requires_grad_() for t in (coefficients, directions)]
    colors = spherical_harmonics(coefficients, directions, num_threads=2)
    expected = torch.stack([reference.spherical_harmonics(exact[0], d) for d in exact[1]])
    torch.testing.assert_close(colors.double(), expected, rtol=1e-5, atol=1e-6)
    ours = grads(colors, of_colors, coefficients, directions)
    for one, two in zip(ours, grads(expected, of_colors, *exact), strict=True):
        torch.testing.assert_close(one.double(), two, rtol=1e-4, atol=1e-5)


@pytest.mark.parity
@pytest.mark.parametrize("degree", DEGREES)
def test_values_and_gradients_are_those_of_gsplat(degree: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a missing CUDA toolkit
        theirs = pytest.importorskip("gsplat.cuda._torch_impl")
    coefficients, directions, of_colors = make(degree)
    exact = [t.detach().double().requires_grad_() for t in (coefficients, directions)]
    given = exact[0].expand(2, *exact[0].shape)
    expected = theirs._spherical_harmonics(degree, exact[1], given)
    colors = spherical_harmonics(coefficients, directions)
    torch.testing.assert_close(colors.double(), expected, rtol=1e-5, atol=1e-6)
    ours = grads(colors, of_colors, coefficients, directions)
    for one, two in zip(ours, grads(expected, of_colors, *exact), strict=True):
        torch.testing.assert_close(one.double(), two, rtol=1e-4, atol=1e-5)


def test_the_harmonics_are_orthonormal_over_the_sphere() -> None:
    count = 20_000  # a Fibonacci lattice integrates them to about 1e-3
    steps = torch.arange(count, dtype=torch.float64) + 0.5
    z, angle = 1 - 2 * steps / count, math.pi * (3 - math.sqrt(5)) * steps
    ring = (1 - z * z).sqrt()
    directions = torch.stack([ring * angle.cos(), ring * angle.sin(), z], -1)
    each = torch.eye(16).double()[..., None].expand(16, 16, 3)
    bases = [reference.spherical_harmonics(k.expand(count, 16, 3), directions) for k in each]
    values = torch.stack(bases)[..., 0]
    product = values @ values.T * (4 * math.pi / count)
    torch.testing.assert_close(product, torch.eye(16).double(), rtol=0, atol=1e-3)


def test_colors_are_half_more_and_never_negative() -> None:
    camera = Camera.portrait(8, 8)
    coefficients = torch.tensor([0.0, 1.0, -9.0])[:, None, None].expand(3, 1, 3)
    colors = view_colors(coefficients, torch.zeros(3, 3), camera.viewmat[None])
    expected = torch.tensor([0.5, 0.5 + 0.5 / math.sqrt(math.pi), 0.0])
    torch.testing.assert_close(colors[0, :, 0], expected)


def test_the_direction_is_from_the_eye_to_the_gaussian() -> None:
    camera = Camera.look_at((0.0, 0.0, 2.0), (0.0, 0.0, 0.0))
    coefficients = torch.zeros(1, 4, 3)
    coefficients[0, 2] = 0.3  # z, which points from the Gaussian to the eye
    color = view_colors(coefficients, torch.zeros(1, 3), camera.viewmat[None])
    assert float(color[0, 0, 0]) == pytest.approx(0.5 - 0.3 * math.sqrt(0.75 / math.pi))
