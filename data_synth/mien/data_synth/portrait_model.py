"""A sitter ready to pose: a session's painting with own face, hair and tints, brought to life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from mien.avatar.bristles import paint_bristles
from mien.avatar.canvas import Canvas
from mien.avatar.eyes import paint_eyes
from mien.avatar.hair import hidden_ears, paint_hair
from mien.avatar.look import Look
from mien.avatar.mouth import paint_mouth
from mien.avatar.pigment import skin_color
from mien.avatar.prepared import Prepared
from mien.avatar.shading import linear_to_srgb, srgb_to_linear
from mien.avatar.skin import paint_skin
from mien.avatar.splats import Kind, Splats
from mien.data_synth.living_skin import LivingPerson, SkinFolds
from mien.data_synth.portrait_people import Sitter
from mien.head import Head

__all__ = ["SessionPaint", "SitterModel"]


@dataclass(frozen=True, eq=False)
class SessionPaint:
    """What is painted once for all people of a session.

    Attributes:
        head: The default head.
        canvas: Its mean adult.
        look: What was painted.
        fineness: See `mien.avatar.paint`.
        skin: Painted with `look`.
        mouth: Likewise.
        bristles: Likewise.
        folds: Of the skin.
    """

    head: Head
    canvas: Canvas
    look: Look
    fineness: float
    skin: Splats
    mouth: Splats
    bristles: Splats
    folds: SkinFolds

    @classmethod
    def of(cls, head: Head, look: Look, fineness: float) -> SessionPaint:
        """Paint; seconds of work."""
        canvas = Canvas.of(head)
        hair = canvas.carried(paint_hair(canvas, look, fineness))
        skin = paint_skin(canvas, look, fineness, hidden_ears(canvas, look), hair)
        return cls(
            head,
            canvas,
            look,
            fineness,
            skin,
            paint_mouth(canvas, look, fineness),
            paint_bristles(canvas, look, fineness),
            SkinFolds.of(head, canvas, skin, look.seed),
        )


@dataclass(frozen=True, eq=False)
class SitterModel:
    """One person, ready.

    Attributes:
        paint: The session's.
        sitter: Who.
        living: To pose and to draw.
    """

    paint: SessionPaint
    sitter: Sitter
    living: LivingPerson

    @classmethod
    def of(cls, paint: SessionPaint, sitter: Sitter) -> SitterModel:
        """Give a session's painting to a person: hair and eyes anew, the rest tinted."""
        look, shape = sitter.look, sitter.identity.shape
        person = paint.canvas.reshaped(paint.head, shape)
        parts = [
            _tint_skin(paint.skin, paint.look, look),
            paint_eyes(paint.canvas, look, paint.fineness),
            paint.mouth,
            _tint_plain(paint.bristles, paint.look.brow_color, look.brow_color),
            paint_hair(person, look, paint.fineness),
        ]
        splats = Splats.concatenate(parts)
        state = Prepared.of(paint.head, shape, splats, sitter.identity.gains)
        own, age = _places_of_first(parts), sitter.traits["age"]
        living = LivingPerson.of(shape, state, paint.folds, own, age, sitter.studio)
        return cls(paint, sitter, living)


def _places_of_first(parts: list[Splats]) -> Int[np.ndarray, " n"]:
    """Where the first part's splats stand once all are sorted by kind."""
    order = torch.argsort(torch.cat([part.kinds for part in parts]), stable=True)
    return np.asarray((order < len(parts[0])).nonzero()[:, 0].numpy())


def _tint_skin(skin: Splats, old: Look, new: Look) -> Splats:
    """Change skin by the pigments' ratio, and cloth by its dyes'."""
    first, second = (
        srgb_to_linear(torch.from_numpy(skin_color(np.array([k.melanin]), np.array([k.blood]))))
        for k in (old, new)
    )
    albedo = linear_to_srgb(srgb_to_linear(skin.albedo) * (second / first).float())
    dye = torch.tensor(new.cloth_color) / torch.tensor(old.cloth_color)
    is_cloth = (skin.kinds == int(Kind.CLOTH))[:, None]
    albedo = torch.where(is_cloth, (skin.albedo * dye).clamp(0, 1), albedo.clamp(0, 1))
    return _with(skin, albedo)


def _tint_plain(splats: Splats, old: Any, new: Any) -> Splats:
    ratio = torch.tensor(new) / torch.tensor(old)
    return _with(splats, (splats.albedo * ratio).clamp(0, 1))


def _with(splats: Splats, albedo: Tensor) -> Splats:
    return Splats(**(dict(vars(splats)) | {"albedo": albedo}))
