"""Contact sheet: evenly spaced frames of a clip with their times, as one picture."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

TILES, COLUMNS = 12, 4
MARGIN, LABEL = 6, 20  # pixels
PAPER, INK, GRAY = (250, 249, 247), (30, 30, 34), (120, 118, 114)


def sheet_frames(num_frames: int, tiles: int = TILES) -> list[int]:
    """Indices of at most `tiles` frames, evenly spaced, the first and the last included.

    Example:
        >>> sheet_frames(101, 5)
        [0, 25, 50, 75, 100]
    """
    count = min(tiles, num_frames)
    return [round(i * (num_frames - 1) / max(1, count - 1)) for i in range(count)]


def contact_sheet(
    frames: Sequence[UInt8[ndarray, "h w 3"]],
    times_s: Sequence[float],
    title: str = "",
    columns: int = COLUMNS,
) -> Image.Image:
    """Lay frames out in rows, each with its time below, under a title.

    Args:
        frames: Pictures of one size, sRGB.
        times_s: When each is, seconds.
        title: One line at the top, shortened where it does not fit; none leaves no room for it.
        columns: Pictures a row.

    Raises:
        ValueError: If there is no frame, or not one time a frame.
    """
    if not frames or len(frames) != len(times_s):
        raise ValueError(
            f"A sheet wants frames and a time each, got {len(frames)} and {len(times_s)}."
        )
    height, width = frames[0].shape[:2]
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    top = LABEL + 2 * MARGIN if title else MARGIN
    step_x, step_y = width + MARGIN, height + LABEL + MARGIN
    sheet = Image.new("RGB", (columns * step_x + MARGIN, rows * step_y + top), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    if title:
        draw.text((MARGIN, MARGIN), _fit(title, draw, font, sheet.width), INK, font)
    for i, (frame, time_s) in enumerate(zip(frames, times_s, strict=True)):
        x, y = MARGIN + i % columns * step_x, top + i // columns * step_y
        sheet.paste(Image.fromarray(np.ascontiguousarray(frame)), (x, y))
        draw.text((x + 2, y + height + 2), f"{time_s:.2f} s", GRAY, font)
    return sheet


def _fit(
    text: str,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    width: int,
) -> str:
    """`text` on one line, cut with an ellipsis where it is wider than the sheet."""
    text = " ".join(text.split())
    short = text
    while short and draw.textlength(short, font) > width - 2 * MARGIN:
        short = short[:-1]
    return text if short == text else short[:-1].rstrip() + "…"
