"""Discs reach where lids unfold and where the texture is squeezed."""

import copy
import dataclasses

import numpy as np
import torch

from mien.avatar.avatar import Avatar
from mien.avatar.placing import vertex_normals
from mien.avatar.sizes import DecoderSize, tiny
from mien.avatar.starts import start_from
from mien.avatar.texel_sheet import spread_over
from mien.avatar.unfolding import closed_eyes, covering_growth, keep_lids
from mien.avatar.uv_layout import UVLayout, face_sides
from mien.head import Head
from mien.motion import Motion
from mien.rotations import quat_to_rotmat

SIZE = DecoderSize("test", 64, 2400, 4, (8, 8, 8, 8, 8))
FINE = DecoderSize("test", 192, 20_000, 4, (8, 8, 8, 8, 8))


def test_discs_of_lids_grow_as_far_as_closing_stretches_them() -> None:
    avatar = start_from(Avatar.load("adult-small"), SIZE)
    learned, head = avatar.learned, avatar.head
    assert learned is not None
    growth = covering_growth(avatar, learned).amax(-1)
    shut, still = (
        learned.layout.draw(avatar.driven(motion).rest)[0]
        for motion in (closed_eyes(head), Motion.rest(1))
    )
    moved = (shut - still).norm(dim=0).flatten()[learned.layout.texel_ids]
    assert float(growth[moved > 4e-3].median()) > 0.3
    assert float(growth.min()) >= 0 and float(growth.max()) <= 1.4 + 1e-5
    far = still.permute(1, 2, 0).flatten(0, 1)[learned.layout.texel_ids, 1] < -0.15
    assert float(growth[far].quantile(0.95)) < 0.6


def test_no_needles_stick_out_of_the_ears() -> None:
    avatar = start_from(Avatar.load("adult-small"), FINE)
    learned, head = avatar.learned, avatar.head
    assert learned is not None
    layout = learned.layout
    growth = spread_over(layout, covering_growth(avatar, learned))
    scales = layout.base_scales * layout.read(growth[None])[0].exp()
    points = layout.surface(layout.neutral[None])[0]
    millimetres = points * 1e3
    ear = (millimetres[:, 0].abs() > 70) & ((millimetres[:, 1] + 19).abs() < 38)
    ear &= (millimetres[:, 2] > -105) & (millimetres[:, 2] < -55)
    assert int(ear.sum()) > 300
    axes, skin = quat_to_rotmat(layout.base_quats[ear]), layout.neutral[head.faces].mean(1)
    normals = vertex_normals(layout.neutral, head.faces)[head.faces].mean(1)
    longest = scales[ear].argmax(-1)[:, None, None].expand(-1, 3, 1)
    arm = 1.6 * scales[ear].amax(-1, keepdim=True) * axes.gather(2, longest).squeeze(-1)
    out = torch.zeros(len(arm))
    for tips in (points[ear] - arm, points[ear] + arm):
        near = torch.cdist(tips, skin).argmin(1)
        out = torch.maximum(out, ((tips - skin[near]) * normals[near]).sum(-1))
    assert float(out.quantile(0.95)) < 3e-3, out.quantile(0.95)
    ratio = scales[ear].sort(-1).values
    assert float((ratio[:, 2] / ratio[:, 1]).median()) < 4


def test_where_the_texture_is_squeezed_more_gaussians_lie() -> None:
    head = Head.default()
    sides, middle = face_sides(head, SIZE), head.v_template[head.faces].mean(1) * 1e3
    ear = (middle[:, 0].abs() > 68) & ((middle[:, 1] + 20).abs() < 35) & (middle[:, 2] > -105)
    ear &= middle[:, 2] < -55
    cheeks = (middle[:, 0].abs() > 22) & (middle[:, 0].abs() < 45) & (middle[:, 2] > 15)
    cheeks &= (middle[:, 1] > -60) & (middle[:, 1] < -20)
    assert int(ear.sum()) > 50 and int(cheeks.sum()) > 50
    base = int(sides.min())
    assert float((sides[ear] == 2 * base).float().mean()) > 0.9
    assert float((sides[cheeks] == base).float().mean()) > 0.9
    layout = UVLayout(head, head, SIZE)
    assert layout.num_gaussians > SIZE.num_gaussians
    assert float(layout.weights.min()) > -1e-5
    assert np.isfinite(layout.base_scales.numpy()).all()


def test_maps_no_finer_than_the_gaussians_keep_one_grid() -> None:
    assert len(set(face_sides(Head.default(), tiny()).tolist())) == 1


def test_refining_leaves_the_lids_and_nothing_else_as_they_were() -> None:
    avatar = start_from(Avatar.load("adult-small"), tiny())
    changed = copy.deepcopy(avatar.learned)
    assert avatar.learned is not None and changed is not None
    with torch.no_grad():
        changed.maps.color.add_(1.0)
    kept = keep_lids(avatar, dataclasses.replace(avatar, learned=changed)).learned
    assert kept is not None
    change = (kept.maps.color - avatar.learned.maps.color)[0].flatten()
    change = change[avatar.learned.layout.texel_ids].detach()
    assert float(change.min()) < 0.01
    assert 0.8 < float((change > 0.99).float().mean()) < 1.0
    assert torch.equal(changed.maps.color, avatar.learned.maps.color + 1.0)
