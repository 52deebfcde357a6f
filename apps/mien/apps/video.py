"""Video and picture files: H.264 in MP4, GIF and PNG out; any video that FFmpeg reads in."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mien.files import whole_file
from mien.video_file import MAX_SECONDS, Frame, VideoFile

_BT709 = 1  # matrix, primaries and transfer all have this code in H.264 (ITU-T H.273)
_LIMITED_RANGE = 1
# One palette a frame, made as the frame passes: nothing waits for the end of the video.
_GIF_FILTERS = (
    ("split", None),
    ("palettegen", "stats_mode=single"),
    ("paletteuse", "new=1:dither=bayer:bayer_scale=4"),
)


def write_video(path: str | Path, frames: Iterable[Frame], fps: float = 25.0) -> int:
    """Writes frames to `.mp4` (H.264, yuv420p, BT.709) or `.gif`, one at a time.

    The file appears whole when the last frame is in, or not at all.

    Args:
        path: Where to; the extension chooses the format.
        frames: sRGB, all of one size; width and height even for `.mp4`.
        fps: Frames a second; a GIF keeps time to 1/100 s.

    Returns:
        How many frames were written.

    Raises:
        ValueError: If the extension, `fps` or a frame does not fit, or there is no frame.
        OSError: If `path` cannot be written.
    """
    import av

    kind = Path(path).suffix.lower()
    if kind not in _ENCODERS:
        raise ValueError(f"A video must be named .mp4 or .gif, got {str(path)!r}.")
    if not 0 < fps <= 1000:
        raise ValueError(f"`fps` must be above 0 and at most 1000, got {fps}.")
    with whole_file(path) as temporary:
        remaining = iter(frames)
        first = next(remaining, None)
        if first is None:
            raise ValueError(f"A video must have at least one frame, got none for {str(path)!r}.")
        height, width = _check_frame(first, first.shape)
        if kind == ".mp4" and (height % 2 or width % 2):
            raise ValueError(
                f"Frames of an .mp4 must have even sizes, got {width}x{height}; "
                "choose an even size."
            )
        encode, options = _ENCODERS[kind]
        with av.open(str(temporary), "w", options=options) as container:
            return encode(container, chain([first], remaining), fps)


def write_image(path: str | Path, image: Frame) -> None:
    """Writes one picture as `.png`, whole or not at all.

    Raises:
        ValueError: If the extension or the picture does not fit.
        OSError: If `path` cannot be written.
    """
    from PIL import Image

    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"A picture must be named .png, got {str(path)!r}.")
    _check_frame(image, image.shape)
    with whole_file(path) as temporary:
        Image.fromarray(image).save(temporary)


def video_fps(path: str | Path) -> float:
    """Gives the mean frame rate of a video, Hz.

    Raises:
        ValueError: If there is no such video.
    """
    with VideoFile(path) as video:
        if not video.fps:
            raise ValueError(f"{str(path)!r} does not say its frame rate.")
        return video.fps


def read_video(path: str | Path, max_seconds: float = MAX_SECONDS) -> Iterator[Frame]:
    """Gives the frames of a video in order, upright, one at a time.

    Raises:
        ValueError: If there is no such video, it is damaged, or a bound is passed: 4 GiB,
            4096 x 4096 pixels, `max_seconds`.
    """
    with VideoFile(path) as video:
        is_empty = True
        for time_s, pixels in video.decode(_scaling()):
            if time_s > max_seconds:
                raise ValueError(f"{str(path)!r} is longer than {max_seconds:g} s; cut it first.")
            is_empty = False
            yield pixels
        if is_empty:
            raise ValueError(f"{str(path)!r} has no frames.")


def _check_frame(frame: Frame, shape: tuple[int, ...]) -> tuple[int, int]:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != shape:
        raise ValueError(
            f"Frames must be uint8 [H, W, 3] and all of one size {shape}, "
            f"got {frame.dtype} {frame.shape}."
        )
    return frame.shape[0], frame.shape[1]


def _scaling() -> int:
    """Gives swscale's flags: without exact rounding, colors come back about 1/255 too dark."""
    from av.video.reformatter import Interpolation

    return int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT)


def _encode_mp4(container: Any, frames: Iterable[Frame], fps: float) -> int:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    stream = container.add_stream("libx264", Fraction(fps).limit_denominator(1001))
    stream.pix_fmt, stream.options = "yuv420p", {"preset": "veryfast", "crf": "18"}
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED_RANGE
    count, shape = 0, None
    for frame in frames:
        shape = shape or frame.shape
        height, width = _check_frame(frame, shape)
        if not count:
            stream.height, stream.width = height, width
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=_scaling(),
        )
        count += 1
        container.mux(stream.encode(picture))
    container.mux(stream.encode(None))
    return count


def _encode_gif(container: Any, frames: Iterable[Frame], fps: float) -> int:
    import av

    tick = Fraction(1, 100)  # what a GIF counts time in, s
    stream = container.add_stream("gif", 100)
    stream.pix_fmt, stream.codec_context.time_base = "pal8", tick
    graph: Any = None
    count, shape = 0, None
    for frame in frames:
        shape = shape or frame.shape
        height, width = _check_frame(frame, shape)
        if graph is None:
            stream.width, stream.height = width, height
            graph = _palette_graph(width, height, tick)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts, picture.time_base = round(100 * count / fps), tick
        count += 1
        graph.vpush(picture)
        for packet in stream.encode(graph.vpull()):
            packet.duration = round(100 * count / fps) - picture.pts
            container.mux(packet)
    container.mux(stream.encode(None))
    return count


def _palette_graph(width: int, height: int, tick: Fraction) -> Any:
    """Gives a filter that maps RGB frames to 256 colors chosen for each frame."""
    import av
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("rgb24"), time_base=tick
    )
    split, generate, use = (graph.add(name, args) for name, args in _GIF_FILTERS)
    source.link_to(split)
    split.link_to(generate, 0, 0)
    split.link_to(use, 1, 0)
    generate.link_to(use, 0, 1)
    use.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


# By extension: who encodes, and the options of the container.
_ENCODERS: dict[str, tuple[Callable[[Any, Iterable[Frame], float], int], dict[str, str]]] = {
    ".mp4": (_encode_mp4, {"movflags": "+faststart"}),
    ".gif": (_encode_gif, {}),
}
