"""What closing lids unfold: skin that open eyes hide, and discs that cover it."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.learned import LearnedHead
from mien.avatar.noise import smoothstep
from mien.avatar.placing import vertex_normals
from mien.avatar.prepared import bake_identity
from mien.avatar.static_maps import WIDTHS
from mien.avatar.texel_sheet import away_from_lids, read_texels, spread_over
from mien.avatar.uv_layout import SPREAD, Texels, discs, face_sides
from mien.head import Head
from mien.motion import Motion
from mien.rotations import quat_to_rotmat

Array = np.ndarray

_BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
_FOLDED = (0.4, 0.75)  # shares of its unfolded area between which skin counts as shown
_MOST_GROWTH = 1.4  # logarithm
_MOVED_M = (1e-3, 3e-3)  # by closing, from which on skin is a lid's
_AROUND_MM = (17.0, 11.0)  # from the lids' edges: eyes, and the fold above them
_TIP, _STICKS_OUT_M = 1.6, 2.5e-4  # standard deviations, and how far discs may reach out there
_COVERING = 0.35  # of their full span: discs that still cover
_CUT, _ROUND = 0.4, 0.8  # discs cut by this share get this ratio of axes, so that they still cover
_GRID = np.array([[i, j, 3 - i - j] for i in range(4) for j in range(4 - i)]) / 3.0
_AT_REST = 1.8  # how much wider discs may be that are too small at rest already


@torch.no_grad()
def unfolded(avatar: Avatar, motion: Motion, rows: Array) -> Float[Array, " m"]:
    """How much of some texels' skin a face of one frame does not fold away, 0 to 1.

    The lids' skin is compared with itself when they are closed; other skin hardly changes.
    """
    learned = avatar.learned
    assert learned is not None, "only maps have texels"
    corners = learned.layout.texel_corners[torch.from_numpy(rows)]
    weights = avatar.head.lbs_weights
    shown, closed = (
        _areas(avatar.driven(each).posed(weights)[0][corners])
        for each in (motion, closed_eyes(avatar.head))
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
    wanted = torch.maximum(torch.minimum(spans[0], _AT_REST * scales), scales)
    flat = _flat_reach(person, texels, axes, wanted)
    at_rest = torch.minimum(wanted, torch.maximum(flat, _COVERING * spans[0]))
    cut = (1 - (at_rest / wanted).amin(-1, keepdim=True)) / _CUT
    rounder = _ROUND * cut.clamp_max(1.0) * at_rest.amax(-1, keepdim=True)
    at_rest[:, :2] = torch.maximum(at_rest[:, :2], rounder)
    unfolding = (spans[1] / torch.maximum(spans[0], scales)).clamp_min(1.0)
    limited: Tensor = (at_rest / scales * unfolding).log().clamp_max(_MOST_GROWTH)
    return limited.to(scales)


def _flat_reach(
    person: Head,
    texels: Texels,
    axes: Float[Tensor, "k 3 3"],
    scales: Float[Tensor, "k 3"],
) -> Float[Tensor, "k 3"]:
    """Standard deviations with which discs hardly stick out of a surface that bends away."""
    vertices, faces = person.v_template.double(), person.faces
    normals = vertex_normals(vertices, faces)
    bary = torch.from_numpy(_GRID)
    dense = (bary @ vertices[faces]).flatten(0, 1).numpy()  # [10 F, 3]
    facing = torch.nn.functional.normalize(bary @ normals[faces], dim=-1).flatten(0, 1).numpy()
    tree = cKDTree(dense)
    corners, share = vertices[faces[texels.faces]], texels.weights.double().unsqueeze(-1)
    centers = (corners * share).sum(1).numpy()
    reach = scales.clone()
    for axis in range(2):
        arm = (_TIP * scales[:, axis, None] * axes[:, :, axis]).numpy()
        out = np.zeros(len(arm))
        for tips in (centers - arm, centers + arm):
            nearest = tree.query(tips)[1]
            out = np.maximum(out, ((tips - dense[nearest]) * facing[nearest]).sum(-1))
        shorter = np.sqrt(_STICKS_OUT_M / np.maximum(out, _STICKS_OUT_M))
        reach[:, axis] *= torch.from_numpy(shorter)
    return reach


@torch.no_grad()
def keep_lids(lifted: Avatar, refined: Avatar) -> Avatar:
    """Give a refined avatar's lids and eyes back what they were.

    Open eyes teach nothing of the lids, and few pixels little of the irises.
    """
    before = lifted.learned
    assert before is not None and refined.learned is not None, "only maps are refined"
    after, layout = copy.deepcopy(refined.learned), before.layout
    shut, rest = (
        read_texels(layout, lifted.driven(motion).rest[0])
        for motion in (closed_eyes(lifted.head), Motion.rest(1))
    )
    moved = (shut - rest).norm(dim=-1)
    resting = read_texels(layout, lifted.head.v_template).double().numpy() * 1e3
    away = away_from_lids(lifted.head, resting)
    share = np.maximum(smoothstep(*_MOVED_M, moved.numpy()), smoothstep(*_AROUND_MM, away))
    kept = spread_over(layout, torch.from_numpy(share).to(moved).unsqueeze(-1))
    for name in WIDTHS:
        values = getattr(after.maps, name)
        values += kept * (getattr(before.maps, name) - values)
    return dataclasses.replace(refined, learned=after)


def _areas(corners: Float[Tensor, "m 3 3"]) -> Float[Array, " m"]:
    first, second = (corners[:, 1:] - corners[:, :1]).double().unbind(1)
    return np.asarray((torch.linalg.cross(first, second).norm(dim=-1) / 2).numpy())
