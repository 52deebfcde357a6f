"""Is a made video fit to learn from? One number a question, each with its limit."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image

from mien.data_synth.video_route.text_to_video import Video
from mien.tracking import Face, Sightings

__all__ = ["Check", "Limits", "camera_speed", "check_video", "sharpness"]

FACE_WIDTH = 128  # pixels to which a face is brought before its sharpness is measured
_MAX_FRAMES = 12
_STEP_S = 0.2
_WIDTH = 320  # pixels to which a frame is brought before its shift is measured
_STRIP = 0.2  # of the width: background on either side
_HEIGHT = 0.6  # of the height: above the shoulders
_EXPLAINED = 0.6  # a shift counts if it leaves less than this of the difference
_CUT = 0.12  # a difference of the background, of full scale, that no shift explains
_MIN_STRIP = 12

Question = Literal["face found", "one face", "sharp", "camera steady", "prompt agreement"]
Gray = Float[ndarray, "h w"]


@dataclass(frozen=True)
class Limits:
    """What a video must reach.

    Attributes:
        seen: Share of frames with a face, at least.
        faces: Faces at once, at most.
        sharpness: Median variance of the Laplacian of the face, at least; of 8-bit gray, the face
            128 pixels wide.
        camera_speed: The background's 95th percentile of speed, widths a second, at most.
        agreement: Of the video with its prompt, at least, where there is a scorer.
    """

    seen: float = 0.9
    faces: int = 1
    sharpness: float = 30.0
    camera_speed: float = 0.06
    agreement: float = 0.2


@dataclass(frozen=True)
class Check:
    """One question, answered.

    Attributes:
        question: What was looked at.
        value: What was found.
        limit: What was wanted.
        passed: Whether it is enough.
    """

    question: Question
    value: float
    limit: float
    passed: bool

    @staticmethod
    def at_least(question: Question, value: float, limit: float) -> "Check":
        """Pass from the limit on."""
        return Check(question, float(value), limit, bool(value >= limit))

    @staticmethod
    def at_most(question: Question, value: float, limit: float) -> "Check":
        """Pass up to the limit."""
        return Check(question, float(value), limit, bool(value <= limit))


def check_video(video: Video, sightings: Sightings, limits: Limits) -> tuple[Check, ...]:
    """Look at a video and the faces that were found in it; a faceless one is not looked at on."""
    seen = Check.at_least("face found", float(np.mean(sightings.seen)), limits.seen)
    one = Check.at_most("one face", sightings.most_faces, limits.faces)
    if not sightings.seen.any():
        return seen, one
    return (
        seen,
        one,
        Check.at_least("sharp", sharpness(video.frames, sightings), limits.sharpness),
        Check.at_most("camera steady", camera_speed(video, sightings), limits.camera_speed),
    )


def sharpness(frames: UInt8[ndarray, "t h w 3"], sightings: Sightings) -> float:
    """The median over frames of the variance of the face's Laplacian."""
    found = [i for i, face in enumerate(sightings.faces) if face is not None]
    picked = [found[i] for i in np.linspace(0, len(found) - 1, _MAX_FRAMES).round().astype(int)]
    faces = ((frames[i], sightings.faces[i]) for i in dict.fromkeys(picked))
    values = [_laplacian_variance(_face_gray(frame, face)) for frame, face in faces if face]
    return float(np.median(values))


def camera_speed(video: Video, sightings: Sightings) -> float:
    """How fast the background goes by beside the face, widths a second; a cut is 1 / 0.2 s.

    Where nothing but the face is in the picture, or the background has no marks, it is 0.
    """
    step = max(1, round(_STEP_S * video.fps))
    grays = [_gray(frame, _WIDTH) for frame in video.frames[::step]]
    spans = _strips(video.frames.shape[2], sightings)
    height = int(_HEIGHT * grays[0].shape[0])
    shifts = [
        max((_shift(a[:height, s], b[:height, s]) for s in spans), default=0.0)
        for a, b in zip(grays, grays[1:], strict=False)
    ]
    if not shifts:
        return 0.0
    return float(np.percentile(shifts, 95)) * video.fps / step


def _strips(width: int, sightings: Sightings) -> list[slice]:
    """Columns beside the face, in the small picture."""
    boxes = [face.landmarks[:, 0] for face in sightings.faces if face is not None]
    left = min(float(box.min()) for box in boxes) / width
    right = max(float(box.max()) for box in boxes) / width
    strips = (
        slice(0, int(min(left, _STRIP) * _WIDTH)),
        slice(int(max(right, 1 - _STRIP) * _WIDTH), _WIDTH),
    )
    return [s for s in strips if s.stop - s.start >= _MIN_STRIP]


def _shift(before: Gray, after: Gray) -> float:
    """How far the picture went between two looks, widths; 1 for a cut."""
    unmoved = _difference(before, after, 0, 0)
    down, across = _peak(before, after)
    moved = _difference(before, after, down, across)
    if (down or across) and moved < _EXPLAINED * unmoved:
        return float(np.hypot(down, across)) / _WIDTH
    return 1.0 if unmoved > _CUT * 255 else 0.0


def _peak(before: Gray, after: Gray) -> tuple[int, int]:
    """The shift with the highest phase correlation, pixels down and across."""
    window = np.outer(np.hanning(before.shape[0]), np.hanning(before.shape[1]))
    first, second = (np.fft.rfft2((x - x.mean()) * window) for x in (before, after))
    cross = second * first.conj()
    found = np.fft.irfft2(cross / (np.abs(cross) + 1e-6), s=before.shape)
    down, across = np.unravel_index(int(found.argmax()), found.shape)
    height, width = before.shape
    return (
        int(down - height if down > height // 2 else down),
        int(across - width if across > width // 2 else across),
    )


def _difference(before: Gray, after: Gray, down: int, across: int) -> float:
    """Mean difference where the two overlap once the first is shifted."""
    height, width = before.shape
    if abs(down) > height // 2 or abs(across) > width // 2:
        return float("inf")
    y, x = max(0, down), max(0, across)
    h, w = height - abs(down), width - abs(across)
    y0, x0 = max(0, -down), max(0, -across)
    return float(np.abs(after[y : y + h, x : x + w] - before[y0 : y0 + h, x0 : x0 + w]).mean())


def _face_gray(frame: UInt8[ndarray, "h w 3"], face: Face) -> Gray:
    low = face.landmarks[:, :2].min(axis=0).clip(0).astype(int)
    high = face.landmarks[:, :2].max(axis=0).astype(int) + 1
    cut = frame[low[1] : high[1], low[0] : high[0]]
    return _gray(cut if cut.size else frame, FACE_WIDTH)


def _gray(frame: UInt8[ndarray, "h w 3"], width: int) -> Gray:
    """8-bit gray at a width, every pixel of the frame used."""
    image = Image.fromarray(np.ascontiguousarray(frame)).convert("L")
    size = (width, max(3, round(frame.shape[0] * width / frame.shape[1])))
    return np.asarray(image.resize(size, Image.Resampling.BOX), np.float64)


def _laplacian_variance(gray: Gray) -> float:
    middle = gray[1:-1, 1:-1]
    around = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    return float((around - 4 * middle).var())
