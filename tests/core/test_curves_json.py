import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES, curves_from_motion, motion_from_curves
from mien.formats.curves_json import read_curves_json, write_curves_json
from mien.motion import Label, Motion

Card = dict[str, Any]


def lively() -> Motion:
    """Every unit and every angle moves."""
    generator = torch.Generator().manual_seed(2)
    curves = torch.rand(7, len(CHANNEL_NAMES), generator=generator)
    curves[:, len(ARKIT_NAMES) :] -= 0.5
    labels = (Label(0.0, 0.1, "smile"), Label(0.1, 0.28, "naïve “look”"))
    return motion_from_curves(curves, fps=29.97, text="a\nface", labels=labels)


@pytest.fixture
def card(tmp_path: Path) -> Card:
    """A sound file, parsed."""
    write_curves_json(lively(), tmp_path / "a.json")
    return dict(json.loads((tmp_path / "a.json").read_text()))


def read(folder: Path, card: Any) -> Motion:
    path = folder / "b.json"
    path.write_text(card if isinstance(card, str) else json.dumps(card))
    return read_curves_json(path)


def test_a_motion_comes_back_with_its_words(tmp_path: Path) -> None:
    motion = lively()
    write_curves_json(motion, tmp_path / "a.json")
    back = read_curves_json(tmp_path / "a.json")
    assert (back.fps, back.text, back.labels) == (motion.fps, motion.text, motion.labels)
    for name in ("expr", "jaw_pose", "neck_pose", "eye_pose"):
        found, wanted = getattr(back, name), getattr(motion, name)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_columns_may_come_in_any_order_and_spelling_and_without_angles(
    tmp_path: Path, card: Card
) -> None:
    order = list(reversed(range(len(ARKIT_NAMES))))
    mixed = {
        "fps": 30,
        "names": [ARKIT_NAMES[i][0].upper() + ARKIT_NAMES[i][1:] for i in order],
        "frames": [[frame[i] for i in order] for frame in card["frames"]],
    }
    found = curves_from_motion(read(tmp_path, mixed))
    plain = [i for i, name in enumerate(ARKIT_NAMES) if "eyeLook" not in name]
    wanted = torch.tensor(card["frames"])
    torch.testing.assert_close(found[:, plain], wanted[:, plain], rtol=0, atol=1e-6)
    assert not found[:, CHANNEL_NAMES.index("headYaw")].any()


def test_a_line_holds_a_frame(tmp_path: Path) -> None:
    write_curves_json(lively(), tmp_path / "a.json")
    lines = (tmp_path / "a.json").read_text().splitlines()
    assert sum(line.startswith("[") for line in lines) == 7


def set_value(card: Card, value: Any) -> None:
    card["frames"][2][5] = value


WRONG: list[tuple[str, Callable[[Card], Any]]] = [
    ("`fps` must be above 0.*, got 0", lambda c: c.update(fps=0)),
    ("`fps` must be above 0", lambda c: c.update(fps="25")),
    ("`fps` must be above 0", lambda c: c.update(fps=True)),
    ("`fps` must be above 0", lambda c: c.pop("fps")),
    ("Version 1", lambda c: c.update(version=2)),
    ("another kind of JSON", lambda c: c.update(format="other")),
    ("another kind of JSON", lambda c: c.pop("frames")),
    ("at least one frame, got a list of 0", lambda c: c.update(frames=[])),
    ("at least one frame", lambda c: c.update(frames={"0": []})),
    ("Frame 2 must be 61 numbers", lambda c: c["frames"][2].pop()),
    ("Frame 1 must be 61 numbers", lambda c: c["frames"].__setitem__(1, "x")),
    ("Frame 2 must hold numbers", lambda c: set_value(c, "0.5")),
    ("Frame 2 must hold numbers", lambda c: set_value(c, None)),
    ("Frame 2 must hold numbers", lambda c: set_value(c, 10**400)),
    ("Units must lie in 0..1.*in frame 2", lambda c: set_value(c, 55.0)),
    ("must be finite", lambda c: set_value(c, float("nan"))),
    ("`names` must be a list", lambda c: c.update(names="jawOpen")),
    ("`names` must be a list", lambda c: c.update(names=[1] * 61)),
    ("`names` must be different", lambda c: c["names"].__setitem__(1, c["names"][0])),
    ("`names` must be different", lambda c: c["names"].append("jawOpen")),
    ("not an ARKit channel", lambda c: c["names"].__setitem__(1, "smirk")),
    ("`names` lacks 1 of the 52 units", lambda c: c["names"].pop(3)),
    ("`text` must be text", lambda c: c.update(text=3)),
    ("`labels` must be a list", lambda c: c.update(labels="smile" * 1000)),
    ("A label must have", lambda c: c.update(labels=[{"start": 0, "end": 1}])),
    ("0 <= start_s <= end_s", lambda c: c.update(labels=[{"start": 2, "end": 1, "text": ""}])),
]


@pytest.mark.parametrize(("message", "spoil"), WRONG)
def test_a_spoilt_file_is_refused_in_one_line(
    tmp_path: Path, card: Card, message: str, spoil: Callable[[Card], Any]
) -> None:
    spoil(card)
    with pytest.raises(ValueError, match=message) as refusal:
        read(tmp_path, card)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "9" * 5000, '{"fps": 1e999, "frames": []}', "null", "[1, 2]"],
    ids=["empty", "cut", "deep", "long-number", "infinite", "null", "list"],
)
def test_other_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"b\.json"):
        read(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"fps": "\xff\xfe\x80"}')
    with pytest.raises(ValueError, match="is not JSON"):
        read_curves_json(tmp_path / "a.json")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no file"):
        read_curves_json(tmp_path / "a.json")


def test_another_heads_motion_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="43 components"):
        write_curves_json(Motion.rest(2, num_expr=100), tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    key=st.sampled_from(["format", "version", "fps", "text", "labels", "names", "frames"]),
    value=VALUES,
)
def test_whatever_a_field_holds_the_answer_is_a_motion_or_a_value_error(
    tmp_path: Path, key: str, value: Any
) -> None:
    names = list(CHANNEL_NAMES)
    card = {"format": "mien-curves", "fps": 25, "names": names, "frames": [[0.0] * 61]}
    try:
        assert isinstance(read(tmp_path, card | {key: value}), Motion)
    except ValueError as error:
        assert "\n" not in str(error)
