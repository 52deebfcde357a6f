"""A learned head in an avatar's folder: its weights in safetensors, its size in the card."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from mien.avatar.learned import LearnedHead, make_unet
from mien.avatar.prepared import bake_identity
from mien.avatar.sizes import DecoderSize
from mien.avatar.static_maps import StaticMaps
from mien.avatar.tensor_file import read_finite
from mien.avatar.uv_layout import UVLayout
from mien.head import Head

if TYPE_CHECKING:
    from mien.avatar.avatar import Avatar

WEIGHTS = "decoder.safetensors"
_ENTRY = "learned"
_MOST_BYTES = 512 * 2**20
_MOST_SIDE, _MOST_CHANNELS, _MOST_GAUSSIANS = 2048, 1024, 4_000_000


def describe_learned(learned: LearnedHead | None) -> dict[str, Any]:
    """What a card says of a learned head."""
    if learned is None:
        return {}
    return {_ENTRY: {"size": asdict(learned.size), "gaussians": len(learned)}}


def write_learned(learned: LearnedHead | None, folder: Path) -> None:
    """Write a learned head's weights; without one, remove what an earlier one left.

    What half floats hold exactly, as of an avatar that was `rounded`, is written in them.
    """
    if learned is None:
        (folder / WEIGHTS).unlink(missing_ok=True)
        return
    state = {name: _compact(value.cpu()) for name, value in learned.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(state))


def rounded(avatar: Avatar) -> Avatar:
    """An avatar whose learned head is rounded to half floats, to be kept in half the space."""
    learned = copy.deepcopy(avatar.learned)
    if learned is not None:
        with torch.no_grad():
            for value in learned.state_dict().values():
                value.copy_(value.half())
    return dataclasses.replace(avatar, learned=learned)


def read_learned(
    card: dict[str, Any], folder: Path, head: Head, shape: Tensor
) -> LearnedHead | None:
    """Read a learned head, if the card names one.

    Raises:
        ValueError: If the card or the weights are damaged, or for another head.
    """
    if _ENTRY not in card:
        return None
    size, count = _read_size(card, folder)
    state = _read_weights(folder / WEIGHTS)
    layout = UVLayout(head, bake_identity(head, shape), size)
    if layout.num_gaussians != count:
        raise ValueError(
            f"{folder} was made for another texture: it has {count} Gaussians, "
            f"the head {head.name!r} gives {layout.num_gaussians}."
        )
    features = torch.zeros(size.features, size.network_side, size.network_side)
    maps = StaticMaps.plain(size.resolution, features)
    learned = LearnedHead(size, layout, maps, make_unet(size))
    try:
        learned.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"{folder / WEIGHTS} does not hold a decoder of the size {size.name!r}."
        ) from error
    return learned.eval().requires_grad_(False)


def _compact(value: Tensor) -> Tensor:
    half = value.half()
    return (half if torch.equal(half.float(), value) else value).contiguous()


def _read_size(card: dict[str, Any], folder: Path) -> tuple[DecoderSize, int]:
    try:
        entry = card[_ENTRY]
        given = entry["size"]
        first, second, third, fourth, fifth = (int(width) for width in given["widths"])
        size = DecoderSize(
            str(given["name"]),
            int(given["resolution"]),
            int(given["num_gaussians"]),
            int(given["features"]),
            (first, second, third, fourth, fifth),
            int(given.get("coarser", 1)),
        )
        count = int(entry["gaussians"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder} does not say its decoder's size: {error}.") from error
    largest = max(size.features, *size.widths)
    if (
        size.resolution > _MOST_SIDE
        or largest > _MOST_CHANNELS
        or size.num_gaussians > _MOST_GAUSSIANS
    ):
        raise ValueError(f"{folder} names a decoder too large to read: {size}.")
    return size, count


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"{path} is missing, but its avatar is learned.")
    return read_finite(path, _MOST_BYTES)
