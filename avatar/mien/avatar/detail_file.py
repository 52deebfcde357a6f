"""Skin detail in an avatar's folder: weights in safetensors, sizes and figures in the card.

Patterns are kept as integers of 8 bits, the network as half floats.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from mien.avatar.detail import DetailSize, SkinDetail
from mien.avatar.tensor_file import read_finite

__all__ = ["describe_detail", "read_detail", "rounded_detail", "write_detail"]

WEIGHTS = "detail.safetensors"
_ENTRY = "detail"
_FEATURES, _SCALE = "features", "features_scale"
_MOST_BYTES = 64 * 2**20
_MOST_SIDE, _MOST_CHANNELS = 1024, 256


def describe_detail(detail: SkinDetail | None) -> dict[str, Any]:
    """What a card says of detail."""
    if detail is None:
        return {}
    return {_ENTRY: {"size": asdict(detail.size), "card": dict(detail.card)}}


def write_detail(detail: SkinDetail | None, folder: Path) -> None:
    """Write detail's weights; without it, remove what an earlier one left."""
    if detail is None:
        (folder / WEIGHTS).unlink(missing_ok=True)
        return
    (folder / WEIGHTS).write_bytes(save(_pack(detail)))


def rounded_detail(detail: SkinDetail) -> SkinDetail:
    """Detail as it comes back from its file."""
    return _made_of(_pack(detail), detail.size, detail.card)


def _made_of(packed: dict[str, Tensor], size: DetailSize, card: dict[str, Any]) -> SkinDetail:
    with torch.device("meta"):  # nothing is allocated for what a card claims, no chance drawn
        detail = SkinDetail(size)
    detail.load_state_dict(_unpack(packed), assign=True)
    detail.card = dict(card)
    return detail.eval().requires_grad_(False)


def _pack(detail: SkinDetail) -> dict[str, Tensor]:
    state = {name: value.cpu().half().contiguous() for name, value in detail.state_dict().items()}
    features = detail.features.detach().cpu()
    scale = features.abs().amax((1, 2), keepdim=True).clamp_min(1e-6) / 127
    return state | {
        _FEATURES: (features / scale).round().to(torch.int8).contiguous(),
        _SCALE: scale.contiguous(),
    }


def _unpack(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    state = {name: value.float() for name, value in packed.items()}
    features, scale = state.pop(_FEATURES), state.pop(_SCALE)
    if scale.shape != (len(features), 1, 1):
        raise RuntimeError(f"There must be one scale a feature, got {list(scale.shape)}.")
    return state | {_FEATURES: features * scale}


def read_detail(card: dict[str, Any], folder: Path) -> SkinDetail | None:
    """Read detail, if the card names any.

    Raises:
        ValueError: If the card or the weights are damaged.
    """
    if _ENTRY not in card:
        return None
    path = folder / WEIGHTS
    if not path.is_file():
        raise ValueError(f"{path} is missing, but its avatar's skin has detail.")
    size, packed = _read_size(card[_ENTRY], folder), read_finite(path, _MOST_BYTES)
    try:
        return _made_of(packed, size, card[_ENTRY].get("card") or {})
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"{path} does not hold detail of the size {size}.") from error


def _read_size(entry: Any, folder: Path) -> DetailSize:
    try:
        given = entry["size"]
        first, second, third, fourth, fifth = (int(width) for width in given["widths"])
        side, finer, features = (int(given[name]) for name in ("side", "finer", "features"))
        size = DetailSize(side, finer, features, (first, second, third, fourth, fifth))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder} does not say its detail's size: {error}.") from error
    if size.side * size.finer > _MOST_SIDE or max(size.features, *size.widths) > _MOST_CHANNELS:
        raise ValueError(f"{folder} names detail too large to read: {size}.")
    return size
