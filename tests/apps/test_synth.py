import json
from pathlib import Path

import pytest

from mien.apps.cli import main


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "10001"])
def test_hours_that_no_corpus_can_have_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], hours: str
) -> None:
    assert main(["synth", f"--hours={hours}", "-o", str(tmp_path / "corpus")]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and "`hours` must be above 0 and at most 10000" in complaint
    assert not (tmp_path / "corpus").exists()


def test_clips_and_hours_together_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["synth", "--hours=1", "--clips=9", "-o", str(tmp_path / "corpus")]) == 2
    assert "`clips` or `hours`, got both: 9 and 1." in capsys.readouterr().err


def test_hours_make_a_corpus_with_its_card_and_again_make_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["synth", "--hours=0.02", "--workers=1", "--seed=4", "-o", str(tmp_path)]
    assert main(command) == 0
    card = json.loads((tmp_path / "data_card.json").read_text())
    assert 0.02 <= card["hours"] < 0.0223 and "frames a second" in capsys.readouterr().err
    shards = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.parquet")}
    assert main(command) == 0
    assert "nothing was left to do" in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.parquet")} == shards
