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
from functools import lru_cache
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.side_filters import Taps, filtered, side_filter

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
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
# Waves (of `_waves`) down and across whose products make up every filter: the diagonal ones by
# the rule of the cosine of a sum, the others with the bell; the first is what makes means zero.
_PARTS = ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (3, 3), (3, 4), (4, 3), (4, 4))
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
    levels: list[Tensor] = []
    while len(levels) < _LEVELS and min(x.shape[2:]) >= SMALLEST // 2:
        levels.append(_compare(_describe(x), _describe(y)))
        x, y = _smooth(x, stride=2), _smooth(y, stride=2)
    return torch.stack(levels).mean(0)


def _describe(
    maps: Float[Tensor, "b c h w"],
) -> tuple[Float[Tensor, "b c 2 o h w"], Float[Tensor, "b c o h w"]]:
    """Responses and their energies, both divided by the contrast around them."""
    responses = torch.unflatten(_respond(maps), 2, (2, -1))
    energy = _smooth((responses.square().sum(2) + 1e-8).sqrt())
    around = energy.mean(2, keepdim=True) + _MASKING
    return responses / around.unsqueeze(2), energy / around


def _respond(maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c f h w"]:
    """Responses to all filters, first the even ones: sums of what waves down and across give."""
    height, width = (
        [side_filter(taps, side, maps.dtype, maps.device) for taps in _waves()]
        for side in maps.shape[2:]
    )
    down = [filtered(maps, down=wave) for wave in height]
    parts = torch.stack([filtered(down[i], across=width[j]) for i, j in _PARTS], 2)
    mixed: Tensor = _shares().to(parts) @ parts.flatten(3)
    return torch.unflatten(mixed, 3, maps.shape[2:])


def _compare(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    response, energy = (
        (a - b).abs().flatten(1).mean(1) for a, b in zip(first, second, strict=True)
    )
    return _PHASE * response + energy


def _filters() -> tuple[Tensor, Tensor]:
    """Waves under a bell, even and odd, `[O, taps, taps]`; mean 0 and absolute sum 1."""
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
        pair.append(made / made.abs().sum((1, 2), keepdim=True))
    return pair[0], pair[1]


@lru_cache(maxsize=1)
def _waves() -> tuple[Taps, ...]:
    """The bell, then waves under it along one side: cosine and sine, straight and of diagonals."""
    steps = torch.arange(_TAPS, dtype=torch.float64) - _TAPS // 2
    bell = torch.exp(-steps * steps / (2 * _SIGMA**2))
    phases = [2 * torch.pi / _WAVELENGTH * share * steps for share in (1.0, 0.5**0.5)]
    waves = [bell, *(bell * wave for phase in phases for wave in (phase.cos(), phase.sin()))]
    return tuple(tuple(wave.tolist()) for wave in waves)


@lru_cache(maxsize=1)
def _shares() -> Float[Tensor, "f p"]:
    """How much of each of `_PARTS` a filter holds; they add up to it but for rounding."""
    waves = torch.tensor(_waves(), dtype=torch.float64)
    parts = torch.stack([torch.outer(waves[i], waves[j]).flatten() for i, j in _PARTS], 1)
    filters = torch.cat(_filters()).flatten(1)
    found: Tensor = torch.linalg.lstsq(parts, filters.T).solution.T
    return found


def _smooth(maps: Float[Tensor, "*b h w"], stride: int = 1) -> Float[Tensor, "*b y x"]:
    """Blur by the binomial 1 4 6 4 1, and keep every so manieth value."""
    down, across = (
        side_filter(_BINOMIAL, side, maps.dtype, maps.device, stride=stride)
        for side in maps.shape[-2:]
    )
    return filtered(maps, down, across)


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
