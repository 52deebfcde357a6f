"""What finds faces in pictures: the seam, and MediaPipe's Face Landmarker behind it."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from mien.arkit import ARKIT_NAMES

__all__ = ["NUM_LANDMARKS", "Face", "FaceLandmarker", "MediaPipeLandmarker"]

NUM_LANDMARKS = 478
MAX_FACES = 4
_MISSING = (
    "Tracking needs MediaPipe: pip install 'mien[track]' (or pip install 'mediapipe>=1.2,<2')."
)


@dataclass(frozen=True, eq=False)
class Face:
    """A face seen in a picture.

    Attributes:
        landmarks: `[478, 3]` in MediaPipe's order, pixels: x right, y down, z away from the
            viewer on the scale of x, its origin inside the head.
        scores: How strongly each of `ARKIT_NAMES` shows, 0 to 1.
        world_from_head: `[3, 3]`, the landmarker's own idea of the head's turn, axes as `Motion`.
    """

    landmarks: Float[ndarray, "478 3"]
    scores: Float[ndarray, "52"]
    world_from_head: Float[ndarray, "3 3"]

    @property
    def area(self) -> float:
        """Of the box around it, square pixels."""
        return float(np.ptp(self.landmarks[:, :2], axis=0).prod())

    @property
    def center(self) -> Float[ndarray, "2"]:
        """The middle of its landmarks, pixels."""
        return self.landmarks[:, :2].mean(axis=0)  # type: ignore[no-any-return]


class FaceLandmarker(Protocol):
    """Finds the faces of one frame after the other."""

    def find(self, frame: UInt8[ndarray, "h w 3"], time_s: float) -> list[Face]:
        """Give the faces in a frame, in any order; times rise from call to call."""
        ...


class MediaPipeLandmarker:
    """MediaPipe's Face Landmarker on the CPU; use it as a context manager.

    It follows faces from frame to frame, without its own smoothing (which lags behind blinks): it
    smooths only where a single face is asked for.

    Args:
        model: The `face_landmarker.task` bundle, see `mien.tracking.model_file`.

    Raises:
        ImportError: If MediaPipe is not installed.
        ValueError: If MediaPipe cannot use the file.
    """

    def __init__(self, model: str | Path) -> None:
        try:
            tasks: Any = importlib.import_module("mediapipe.tasks.python")
            vision: Any = importlib.import_module("mediapipe.tasks.python.vision")
            self._library: Any = importlib.import_module("mediapipe")
        except ImportError as error:
            raise ImportError(_MISSING) from error
        options = vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(model)),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=MAX_FACES,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        try:
            with _hushed():
                self._task: Any = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"MediaPipe cannot use {str(model)!r}: {error}") from error
        self._last_ms = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free what MediaPipe holds."""
        with _hushed():
            self._task.close()

    def find(self, frame: UInt8[ndarray, "h w 3"], time_s: float) -> list[Face]:
        """See `FaceLandmarker`."""
        self._last_ms = max(round(time_s * 1000), self._last_ms + 1)
        pixels = np.ascontiguousarray(frame)
        library = self._library
        image = library.Image(image_format=library.ImageFormat.SRGB, data=pixels)
        with _hushed():
            found = self._task.detect_for_video(image, self._last_ms)
        height, width = frame.shape[:2]
        seen = zip(
            found.face_landmarks,
            found.face_blendshapes,
            found.facial_transformation_matrixes,
            strict=True,
        )
        return [_face(marks, shapes, matrix, (width, height)) for marks, shapes, matrix in seen]


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep what MediaPipe's native code says of itself off the user's screen."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _face(marks: Any, shapes: Any, matrix: Any, size: tuple[int, int]) -> Face:
    width, height = size
    landmarks = np.array([[mark.x, mark.y, mark.z] for mark in marks], dtype=np.float64)
    named = {shape.category_name: shape.score for shape in shapes}
    scores = np.array([named.get(name, 0.0) for name in ARKIT_NAMES])
    turn = np.asarray(matrix, dtype=np.float64)[:3, :3]
    left, _, right = np.linalg.svd(turn)
    return Face(landmarks * (width, height, width), scores, left @ right)
