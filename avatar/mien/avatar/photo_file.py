"""Photographs from files: upright, eight bits a channel, within bounds that are checked first."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from mien.files import check_size
from mien.text import one_line

if TYPE_CHECKING:
    from PIL.Image import Image

MIN_SIDE = 64
MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_MODES = ("RGB", "L", "P", "RGBA", "LA", "PA", "CMYK")
_HAS_ALPHA = ("RGBA", "LA", "PA")


def read_photo(path: str | Path) -> UInt8[ndarray, "h w 3"]:
    """Read a photograph as sRGB, turned as its camera says.

    Grey, palette and CMYK pictures are converted; what shines through transparent pixels is white.

    Args:
        path: A JPEG, PNG, WebP, BMP or TIFF, told by its content.

    Raises:
        ValueError: If it is none of these, damaged, of 16 bits or floats, animated, smaller than
            64 pixels on a side, or larger than 50 megapixels, which is found before decoding.
    """
    check_size(path)
    with _opened(Path(path)) as image:
        _check_header(Path(path), image)
        upright = _upright(image)
    return np.ascontiguousarray(upright, dtype=np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused by us
            opened = Image.open(path, formats=FORMATS)
        with opened as image:
            yield image
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{str(path)!r} is not a photo that can be read ({one_line(error)})."
        ) from error


def _check_header(path: Path, image: Image) -> None:
    """Refuse what the header tells already."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{str(path)!r} must have at most {MAX_PIXELS // 10**6} megapixels, "
            f"got {width}x{height}."
        )
    if min(width, height) < MIN_SIDE:
        raise ValueError(
            f"{str(path)!r} must be at least {MIN_SIDE} pixels wide and high, "
            f"got {width}x{height}."
        )
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1:
        raise ValueError(f"{str(path)!r} must be one picture, got {frames} frames.")
    if image.mode not in _MODES:
        raise ValueError(
            f"{str(path)!r} must have 8 bits a channel (RGB, grey, palette or CMYK), "
            f"got Pillow's mode {image.mode}; save it as an 8-bit PNG or JPEG."
        )


def _upright(image: Image) -> Image:
    from PIL import Image, ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode in _HAS_ALPHA or "transparency" in turned.info:
        turned = turned.convert("RGBA")
        white = Image.new("RGBA", turned.size, (255, 255, 255, 255))
        turned = Image.alpha_composite(white, turned)
    return turned.convert("RGB")
