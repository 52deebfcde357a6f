from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.arkit import CHANNEL_NAMES
from mien.avatar import Avatar
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.lexicon_sheets import (
    MOST_ENTRIES,
    Act,
    acts_of,
    curves_of,
    draw_sheet,
    main,
    moments,
    sheets,
    tried,
)

PITCH = CHANNEL_NAMES.index("headPitch")


def act(name: str) -> Act:
    return acts_of([Lexicon.default()[name]])[0]


def test_the_sheets_hold_every_entry_on_every_side_once() -> None:
    lexicon = Lexicon.default()
    shown = [(a.entry.id, a.side) for _, acts in sheets(lexicon) for a in acts]
    assert sorted(shown) == sorted((e.id, s) for e in lexicon.entries.values() for s in e.sides)
    for _, acts in sheets(lexicon):
        assert len({a.entry.id for a in acts}) <= MOST_ENTRIES


def test_labels_tell_sides_apart() -> None:
    assert [a.label for a in acts_of([Lexicon.default()["smile"]])] == [
        "smile",
        "smile L",
        "smile R",
    ]


def test_an_act_is_done_without_chance_and_ends_at_rest() -> None:
    curves = curves_of(act("smile"))
    assert np.array_equal(curves, curves_of(act("smile")))
    assert curves[:, CHANNEL_NAMES.index("mouthSmileLeft")].max() > 0.6
    assert np.abs(curves[0]).max() < 0.02 and np.abs(curves[-1]).max() < 0.02


def test_a_look_is_shown_at_its_strongest_and_a_movement_twice() -> None:
    smile = curves_of(act("smile"))
    (frame,) = moments(act("smile"), smile)
    column = smile[:, CHANNEL_NAMES.index("mouthSmileLeft")]
    assert column[frame] > 0.95 * column.max()
    nod = curves_of(act("nod"))
    first, second = moments(act("nod"), nod)
    assert abs(nod[first, PITCH] - nod[second, PITCH]) > 0.9 * np.ptp(nod[:, PITCH])


def test_new_recipes_stand_beside_the_old(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text('[smile]\nunits = { mouthSmile = 0.1 }\nsides = ["both", "left", "right"]\n')
    acts = tried(path, Lexicon.default())
    assert [a.label for a in acts][:3] == ["smile", "smile new", "smile L"] and len(acts) == 6
    assert acts[1].entry.units["mouthSmileLeft"] == 0.1
    assert acts[0].entry is Lexicon.default()["smile"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[no-such-look]\nunits = {}\n", "an entry of the lexicon, got 'no-such-look'"),
        ("[smile]\nunits = { mouthGrin = 1 }\n", "got 'mouthGrin'"),
        ("smile", "recipes in TOML"),
        ("", "at least one recipe, got none"),
    ],
)
def test_recipes_that_change_nothing_are_refused(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "new.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=match):
        tried(path, Lexicon.default())


def test_a_sheet_shows_different_faces() -> None:
    avatar = Avatar.load("adult")
    sheet = np.asarray(draw_sheet([act("neutral"), act("jaw-drop")], avatar, 64, "two"))
    left, right = sheet[:, 3:67], sheet[:, 70:134]
    face = slice(25, 80)
    assert np.abs(left[face].astype(int) - right[face]).max() > 60
    assert left[face].std() > 20


def test_the_command_draws_the_entries_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["lexicon_sheets", "-o", str(tmp_path), "--only", "wink", "--tile", "48"]
    monkeypatch.setattr("sys.argv", command)
    main()
    path = Path(capsys.readouterr().out.strip())
    with Image.open(path) as sheet:
        assert path.name == "lexicon_chosen.jpg" and sheet.width == 2 * 51 + 3
