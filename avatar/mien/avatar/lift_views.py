"""What a picture shows of an avatar's texels, and whether it looks like skin or like hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from mien.avatar.avatar import Avatar
from mien.avatar.learned import LearnedHead
from mien.avatar.noise import smoothstep
from mien.avatar.photo_colors import Backdrop, Tint, skin_tint
from mien.avatar.photo_view import PhotoView
from mien.avatar.pictures import PosedPicture
from mien.avatar.texel_sheet import TexelSheet, read_texels, texel_normals, texels_of
from mien.avatar.unfolding import unfolded

Array = np.ndarray

_SIDE_MM, _TOP_MM = (48.0, 58.0), (30.0, 40.0)  # where hair may hang into the face
_LASH_MM, _FOLD_MM = (2.0, 5.0), 8.0  # from the lids' edges: behind lashes, in the fold's shadow
_OUTSIDE = 0.6  # how much pixels beyond the picture's mask count, if they look right
_ENOUGH_HAIR = 60  # texels


@dataclass(frozen=True, eq=False)
class LiftView:
    """One picture at the texels of an avatar.

    Attributes:
        colors: sRGB, where skin would be and where hair would be, `[2, M, 3]`.
        seen: By angle and what hides what, 0 to 1.
        trusted: How much its pixels count as skin, 0 to 1.
        as_skin: Whether it looks like the face's skin, 0 to 1.
        as_hair: Whether it looks like the hair above the face, 0 to 1.
        skin: The face's skin.
    """

    colors: Float[Array, "2 m 3"]
    seen: Float[Array, " m"]
    trusted: Float[Array, " m"]
    as_skin: Float[Array, " m"]
    as_hair: Float[Array, " m"]
    skin: Tint

    def colored(
        self, is_hair: Bool[Array, " m"], like: Tint
    ) -> tuple[Float[Array, "m 3"], Float[Array, " m"]]:
        """Colors under another picture's light, and how much they count, 0 to 1."""
        colors = np.where(is_hair[:, None], self.colors[1], self.colors[0])
        matched = np.clip(colors * (like.color / self.skin.color), 0, 1)
        return matched, self.seen * np.where(is_hair, self.as_hair, self.trusted)


@torch.no_grad()
def see(
    avatar: Avatar, learned: LearnedHead, sheet: TexelSheet, picture: PosedPicture
) -> LiftView:
    """Look at a picture's pixels where the texels lie in it."""
    driven = avatar.driven(picture.motion)
    posed = driven.posed(avatar.head.lbs_weights)[0]
    points = read_texels(learned.layout, posed)[sheet.rows]
    normals = texel_normals(learned.layout, posed, avatar.head)[sheet.rows]
    shift = texels_of(learned, learned.maps.position)[sheet.rows] * 1e-2
    lifted = points + shift @ driven.rotmats[0, 1].T
    skin, backdrop = skin_tint(picture, avatar.head), Backdrop.of(picture)
    bare = PhotoView.of(picture, points, normals, points, sheet.spacing_m)
    above = PhotoView.of(picture, lifted, normals, points, sheet.spacing_m)
    as_skin = skin.likeness(bare.colors) * (1 - (1 - bare.mask) * backdrop.likeness(bare.pixels))
    aside, height = np.abs(sheet.resting[:, 0]), sheet.resting[:, 1]
    checked = np.maximum(smoothstep(*_SIDE_MM, aside), smoothstep(*_TOP_MM, height))
    fold = smoothstep(*_LASH_MM, sheet.to_lids) * (sheet.to_lids < _FOLD_MM)
    checked = np.maximum(fold, checked)
    sure = as_skin ** (1 + 3 * fold)
    trusted = np.maximum(bare.mask * (1 - checked * (1 - sure)), _OUTSIDE * sure)
    trusted = trusted * unfolded(avatar, picture.motion, sheet.rows)
    as_hair = _hair_likeness(sheet, above, skin, backdrop)
    colors = np.stack([bare.colors, above.colors])
    return LiftView(colors, bare.seen, trusted, as_skin, as_hair, skin)


def _hair_likeness(
    sheet: TexelSheet, view: PhotoView, skin: Tint, backdrop: Backdrop
) -> Float[Array, " m"]:
    """How likely each pixel is hair: as it is in the middle of the hair that is seen."""
    unlike = (1 - skin.likeness(view.colors)) * (1 - backdrop.likeness(view.pixels))
    sure = sheet.is_hair & (view.seen > 0.6) & (view.mask < 0.05) & (unlike > 0.5)
    if sure.sum() < _ENOUGH_HAIR:
        return np.zeros(len(sheet))
    return np.asarray(Tint.of(view.colors[sure]).likeness(view.colors) * unlike)
