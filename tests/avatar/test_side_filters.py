"""Filters as products of matrices are convolutions, and losses made of them keep their values."""

from __future__ import annotations

import pytest
import torch
from tests.avatar.plain_losses import plain_difference, plain_ssim
from torch import Tensor
from torch.nn import functional

from mien.avatar.losses import ssim
from mien.avatar.perceptual import steerable_difference
from mien.avatar.side_filters import filtered, side_filter

PAIRS = ((steerable_difference, plain_difference), (ssim, plain_ssim))
SIZES = [(16, 16), (33, 64), (17, 40), (64, 47), (130, 75), (16, 200)]


def pair(height: int, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x, y = (torch.rand(2, height, width, 3, generator=generator) for _ in range(2))
    return x.requires_grad_(), 0.5 * x.detach() + 0.5 * y


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_losses_and_their_gradients_are_those_of_convolutions(
    height: int, width: int, generator: torch.Generator
) -> None:
    x, y = pair(height, width, generator)
    for quick, plain in PAIRS:
        torch.testing.assert_close(quick(x, y), plain(x, y), rtol=0, atol=1e-6)
        ours, theirs = (torch.autograd.grad(f(x, y).sum(), x)[0] for f in (quick, plain))
        worst = float((ours - theirs).abs().max() / theirs.abs().max())
        assert worst < 1e-5, "of the largest gradient"


@pytest.mark.parametrize(("height", "width"), [(21, 34), (70, 29)])
def test_in_double_precision_they_agree_to_its_rounding(
    height: int, width: int, generator: torch.Generator
) -> None:
    x, y = (picture.detach().double() for picture in pair(height, width, generator))
    x.requires_grad_()
    for quick, plain in PAIRS:
        torch.testing.assert_close(quick(x, y), plain(x, y), rtol=0, atol=1e-13)
        ours, theirs = (torch.autograd.grad(f(x, y).sum(), x)[0] for f in (quick, plain))
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("side", [3, 64, 65, 150])
@pytest.mark.parametrize(("whole", "stride"), [(False, 1), (True, 1), (False, 2)])
def test_a_side_filter_is_a_convolution_with_its_ends_repeated(
    side: int, whole: bool, stride: int, generator: torch.Generator
) -> None:
    maps = torch.rand(2, 4, side, generator=generator, dtype=torch.float64)
    taps = (0.5, -1.0, 2.0)
    made = side_filter(taps, side, maps.dtype, maps.device, whole, stride)
    padded = maps if whole else functional.pad(maps, (1, 1), mode="replicate")
    kernel = torch.tensor(taps, dtype=torch.float64).reshape(1, 1, 3)
    wanted = functional.conv1d(padded.reshape(8, 1, -1), kernel)[..., ::stride].reshape(2, 4, -1)
    torch.testing.assert_close(filtered(maps, across=made), wanted)
    torch.testing.assert_close(filtered(maps.mT, down=made), wanted.mT)


def test_gradients_of_filtering_are_right(generator: torch.Generator) -> None:
    maps = torch.rand(2, 9, 67, generator=generator, dtype=torch.float64, requires_grad=True)
    down, across = (
        side_filter((0.5, -1.0, 2.0), side, maps.dtype, maps.device, stride=2) for side in (9, 67)
    )
    torch.autograd.gradcheck(lambda m: filtered(m, down, across), maps)
