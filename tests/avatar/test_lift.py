"""Colors are lifted from pictures where these show the skin, and nowhere else."""

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch

from mien.avatar.avatar import Avatar
from mien.avatar.create import compose
from mien.avatar.lift import complete, level_hair, lift, lit_around_eyes, soft_edge
from mien.avatar.pictures import PosedPicture
from mien.avatar.render import render
from mien.avatar.sizes import DecoderSize
from mien.avatar.starts import start_from
from mien.avatar.texel_sheet import TexelSheet, read_texels, texels_of
from mien.avatar.unfolding import unfolded
from mien.camera import Camera
from mien.motion import Motion

SIZE = DecoderSize("test", 64, 4000, 4, (8, 8, 8, 8, 8))


@cache
def start() -> Avatar:
    return start_from(Avatar.load("adult-small"), SIZE)


@cache
def sheet_of_start() -> TexelSheet:
    return TexelSheet.of(start(), start().learned)  # type: ignore[arg-type]


@cache
def tinted_picture(yaw: float = 0.0) -> PosedPicture:
    """The same person under redder light, its face alone in the mask."""
    avatar, camera = Avatar.load("adult-small"), Camera.portrait(160, 160, yaw=yaw)
    drawn = render(next(avatar.drive(Motion.rest(1), camera)), camera, (0.1, 0.5, 0.2))
    image = (drawn.image * torch.tensor([1.0, 0.8, 0.6])).clamp(0, 1)
    down, across = torch.meshgrid(torch.arange(160), torch.arange(160), indexing="ij")
    face = ((across - 80.0) / 27) ** 2 + ((down - 84.0) / 36) ** 2 < 1
    motion = Motion.rest(1).replace(shape=avatar.shape)
    return PosedPicture(image, face.float() * drawn.alpha.round(), camera, motion, "someone")


def colors_of(avatar: Avatar) -> torch.Tensor:
    assert avatar.learned is not None
    return texels_of(avatar.learned, avatar.learned.maps.color).sigmoid()


@cache
def lifted() -> Avatar:
    return lift(start(), [tinted_picture()])


def test_the_face_takes_the_pictures_light() -> None:
    sheet = sheet_of_start()
    x, y, z = sheet.resting.T
    cheeks = (np.abs(x) < 45) & (y > -60) & (y < -20) & (z > 15) & (np.abs(x) > 22)
    before, after = (colors_of(each)[sheet.rows][cheeks].mean(0) for each in (start(), lifted()))
    assert torch.allclose(after / before, torch.tensor([1.0, 0.8, 0.6]), atol=0.06)


def test_a_bob_goes_on_hiding_the_ears() -> None:
    finer = start_from(Avatar.load("adult-small"), dataclasses.replace(SIZE, resolution=128))
    sheet = TexelSheet.of(finer, finer.learned)  # type: ignore[arg-type]
    x, y, z = sheet.resting.T
    ears = (np.abs(x) > 76) & (np.abs(y + 20) < 35) & (np.abs(z + 80) < 28)
    assert ears.sum() > 20 and sheet.is_hair[ears].mean() > 0.7
    colors = colors_of(lift(finer, [tinted_picture()]))[sheet.rows].mean(-1).numpy()
    hair, face = colors[(y > 60) & sheet.is_hair].mean(), colors[(z > 30) & (y < 20)].mean()
    assert (colors[ears] < (hair + face) / 2).mean() > 0.7


def test_what_is_not_seen_follows_without_a_seam() -> None:
    sheet = sheet_of_start()
    x, y, z = sheet.resting.T
    neck = (y < -105) & (y > -140) & ~sheet.is_cloth & ~sheet.near_hair & (z < -20)
    assert neck.sum() > 5
    before, after = (colors_of(each)[sheet.rows][neck].mean(0) for each in (start(), lifted()))
    ratio = after / before
    assert 0.65 < float(ratio[1]) < 0.92 and 0.45 < float(ratio[2]) < 0.75


def test_eyes_mouth_and_garment_stay_as_they_were() -> None:
    avatar = start()
    assert avatar.learned is not None
    sheet = sheet_of_start()
    inner = np.setdiff1d(np.arange(len(avatar.learned.layout.texel_ids)), sheet.rows)
    inner = np.concatenate([inner, sheet.rows[sheet.is_cloth]])
    for part in (inner,):
        assert torch.allclose(colors_of(lifted())[part], colors_of(avatar)[part], atol=1e-5)


def test_the_start_is_left_alone_and_the_lifted_is_finite_and_drawn() -> None:
    again = start_from(Avatar.load("adult-small"), SIZE)
    assert torch.equal(colors_of(again), colors_of(start()))
    camera = Camera.portrait(64, 64, yaw=0.8)
    image = render(next(lifted().drive(Motion.rest(1))), camera).image
    assert bool(torch.isfinite(image).all()) and float(image.max()) > 0.3


def test_several_pictures_are_matched_to_the_first() -> None:
    other = tinted_picture(0.5)
    darker = dataclasses.replace(other, image=other.image * 0.7)
    both, one = lift(start(), [tinted_picture(), darker]), lifted()
    sheet = sheet_of_start()
    skin = sheet.rows[~sheet.is_hair & ~sheet.is_cloth]
    assert float((colors_of(both)[skin] - colors_of(one)[skin]).abs().mean()) < 0.04


def test_a_painting_has_no_maps_to_lift_to() -> None:
    with pytest.raises(ValueError, match="has no maps to lift colors to"):
        lift(Avatar.load("adult-small"), [tinted_picture()])
    with pytest.raises(ValueError, match="one picture or more, got none"):
        lift(start(), [])


def test_a_picture_that_hides_the_face_is_refused() -> None:
    blank = dataclasses.replace(tinted_picture(), mask=torch.zeros(160, 160))
    with pytest.raises(ValueError, match="hardly shows the face"):
        lift(start(), [blank])


def test_completion_keeps_what_is_sure_and_mirrors_the_rest() -> None:
    sheet = sheet_of_start()
    begun = np.full((len(sheet), 3), 0.5)
    wanted = begun.copy()
    left = (sheet.resting[:, 0] > 3) & ~sheet.is_hair & ~sheet.is_cloth & (sheet.to_lids > 8)
    spot = left & (np.abs(sheet.resting - [35.0, -35.0, 20.0]).max(1) < 9)
    wanted[spot] = [0.8, 0.2, 0.2]
    done = complete(sheet, begun, wanted, left.astype(float))
    assert np.abs(done[left] - wanted[left]).max() < 1e-6
    other = np.flatnonzero((sheet.resting[:, 0] < -3) & spot[sheet.mirror])
    assert len(other) > 3
    assert np.median(done[other, 0]) > 0.65 and np.median(done[other, 1]) < 0.35
    kept = complete(sheet, begun, wanted, np.zeros(len(sheet)))
    assert np.abs(kept - begun).max() < 1e-6


def test_a_picture_is_completed_by_the_avatar_beyond_its_mask() -> None:
    picture = tinted_picture()
    whole = compose(lifted(), picture)
    inside = picture.mask > 0.99
    assert torch.allclose(whole.image[inside], picture.image[inside], atol=1e-5)
    drawn = render(next(lifted().drive(picture.motion, picture.camera)), picture.camera, (1, 1, 1))
    outside = picture.mask < 0.01
    over = whole.image * whole.mask[..., None] + (1 - whole.mask[..., None])
    assert float((over - drawn.image)[outside].abs().max()) < 0.02


def test_hair_and_cloth_are_told_apart_and_the_face_is_mirrored() -> None:
    sheet = sheet_of_start()
    top = sheet.resting[:, 1] > 85
    assert sheet.is_hair[top].mean() > 0.9
    face = (sheet.resting[:, 2] > 25) & (sheet.resting[:, 1] < 30)
    assert not sheet.is_hair[face].any()
    assert sheet.is_cloth[sheet.resting[:, 1] < -190].all()
    away = sheet.resting[sheet.mirror] * [-1, 1, 1] - sheet.resting
    assert np.median(np.linalg.norm(away, axis=1)) < 3.0


def test_lids_that_open_eyes_hide_take_nothing_of_the_shadow_before_them() -> None:
    avatar, sheet, picture = start(), sheet_of_start(), tinted_picture()
    hidden = (unfolded(avatar, picture.motion, sheet.rows) < 0.1) & (sheet.to_lids > 6)
    hidden &= (sheet.to_lids < 14) & (sheet.resting[:, 2] > 0)
    assert hidden.sum() > 5
    shaded = lift(avatar, [darkened(picture, hidden, 0.55)])
    rows = sheet.rows[hidden]
    with_it, without = (colors_of(each)[rows].mean(0) for each in (shaded, lifted()))
    ratio = float((with_it / without).min())
    assert ratio > 0.75, ratio


def darkened(picture: PosedPicture, texels: np.ndarray, factor: float) -> PosedPicture:
    """The picture with other light where some texels of the sheet lie."""
    avatar, sheet, camera = start(), sheet_of_start(), picture.camera
    assert avatar.learned is not None
    posed = avatar.driven(picture.motion).posed(avatar.head.lbs_weights)[0]
    points = read_texels(avatar.learned.layout, posed)[sheet.rows[texels]]
    there = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    across, down = ((there @ camera.K.T)[:, :2] / there[:, 2:]).round().long().T
    image = picture.image.clone()
    for shift in (-1, 0, 1):
        for other in (-1, 0, 1):
            places = (down + shift, across + other)
            image[places] = factor * picture.image[places]
    return dataclasses.replace(picture, image=image)


def test_closed_lids_have_the_color_of_lit_skin_and_not_of_a_dark_fold() -> None:
    avatar, sheet, picture = start(), sheet_of_start(), tinted_picture()
    x, y, _ = sheet.resting.T
    beside = (np.abs(x) > 12) & (np.abs(x) < 48) & ~sheet.is_hair
    fold = beside & (sheet.to_lids > 5) & (sheet.to_lids < 13) & (y > 2)
    lids = (unfolded(avatar, picture.motion, sheet.rows) < 0.3) & (sheet.to_lids < 11)
    around = beside & (sheet.to_lids > 12) & (sheet.to_lids < 22) & ~fold
    assert fold.sum() > 20 and lids.sum() > 10 and around.sum() > 20
    colors = colors_of(lift(avatar, [darkened(picture, fold, 0.35)])).numpy()[sheet.rows]
    ratio = np.median(colors[lids], 0) / np.median(colors[around], 0)
    assert ratio.min() > 0.7, ratio


def test_only_lit_skin_around_eyes_says_what_color_lids_have() -> None:
    sheet = sheet_of_start()
    dark = (sheet.to_lids < 14) & (sheet.resting[:, 1] > 0) & ~sheet.is_hair
    values = np.full((len(sheet), 3), np.log(0.7))
    values[dark] = np.log(0.3)
    lit = lit_around_eyes(sheet, values, np.ones(len(sheet)))
    lashes = sheet.to_lids < 9
    assert lit[dark].max() == 0 and lit[lashes].max() == 0
    assert lit[~dark & ~lashes].min() == 1
    unknown = lit_around_eyes(sheet, values, np.zeros(len(sheet)))
    assert np.isfinite(unknown).all() and unknown[sheet.to_lids > 30].min() == 1


def test_hair_that_no_picture_shows_takes_the_color_of_what_is_shown() -> None:
    sheet = sheet_of_start()
    height = np.clip((sheet.resting[:, 1] + 60) / 180, 0, 1)[:, None]
    begun = np.where(sheet.is_hair[:, None], 0.55 - 0.4 * height, 0.7) * np.ones(3)
    front = sheet.is_hair & (sheet.resting[:, 2] > -20)
    back = sheet.is_hair & (sheet.resting[:, 2] < -90)
    dark = np.full((len(sheet), 3), 0.06)
    done = complete(sheet, level_hair(sheet, begun), dark, front.astype(float))
    assert front.sum() > 20 and back.sum() > 20
    assert np.abs(done[front] - 0.06).max() < 1e-6
    assert np.quantile(np.abs(done[back] - 0.06), 0.95) < 0.06
    assert np.array_equal(level_hair(sheet, begun)[~sheet.is_hair], begun[~sheet.is_hair])


def test_hair_and_skin_meet_softly_and_stay_as_they_are_elsewhere() -> None:
    sheet = sheet_of_start()
    colors = np.where(sheet.is_hair[:, None], 0.0, 1.0) * np.ones(3)
    colors[sheet.is_cloth] = 0.5
    soft = soft_edge(sheet, colors)
    share = sheet.smooth(sheet.is_hair.astype(float), 3)
    across = (share > 0.35) & (share < 0.65) & ~sheet.is_cloth
    assert across.sum() > 20
    assert np.mean((soft[across, 0] > 0.1) & (soft[across, 0] < 0.9)) > 0.8
    far = (share < 1e-9) | (share > 1 - 1e-9) | sheet.is_cloth
    assert np.abs(soft - colors)[far].max() < 1e-9
