"""Refinement: the photo is met better, the network stays, the mouth teaches nothing."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mien.avatar.avatar import Avatar
from mien.avatar.losses import l1_loss
from mien.avatar.mouth_region import mouth_mask
from mien.avatar.perceptual import steerable_difference
from mien.avatar.pictures import PosedPicture
from mien.avatar.refine import picture_loss, refine
from mien.avatar.render import render
from mien.avatar.sizes import tiny
from mien.avatar.starts import start_from
from mien.camera import Camera
from mien.motion import Motion

SIDE = 40
WHITE = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def begun() -> Avatar:
    """A learned head whose network has learned something."""
    made = start_from(Avatar.load("child-dark"), tiny())
    assert made.learned is not None
    torch.manual_seed(0)
    torch.nn.init.normal_(made.learned.unet.exit.weight, std=0.01)
    made.learned.requires_grad_(False)
    return made


@pytest.fixture(scope="module")
def picture() -> PosedPicture:
    """Somebody of other colors."""
    other, camera, motion = Avatar.load("adult"), Camera.portrait(SIDE, SIDE), Motion.rest(1)
    drawn = render(next(other.drive(motion, camera)), camera, WHITE)
    return PosedPicture(drawn.image.clamp(0, 1), drawn.alpha.clamp(0, 1), camera, motion, "her")


@pytest.fixture(scope="module")
def refined(begun: Avatar, picture: PosedPicture) -> Avatar:
    return refine(begun, [picture])


def mouth_of(avatar: Avatar, picture: PosedPicture) -> torch.Tensor:
    posed = avatar.driven(picture.motion).posed(avatar.head.lbs_weights)[0]
    return mouth_mask(avatar.head, posed, picture.camera)


def distance(avatar: Avatar, picture: PosedPicture) -> float:
    drawn = render(next(avatar.drive(picture.motion, picture.camera)), picture.camera, WHITE)
    return float(l1_loss(drawn.image[None], picture.image[None]))


def test_twenty_steps_bring_the_drawing_nearer_to_the_photo(
    begun: Avatar, refined: Avatar, picture: PosedPicture
) -> None:
    assert distance(refined, picture) < 0.7 * distance(begun, picture)
    assert refined.made_by.endswith("refined on 1 pictures by 20 steps")


def test_the_network_stays_bit_for_bit_and_the_maps_do_not(begun: Avatar, refined: Avatar) -> None:
    first, second = begun.learned, refined.learned
    assert first is not None and second is not None and first is not second
    for name, value in first.unet.state_dict().items():
        assert torch.equal(second.unet.state_dict()[name], value), name
    for name, parameter in first.maps.named_parameters():
        assert not torch.equal(dict(second.maps.named_parameters())[name], parameter), name
    assert torch.equal(first.maps.start_position, second.maps.start_position)
    assert not any(p.requires_grad for p in second.parameters())


def test_the_avatar_given_is_not_changed(picture: PosedPicture, begun: Avatar) -> None:
    assert begun.learned is not None
    before = {name: value.clone() for name, value in begun.learned.state_dict().items()}
    refine(begun, [picture], steps=1)
    for name, value in begun.learned.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert begun.made_by == Avatar.load("child-dark").made_by


def test_pixels_inside_the_mouth_give_no_gradient(begun: Avatar, picture: PosedPicture) -> None:
    mouth = mouth_of(begun, picture)
    assert 5 < int(mouth.sum()) < SIDE * SIDE / 4
    drawn = (1 - picture.image).requires_grad_(True)
    loss = picture_loss(drawn, picture.image, picture.mask, mouth, steerable_difference, WHITE)
    loss.backward()  # type: ignore[no-untyped-call]
    assert drawn.grad is not None
    assert not bool(drawn.grad[mouth > 0].any())
    assert bool((drawn.grad[mouth == 0].abs().amax(-1) > 0).all())


def test_what_a_photo_shows_inside_the_mouth_changes_nothing(
    begun: Avatar, picture: PosedPicture
) -> None:
    inside = mouth_of(begun, picture).unsqueeze(-1)
    other = dataclasses.replace(
        picture, image=picture.image * (1 - inside) + (1 - picture.image) * inside
    )
    assert not torch.equal(other.image, picture.image)
    first, second = (refine(begun, [p], steps=2).learned for p in (picture, other))
    assert first is not None and second is not None
    for name, value in first.maps.state_dict().items():
        assert torch.equal(second.maps.state_dict()[name], value), name


def test_every_photo_counts_also_those_beyond_one_step(
    begun: Avatar, picture: PosedPicture
) -> None:
    dark = dataclasses.replace(picture, image=0.2 * picture.image)
    bright = refine(begun, [picture] * 5, steps=2).learned
    mixed = refine(begun, [*[picture] * 4, dark], steps=2).learned
    assert bright is not None and mixed is not None
    assert float(mixed.maps.color.mean()) < float(bright.maps.color.mean())


def test_maps_that_are_kept_stay_bit_for_bit(begun: Avatar, picture: PosedPicture) -> None:
    after = refine(begun, [picture], steps=2, kept=("position", "rotation")).learned
    before = begun.learned
    assert before is not None and after is not None
    assert torch.equal(after.maps.position, before.maps.position)
    assert torch.equal(after.maps.rotation, before.maps.rotation)
    assert not torch.equal(after.maps.color, before.maps.color)
    with pytest.raises(ValueError, match="`kept` must be of"):
        refine(begun, [picture], steps=1, kept=("place",))


def test_what_cannot_be_refined_is_refused(begun: Avatar, picture: PosedPicture) -> None:
    with pytest.raises(ValueError, match="Only a learned avatar can be refined; 'adult' is pain"):
        refine(Avatar.load("adult"), [picture])
    with pytest.raises(ValueError, match="one picture and one step or more, got 0 and 20"):
        refine(begun, [])
    with pytest.raises(ValueError, match="got 1 and 0"):
        refine(begun, [picture], steps=0)
