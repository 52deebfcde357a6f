"""The losses on windows are those on pictures, found another way."""

from __future__ import annotations

import pytest
import torch

from mien.avatar.losses import ssim
from mien.avatar.perceptual import steerable_difference
from mien.avatar.window_losses import cut, window_difference, window_ssim


def pair(side: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = (torch.rand(2, side, side, 3, generator=generator) for _ in range(2))
    return x.requires_grad_(), 0.5 * x.detach() + 0.5 * y


@pytest.mark.parametrize("side", [16, 33, 64])
def test_values_and_gradients_are_those_of_the_convolutions(
    side: int, generator: torch.Generator
) -> None:
    x, y = pair(side, generator)
    for quick, plain in ((window_difference, steerable_difference), (window_ssim, ssim)):
        torch.testing.assert_close(quick(x, y), plain(x, y), rtol=1e-4, atol=1e-6)
        ours, theirs = (torch.autograd.grad(f(x, y).sum(), x)[0] for f in (quick, plain))
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-7)  # float32, other order


def test_equal_pictures_differ_by_nothing(generator: torch.Generator) -> None:
    x = pair(24, generator)[0].detach()
    assert float(window_difference(x, x).abs().max()) == 0
    assert window_ssim(x, x).tolist() == pytest.approx([1.0, 1.0])


def test_windows_are_cut_at_their_corners() -> None:
    pictures = torch.arange(2 * 5 * 6.0).reshape(2, 5, 6, 1)
    found = cut(pictures, torch.tensor([[0, 1], [3, 4]]), 2)
    assert torch.equal(found[0], pictures[0, :2, 1:3])
    assert torch.equal(found[1], pictures[1, 3:5, 4:6])


def test_windows_that_are_too_small_or_not_square_are_refused() -> None:
    for height, width in ((12, 12), (20, 24)):
        with pytest.raises(ValueError, match=rf"must be square.*got {width}x{height}"):
            window_difference(torch.zeros(1, height, width, 3), torch.zeros(1, height, width, 3))
