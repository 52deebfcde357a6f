from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mien.avatar import kernels, reference
from mien.avatar.gaussians import Gaussians
from mien.avatar.phantom import phantom
from mien.avatar.render import render
from mien.camera import Camera

# One threshold decided the other way by float32 moves a pixel by ALPHA_MIN at most. Seen over
# these scenes: 1.1e-6 at most, mean 6e-8; 4000 Gaussians at 256x256: 2e-4, mean 2e-8 (Zen 4).
WORST, MEAN = 1 / 255, 1e-6


def spread(gaussians: Gaussians, **factors: Any) -> Gaussians:
    parts = {name: value * factors.get(name, 1.0) for name, value in vars(gaussians).items()}
    return Gaussians(**parts)


def scene(name: str) -> tuple[Gaussians, Camera]:
    shell, camera = phantom(700), Camera.portrait(65, 50, yaw=0.5, pitch=0.2)
    thin = torch.tensor([4.0, 0.15, 1.0])
    close = Camera.look_at((0.02, 0.0, 0.13), (0.0, 0.02, 0.0), fov_deg=50, width=48, height=64)
    return {
        "a head": (shell, camera),
        "glass": (spread(shell, opacities=0.02, scales=1.5), camera),
        "needles": (spread(shell, scales=thin), camera),
        "dust": (spread(shell, scales=0.02), camera),
        "boulders": (spread(shell.subset(torch.arange(0, 700, 9)), scales=12.0), camera),
        "inside the head": (shell, close),
        "one pixel": (shell, Camera.portrait(1, 1)),
        "one column": (shell, Camera.portrait(1, 37)),
    }[name]


def draw_reference(gaussians: Gaussians, camera: Camera) -> tuple[Tensor, Tensor]:
    exact = gaussians.to(dtype=torch.float64)
    return reference.rasterize(exact, camera, exact.colors)


@pytest.mark.parametrize(
    "name",
    [
        *("a head", "glass", "needles", "dust", "boulders"),
        *("inside the head", "one pixel", "one column"),
    ],
)
def test_the_kernels_draw_what_the_reference_draws(name: str) -> None:
    gaussians, camera = scene(name)
    image, alpha = draw_reference(gaussians, camera)
    drawn = render(gaussians, camera)
    assert float(alpha.max()) > 0.02
    for ours, exact in ((drawn.image, image), (drawn.alpha, alpha)):
        difference = (ours.double() - exact).abs()
        assert float(difference.max()) <= WORST
        assert float(difference.mean()) <= MEAN


def test_the_number_of_threads_changes_no_bit() -> None:
    gaussians, camera = phantom(3000), Camera.portrait(150, 130)
    one, three = (render(gaussians, camera, num_threads=n) for n in (1, 3))
    torch.testing.assert_close(one.image, three.image, rtol=0, atol=0)
    torch.testing.assert_close(one.alpha, three.alpha, rtol=0, atol=0)


def test_the_order_of_the_gaussians_does_not_matter() -> None:
    gaussians, camera = phantom(800), Camera.portrait(64, 64, yaw=0.3)
    turned = gaussians.subset(torch.arange(799, -1, -1))
    torch.testing.assert_close(
        render(gaussians, camera).image, render(turned, camera).image, rtol=0, atol=0
    )


def test_exp2_is_right_to_float32() -> None:
    from numba import njit

    exp2 = kernels._exp2

    @njit
    def compute(powers, out):  # type: ignore[no-untyped-def]
        for i in range(powers.shape[0]):
            out[i] = exp2(powers[i])

    powers = np.linspace(-20, 0, 4001).astype(np.float32)
    out = np.empty_like(powers)
    compute(powers, out)
    np.testing.assert_allclose(out, np.exp2(powers.astype(np.float64)), rtol=3e-7)
