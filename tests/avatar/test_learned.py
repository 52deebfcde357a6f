"""A learned head: where it starts, how it follows the mesh, and how it is kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mien.avatar import quick_unet
from mien.avatar.avatar import Avatar
from mien.avatar.learned import LearnedHead
from mien.avatar.learned_file import WEIGHTS, rounded
from mien.avatar.render import render, render_cameras, render_frames
from mien.avatar.sizes import SIZES, DecoderSize, full, tiny
from mien.avatar.starts import start_from
from mien.avatar.static_maps import WIDTHS
from mien.avatar.unet import UNet
from mien.avatar.uv_layout import Texels, UVLayout
from mien.camera import Camera
from mien.head import Head
from mien.lbs import skin
from mien.motion import Motion
from mien.rotations import quat_multiply, quat_to_rotmat, rotvec_to_quat, rotvec_to_rotmat


@pytest.fixture(scope="module")
def painted() -> Avatar:
    return Avatar.load("child-dark")


@pytest.fixture(scope="module")
def fresh(painted: Avatar) -> Avatar:
    """Started from the painting; its network changes nothing yet."""
    return start_from(painted, tiny(), seed=3)


@pytest.fixture(scope="module")
def stirred(painted: Avatar) -> Avatar:
    """As if it had learned something: its network answers to expressions."""
    avatar = start_from(painted, tiny(), seed=3)
    generator = torch.Generator().manual_seed(4)
    exit_layer = head_of(avatar).unet.exit
    with torch.no_grad():
        exit_layer.weight.normal_(0, 0.1, generator=generator)
    return avatar


def head_of(avatar: Avatar) -> LearnedHead:
    assert avatar.learned is not None
    return avatar.learned


def moving(num_frames: int = 3) -> Motion:
    """Everything moves, never to zero."""
    rest = Motion.rest(num_frames)
    time = torch.arange(num_frames).float()[:, None]
    return rest.replace(
        expr=0.4 + 0.3 * torch.sin(time + torch.arange(rest.num_expr)),
        jaw_pose=torch.tensor([0.2, 0.02, 0.0]) * (1 + time / 3),
        neck_pose=torch.tensor([0.1, 0.4, -0.1]) * (1 + time / 3),
        global_pose=torch.tensor([-0.1, 0.2, 0.1]) * (1 + time / 3),
        eye_pose=torch.full((num_frames, 6), 0.1),
        translation=torch.tensor([0.01, 0.02, 0.03]) * (1 + time),
    )


def test_the_named_sizes_have_about_the_gaussians_they_promise() -> None:
    head = Head.default()
    for make, wanted in ((full, 141_445), (tiny, 900)):
        size = make()
        assert size.num_gaussians == wanted and SIZES[size.name] is make
    assert full().resolution == 400
    layout = UVLayout(head, head, dataclasses.replace(tiny(), num_gaussians=5000))
    assert layout.num_gaussians == pytest.approx(5000, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": 40}, "multiple of 16.*got 40"),
        ({"widths": (8, 8, 8)}, "must be 5 positive numbers"),
        ({"features": 0}, "`features` must be 1 or more, got 900 and 0"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(tiny(), **changes)  # type: ignore[arg-type]


def test_texels_lie_where_the_mesh_puts_them() -> None:
    head = Head.default()
    texels = Texels.of(head, 24)
    corners = head.uv[head.uv_faces[texels.faces]]
    torch.testing.assert_close((corners * texels.weights.unsqueeze(-1)).sum(1), texels.uv)
    assert float(texels.weights.min()) > -1e-4


def test_maps_that_are_drawn_are_read_back(fresh: Avatar) -> None:
    """Away from seams; there, half of what is read lies off the surface."""
    layout = head_of(fresh).layout
    vertices = fresh.vertices(moving(2))
    read = layout.read(layout.draw(vertices))
    error = (read - layout.surface(vertices)).norm(dim=-1)
    assert float(error.median()) < 3e-3  # a texel is about 9 mm
    flat = torch.full((1, 2, layout.resolution, layout.resolution), 0.25)
    torch.testing.assert_close(layout.read(flat), torch.full((1, len(head_of(fresh)), 2), 0.25))


def test_flat_discs_lie_along_the_surface(fresh: Avatar) -> None:
    layout = head_of(fresh).layout
    a, b, c = layout.neutral[layout.corners].unbind(1)
    normals = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    third = quat_to_rotmat(layout.base_quats)[..., 2]
    assert float((third * normals).sum(-1).abs().min()) > 0.999
    assert bool((layout.base_scales[:, 2] < layout.base_scales[:, 0]).all())


def test_driving_gives_the_posed_mesh_and_a_map_that_ignores_the_heads_turn(
    fresh: Avatar,
) -> None:
    motion = moving()
    driven = fresh.driven(motion)
    torch.testing.assert_close(
        driven.posed(fresh.head.lbs_weights), fresh.vertices(motion), rtol=0, atol=1e-6
    )
    zeros = torch.zeros(3, 3)
    still = motion.replace(neck_pose=zeros, global_pose=zeros, translation=zeros)
    assert torch.equal(fresh.driven(still).canonical, driven.canonical)


def test_gaussians_without_an_offset_lie_on_the_posed_mesh(painted: Avatar) -> None:
    avatar = start_from(painted, tiny())
    learned = head_of(avatar)
    with torch.no_grad():
        learned.maps.position.zero_()
    motion = moving()
    driven = avatar.driven(motion)
    means = learned(driven).means.detach()
    rest = learned.layout.surface(driven.rest)
    wanted = skin(rest, driven.rotmats, driven.offsets, learned.layout.lbs_weights)
    torch.testing.assert_close(means, wanted, rtol=0, atol=1e-6)
    near = learned.layout.surface(avatar.vertices(motion))
    assert float((means - near).norm(dim=-1).max()) < 1e-3  # of a triangle's corners, blended


def test_a_turn_of_everything_turns_every_gaussian(stirred: Avatar) -> None:
    motion = moving(1)
    rotvec = torch.tensor([0.2, -0.7, 0.3])
    straight = motion.replace(global_pose=torch.zeros(1, 3), translation=torch.zeros(1, 3))
    turned = straight.replace(global_pose=rotvec[None])
    before, after = (next(stirred.drive(m)) for m in (straight, turned))
    pivot = stirred.head.joints(stirred.shape)[0]
    rotmat = rotvec_to_rotmat(rotvec)
    wanted = (before.means - pivot) @ rotmat.T + pivot
    torch.testing.assert_close(after.means, wanted, rtol=0, atol=2e-5)
    quats = quat_multiply(rotvec_to_quat(rotvec), before.quats)
    alike = (quats * after.quats).sum(-1).abs()
    torch.testing.assert_close(alike, torch.ones_like(alike), rtol=0, atol=1e-5)
    assert torch.equal(before.colors, after.colors)


def test_the_network_changes_only_what_moves(stirred: Avatar) -> None:
    learned = head_of(stirred)
    maps = learned.attributes(stirred.driven(moving(2)))
    changed = (maps - learned.maps.attributes()).detach().abs().amax(1)
    assert float(changed[:, learned.layout.dynamic == 0].max()) == 0.0
    assert float(changed[:, learned.layout.dynamic == 1].min()) > 0.0
    assert 0.2 < float(learned.layout.dynamic.mean()) < 0.8
    assert not torch.equal(maps[0], maps[1])


def test_a_batch_gives_what_single_frames_give(
    stirred: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick_unet, "has_fast_bfloat16", lambda: False)
    motion = moving(3)
    together = head_of(stirred)(stirred.driven(motion))
    for frame, alone in enumerate(stirred.drive(motion)):
        for name, value in vars(together.gaussians(frame)).items():
            torch.testing.assert_close(getattr(alone, name), value, rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_map_and_every_weight(painted: Avatar) -> None:
    avatar = start_from(painted, tiny(), seed=1)
    learned = head_of(avatar)
    torch.nn.init.normal_(learned.unet.exit.weight, std=0.05)
    decoded = learned(avatar.driven(moving(1)))
    cameras = [Camera.portrait(40, 40, yaw=yaw) for yaw in (-1.0, 0.2)]
    drawn = render_cameras(decoded.gaussians(0), cameras, (1.0, 1.0, 1.0))
    (drawn.image - 0.3).square().mean().backward()  # type: ignore[no-untyped-call]
    for name, value in learned.named_parameters():
        assert value.grad is not None and float(value.grad.abs().max()) > 0, name
    dynamic = learned.layout.dynamic.bool()
    for name in WIDTHS:
        reached = getattr(learned.maps, name).grad.abs().amax(0) > 0
        assert float(reached[dynamic].float().mean()) > 0.25, name


def test_a_start_looks_like_its_painting(painted: Avatar) -> None:
    size = DecoderSize("coarse", 64, 4000, 4, (8, 8, 8, 8, 8))
    camera = Camera.portrait(64, 64, head_scale=0.95)
    motion = Motion.rest(1)
    wanted, drawn = (
        render(next(avatar.drive(motion, camera)), camera, (0.9, 0.9, 0.9)).image
        for avatar in (painted, start_from(painted, size))
    )
    blank = (wanted - 0.9).abs().mean()
    assert float((drawn - wanted).abs().mean()) < 0.25 * float(blank)


def test_a_learned_avatar_is_driven_and_drawn_like_a_painted_one(stirred: Avatar) -> None:
    camera = Camera.portrait(32, 24)
    drawn = list(render_frames(stirred.drive(moving(3), camera), camera))
    assert [tuple(frame.image.shape) for frame in drawn] == [(24, 32, 3)] * 3
    gaussians = next(stirred.drive(Motion.rest(1)))
    assert len(gaussians) == len(stirred) == len(head_of(stirred)) != len(stirred.splats)
    assert not gaussians.means.requires_grad


def test_a_learned_avatar_refuses_a_mesh(stirred: Avatar) -> None:
    motion = Motion.rest(1)
    with pytest.raises(ValueError, match="needs a motion, not a mesh; use `drive`"):
        stirred.pose(stirred.vertices(motion)[0])


def test_a_saved_avatar_decodes_bit_for_bit(stirred: Avatar, tmp_path: Path) -> None:
    folder = tmp_path / "me.avatar"
    stirred.save(folder)
    again = Avatar.load(folder)
    assert head_of(again).size == tiny() and again.name == stirred.name
    state, loaded = (head_of(avatar).state_dict() for avatar in (stirred, again))
    assert state.keys() == loaded.keys()
    assert all(torch.equal(value, loaded[name]) for name, value in state.items())
    for first, second in zip(stirred.drive(moving(2)), again.drive(moving(2)), strict=True):
        assert torch.equal(first.means, second.means)
        assert torch.equal(first.colors, second.colors)


def test_a_rounded_avatar_takes_half_the_space(stirred: Avatar, tmp_path: Path) -> None:
    again = rounded(stirred)
    for avatar, name in ((stirred, "a"), (again, "b")):
        avatar.save(tmp_path / f"{name}.avatar")
    whole, half = ((tmp_path / f"{name}.avatar" / WEIGHTS).stat().st_size for name in "ab")
    assert half < 0.6 * whole
    for first, second in zip(
        again.drive(moving(1)), Avatar.load(tmp_path / "b.avatar").drive(moving(1)), strict=True
    ):
        assert torch.equal(first.means, second.means) and torch.equal(first.quats, second.quats)
    drawn, before = (next(x.drive(moving(1))) for x in (again, stirred))
    assert not torch.equal(drawn.colors, before.colors)  # the first stays as it was
    torch.testing.assert_close(drawn.colors, before.colors, rtol=0, atol=2e-2)


def test_a_painting_saved_over_a_learned_avatar_leaves_no_network(
    stirred: Avatar, painted: Avatar, tmp_path: Path
) -> None:
    folder = tmp_path / "me.avatar"
    stirred.save(folder)
    painted.save(folder)
    assert not (folder / WEIGHTS).exists()
    assert Avatar.load(folder).learned is None


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_text())
        change(card["learned"])
        (folder / "card.json").write_text(json.dumps(card))

    return damage


def _poison(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / WEIGHTS)
    state["maps.color"][0, 0, 0] = torch.nan
    save_file(state, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), "is missing, but its avatar is learned"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"no"), "is damaged"),
        (_poison, "holds NaN or infinity"),
        (_edit(lambda entry: entry.update(gaussians=7)), "it has 7 Gaussians"),
        (_edit(lambda entry: entry["size"].update(resolution=48)), "does not hold a decoder"),
        (_edit(lambda entry: entry["size"].update(resolution=4096)), "too large to read"),
        (_edit(lambda entry: entry["size"].update(resolution=33)), "multiple of 16"),
        (_edit(lambda entry: entry["size"].pop("widths")), "does not say its decoder's size"),
    ],
)
def test_a_damaged_decoder_is_refused(
    stirred: Avatar, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / "me.avatar"
    stirred.save(folder)
    damage(folder)
    with pytest.raises(ValueError, match=message):
        Avatar.load(folder)


def test_a_new_network_gives_nothing_and_any_network_keeps_maps_apart() -> None:
    unet = UNet(3, 2, (4, 4, 8, 8, 8)).double()
    maps = torch.sin(torch.arange(2 * 3 * 32 * 32).double()).reshape(2, 3, 32, 32)
    assert not unet(maps).detach().any()
    torch.nn.init.normal_(unet.exit.weight)
    alone: Tensor = unet(maps[1:])
    torch.testing.assert_close(unet(maps)[1:], alone)


def test_a_head_without_texture_coordinates_is_refused() -> None:
    head = Head.default()
    bare = head.subset(torch.arange(head.num_vertices))
    bare.uv_faces = bare.uv_faces[:0]
    with pytest.raises(ValueError, match="needs texture coordinates"):
        UVLayout(bare, bare, tiny())


def test_a_network_that_learned_nothing_is_not_run(
    fresh: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, driven = head_of(fresh), fresh.driven(moving(2))
    wanted = head(driven)

    def run(*_: object) -> Tensor:
        raise AssertionError("the network was run")

    monkeypatch.setattr(UNet, "forward", run)
    with torch.no_grad():
        found = head(driven)
    assert torch.equal(found.means, wanted.means.detach())
    assert torch.equal(found.colors, wanted.colors.detach())
    with pytest.raises(AssertionError, match="was run"):
        head(driven)  # gradients are wanted


def test_in_half_precision_changes_of_maps_are_nearly_the_same(
    stirred: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, driven = head_of(stirred), stirred.driven(moving(2))
    found = []
    for fast in (False, True):
        monkeypatch.setattr(quick_unet, "has_fast_bfloat16", lambda fast=fast: fast)
        with torch.no_grad():
            found.append(head.attributes(driven) - head.maps.attributes())
    off = (found[0] - found[1]).square().mean().sqrt() / found[0].square().mean().sqrt()
    assert 0 < float(off) < 0.04


def test_half_precision_follows_what_a_network_learns(
    painted: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick_unet, "has_fast_bfloat16", lambda: True)
    avatar = start_from(painted, tiny(), seed=3)
    head, driven = head_of(avatar), avatar.driven(moving(1))
    colors = []
    for bias in (0.5, 1.0):
        with torch.no_grad():
            head.unet.exit.bias.fill_(bias)  # type: ignore[union-attr]
            colors.append(head(driven).colors)
    assert float((colors[0] - colors[1]).abs().max()) > 0.02
