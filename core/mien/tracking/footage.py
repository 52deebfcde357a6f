"""Footage: a video or a photo as frames at an even rate, within bounds, cut and cropped."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.files import check_size
from mien.video_file import MAX_BYTES, MAX_PIXELS, MAX_SECONDS, Frame, VideoFile

__all__ = ["PHOTOS", "VIDEOS", "Crop", "Footage"]

PHOTOS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".gif")
MAX_FPS = 240.0
MIN_SIDE = 32
PHOTO_FPS = 25.0
_PHOTO_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


@dataclass(frozen=True)
class Crop:
    """The part of a picture that is looked at; `w` and `h` of 0 reach to its edge.

    Attributes:
        x: Left edge, pixels, or as a share of the width where `is_share`.
        y: Upper edge.
        w: Width.
        h: Height.
        is_share: Whether the numbers are shares of the picture.
    """

    x: float = 0.0
    y: float = 0.0
    w: float = 0.0
    h: float = 0.0
    is_share: bool = False

    @staticmethod
    def parse(text: str) -> "Crop":
        """Read `x,y,w,h` in pixels, or one of left, right, top, bottom: that half.

        Raises:
            ValueError: If the text is neither.

        Example:
            >>> Crop.parse("right").box(200, 100)
            (100, 0, 100, 100)
        """
        halves = {
            "left": (0.0, 0.0, 0.5, 1.0),
            "right": (0.5, 0.0, 0.5, 1.0),
            "top": (0.0, 0.0, 1.0, 0.5),
            "bottom": (0.0, 0.5, 1.0, 0.5),
        }
        if text.strip().lower() in halves:
            return Crop(*halves[text.strip().lower()], is_share=True)
        try:
            numbers = [int(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 4 or min(numbers) < 0:
            raise ValueError(
                "A crop must be left, right, top, bottom or x,y,w,h in whole pixels, "
                f"got {text!r}."
            )
        x, y, w, h = numbers
        return Crop(x, y, w, h)

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Give x, y, w, h in a picture of some size.

        Raises:
            ValueError: If it leaves the picture, or nothing to look at.
        """
        across, down = (width, height) if self.is_share else (1, 1)
        x, y = round(self.x * across), round(self.y * down)
        w = round(self.w * across) or width - x
        h = round(self.h * down) or height - y
        if x + w > width or y + h > height:
            raise ValueError(f"The crop {x},{y},{w},{h} leaves the picture of {width}x{height}.")
        if min(w, h) < MIN_SIDE:
            raise ValueError(
                f"A picture must be at least {MIN_SIDE} pixels wide and high, got {w}x{h}."
            )
        return x, y, w, h


@dataclass(frozen=True)
class Footage:
    """What a file shows.

    Attributes:
        path: A video, or a photo, which is one frame.
        fps: Frames a second; those of the video by `open`.
        num_frames: About how many there are; 0 where the file does not say.
        crop: Where to look.
        start_s: From when on, seconds.
        stop_s: Until when.
    """

    path: Path
    fps: float
    num_frames: int
    crop: Crop = Crop()
    start_s: float = 0.0
    stop_s: float = math.inf

    @staticmethod
    def open(
        path: str | Path,
        crop: Crop | None = None,
        start_s: float = 0.0,
        stop_s: float = math.inf,
    ) -> "Footage":
        """Look at a file without decoding it.

        Raises:
            ValueError: If it is no picture or video that can be read, or passes a bound: 4 GiB,
                4096 x 4096 pixels, ten minutes, 240 frames a second.
        """
        path, crop = Path(path), crop or Crop()
        if not 0 <= start_s < stop_s:
            raise ValueError(f"`start` must be from 0 to below `stop`, got {start_s}, {stop_s}.")
        check_size(path, MAX_BYTES)
        if path.suffix.lower() not in PHOTOS + VIDEOS:
            raise ValueError(
                f"{str(path)!r} must be a video or a photo, one of {' '.join(VIDEOS + PHOTOS)}."
            )
        if path.stat().st_size == 0:
            raise ValueError(f"{str(path)!r} is empty.")
        if path.suffix.lower() in PHOTOS:
            with _photo(path) as image:
                crop.box(*image.size)
            return Footage(path, PHOTO_FPS, 1, crop)
        with VideoFile(path) as video:
            _check_rate(video)
            _check_crop(crop, *video.size)
            seconds = min(video.seconds, stop_s) - start_s
            if video.seconds and seconds <= 0:
                raise ValueError(
                    f"`start` must lie in {str(path)!r}, which has {video.seconds:.2f} s, "
                    f"got {start_s}."
                )
            if seconds > MAX_SECONDS:
                raise ValueError(
                    f"{str(path)!r} has {seconds:,.0f} s to look at; {MAX_SECONDS:g} s at most: "
                    "give `start` and `stop`."
                )
            return Footage(
                path, video.fps, round(max(seconds, 0) * video.fps), crop, start_s, stop_s
            )

    @property
    def is_photo(self) -> bool:
        """Whether it is a single picture."""
        return self.path.suffix.lower() in PHOTOS

    def frames(self) -> Iterator[Frame]:
        """Give the frames, upright and cropped, at an even rate.

        Where a video's frames come unevenly, one is repeated or left out.

        Raises:
            ValueError: If the file is damaged, or shows nothing between `start` and `stop`.
        """
        if self.is_photo:
            with _photo(self.path) as image:
                yield self._cut(np.asarray(image.convert("RGB")))
            return
        index, last = 0, None
        for time_s, pixels in self._decoded():
            cut = self._cut(pixels)
            due = round((time_s - self.start_s) * self.fps)
            for _ in range(index, due):
                yield cut if last is None else last
            index = max(index, due)
            if due == index:
                yield cut
                index += 1
            last = cut
        if last is None:
            raise ValueError(f"{str(self.path)!r} has no frames to look at.")

    def _decoded(self) -> Iterator[tuple[float, Frame]]:
        first = None
        with VideoFile(self.path) as video:
            for time_s, pixels in video.decode():
                first = time_s if first is None else first
                time_s -= first
                if time_s >= min(self.stop_s, self.start_s + MAX_SECONDS):
                    return
                if time_s >= self.start_s - 0.5 / self.fps:
                    yield time_s, pixels

    def _cut(self, pixels: Frame) -> Frame:
        x, y, w, h = self.crop.box(pixels.shape[1], pixels.shape[0])
        return np.ascontiguousarray(pixels[y : y + h, x : x + w])


def _check_rate(video: VideoFile) -> None:
    if not 0 < video.fps <= MAX_FPS:
        raise ValueError(
            f"{str(video.path)!r} must have 1 to {MAX_FPS:g} frames a second, got {video.fps:g}."
        )


def _check_crop(crop: Crop, width: int, height: int) -> None:
    """Refuse a crop that fits neither way round: a phone's video may yet have to be turned."""
    try:
        crop.box(width, height)
    except ValueError as error:
        try:
            crop.box(height, width)
        except ValueError:
            raise error from None


@contextmanager
def _photo(path: Path) -> Iterator[Any]:
    """Open a picture, its size checked before it is decoded, turned as its camera says."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below
            opened = Image.open(path, formats=_PHOTO_FORMATS)
        with opened as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(
                    f"{str(path)!r} must have at most {MAX_PIXELS:,} pixels, "
                    f"got {image.width}x{image.height}."
                )
            yield ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{str(path)!r} is not a readable picture ({error}).") from error
