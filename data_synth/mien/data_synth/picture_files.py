"""Pictures and JSON from files that others may have made: bounded before they are read."""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mien.camera import Camera
from mien.files import check_size
from mien.text import one_line

__all__ = [
    "MAX_SIDE",
    "camera_from_matrices",
    "decode_picture",
    "numbers",
    "parse_json",
    "read_json",
]

MAX_SIDE = 8192
MAX_PICTURE_BYTES = 96 * 2**20
_MAX_METRES = 1e4
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, OverflowError),
    *(Image.DecompressionBombError, MemoryError),
)


def decode_picture(data: bytes, name: str, width: int, height: int) -> Float[Tensor, "h w c"]:
    """Decode a PNG or JPEG of known size to values in [0, 1].

    Args:
        data: The file.
        name: Of the file, for messages.
        width: What it must be, pixels.
        height: Likewise.

    Returns:
        One channel for gray, three for color, four for color with alpha.

    Raises:
        ValueError: If it is no such picture, of another size, or damaged. Its pixels are not
            decoded before its size is known.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
                _check_header(picture, name, width, height)
                array = np.array(picture.convert("L") if picture.mode == "1" else picture)
    except _Refused as error:
        raise ValueError(str(error)) from error
    except _BROKEN as error:
        raise ValueError(f"{name} is not a readable PNG or JPEG ({one_line(error)}).") from error
    values = torch.from_numpy(np.ascontiguousarray(array)).float() / 255
    return values.reshape(height, width, -1)


class _Refused(Exception):
    """What we say ourselves, told from what the decoder says."""


def _check_header(picture: Image.Image, name: str, width: int, height: int) -> None:
    if picture.size != (width, height):
        raise _Refused(
            f"{name} must be {width}x{height} pixels as its camera is, got "
            f"{picture.size[0]}x{picture.size[1]}."
        )
    if picture.mode not in ("1", "L", "RGB", "RGBA"):
        raise _Refused(
            f"{name} must be gray, RGB or RGBA with 8 bits a channel, got {picture.mode}."
        )


def read_json(path: Path, max_bytes: int) -> dict[str, Any]:
    """Read an object from a JSON file of bounded size.

    Raises:
        ValueError: If there is no such file, it is larger, or no JSON object.
    """
    check_size(path, max_bytes)
    return parse_json(path.read_bytes(), repr(str(path)))


def parse_json(data: bytes, name: str) -> dict[str, Any]:
    """Parse an object from JSON.

    Raises:
        ValueError: If it is no JSON object.
    """
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} must be JSON ({one_line(error)[:80]}).") from error
    if not isinstance(table, dict):
        raise ValueError(f"{name} must hold a JSON object, got {type(table).__name__}.")
    return table


def numbers(value: Any, shape: Sequence[int], name: str) -> np.ndarray:
    """Give nested lists of finite numbers as an array of the wanted shape.

    Raises:
        ValueError: If they are anything else.
    """
    if not _fits(value, tuple(shape)):
        raise ValueError(f"{name} must be finite numbers of shape {list(shape)}.")
    return np.asarray(value, dtype=np.float64)


def _fits(value: Any, shape: tuple[int, ...]) -> bool:
    if not shape:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value) < 1e300 and math.isfinite(value)
    return (
        isinstance(value, list)
        and len(value) == shape[0]
        and all(_fits(part, shape[1:]) for part in value)
    )


def camera_from_matrices(
    viewmat: np.ndarray, intrinsics: np.ndarray, width: Any, height: Any, name: str
) -> Camera:
    """Make a camera of checked values.

    Raises:
        ValueError: If the picture is too large, the lens has no focal length, or the view is not
            a rigid motion.
    """
    for side in (width, height):
        if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= MAX_SIDE:
            shown = one_line(side)[:40]
            raise ValueError(f"{name}: a side must be 1 to {MAX_SIDE} pixels, got {shown}.")
    turn = viewmat[:3, :3]
    is_rigid = np.abs(turn @ turn.T - np.eye(3)).max() < 1e-3 and np.linalg.det(turn) > 0
    is_rigid = is_rigid and np.abs(viewmat[3] - [0, 0, 0, 1]).max() < 1e-6
    if not is_rigid or np.abs(viewmat[:3, 3]).max() > _MAX_METRES:
        raise ValueError(f"{name}: the camera's pose must be a turn and a shift.")
    if not (0 < intrinsics[0, 0] < 1e7 and 0 < intrinsics[1, 1] < 1e7):
        raise ValueError(
            f"{name}: focal lengths must be above 0, got {intrinsics[0, 0]:g} and "
            f"{intrinsics[1, 1]:g}."
        )
    view, lens = torch.from_numpy(viewmat).float(), torch.from_numpy(intrinsics).float()
    return Camera(view, lens, width, height)
