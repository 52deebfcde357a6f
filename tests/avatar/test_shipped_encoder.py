"""The encoder that comes with the package: whole, small enough, and it knows light from dark."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from mien.avatar.avatar import Avatar
from mien.avatar.create import SHIPPED_ENCODER
from mien.avatar.driving import drive_person
from mien.avatar.encoder import person_maps
from mien.avatar.encoder_file import WEIGHTS, LoadedEncoder, load_encoder
from mien.avatar.learned import LearnedHead
from mien.avatar.people_cache import MOTION_TRACKS
from mien.avatar.photo_pose import crop_face
from mien.avatar.render import render
from mien.avatar.starts import learned_layout
from mien.camera import Camera
from mien.head import Head
from mien.motion import Motion


@cache
def shipped() -> LoadedEncoder:
    return load_encoder(SHIPPED_ENCODER)


def crop_of(name: str) -> torch.Tensor:
    """A photo of a painted person, `[1, 1, 3, s, s]`."""
    avatar, camera = Avatar.load(name), Camera.portrait(192, 192)
    motion = Motion.rest(1)
    drawn = render(next(avatar.drive(motion, camera)), camera, (0.6, 0.6, 0.6))
    points = avatar.head.require_points().gather(avatar.vertices(motion)[0])
    flat = (points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]) @ camera.K.T
    side = shipped().encoder.size.photo_side
    return crop_face(drawn.image.clamp(0, 1), flat[:, :2] / flat[:, 2:], side)[None, None]


def test_it_is_whole_small_and_says_what_made_it() -> None:
    card = shipped().card
    assert (SHIPPED_ENCODER / WEIGHTS).stat().st_size < 16e6
    assert card["command"].startswith("mien train avatar") and card["portraits_hash"]
    assert all(command.startswith("mien train avatar") for command in card["history"])


@pytest.mark.parametrize("name", ["adult", "adult-medium", "adult-dark"])
def test_its_maps_have_the_tone_of_the_photo(name: str) -> None:
    loaded, avatar = shipped(), Avatar.load(name)
    layout = learned_layout(avatar, loaded.decoder)
    made = loaded.encoder(crop_of(name)).attributes[0, 7:10].sigmoid()
    height = layout.draw(avatar.head.v_template[None])[0]
    cheeks = (height[1].abs() < 0.04) & (height[2] > 0.02) & (height[0].abs() > 0.025)
    assert int(cheeks.sum()) > 200
    skin = made[:, cheeks].mean(1)
    picture = crop_of(name)[0, 0]
    side = picture.shape[-1]
    seen = picture[:, side * 9 // 16 : side * 11 // 16, side * 5 // 16 : side * 6 // 16].mean(
        (1, 2)
    )
    assert float((skin - seen).abs().max()) < 0.18  # the mask takes in the shaded sides too


def test_its_network_shades_a_face_that_moves_and_leaves_one_at_rest() -> None:
    loaded, avatar = shipped(), Avatar.load("adult")
    layout = learned_layout(avatar, loaded.decoder)
    maps = person_maps(*loaded.encoder(crop_of("adult")).person(0))
    learned = LearnedHead(loaded.decoder, layout, maps, loaded.unet)
    frown = Motion.rest(2)
    names = avatar.head.expr_names
    frown.expr[1, [names.index("browDownLeft"), names.index("browDownRight")]] = 1.0
    driven = drive_person(Head.default(), **{name: getattr(frown, name) for name in MOTION_TRACKS})
    with torch.no_grad():
        changes = (learned.attributes(driven) - maps.attributes())[:, 7:10]
    height = layout.draw(avatar.head.v_template[None])[0, 1]
    brows = (height > 0.0) & (height < 0.05) & layout.dynamic.bool()
    still, frowning = changes[:, :, brows].abs().mean((1, 2))
    assert float(frowning) > 0.02 and float(frowning) > 2 * float(still)
