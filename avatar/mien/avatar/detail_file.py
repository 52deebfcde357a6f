"""Skin detail in an avatar's folder: weights as half floats in safetensors, sizes in the card."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save

from mien.avatar.detail import DetailSize, SkinDetail
from mien.avatar.tensor_file import read_finite

__all__ = ["describe_detail", "read_detail", "write_detail"]

WEIGHTS = "detail.safetensors"
_ENTRY = "detail"
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
    state = {name: value.cpu().half().contiguous() for name, value in detail.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(state))


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
    detail = SkinDetail(_read_size(card[_ENTRY], folder))
    state = {name: value.float() for name, value in read_finite(path, _MOST_BYTES).items()}
    try:
        detail.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold detail of the size {detail.size}.") from error
    detail.card = dict(card[_ENTRY].get("card") or {})
    return detail.eval().requires_grad_(False)


def _read_size(entry: Any, folder: Path) -> DetailSize:
    try:
        given = entry["size"]
        first, second, third, fourth, fifth = (int(width) for width in given["widths"])
        size = DetailSize(
            int(given["side"]), int(given["features"]), (first, second, third, fourth, fifth)
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder} does not say its detail's size: {error}.") from error
    if size.side > _MOST_SIDE or max(size.features, *size.widths) > _MOST_CHANNELS:
        raise ValueError(f"{folder} names detail too large to read: {size}.")
    return size
