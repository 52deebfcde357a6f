"""Maps of people that are known before any learning, and lessons that compare maps alone.

A drawing teaches the texels that its cameras see, through all that draws them. Where pictures were
drawn from paintings, as `mien synth portraits` does, the maps themselves are known: comparing them
costs neither network nor drawing, and teaches every texel at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mien.avatar.mapped_rows import MappedRows, write_rows
from mien.avatar.sizes import DecoderSize
from mien.avatar.static_maps import WIDTHS, StaticMaps, by_name

__all__ = [
    "COLORS",
    "NUM_KNOWN",
    "KnownMaps",
    "component_side",
    "map_terms",
    "principal",
    "spread_known",
    "write_known_maps",
]

KNOWN = ("position", "opacity", "color")  # the others are the surface's own in every painting
_KNOWN_PARTS = [WIDTHS[name] for name in KNOWN]
NUM_KNOWN = sum(_KNOWN_PARTS)
COLORS = slice(-3, None)  # of known maps
_COARSER = 2  # components' texels over those of maps
_STILL = 1e-4  # variance of a component that nobody has


class KnownMaps(MappedRows):
    """The known maps of a collection's people, read as they are asked for.

    Args:
        path: What `write_known_maps` wrote.
        people: How many people the collection has.
        resolution: Side of the maps that are wanted.

    Raises:
        ValueError: If the file is damaged or holds other maps.
    """

    def __init__(self, path: Path, people: int, resolution: int) -> None:
        super().__init__(path, (people, NUM_KNOWN, resolution, resolution))

    def of(self, rows: Sequence[int]) -> Float[Tensor, "b 7 r r"]:
        """Position, opacity and color of some people, by their numbers; before activation."""
        return super().of(rows)

    def whole(self, person: int, features: int) -> StaticMaps:
        """All maps of one person, by number; what is not known is the surface's own.

        Args:
            person: Who.
            features: Channels of identity features, all zeros.
        """
        known = _known_by_name(self.of([person])[0])
        blank = torch.zeros(features, *self.values.shape[2:])
        plain = StaticMaps.plain(blank.shape[-1], blank)
        scale, rotation = plain.scale.detach(), plain.rotation.detach()
        return StaticMaps(
            known["position"], known["opacity"], scale, known["color"], rotation, blank
        )


def write_known_maps(
    path: Path, maps: Iterable[tuple[int, Float[Tensor, "14 r r"]]], people: int, resolution: int
) -> None:
    """Write the maps of people, whole or not at all.

    Args:
        path: Where.
        maps: Of each person by number, in any order.
        people: How many.
        resolution: Side of the maps.

    Raises:
        ValueError: If anybody is missing.
    """
    rows = ((number, _known_of(attributes)) for number, attributes in maps)
    lacking = f"Known maps are wanted of all {people}, {{}} are missing."
    write_rows(path, rows, (people, NUM_KNOWN, resolution, resolution), lacking)


def _known_of(attributes: Float[Tensor, "14 r r"]) -> Float[Tensor, "7 r r"]:
    named = by_name(attributes)
    return torch.cat([named[name] for name in KNOWN])


def _known_by_name(known: Float[Tensor, "*b 7 r r"]) -> dict[str, Tensor]:
    return dict(zip(KNOWN, torch.split(known, _KNOWN_PARTS, -3), strict=True))


def component_side(size: DecoderSize) -> int:
    """Side of the components of a size's maps."""
    return size.resolution // _COARSER


def spread_known(known: Float[Tensor, "b 7 r r"]) -> Float[Tensor, "b 14 r r"]:
    """Put known maps among zeros, in the order of `static_maps.WIDTHS`."""
    parts = _known_by_name(known)
    blank = known[:, :1] * 0.0
    return torch.cat(
        [
            parts[name] if name in parts else blank.expand(-1, width, -1, -1)
            for name, width in WIDTHS.items()
        ],
        1,
    )


def principal(
    known: KnownMaps, count: int, size: DecoderSize
) -> tuple[Float[Tensor, "14 r r"], Float[Tensor, "k 7 h h"]]:
    """Find how the people's maps differ most.

    Args:
        known: Of all people.
        count: How many ways, K.
        size: Of the maps.

    Returns:
        The mean person's maps, and the principal components at half the side, each as large as
        one standard deviation; zeros beyond what the people span.
    """
    side, people = component_side(size), len(known)
    rows = torch.cat(
        [nn.functional.adaptive_avg_pool2d(known.of([n]), side).flatten(1) for n in range(people)]
    )
    apart = rows - rows.mean(0)
    values, vectors = torch.linalg.eigh((apart @ apart.T / people).double())
    kept = min(count, people)
    values, vectors = values.flip(0)[:kept], vectors.flip(1)[:, :kept]
    found = torch.zeros(count, rows.shape[1])
    found[:kept] = (vectors.T.float() @ apart) / people**0.5  # length: the root of the variance
    found[:kept][values < _STILL] = 0.0
    mean = sum((known.of([n]) for n in range(people)), torch.zeros(())) / people
    plain = StaticMaps.plain(size.resolution, torch.zeros(1, size.resolution, size.resolution))
    named: dict[str, Tensor] = {name: getattr(plain, name).detach() for name in WIDTHS}
    named.update(_known_by_name(mean[0]))
    return torch.cat([named[name] for name in WIDTHS]), found.reshape(count, NUM_KNOWN, side, side)


def map_terms(
    attributes: Float[Tensor, "b 14 r r"],
    known: Float[Tensor, "b 7 r r"],
    template: Float[Tensor, "14 r r"],
    on_surface: Bool[Tensor, "r r"],
) -> dict[str, Float[Tensor, " b"]]:
    """How far maps are from those that are known, mean over the texels of the surface.

    Args:
        attributes: In the order of `static_maps.WIDTHS`, before activation.
        known: See `KnownMaps`.
        template: Maps of the mean person: what is not known shall stay as there.
        on_surface: Texels that lie on the head.

    Returns:
        Absolute differences by the names of the maps: colors and opacities after activation,
        positions in centimetres; and "others", of what is not known, before activation.
    """
    named, plain, wanted = by_name(attributes), by_name(template), _known_by_name(known)
    found = {"position": (named["position"] - wanted["position"]).abs()}
    for name in ("opacity", "color"):
        found[name] = (named[name].sigmoid() - wanted[name].sigmoid()).abs()
    rest = [named[name] - plain[name] for name in WIDTHS if name not in KNOWN]
    found["others"] = torch.cat(rest, 1).abs()
    return {name: values[..., on_surface].flatten(1).mean(1) for name, values in found.items()}
