"""Lift the colors of photos onto an avatar's maps, and complete what no photo shows."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import cg

from mien.avatar.avatar import Avatar
from mien.avatar.hair import STYLES, cover_at
from mien.avatar.learned import LearnedHead
from mien.avatar.lift_views import LiftView, see
from mien.avatar.noise import smoothstep
from mien.avatar.pictures import PosedPicture
from mien.avatar.static_maps import StaticMaps
from mien.avatar.texel_sheet import TexelSheet, spread_over, texels_of
from mien.avatar.unfolding import covering_growth, unfolded
from mien.motion import Motion

Array = np.ndarray

_MIRRORED = 0.5  # how much the other side's pixels count
_HOLD = 0.02  # of a texel's neighbors against a texel that is fully seen
_DARK = 0.03  # sRGB
_FADES = (0.08, 0.5)  # weights between which pixels take over
_REST, _NEVER = 1e-3, 1e-6  # pull of differences to the usual one, where nothing is seen
_KNOWN = 0.15  # weight from which a difference counts as known
_LASHES_MM, _BROWS_MM = 9.0, 24.0  # from the lids' edges
_SHADE = 0.2  # logarithm: skin around an eye that is darker than most of it lies in the fold
_SOLID = 0.985  # opacity of lifted skin
_GROWN = 0.15  # cover that counts as hair
_SLOW, _STRANDS = 40, 0.5  # averages over neighbors; of the strands' contrast
_LID_EDGE = 4  # averages over neighbors
_FADE_OUT = 12  # averages over neighbors
_UNFOLDED = 0.5  # share from which on the painting shows skin as it is
_SURE = 0.5  # from there on a texel is what photos say it is
_EAR_MM = ((-57.0, 17.0), (-112.0, -50.0), (71.5, 75.0))  # height, depth, from the middle
_HIDDEN = 0.5  # share of the ears from which on a style hides them
_HAIRY_MM = (-35.0, -45.0)  # height and depth from which on photos tell skin and hair apart


def lift(avatar: Avatar, pictures: Sequence[PosedPicture]) -> Avatar:
    """Give an avatar's maps the colors of pictures where these show its skin and hair.

    Pixels count by the angle they are seen at, and within the mask; beyond it those that look
    like the face's skin, or like the hair above it, and unlike the picture's border. What no
    picture shows is completed by the other side of the face, then by the avatar's own colors;
    their smooth difference from the pictures is carried on over the surface, so that no seam is
    left. Eyes, the inside of the mouth and the garment stay.

    Args:
        avatar: Learned; its maps are the start.
        pictures: Of this person, posed by this head.

    Raises:
        ValueError: If the avatar is not learned, or a picture hardly shows its face.
    """
    learned = avatar.learned
    if learned is None:
        raise ValueError(f"The avatar {avatar.name!r} has no maps to lift colors to; start them.")
    if not pictures:
        raise ValueError("Colors are lifted from one picture or more, got none.")
    sheet = TexelSheet.of(avatar, learned)
    start = texels_of(learned, learned.maps.color).sigmoid()[sheet.rows].double().numpy()
    views = [see(avatar, learned, sheet, picture) for picture in pictures]
    told = _tell_apart(sheet, views, _groomed(sheet, avatar))
    folded = unfolded(avatar, Motion.rest(1), sheet.rows) < _UNFOLDED
    start = _regrow(told, start, _new_stuff(sheet, told), folded)
    colors, weights = _blend([view.colored(told.is_hair, views[0].skin) for view in views])
    weights = np.where(told.is_cloth, 0.0, _soften(told, weights))
    painted = soft_edge(told, complete(told, level_hair(told, start), colors, weights))
    painted = soft_edge(told, painted, folded, _LID_EDGE)
    bare = sheet.near_hair & ~told.is_hair
    return _with_colors(avatar, learned, told, painted, np.where(bare, 1.0, weights))


def _groomed(sheet: TexelSheet, avatar: Avatar) -> Bool[Array, " m"]:
    """Which texels hair covers, without stray strands."""
    is_hair = sheet.is_hair
    if STYLES[avatar.look.hair].part_x is None:  # short hair hangs nowhere
        is_hair = is_hair & (cover_at(sheet.resting, avatar.look) > _GROWN)
    return np.asarray(sheet.smooth(is_hair.astype(float), 4) > 0.5)


def _tell_apart(
    sheet: TexelSheet, views: Sequence[LiftView], groomed: Bool[Array, " m"]
) -> TexelSheet:
    """Say anew which texels are hair, where photos show it: a fringe, a bare brow, free ears."""
    seen = np.maximum(np.stack([view.seen for view in views]), 1e-6)
    as_hair, as_skin = (
        (np.stack([getattr(view, name) for view in views]) * seen).sum(0) / seen.sum(0)
        for name in ("as_hair", "as_skin")
    )
    shown = seen.max(0)
    hair, skin = (
        np.maximum(known, 0.8 * known[sheet.mirror] * (shown < 0.1))
        for known in (sheet.smooth(as_hair * shown, 3), sheet.smooth(as_skin * shown, 3))
    )
    x, y, z = sheet.resting.T
    within = (y > _HAIRY_MM[0]) & (z > _HAIRY_MM[1]) & ~sheet.is_cloth
    is_hair = groomed | (within & (hair > _SURE) & (hair > skin))
    is_hair &= ~(within & (skin > _SURE) & (skin > hair))
    is_hair &= groomed | (sheet.to_lids > _LASHES_MM)  # lashes are no hair
    (low, high), (back, front), (aside, farther) = _EAR_MM
    ear = (np.abs(x) > np.where(y < 0, aside, farther)) & (y > low) & (y < high)
    ear &= (z > back) & (z < front)
    if ear.any() and groomed[ear].mean() < _HIDDEN:  # else it is a style that hides ears
        is_hair &= ~ear
    return dataclasses.replace(sheet, is_hair=is_hair)


def _new_stuff(sheet: TexelSheet, told: TexelSheet) -> Bool[Array, " m"]:
    """What is skin now and was hair, or the other way round, or is too near to it."""
    return np.asarray((sheet.is_hair != told.is_hair) | (sheet.near_hair & ~told.is_hair))


def _regrow(
    sheet: TexelSheet, start: Float[Array, "m 3"], new: Array, folded: Array
) -> Float[Array, "m 3"]:
    """Colors for what is of new stuff, or lies in the shadow of a fold, from those around."""
    changed = new | folded
    lit = lit_around_eyes(sheet, np.log(start + _DARK), (~changed).astype(float))
    known = ~changed & (lit > _SURE)
    usual = _usual(sheet, start, known)
    grown = usual + _carry_on(sheet.same_stuff(), start - usual, known.astype(float), _NEVER)
    return np.where(changed[:, None], grown, start)


def _soften(sheet: TexelSheet, weights: Array) -> Array:
    """Let what is lifted of the hair fade out where its view ends."""
    faded = sheet.smooth(np.where(sheet.is_hair, weights, 0.0), _FADE_OUT)
    return np.where(sheet.is_hair, np.minimum(weights, faded), weights)


def level_hair(sheet: TexelSheet, start: Float[Array, "m 3"]) -> Float[Array, "m 3"]:
    """Take the slow changes of light and cover from the hair; its strands stay, but fainter."""
    hair = sheet.is_hair
    if not hair.any():
        return start
    values = np.log(start + _DARK)
    near = diags(hair.astype(float)) @ sheet.near @ diags(hair.astype(float))
    slow, degree = values, np.asarray(near.sum(1)).ravel()[:, None] + 1
    for _ in range(_SLOW):
        slow = (slow + near @ slow) / degree
    levelled = np.median(values[hair], 0) + _STRANDS * (values - slow)
    return np.where(hair[:, None], np.clip(np.exp(levelled) - _DARK, 0, 1), start)


def soft_edge(
    sheet: TexelSheet,
    colors: Float[Array, "m 3"],
    inside: Bool[Array, " m"] | None = None,
    times: int = 2,
) -> Float[Array, "m 3"]:
    """Let hair and skin, or what lies inside and outside, run into each other over some texels."""
    share = sheet.smooth((sheet.is_hair if inside is None else inside).astype(float), times)
    edge = 4 * share * (1 - share) * ~sheet.is_cloth
    soft = np.stack([sheet.smooth(plane, times) for plane in colors.T], -1)
    return np.asarray(colors + edge[:, None] * (soft - colors))


def _usual(sheet: TexelSheet, values: Array, known: Bool[Array, " m"]) -> Array:
    """The median of what is known of the same stuff, for hair and for skin; else zero."""
    usual = np.zeros_like(values)
    for stuff in (sheet.is_hair, ~sheet.is_hair & ~sheet.is_cloth):
        if (stuff & known).any():
            usual[stuff] = np.median(values[stuff & known], 0)
    return usual


def _blend(seen: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Several pictures' colors, the better views more; and the best view's weight."""
    weights = np.stack([each[1] for each in seen])
    shares = weights**2 / np.maximum((weights**2).sum(0), 1e-12)
    colors = (np.stack([each[0] for each in seen]) * shares[..., None]).sum(0)
    return colors, weights.max(0)


def complete(
    sheet: TexelSheet,
    start: Float[Array, "m 3"],
    colors: Float[Array, "m 3"],
    weights: Float[Array, " m"],
) -> Float[Array, "m 3"]:
    """Complete colors that are known in part: by the mirrored side, then by a start.

    Args:
        sheet: The texels.
        start: Colors to fall back to, sRGB.
        colors: Known ones, sRGB.
        weights: How surely, 0 to 1.
    """
    alike = sheet.is_hair[sheet.mirror] == sheet.is_hair
    alike &= sheet.is_cloth[sheet.mirror] == sheet.is_cloth
    there = np.where(alike, weights[sheet.mirror] * _MIRRORED, 0.0)
    below, above = np.log(start + _DARK), np.log(colors + _DARK)  # light is a factor
    mirrored = _merge(sheet, below, above[sheet.mirror], there)
    merged = _merge(sheet, mirrored, above, weights)
    return np.asarray(np.clip(np.exp(merged) - _DARK, 0.0, 1.0))


def _merge(sheet: TexelSheet, below: Array, above: Array, weights: Array) -> Array:
    """Lay colors over others whose smooth difference has been taken away.

    Far from all that is known, the difference is the usual one of the same stuff. Lashes, brows
    and the shadow of the fold say nothing of the lids.
    """
    surely = weights**2 * lit_around_eyes(sheet, above, weights)
    difference = above - below
    usual = _usual(sheet, difference, surely > _KNOWN)
    rest = np.where(sheet.to_lids < _LASHES_MM, _NEVER, _REST)  # lids follow what lies around
    carried = below + usual + _carry_on(sheet.same_stuff(), difference - usual, surely, rest)
    share = smoothstep(*_FADES, weights)[:, None]
    return np.asarray(share * above + (1 - share) * carried)


def lit_around_eyes(
    sheet: TexelSheet, values: Float[Array, "m 3"], weights: Float[Array, " m"]
) -> Float[Array, " m"]:
    """How much skin says of the lids: 1 where it is lit, 0 for lashes, brows and the fold.

    Args:
        sheet: The texels.
        values: Logarithms of colors.
        weights: How surely they are known, 0 to 1.
    """
    luma, lit = values.mean(1), np.ones(len(sheet))
    around = (sheet.to_lids < _BROWS_MM) & ~sheet.is_hair
    for side in (-1, 1):
        eye = around & (side * sheet.resting[:, 0] > 0)
        known = eye & (sheet.to_lids >= _LASHES_MM) & (weights > _KNOWN)
        usual = np.median(luma[known]) if known.any() else 0.0
        lit[eye] = smoothstep(usual - _SHADE, usual, luma[eye])
    return lit * (sheet.to_lids >= _LASHES_MM)


def _carry_on(near: csr_matrix, values: Array, weights: Array, rest: float | Array) -> Array:
    """The smoothest values over the surface that come near those that are known; else zero."""
    degree = np.asarray(near.sum(1)).ravel()
    system = (diags(weights + rest + _HOLD * degree) - _HOLD * near).tocsr()
    scale = diags(1 / system.diagonal())
    found = [cg(system, weights * plane, rtol=1e-4, maxiter=600, M=scale)[0] for plane in values.T]
    return np.stack(found, -1)


@torch.no_grad()
def _with_colors(
    avatar: Avatar, learned: LearnedHead, sheet: TexelSheet, painted: Array, weights: Array
) -> Avatar:
    """The same avatar with other colors; lifted skin lies flat and covers."""
    layout, maps = learned.layout, learned.maps
    kept = ~sheet.is_cloth
    rows = torch.from_numpy(sheet.rows[kept])
    color = texels_of(learned, maps.color).clone()
    color[rows] = torch.from_numpy(painted[kept]).to(color).clamp(0.005, 0.995).logit()
    flat = np.where(sheet.is_hair, 0.0, smoothstep(0.05, 0.4, weights))
    share = torch.from_numpy(flat[kept]).to(color)[:, None]
    position = texels_of(learned, maps.position).clone()
    position[rows] *= 1 - share
    opacity = texels_of(learned, maps.opacity).clone()
    solid = opacity[rows].clamp_min(torch.tensor(_SOLID).logit().item())
    opacity[rows] += share * (solid - opacity[rows])
    scale = texels_of(learned, maps.scale).clone()
    scale[rows] += covering_growth(avatar, learned)[rows]
    lifted = StaticMaps(
        spread_over(layout, position),
        spread_over(layout, opacity),
        spread_over(layout, scale),
        spread_over(layout, color),
        maps.rotation.clone(),
        maps.features.clone(),
    )
    unet = copy.deepcopy(learned.unet)
    again = LearnedHead(learned.size, layout, lifted, unet).eval().requires_grad_(False)
    return dataclasses.replace(avatar, learned=again)
