import json
from pathlib import Path

import pytest

from mien import pipeline
from mien.apps.cli import main
from mien.motion import Motion
from mien.pipeline import Caption, Event

FOUND = Caption("a smile", (Event(3 * 0.2, 82 / 15, "strong smile"),))


def test_times_are_told_to_the_millisecond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clip.npz"
    Motion.rest(50).save(path)
    monkeypatch.setattr(pipeline, "caption", lambda motion, device: FOUND)
    assert main(["caption", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "caption": "a smile",
        "events": [{"start": 0.6, "end": 5.467, "text": "strong smile"}],
        "seconds": 2.0,
        "source": str(path),
    }
    assert main(["caption", str(path)]) == 0
    assert capsys.readouterr().out == "a smile\n  0.60 -  5.47 s  strong smile\n"
