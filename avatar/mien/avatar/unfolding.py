"""What closing lids unfold: skin that open eyes hide, and discs that cover it."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.learned import LearnedHead
from mien.avatar.noise import smoothstep
from mien.avatar.pictures import PosedPicture
from mien.avatar.prepared import bake_identity
from mien.avatar.static_maps import WIDTHS
from mien.avatar.texel_sheet import spread_over
from mien.avatar.uv_layout import SPREAD, Texels, discs, face_sides
from mien.head import Head
from mien.motion import Motion
from mien.rotations import quat_to_rotmat

Array = np.ndarray

_BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
_FOLDED = (0.4, 0.75)  # shares of its unfolded area between which skin counts as shown
_MOST_GROWTH = 1.4  # logarithm
_MOVED_M = (1e-3, 3e-3)  # by closing, from which on skin is a lid's
_AT_REST = 1.8  # how much wider discs may be that are too small at rest already


@torch.no_grad()
def unfolded(avatar: Avatar, picture: PosedPicture, rows: Array) -> Float[Array, " m"]:
    """How much of some texels' skin a picture's face does not fold away, 0 to 1.

    The lids' skin is compared with itself when they are closed; other skin hardly changes.
    """
    learned = avatar.learned
    assert learned is not None, "only maps have texels"
    corners = learned.layout.texel_corners[torch.from_numpy(rows)]
    weights = avatar.head.lbs_weights
    shown, closed = (
        _areas(avatar.driven(motion).posed(weights)[0][corners])
        for motion in (picture.motion, closed_eyes(avatar.head))
    )
    return smoothstep(*_FOLDED, shown / np.maximum(closed, 1e-12))


def closed_eyes(head: Head) -> Motion:
    """A frame with both eyes shut; at rest if the head has no such expressions."""
    motion = Motion.rest(1)
    if set(_BLINKS) <= set(head.expr_names):
        motion.expr[:, [head.expr_names.index(name) for name in _BLINKS]] = 1.0
    return motion


@torch.no_grad()
def covering_growth(avatar: Avatar, learned: LearnedHead) -> Float[Tensor, "k 3"]:
    """Logarithms by which texels' discs must grow to cover the skin also when the eyes shut.

    A disc keeps its direction while a lid turns, so it grows along each of its axes to what the
    stretched skin spans there.
    """
    head, layout = avatar.head, learned.layout
    person, texels = bake_identity(head, avatar.shape), Texels.of(head, layout.resolution)
    sides = face_sides(head, learned.size)
    quats, scales = discs(head, person, texels, sides)
    axes = quat_to_rotmat(quats).double()
    texture = head.uv[head.uv_faces[texels.faces]].double()
    across = torch.linalg.inv(texture[:, 1:] - texture[:, :1]) / sides[texels.faces, None, None]
    spans = []
    for motion in (Motion.rest(1), closed_eyes(head)):
        space = avatar.driven(motion).rest[0][head.faces[texels.faces]].double()
        stretch = across @ (space[:, 1:] - space[:, :1])  # [K, 2, 3]
        spans.append(SPREAD * (stretch @ axes).norm(dim=1))
    at_rest = torch.minimum(spans[0], _AT_REST * scales)
    unfolding = (spans[1] / torch.maximum(spans[0], scales)).clamp_min(1.0)
    growth = (torch.maximum(at_rest, scales) / scales * unfolding).log()
    limited: Tensor = growth.clamp_max(_MOST_GROWTH)
    return limited.to(scales)


@torch.no_grad()
def keep_lids(lifted: Avatar, refined: Avatar) -> Avatar:
    """Give a refined avatar's lids back what they were; open eyes teach nothing of them."""
    before = lifted.learned
    assert before is not None and refined.learned is not None, "only maps are refined"
    after, layout = copy.deepcopy(refined.learned), before.layout
    shut, rest = (
        lifted.driven(motion).rest[0][layout.texel_corners]
        for motion in (closed_eyes(lifted.head), Motion.rest(1))
    )
    moved = ((shut - rest) * layout.texel_weights.unsqueeze(-1)).sum(1).norm(dim=-1)
    share = torch.from_numpy(smoothstep(*_MOVED_M, moved.numpy())).to(moved)
    kept = spread_over(layout, share.unsqueeze(-1))
    for name in WIDTHS:
        values = getattr(after.maps, name)
        values += kept * (getattr(before.maps, name) - values)
    return dataclasses.replace(refined, learned=after)


def _areas(corners: Float[Tensor, "m 3 3"]) -> Float[Array, " m"]:
    first, second = (corners[:, 1:] - corners[:, :1]).double().unbind(1)
    return np.asarray((torch.linalg.cross(first, second).norm(dim=-1) / 2).numpy())
