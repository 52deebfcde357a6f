"""How well motion can be directed."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.apps import control
from mien.apps.cli import main
from mien.arkit import CHANNEL_NAMES
from mien.data_synth.lexicon import Lexicon
from mien.head import Head
from mien.motion import Motion


class FakeFace:
    """A face whose jaw opens by a fixed way a frame, faster for a while after it was told."""

    def __init__(self, slow: float, fast: float) -> None:
        self.slow, self.fast, self.left, self.at = slow, fast, 0, 0.0
        self.told: list[str] = []

    def __iter__(self) -> Iterator[Motion]:
        return self

    def __next__(self) -> Motion:
        self.at += self.fast if self.left else self.slow
        self.left = max(0, self.left - 1)
        motion = Motion.rest(1)
        motion.expr[:, Head.default().expr_names.index("mouthFunnel")] = self.at
        return motion

    def say(self, text: str) -> None:
        self.told.append(text)
        self.left = 3


def test_a_jump_behind_a_new_prompt_is_seen() -> None:
    face = FakeFace(0.0001, 0.0005)
    found = control.measure_take_overs(lambda text: face, ("a", "b"))  # type: ignore[arg-type,return-value]
    assert found.turns == 3 and face.told == ["b", "a", "b"]
    assert found.step_mm == pytest.approx(5 * found.usual_mm, rel=1e-3)
    assert found.alone_mm == pytest.approx(found.usual_mm, rel=1e-3)


def test_a_face_that_drifts_grows_minute_by_minute() -> None:
    face = FakeFace(0.0001, 0.0001)
    found = control.measure_drift(180.0, lambda text: face, ("a", "b"))  # type: ignore[arg-type,return-value]
    first, second, third = found.size_mm
    assert first < second < third and found.seconds == 180.0
    assert found.step_mm[0] == pytest.approx(found.step_mm[2], rel=1e-3)
    assert found.head_degrees == (0.0, 0.0, 0.0) and len(face.told) == 8


def test_when_an_action_is_seen_is_found_on_the_curves() -> None:
    curves = np.zeros((150, len(CHANNEL_NAMES)), np.float32)
    jaw = CHANNEL_NAMES.index("jawOpen")
    curves[50:100, jaw] = 0.9
    found = control.seen_at(curves, Lexicon.default()["jaw-open"])
    assert found is not None
    assert found == pytest.approx((2.0, 4.0), abs=0.15)
    assert control.seen_at(np.zeros_like(curves), Lexicon.default()["jaw-open"]) is None


def test_the_command_measures_all_and_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control.measure_edits, "__defaults__", (control.PAIRS[:1], 0))
    monkeypatch.setattr(
        control.measure_times, "__defaults__", (control.TIMED[:1], control.SPANS[:1])
    )
    drifting = control.measure_drift
    monkeypatch.setattr(control, "measure_drift", lambda seconds: drifting(4.0))
    taking = control.measure_take_overs
    monkeypatch.setattr(control, "measure_take_overs", lambda: taking(turns=control.TURNS[:2]))
    assert main(["eval", "control", "-o", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert table == (tmp_path / "control.md").read_text() and table.count("\n") == 8
    found = json.loads((tmp_path / "control.json").read_text())
    (edit,) = found["edits"]
    assert edit["before"] != edit["after"] and found["take_over"]["turns"] == 3
    assert torch.tensor(found["drift"]["size_mm"]).isfinite().all()


def test_too_short_a_stream_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["eval", "control", "-o", str(out), "--minutes", "1"]) == 2
    assert "from 2 to 600, got 1" in capsys.readouterr().err and not out.exists()
