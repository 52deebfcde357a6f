"""How different two pictures look: fixed oriented filters at several scales, or LPIPS.

The filters are not learned, so nothing is downloaded, every machine gives the same number, and
what they measure is known: local contrast by direction and scale, as the first visual areas see
it. Two ideas make the difference follow looks more than pixels do. Responses are divided by the
contrast around them, since strong texture masks small errors (as in the normalized Laplacian
pyramid, Laparra et al. 2016, doi:10.2352/ISSN.2470-1173.2016.16.HVEI-103). And besides each
response its energy counts, the even and the odd filter together, which hardly changes when a
texture moves by a pixel but falls when it is blurred: a decoder is not paid for blurring pores.
It knows nothing of what a face means. LPIPS does more, and is used if asked for and installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Perceptual = Callable[[Float[Tensor, "b h w 3"], Float[Tensor, "b h w 3"]], Float[Tensor, " b"]]
PerceptualKind = Literal["steerable", "lpips"]

SMALLEST = 16  # pixels along the shorter side
_ORIENTATIONS = 4
_WAVELENGTH = 4.0  # pixels a cycle, at every scale
_SIGMA = 1.8
_TAPS = 7
_LEVELS = 5
_MASKING = 0.05  # contrast below which nothing is masked
_PHASE = 0.25  # weight of responses against their energy
_OPPONENT = ((0.299, 0.587, 0.114), (0.5, -0.5, 0.0), (0.25, 0.25, -0.5))


def make_perceptual(kind: PerceptualKind = "steerable") -> Perceptual:
    """Give a function from two batches of sRGB pictures to the difference of each pair.

    Raises:
        ValueError: If the kind is unknown, or LPIPS is not installed.
    """
    if kind == "steerable":
        return steerable_difference
    if kind == "lpips":
        return _load_lpips()
    raise ValueError(f"`kind` must be 'steerable' or 'lpips', got {kind!r}.")


def steerable_difference(
    drawn: Float[Tensor, "b h w 3"], wanted: Float[Tensor, "b h w 3"]
) -> Float[Tensor, " b"]:
    """Difference in local contrast by direction and scale, 0 where pictures agree.

    Raises:
        ValueError: If the pictures have fewer than 16 pixels along a side.
    """
    if min(drawn.shape[1:3]) < SMALLEST:
        raise ValueError(
            f"Pictures must be {SMALLEST}x{SMALLEST} pixels or more to be compared, "
            f"got {drawn.shape[2]}x{drawn.shape[1]}."
        )
    mixing = torch.tensor(_OPPONENT, dtype=drawn.dtype, device=drawn.device)
    x, y = ((picture @ mixing.T).movedim(-1, 1) for picture in (drawn, wanted))
    even, odd = (f.to(x) for f in _filters())
    levels: list[Tensor] = []
    while len(levels) < _LEVELS and min(x.shape[2:]) >= SMALLEST // 2:
        levels.append(_compare(_describe(x, even, odd), _describe(y, even, odd)))
        x, y = _halve(x), _halve(y)
    return torch.stack(levels).mean(0)


def _describe(maps: Tensor, even: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
    """Responses and their energies, both divided by the contrast around them."""
    planes = functional.pad(maps.flatten(0, 1).unsqueeze(1), [_TAPS // 2] * 4, mode="replicate")
    at_even, at_odd = functional.conv2d(planes, even), functional.conv2d(planes, odd)
    energy = (at_even.square() + at_odd.square() + 1e-8).sqrt()
    around = _smooth(energy.mean(1, keepdim=True)) + _MASKING
    shape = maps.shape[:2]
    responses = torch.cat([at_even, at_odd], 1) / around
    relative = _smooth(energy) / around
    return torch.unflatten(responses, 0, shape), torch.unflatten(relative, 0, shape)


def _compare(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    response, energy = (
        (a - b).abs().flatten(1).mean(1) for a, b in zip(first, second, strict=True)
    )
    return _PHASE * response + energy


def _filters() -> tuple[Tensor, Tensor]:
    """Waves under a bell, even and odd, `[O, 1, taps, taps]`; mean 0 and absolute sum 1."""
    steps = torch.arange(_TAPS, dtype=torch.float64) - _TAPS // 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    bell = torch.exp(-(x * x + y * y) / (2 * _SIGMA**2))
    angles = torch.arange(_ORIENTATIONS, dtype=torch.float64) * torch.pi / _ORIENTATIONS
    along = angles.cos()[:, None, None] * x + angles.sin()[:, None, None] * y
    phase = 2 * torch.pi / _WAVELENGTH * along
    pair = []
    for wave in (phase.cos(), phase.sin()):
        mean = (wave * bell).sum((1, 2), keepdim=True) / bell.sum()
        made = (wave - mean) * bell
        pair.append((made / made.abs().sum((1, 2), keepdim=True)).unsqueeze(1))
    return pair[0], pair[1]


def _smooth(maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Blur by the binomial 1 4 6 4 1."""
    taps = maps.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    planes = functional.pad(maps.flatten(0, 1).unsqueeze(1), [2, 2, 2, 2], mode="replicate")
    planes = functional.conv2d(planes, taps.reshape(1, 1, -1, 1))
    planes = functional.conv2d(planes, taps.reshape(1, 1, 1, -1))
    return torch.unflatten(planes.squeeze(1), 0, maps.shape[:2])


def _halve(maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c x y"]:
    return _smooth(maps)[..., ::2, ::2]


def _load_lpips() -> Perceptual:
    try:
        import lpips  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise ValueError(
            "The perceptual difference 'lpips' needs the package lpips, which is not installed; "
            "install it, or take 'steerable'."
        ) from error
    network: Any = lpips.LPIPS(net="vgg", verbose=False).eval().requires_grad_(False)

    def difference(drawn: Tensor, wanted: Tensor) -> Tensor:
        network.to(drawn.device)
        pictures = (picture.movedim(-1, 1) * 2 - 1 for picture in (drawn, wanted))
        judged: Tensor = network(*pictures)
        return judged.flatten(1).mean(1)

    return difference
