"""The people that come with the package: who they are and how they look."""

from __future__ import annotations

from dataclasses import dataclass, field
from collections.abc import Mapping

from mien.avatar.avatar import Avatar
from mien.avatar.look import Look
from mien.avatar.paint import paint
from mien.head import Head


@dataclass(frozen=True)
class Recipe:
    """How a shipped avatar is made.

    Attributes:
        look: Coloring and hair.
        person: Arguments of `mien.identity.semantic`.
        gains: Factors on expression components, for faces that move less.
        fineness: See `paint`.
    """

    look: Look
    person: Mapping[str, float]
    gains: Mapping[str, float] = field(default_factory=dict)
    fineness: float = 0.75


def make(name: str, recipe: Recipe, head: Head | None = None) -> Avatar:
    """Paint the person of a recipe."""
    from mien import identity

    head = head or Head.default()
    shape = identity.semantic(**recipe.person).shape
    return paint(head, shape, recipe.look, recipe.fineness, name=name, gains=recipe.gains)


def adult() -> Recipe:
    """A woman of about thirty with a chin-long chestnut bob."""
    return Recipe(Look(), {"age": 0.62, "gender": 0.08, "weight": 0.45})
