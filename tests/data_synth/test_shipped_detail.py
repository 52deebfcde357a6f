"""The detail of shipped avatars does on new faces what their cards say."""

import dataclasses

import pytest
import torch

from mien.avatar.avatar import Avatar
from mien.avatar.avatar_file import shipped_names
from mien.avatar.recipes import RECIPES
from mien.avatar.train_detail import detail_figures
from mien.data_synth.living_lessons import living_frames, sample_faces
from mien.data_synth.living_skin import LivingPerson
from mien.motion import Motion

DETAILED = [name for name in shipped_names() if Avatar.load(name).detail is not None]


def test_an_adult_an_older_person_and_a_child_have_detail() -> None:
    assert {"adult", "elder", "child"} <= set(DETAILED)


@pytest.mark.parametrize("name", DETAILED)
def test_detail_is_as_good_as_its_card_says(name: str) -> None:
    avatar = Avatar.load(name)
    assert avatar.detail is not None
    card, layout = avatar.detail.card, avatar.detail_layout(avatar.detail.size.side)
    assert card["age"] == RECIPES[name]().person["age"]
    assert card["command"].startswith(f"mien train detail {name} ")
    person = LivingPerson.of_avatar(avatar, card["age"])
    frames = living_frames(avatar, person, layout, sample_faces(0xFACE5, 24))
    figures = detail_figures(avatar.detail, layout, frames)
    assert figures.left < 0.65 * figures.change
    assert abs(figures.left - card["left"]) < 0.25 * card["left"]


@pytest.mark.parametrize("name", DETAILED)
def test_at_rest_the_painting_stays(name: str) -> None:
    avatar = Avatar.load(name)
    plain = dataclasses.replace(avatar, detail=None)
    one, other = (next(a.drive(Motion.rest(1))).colors for a in (plain, avatar))
    assert float((one - other).square().mean().sqrt()) < 0.004
    assert torch.quantile((one - other).abs().amax(-1), 0.99) < 0.02
