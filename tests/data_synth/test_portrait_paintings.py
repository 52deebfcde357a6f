"""People of portraits painted once more, for the maps an encoder should give."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from mien.avatar.driving import drive_person
from mien.avatar.encoder import person_maps
from mien.avatar.learned import LearnedHead, make_unet
from mien.avatar.people_cache import MOTION_TRACKS
from mien.avatar.prepared import bake_identity
from mien.avatar.render import render
from mien.avatar.sizes import small, tiny
from mien.avatar.uv_layout import UVLayout
from mien.data_synth import portrait_shards
from mien.data_synth.portrait_paintings import painted_changes, painted_maps
from mien.data_synth.portrait_shards import write_portraits
from mien.data_synth.portraits import PortraitConfig, draw_session
from mien.head import Head
from mien.motion import Motion

CONFIG = PortraitConfig(
    seed=5, num_sessions=1, many_view_people=0, one_view_people=2, views=1, instants=1,
    one_view_instants=1, size=96, fineness=0.2,
)  # fmt: skip
NAMES = ("5-00000-00", "5-00000-01")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(portrait_shards, "session_bytes", lambda config, number: b"")
    list(write_portraits(tmp_path, CONFIG))
    return tmp_path


def test_painted_maps_draw_who_the_pictures_show(folder: Path) -> None:
    head, size = Head.default(), small()
    pictures = list(draw_session(CONFIG, 0))
    assert [picture.identity for picture in pictures] == list(NAMES)
    features = torch.zeros(size.features, size.resolution, size.resolution)
    errors = torch.zeros(2, 2)
    for column, attributes in painted_maps(folder, NAMES, size):
        assert attributes.shape == (14, size.resolution, size.resolution)
        for row, picture in enumerate(pictures):
            assert picture.motion.shape is not None
            person = bake_identity(head, picture.motion.shape)
            learned = LearnedHead(
                size, UVLayout(head, person, size), person_maps(attributes, features),
                make_unet(size),
            )  # fmt: skip
            tracks = {name: getattr(picture.motion, name) for name in MOTION_TRACKS}
            with torch.no_grad():
                gaussians = learned(drive_person(person, **tracks)).gaussians(0)
            drawn = render(gaussians, picture.camera).image
            difference = (drawn - picture.image).abs().mean(-1)
            errors[row, column] = difference[picture.mask > 0.9].mean()
    assert float(errors.diag().max()) < 0.09
    assert float(errors[0, 0]) < float(errors[0, 1])
    assert float(errors[1, 1]) < float(errors[1, 0])


def test_colors_change_where_a_face_folds_and_nowhere_at_rest(folder: Path) -> None:
    head, size = Head.default(), small()
    motion = Motion.rest(3)
    motion.expr[1, [head.expr_names.index(f"browDown{side}") for side in ("Left", "Right")]] = 1.0
    motion = motion.replace(neck_pose=torch.tensor([[0.0] * 3, [0.0] * 3, [0.0, 0.5, 0.0]]))
    asked: dict[str, Motion] = dict.fromkeys(NAMES, motion)
    changes = dict(painted_changes(folder, asked, size))
    assert sorted(changes) == [0, 1]
    layout = UVLayout(head, head, size)
    y = layout.draw(head.v_template[None])[0, 1]
    for found in (change.float() for change in changes.values()):
        assert found.shape == (3, 3, 160, 160)
        brow = found[1][:, (y > 0.0) & (y < 0.05)].abs().mean()
        chin = found[1][:, (y > -0.09) & (y < -0.05)].abs().mean()
        assert float(brow) > 0.004 and float(brow) > 4 * float(chin)
        assert float(found[0].abs().mean()) < 0.2 * float(brow)
        assert torch.equal(found[2], found[0]), "a turned head is held straight"


def test_people_who_are_not_there_are_refused(folder: Path) -> None:
    for name in ("5-00001-00", "5-00000-02", "6-00000-00", "anna", "5-0-x"):
        with pytest.raises(ValueError, match=f"nobody called '{name}' among the portraits"):
            next(painted_maps(folder, [name], small()))


def test_people_of_another_painter_are_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"recipe": "older"}))
    with pytest.raises(ValueError, match="another version painted; draw the portraits again"):
        next(painted_maps(folder, NAMES, small()))


def test_processes_paint_the_same_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portrait_shards, "session_bytes", lambda config, number: b"")
    config = dataclasses.replace(CONFIG, num_sessions=2, one_view_people=1)
    list(write_portraits(tmp_path, config))
    names = ["5-00001-00", "5-00000-00"]
    alone = dict(painted_maps(tmp_path, names, tiny()))
    together = dict(painted_maps(tmp_path, names, tiny(), workers=2))
    assert sorted(alone) == sorted(together) == [0, 1]
    assert all(torch.equal(alone[place], together[place]) for place in alone)
    assert not torch.equal(alone[0], alone[1])
