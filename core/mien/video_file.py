"""A video file: what it holds, checked before it is decoded, and its frames in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from mien.files import check_size

__all__ = ["MAX_BYTES", "MAX_PIXELS", "MAX_SECONDS", "Frame", "VideoFile"]

Frame = UInt8[ndarray, "h w 3"]

MAX_BYTES = 4 * 2**30
MAX_PIXELS = 4096 * 4096
MAX_SECONDS = 600.0
# Only containers of pictures: a playlist in disguise must not open other files or addresses.
_CAREFUL = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,avi,gif,mpegts,mpeg,ogg,flv,wav",
}


class VideoFile:
    """A video that is open; use it as a context manager.

    Attributes:
        path: Where it lies.
        size: Width and height of a frame as it is stored, pixels.
        fps: Mean frames a second; 0 where the file does not say.
        seconds: How long it is; 0 where the file does not say.

    Raises:
        ValueError: If there is no video that can be read, or it passes a bound: 4 GiB,
            4096 x 4096 pixels.
    """

    def __init__(self, path: str | Path) -> None:
        import av
        from av.error import FFmpegError

        check_size(path, MAX_BYTES)
        self.path = Path(path)
        try:
            self._container: Any = av.open(str(path), options=_CAREFUL, metadata_errors="replace")
        except FFmpegError as error:
            raise ValueError(
                f"{str(path)!r} is not a readable video ({error.strerror})."
            ) from error
        try:
            self._look()
        except ValueError:
            self._container.close()
            raise

    def _look(self) -> None:
        """Find the first stream of pictures and check it."""
        if not self._container.streams.video:
            raise ValueError(f"{str(self.path)!r} has no video in it.")
        self._stream: Any = self._container.streams.video[0]
        if self._stream.codec_context is None:
            raise ValueError(f"{str(self.path)!r} has a video of an unknown kind.")
        width, height = self.size = (self._stream.width, self._stream.height)
        if not 0 < width * height <= MAX_PIXELS:
            raise ValueError(
                f"{str(self.path)!r} must have 1 to {MAX_PIXELS:,} pixels a frame, "
                f"got {width}x{height}."
            )
        self.fps = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        self.seconds = float((self._container.duration or 0) / 1e6)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def decode(self, interpolation: int | None = None) -> Iterator[tuple[float, Frame]]:
        """Give each frame's time in seconds, and its pixels, upright.

        Args:
            interpolation: Flags of swscale for the way to RGB; None takes FFmpeg's own.

        Raises:
            ValueError: If the file is damaged, or a frame has more pixels than the first may.
        """
        from av.error import FFmpegError

        self._stream.thread_type = "AUTO"
        count = 0
        try:
            for frame in self._container.decode(self._stream):
                if frame.width * frame.height > MAX_PIXELS:
                    raise ValueError(f"{str(self.path)!r} grows to {frame.width}x{frame.height}.")
                time_s = frame.time
                if time_s is None:
                    time_s = count / self.fps if self.fps else 0.0
                count += 1
                pixels = frame.to_ndarray(format="rgb24", interpolation=interpolation)
                yield float(time_s), np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90))
        except FFmpegError as error:
            raise ValueError(
                f"{str(self.path)!r} cannot be decoded after frame {count} ({error.strerror})."
            ) from error
