"""Landmarks from a stage in place of MediaPipe's."""

import types
import zipfile
from pathlib import Path
from typing import TypeVar

import pytest

from mien import tracking

StageT = TypeVar("StageT")


def stage_landmarks(base: type[StageT], folder: Path, patch: pytest.MonkeyPatch) -> type[StageT]:
    """Let tracking see a class of the test's own, after `base`, and a model file that exists."""
    own: type[StageT] = types.new_class("Own", (base,))
    model = folder / "face_landmarker.task"
    with zipfile.ZipFile(model, "w"):
        pass
    patch.setenv("MIEN_FACE_LANDMARKER", str(model))
    patch.setattr(tracking, "MediaPipeLandmarker", own)
    return own
