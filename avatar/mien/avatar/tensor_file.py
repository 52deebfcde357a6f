"""Tensors of an avatar's folder, bounded before they are read."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor


def read_tensors(path: Path, most_bytes: int) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ValueError: If it is larger than `most_bytes`, or damaged.
    """
    size = path.stat().st_size
    if size > most_bytes:
        raise ValueError(f"{path} has {size} bytes; at most {most_bytes} are read.")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}. Make the avatar again.") from error


def read_finite(path: Path, most_bytes: int) -> dict[str, Tensor]:
    """Read a safetensors file of weights.

    Raises:
        ValueError: If it is larger than `most_bytes`, or damaged, or holds NaN or infinity.
    """
    state = read_tensors(path, most_bytes)
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise ValueError(f"{path} is damaged: it holds NaN or infinity.")
    return state
