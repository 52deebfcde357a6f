"""Finer maps under a coarser network: the same face, and room for more of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from mien.avatar.avatar import Avatar
from mien.avatar.encoder import PhotoEncoder
from mien.avatar.encoder_size import tiny as tiny_encoder
from mien.avatar.finer import finer_size, made_finer
from mien.avatar.learned import LearnedHead
from mien.avatar.render import render
from mien.avatar.sizes import DecoderSize, full, small, tiny
from mien.avatar.starts import start_from
from mien.avatar.static_maps import StaticMaps
from mien.camera import Camera
from mien.motion import Motion

COARSE = DecoderSize("coarse", 48, 2500, 4, (8, 8, 8, 8, 8))


def head_of(avatar: Avatar) -> LearnedHead:
    assert avatar.learned is not None
    return avatar.learned


@pytest.fixture(scope="module")
def before() -> Avatar:
    """As if it had learned something."""
    avatar = start_from(Avatar.load("child-dark"), COARSE, seed=3)
    exit_layer = head_of(avatar).unet.exit
    with torch.no_grad():
        exit_layer.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(4))
    return avatar


@pytest.fixture(scope="module")
def after(before: Avatar) -> Avatar:
    return dataclasses.replace(before, learned=made_finer(head_of(before), before))


def smiling() -> Motion:
    motion = Motion.rest(1)
    motion.expr[:] = 0.4
    return motion


def test_sizes_become_finer_up_to_that_of_photos() -> None:
    finer = finer_size(small())
    assert (finer.resolution, finer.network_side, finer.num_gaussians) == (320, 160, 60_000)
    assert finer_size(tiny()).num_gaussians == 4 * tiny().num_gaussians
    assert finer_size(full()) == full()  # already finer than photos are


def test_a_finer_head_looks_the_same(before: Avatar, after: Avatar) -> None:
    assert len(after) > 3.5 * len(before)
    camera = Camera.portrait(64, 64, head_scale=0.95)
    for motion in (Motion.rest(1), smiling()):
        drawn = [
            render(next(x.drive(motion, camera)), camera, (1.0, 1.0, 1.0)) for x in (before, after)
        ]
        blank = (drawn[0].image - 1.0).abs().mean()
        assert float((drawn[0].image - drawn[1].image).abs().mean()) < 0.15 * float(blank)


def test_its_network_sees_and_gives_what_it_did(before: Avatar, after: Avatar) -> None:
    first, second = (head_of(x) for x in (before, after))
    assert second.unet is first.unet and second.size.network_side == COARSE.resolution
    driven = before.driven(smiling())
    changes = [
        (head.attributes(driven) - head.maps.attributes()).detach() for head in (first, second)
    ]
    pooled = torch.nn.functional.avg_pool2d(changes[1], 2)
    inner = torch.nn.functional.avg_pool2d(second.layout.dynamic[None, None], 10, 2, 4)[0] == 1
    assert int(inner.sum()) > 50
    line = torch.tensor([0.125, 0.75, 0.125])  # enlarged bilinearly, then averaged again
    kernel = torch.outer(line, line).expand(14, 1, 3, 3)
    wanted = torch.nn.functional.conv2d(changes[0], kernel, padding=1, groups=14)
    kept = (slice(None), inner[0])
    torch.testing.assert_close(pooled[0][kept], wanted[0][kept], rtol=0, atol=1e-5)


def test_a_finer_head_is_kept_with_its_avatar(after: Avatar, tmp_path: Path) -> None:
    after.save(tmp_path / "me.avatar")
    again = Avatar.load(tmp_path / "me.avatar")
    assert head_of(again).size == head_of(after).size
    first, second = (next(x.drive(smiling())) for x in (after, again))
    assert torch.equal(first.means, second.means) and torch.equal(first.colors, second.colors)


def test_sides_that_do_not_divide_are_refused(after: Avatar) -> None:
    with pytest.raises(ValueError, match="multiple of 32.*got 48"):
        dataclasses.replace(COARSE, coarser=2)
    with pytest.raises(ValueError, match="`coarser` must be 1 or more, got 0"):
        dataclasses.replace(COARSE, coarser=0)
    learned = head_of(after)
    fine = StaticMaps.plain(96, torch.zeros(4, 96, 96))
    with pytest.raises(ValueError, match=r"features \[4, 48, 48\], got 96 and \[4, 96, 96\]"):
        LearnedHead(learned.size, learned.layout, fine, learned.unet)
    with pytest.raises(ValueError, match="2 times coarser"):
        PhotoEncoder(tiny_encoder(), finer_size(tiny()))
