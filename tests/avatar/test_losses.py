"""Losses: what agrees costs nothing, what differs costs by the rules they are named after."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor, nn

from mien.avatar.learned import Decoded
from mien.avatar.losses import (
    LossWeights,
    l1_loss,
    picture_terms,
    shape_terms,
    ssim,
    weighted,
)
from mien.avatar.perceptual import make_perceptual, steerable_difference


def texture(height: int = 33, width: int = 29, phase: float = 0.0) -> Tensor:
    """Two batches of a fine pattern with some color."""
    y, x = torch.meshgrid(
        torch.arange(height).double(), torch.arange(width).double(), indexing="ij"
    )
    waves = [
        (1.3 * x + 0.4 * y + phase).sin(),
        (0.9 * y - 0.7 * x + phase).sin(),
        (0.21 * x * y / 9 + phase).sin(),
    ]
    picture = 0.5 + 0.3 * torch.stack(waves, -1)
    return torch.stack([picture, picture.flip(0)])


def plain_ssim(x: Tensor, y: Tensor) -> float:
    """The definition, window by window."""
    steps = torch.arange(11).double() - 5
    bell = torch.exp(-(steps**2) / (2 * 1.5**2))
    window = bell[:, None] * bell[None]
    window = window / window.sum()
    values = []
    for c in range(x.shape[-1]):
        for i in range(x.shape[0] - 10):
            for j in range(x.shape[1] - 10):
                a, b = x[i : i + 11, j : j + 11, c], y[i : i + 11, j : j + 11, c]
                ma, mb = (window * a).sum(), (window * b).sum()
                va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
                both = (window * (a - ma) * (b - mb)).sum()
                low, high = 1e-4, 9e-4
                alike = (2 * ma * mb + low) * (2 * both + high)
                values.append(alike / ((ma**2 + mb**2 + low) * (va + vb + high)))
    return float(torch.stack(values).mean())


def test_ssim_agrees_with_its_definition() -> None:
    x, y = texture(15, 14), 0.8 * texture(15, 14, phase=0.4) + 0.1
    found = ssim(x, y)
    for picture in range(2):
        assert float(found[picture]) == pytest.approx(plain_ssim(x[picture], y[picture]), abs=1e-9)


def test_equal_pictures_cost_nothing() -> None:
    x = texture()
    torch.testing.assert_close(ssim(x, x), torch.ones(2).double())
    assert float(l1_loss(x, x).max()) == 0.0
    assert float(steerable_difference(x, x).max()) == 0.0


def test_small_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"11x11 pixels or more, got 30x10"):
        ssim(torch.zeros(1, 10, 30, 3), torch.zeros(1, 10, 30, 3))
    with pytest.raises(ValueError, match=r"16x16 pixels or more.*got 15x20"):
        steerable_difference(torch.zeros(1, 20, 15, 3), torch.zeros(1, 20, 15, 3))


def blurred(x: Tensor) -> Tensor:
    planes = x.movedim(-1, 1)
    padded = nn.functional.pad(planes, [1, 1, 1, 1], mode="replicate")
    return nn.functional.avg_pool2d(padded, 3, 1).movedim(1, -1)


def test_the_perceptual_difference_minds_blur_more_than_a_shift() -> None:
    """By L1 it is the other way round: that is why L1 alone makes faces blurry."""
    noise = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(0)).double()
    x = 0.5 + 0.6 * (blurred(noise) - 0.5)
    blur, shift = blurred(x), x.roll(1, 2)
    assert float(l1_loss(blur, x).mean()) < 0.8 * float(l1_loss(shift, x).mean())
    assert (steerable_difference(blur, x) > 1.1 * steerable_difference(shift, x)).all()


def test_the_perceptual_difference_grows_with_the_error_and_sees_color() -> None:
    x, y = texture(), texture(phase=0.7)
    costs = [steerable_difference(x + share * (y - x), x).mean() for share in (0.2, 0.5, 1.0)]
    assert 0 < costs[0] < costs[1] < costs[2]
    swapped = x[..., [1, 0, 2]]
    assert (steerable_difference(swapped, x) > 0.01).all()


def test_the_perceptual_difference_has_gradients_where_pictures_are_flat() -> None:
    x = torch.full((1, 20, 20, 3), 0.5, requires_grad=True)
    steerable_difference(x, texture(20, 20)[:1].float()).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


def test_lpips_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ValueError, match="needs the package lpips.*take 'steerable'"):
        make_perceptual("lpips")


def test_lpips_is_asked_in_its_own_range(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stand(nn.Module):
        def __init__(self, net: str, verbose: bool) -> None:
            super().__init__()
            assert (net, verbose) == ("vgg", False)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            assert a.shape == (2, 3, 33, 29)
            return (a - b).abs().flatten(1).mean(1).reshape(-1, 1, 1, 1)

    fake = types.ModuleType("lpips")
    fake.LPIPS = Stand  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", fake)
    x, y = texture(), texture(phase=1.0)
    torch.testing.assert_close(make_perceptual("lpips")(x, y), 2 * l1_loss(x, y))


def test_an_unknown_perceptual_difference_is_refused(
    refuses: Callable[[str], AbstractContextManager[None]],
) -> None:
    with refuses("must be 'steerable' or 'lpips', got 'vgg'"):
        make_perceptual("vgg")  # type: ignore[arg-type]


def test_the_mouth_term_sees_the_mouth_alone() -> None:
    x = texture()
    mouth = torch.zeros(2, 33, 29).double()
    mouth[0, 10:20, 10:20] = 1
    outside, inside = x.clone(), x.clone()
    outside[:, 25:30, 20:25] = 0.0
    inside[:, 12:17, 12:17] = 0.0
    quiet = picture_terms(outside, x, mouth, steerable_difference)
    loud = picture_terms(inside, x, mouth, steerable_difference)
    assert quiet["mouth"].tolist() == [0.0, 0.0]
    assert float(quiet["perceptual"].min()) > 0
    assert float(loud["mouth"][0]) > 0 and float(loud["mouth"][1]) == 0.0


def decoded(drift_cm: float, growth_cm: float) -> Decoded:
    ones = torch.ones(2, 5, 3)
    flat = torch.ones(2, 5)
    look = (ones, flat, ones, drift_cm * ones, growth_cm * ones)
    return Decoded(*look, means=ones, quats=torch.ones(2, 5, 4))


def test_regularizers_are_mean_squared_lengths_in_centimetres() -> None:
    terms = shape_terms(decoded(0.5, 0.1))
    torch.testing.assert_close(terms["position"], torch.full((2,), 0.75))
    torch.testing.assert_close(terms["scale"], torch.full((2,), 0.03))


def test_weights_are_the_papers_and_are_used() -> None:
    names = ("l1", "ssim", "perceptual", "mouth", "position", "scale")
    assert tuple(vars(LossWeights()).values()) == (1, 0.1, 0.2, 10, 0.01, 1)
    terms = {name: torch.tensor([10.0**n]) for n, name in enumerate(names)}
    wanted = 1 + 0.1 * 10 + 0.2 * 100 + 10 * 1000 + 0.01 * 1e4 + 1e5
    assert math.isclose(float(weighted(terms, LossWeights())), wanted, rel_tol=1e-6)
    with pytest.raises(ValueError, match="`mouth` must not be negative, got -1"):
        LossWeights(mouth=-1.0)
