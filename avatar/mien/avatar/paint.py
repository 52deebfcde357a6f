"""`paint`: from a head and a look to an avatar."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.bristles import paint_bristles
from mien.avatar.canvas import Canvas
from mien.avatar.eyes import paint_eyes
from mien.avatar.hair import hidden_ears, paint_hair
from mien.avatar.look import Look
from mien.avatar.mouth import paint_mouth
from mien.avatar.skin import paint_skin
from mien.avatar.splats import Splats
from mien.head import Head


def paint(
    head: Head,
    shape: Float[Tensor, " s"],
    look: Look,
    fineness: float = 0.75,
    *,
    name: str = "avatar",
    gains: Mapping[str, float] | None = None,
    made_by: str = "",
) -> Avatar:
    """Paint a person.

    Args:
        head: The default head.
        shape: Identity coefficients.
        look: Coloring and hair.
        fineness: Splats a millimetre: 0.4 gives about 20,000 splats, 0.75 about 60,000.
        name: For messages and files.
        gains: Factors on expression components by name.
        made_by: What made it, for the card.
    """
    canvas = Canvas.of(head)
    person = canvas.reshaped(head, shape)
    hair = paint_hair(person, look, fineness)
    parts = [
        paint_skin(canvas, look, fineness, hidden_ears(canvas, look), canvas.carried(hair)),
        paint_eyes(canvas, look, fineness),
        paint_mouth(canvas, look, fineness),
        paint_bristles(canvas, look, fineness),
        hair,
    ]
    return Avatar(head, shape, Splats.concatenate(parts), look, gains or {}, name, made_by=made_by)
