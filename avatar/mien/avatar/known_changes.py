"""How the colors of known people change as their faces move, and lessons that compare just that.

What a network must move is faint in pictures: creases, pressed and stretched skin, shadows that a
jaw or a brow casts. Learned from pictures alone, beside all that is still wrong about a person, it
drowns. Where pictures were drawn from paintings, as `mien synth portraits` does, the change of
every texel is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mien.avatar.mapped_rows import MappedRows, write_rows
from mien.avatar.static_maps import by_name

_SMALL = 0.1  # sRGB, below which a difference is squared: nearly all changes are nearly none

__all__ = ["KnownChanges", "change_terms", "recolored", "write_known_changes"]


class KnownChanges(MappedRows):
    """The known changes of a collection's first instants, read as they are asked for.

    Args:
        path: What `write_known_changes` wrote.
        instants: How many instants of the collection are known, from the first on.
        resolution: Side of the maps that are wanted.

    Raises:
        ValueError: If the file is damaged or holds others.
    """

    def __init__(self, path: Path, instants: int, resolution: int) -> None:
        super().__init__(path, (instants, 3, resolution, resolution))

    def of(self, rows: Sequence[int]) -> Float[Tensor, "b 3 r r"]:
        """By how much sRGB is more than at rest, at some instants by their numbers."""
        return super().of(rows)


def write_known_changes(
    path: Path,
    changes: Iterable[tuple[int, Float[Tensor, "3 r r"]]],
    instants: int,
    resolution: int,
) -> None:
    """Write changes, whole or not at all.

    Args:
        path: Where.
        changes: Of each instant by number, in any order.
        instants: How many there are.
        resolution: Side of the maps.

    Raises:
        ValueError: If any instant is missing.
    """
    lacking = f"Changes are wanted at {instants} instants, {{}} missing."
    write_rows(path, changes, (instants, 3, resolution, resolution), lacking)


def recolored(
    deltas: Float[Tensor, "14 r r"], color: Float[Tensor, "3 r r"]
) -> Float[Tensor, "3 r r"]:
    """By how much sRGB becomes more where something is added to a color map, before activation."""
    return (color + by_name(deltas)["color"]).sigmoid() - color.sigmoid()


def change_terms(
    deltas: Float[Tensor, "14 r r"],
    color: Float[Tensor, "3 r r"],
    change: Float[Tensor, "3 r r"],
    moving: Bool[Tensor, "r r"],
) -> dict[str, Float[Tensor, ""]]:
    """How far what a network adds to a person's maps is from a known change, over what moves.

    Args:
        deltas: What it adds, in the order of `static_maps.WIDTHS`, before activation.
        color: The person's known color map, before activation.
        change: By how much sRGB shall be more.
        moving: Texels of the surface that expressions, jaw or eyes move.

    Returns:
        The difference of colors, sRGB, squared where it is small, by `smooth_l1_loss`; and
        "others", the mean of what shall not change.
    """
    named, made = by_name(deltas), recolored(deltas, color)
    rest = torch.cat([value for name, value in named.items() if name != "color"])
    return {
        "change": torch.nn.functional.smooth_l1_loss(
            made[:, moving], change[:, moving], beta=_SMALL
        ),
        "others": rest.abs()[:, moving].mean(),
    }
