"""Finer maps under a coarser network: the same face, and room for more of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from mien.avatar import quick_unet
from mien.avatar.avatar import Avatar
from mien.avatar.encoder import PhotoEncoder
from mien.avatar.encoder_size import tiny as tiny_encoder
from mien.avatar.finer import finer_size, moved_by, still_size
from mien.avatar.learned import LearnedHead
from mien.avatar.render import render
from mien.avatar.sizes import DecoderSize, full, photo_size, small, tiny
from mien.avatar.starts import start_from
from mien.avatar.static_maps import StaticMaps
from mien.camera import Camera
from mien.motion import Motion

COARSE = DecoderSize("coarse", 48, 2500, 4, (8, 8, 8, 8, 8))


def head_of(avatar: Avatar) -> LearnedHead:
    assert avatar.learned is not None
    return avatar.learned


def move(avatar: Avatar, moving: LearnedHead) -> Avatar:
    return moved_by(avatar, moving.unet, moving.size, moving.maps.features)


@pytest.fixture(scope="module")
def painted() -> Avatar:
    return Avatar.load("child-dark")


@pytest.fixture(scope="module")
def moving(painted: Avatar) -> LearnedHead:
    """As if an encoder had given it: its network answers to expressions, and to none."""
    head = head_of(start_from(painted, COARSE, seed=3))
    with torch.no_grad():
        head.unet.exit.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(4))
        torch.nn.init.constant_(head.unet.exit.bias, 0.3)  # type: ignore[arg-type]
    return head


@pytest.fixture(scope="module")
def still(painted: Avatar) -> Avatar:
    """Finer maps that nothing moves."""
    return start_from(painted, still_size(COARSE), seed=1)


@pytest.fixture(scope="module")
def moved(still: Avatar, moving: LearnedHead) -> Avatar:
    return move(still, moving)


def smiling() -> Motion:
    motion = Motion.rest(1)
    motion.expr[:] = 0.4
    return motion


def test_sizes_become_finer_up_to_that_of_photos() -> None:
    finer = finer_size(small())
    assert (finer.resolution, finer.network_side, finer.num_gaussians) == (320, 160, 60_000)
    assert finer_size(tiny()).num_gaussians == 4 * tiny().num_gaussians
    assert finer_size(full()) == full()  # already finer than photos are
    assert still_size(small()) == photo_size()


def test_at_rest_a_moved_avatar_is_what_it_was(still: Avatar, moved: Avatar) -> None:
    """Up to what half floats would lose anyway."""
    assert head_of(moved).size == finer_size(COARSE) and len(moved) == len(still)
    first, second = (next(avatar.drive(Motion.rest(1))) for avatar in (still, moved))
    for name, value in vars(first).items():
        torch.testing.assert_close(getattr(second, name), value, rtol=0, atol=1e-3)
    camera = Camera.portrait(64, 64, head_scale=0.95)
    images = [render(gaussians, camera, (1.0, 1.0, 1.0)).image for gaussians in (first, second)]
    assert float((images[0] - images[1]).abs().max()) < 5e-3


def test_it_moves_by_what_the_network_makes_of_an_expression(
    still: Avatar, moving: LearnedHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the network gave it on its own maps, less what it gave at rest, enlarged bilinearly."""
    monkeypatch.setattr(quick_unet, "has_fast_bfloat16", lambda: False)
    moved = move(still, moving)
    assert head_of(moved).unet is moving.unet
    own, rest = (
        moving.attributes(still.driven(motion)).detach() for motion in (smiling(), Motion.rest(1))
    )
    fine = head_of(moved).attributes(still.driven(smiling())).detach()
    changes = fine - head_of(still).maps.attributes().detach()
    pooled = torch.nn.functional.avg_pool2d(changes, 2)
    line = torch.tensor([0.125, 0.75, 0.125])  # enlarged, then averaged again
    kernel = torch.outer(line, line).expand(14, 1, 3, 3)
    wanted = torch.nn.functional.conv2d(own - rest, kernel, padding=1, groups=14)
    dynamic = head_of(moved).layout.dynamic[None, None]
    inner = torch.nn.functional.avg_pool2d(dynamic, 10, 2, 4)[0, 0] == 1
    assert int(inner.sum()) > 50 and float(wanted[0][:, inner].abs().max()) > 0.05
    torch.testing.assert_close(pooled[0][:, inner], wanted[0][:, inner], rtol=0, atol=1e-5)
    assert float(changes[0, :, dynamic[0, 0] == 0].abs().max()) == 0.0


def test_a_moved_avatar_is_kept_whole(moved: Avatar, tmp_path: Path) -> None:
    moved.save(tmp_path / "me.avatar")
    again = Avatar.load(tmp_path / "me.avatar")
    assert head_of(again).size == head_of(moved).size
    first, second = (next(x.drive(smiling())) for x in (moved, again))
    assert torch.equal(first.means, second.means) and torch.equal(first.colors, second.colors)


def test_maps_of_another_side_are_not_moved(painted: Avatar, moving: LearnedHead) -> None:
    for avatar in (painted, start_from(painted, COARSE)):
        with pytest.raises(ValueError, match="maps with a side of 96 to be moved"):
            move(avatar, moving)


def test_sides_that_do_not_divide_are_refused(moved: Avatar) -> None:
    with pytest.raises(ValueError, match="multiple of 32.*got 48"):
        dataclasses.replace(COARSE, coarser=2)
    with pytest.raises(ValueError, match="`coarser` must be 1 or more, got 0"):
        dataclasses.replace(COARSE, coarser=0)
    head = head_of(moved)
    fine = StaticMaps.plain(96, torch.zeros(4, 96, 96))
    with pytest.raises(ValueError, match=r"features \[4, 48, 48\], got 96 and \[4, 96, 96\]"):
        LearnedHead(head.size, head.layout, fine, head.unet)
    with pytest.raises(ValueError, match="2 times coarser"):
        PhotoEncoder(tiny_encoder(), finer_size(tiny()))
