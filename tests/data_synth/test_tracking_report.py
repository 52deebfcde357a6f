"""The report on tracking with a landmarker that knows the answer, and films without pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy import ndarray

from mien.arkit import EXPR_NAMES
from mien.camera import Camera
from mien.data_synth import tracking_report
from mien.motion import Motion
from mien.tracking.staged import StagedLandmarker

COUNT = 12


@dataclass
class BlankFilm:
    """A film whose pictures show nothing."""

    truth: Motion
    camera: Camera

    def frames(self) -> Iterator[ndarray]:
        yield from [np.zeros((4, 4, 3), np.uint8)] * COUNT


class Stage(StagedLandmarker):
    """Stands for MediaPipe before the film that is shown."""

    shown: ClassVar[Motion]

    def __init__(self, model: Path) -> None:
        super().__init__(self.shown)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is held."""


def show(seed: int, seconds: float) -> BlankFilm:
    motion = Motion.rest(COUNT)
    smile = torch.linspace(0, 0.8, COUNT) * (1 if seed % 2 else 0.5)
    for side in ("Left", "Right"):
        motion.expr[:, EXPR_NAMES.index(f"mouthSmile{side}")] = smile
    Stage.shown = motion
    return BlankFilm(motion, Camera.portrait(64, 64))


def test_the_report_compares_ways_and_names_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_report, "random_film", show)
    monkeypatch.setattr(tracking_report, "MediaPipeLandmarker", Stage)
    lines = tracking_report.report(Path("none.task"), 2).splitlines()
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for cells in (line.split("|") for line in lines)
        if len(cells) > 3
    }
    ways = [name for name in rows if "landmarks" in name or "smooth" in name]
    assert len(ways) == 5 and ways[0].endswith("(shipped)")
    tracked, _, resting = (float(cell) for cell in rows["lips, mm"])
    assert tracked < 0.6 * resting
    assert float(rows["mouthSmileLeft"][0]) > 0.95 and rows["mouthSmileLeft"][1] == "2"
    assert lines[-1].startswith(f"{2 * COUNT} frames of 2 films")
