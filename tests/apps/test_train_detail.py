from pathlib import Path

import pytest

from mien.apps import train_detail
from mien.apps.cli import main
from mien.avatar.avatar import Avatar
from mien.avatar.sizes import tiny
from mien.avatar.starts import start_from


def test_an_avatar_gains_detail_and_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_detail, "_TEST_FACES", 3)
    out = tmp_path / "me.avatar"
    argv = ["train", "detail", "adult-small", "-o", str(out), "--faces", "6", "--steps", "3"]
    assert main(argv) == 0
    assert f"wrote {out}" in capsys.readouterr().err
    made = Avatar.load(out)
    assert made.detail is not None
    card = made.detail.card
    assert card["age"] == 0.62 and card["seed"] == 0
    assert 0 < card["left"] < 1 and card["change"] > 0.005
    assert card["command"].startswith("mien")
    assert len(made.splats) == len(Avatar.load("adult-small").splats)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["adult-small", "-o", "me"], "An avatar's folder ends in .avatar"),
        (["nobody", "-o", "me.avatar"], "nobody"),
        (["adult-small", "-o", "me.avatar", "--faces", "0"], "`faces` must be at least 1, got 0"),
        (["adult-small", "-o", "me.avatar", "--age", "1.5"], "--age must be given, from 0 to 1"),
        (["learned.avatar", "-o", "me.avatar"], "--age must be given, from 0 to 1"),
        (["learned.avatar", "-o", "me.avatar", "--age", "0.5"], "is not a painted one"),
    ],
)
def test_wrong_input_is_refused_in_one_line(
    argv: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if argv[0] == "learned.avatar":
        start_from(Avatar.load("adult-small"), tiny()).save("learned.avatar")
    assert main(["train", "detail", *argv]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("mien: error: ") and message in told
    assert not Path("me.avatar").exists()
