"""The people that come with the package: who they are and how they look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mien.avatar.avatar import Avatar
from mien.avatar.look import Look
from mien.avatar.paint import paint
from mien.avatar.tones import toned
from mien.head import Head


@dataclass(frozen=True)
class Recipe:
    """How a shipped avatar is made.

    Attributes:
        look: Coloring and hair.
        person: Arguments of `mien.identity.semantic`, which says how far the face moves, too.
        fineness: See `paint`.
    """

    look: Look
    person: Mapping[str, Any]
    fineness: float = 0.75


_SHE = {
    "age": 0.62,
    "gender": 0.06,
    "weight": 0.42,
    "proportions": 0.85,
    "features": {
        "eye-scale": 0.25,
        "mouth-scale-horiz": 0.25,
        "mouth-scale-vert": -0.30,
        "nose-scale-horiz": -0.25,
        "nose-volume": -0.25,
        "mouth-angles": 0.25,
    },
}
_GROWN: dict[str, Any] = {"weight": 0.45, "proportions": 0.8}


def adult() -> Recipe:
    """A woman of about thirty with a chin-long chestnut bob."""
    return Recipe(Look(), _SHE, fineness=0.73)


def adult_small() -> Recipe:
    """The same woman in about 20,000 splats."""
    full = adult()
    return Recipe(full.look, full.person, fineness=0.43)


def adult_medium() -> Recipe:
    """A woman of about thirty with light brown skin, a black bob and brown eyes."""
    look = Look(seed=17, cloth_color=(0.44, 0.17, 0.14), brow_density=0.9)
    person = _GROWN | {
        "age": 0.61,
        "gender": 0.12,
        "race": (0.15, 0.45, 0.4),
        "features": {"eye-scale": 0.2, "mouth-scale-vert": -0.1},
    }
    return Recipe(toned(look, "medium"), person, fineness=0.575)


def adult_dark() -> Recipe:
    """A man of about thirty with dark brown skin and short coils."""
    look = Look(
        seed=23,
        hair="coils",
        lash_length_mm=4.0,
        lip_gloss=0.35,
        cloth_color=(0.62, 0.52, 0.30),
        brow_density=0.95,
    )
    person = _GROWN | {
        "age": 0.62,
        "gender": 0.88,
        "race": (0.8, 0.05, 0.15),
        "features": {"mouth-scale-vert": -0.15},
    }
    return Recipe(toned(look, "dark"), person, fineness=0.575)


def child_dark() -> Recipe:
    """A child of about seven with dark brown skin and short coils."""
    look = Look(
        seed=29,
        hair="coils",
        lash_length_mm=5.2,
        lip_gloss=0.4,
        brow_density=0.7,
        iris_scale=1.06,
        cloth_color=(0.20, 0.42, 0.40),
    )
    person = {"age": 0.31, "gender": 0.3, "race": (0.75, 0.1, 0.15)}
    return Recipe(toned(look, "dark"), person, fineness=0.43)


def child() -> Recipe:
    """A freckled child of about seven with short fair hair."""
    look = Look(
        melanin=0.13,
        blood=0.27,
        flush=0.7,
        freckles=0.6,
        lip_blood=0.8,
        lip_gloss=0.35,
        brow_density=0.55,
        brow_color=(0.42, 0.28, 0.17),
        lash_length_mm=4.2,
        hair="short",
        hair_color=(0.52, 0.34, 0.18),
        iris_color=(0.30, 0.42, 0.55),
        iris_scale=1.06,
        cloth_color=(0.62, 0.24, 0.20),
        seed=3,
    )
    return Recipe(look, {"age": 0.30, "gender": 0.4}, fineness=0.56)


def infant() -> Recipe:
    """A baby with down on its head and no teeth."""
    look = Look(
        melanin=0.11,
        blood=0.29,
        flush=0.8,
        freckles=0.0,
        lip_blood=0.62,
        lip_gloss=0.5,
        brow_density=0.4,
        brow_color=(0.62, 0.47, 0.35),
        lash_length_mm=3.2,
        hair="down",
        hair_color=(0.50, 0.36, 0.22),
        iris_color=(0.42, 0.50, 0.58),
        iris_scale=1.10,
        teeth=False,
        cloth_color=(0.80, 0.78, 0.70),
        seed=5,
    )
    return Recipe(look, {"age": 0.0}, fineness=0.55)


def elder() -> Recipe:
    """A grey-haired man of about seventy-five."""
    look = Look(
        melanin=0.24,
        blood=0.33,
        flush=0.6,
        freckles=0.35,
        wrinkles=0.9,
        lip_blood=0.55,
        lip_gloss=0.2,
        brow_density=0.7,
        brow_color=(0.52, 0.49, 0.46),
        lash_length_mm=3.2,
        hair="short",
        hair_color=(0.62, 0.60, 0.57),
        iris_color=(0.34, 0.42, 0.50),
        tooth_color=(0.86, 0.80, 0.68),
        cloth_color=(0.26, 0.30, 0.24),
        seed=11,
    )
    return Recipe(look, {"age": 0.93, "gender": 0.9}, fineness=0.55)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "adult": adult,
    "adult-small": adult_small,
    "adult-medium": adult_medium,
    "adult-dark": adult_dark,
    "child": child,
    "child-dark": child_dark,
    "infant": infant,
    "elder": elder,
}


def make(name: str, head: Head | None = None) -> Avatar:
    """Paint the person of a recipe by its name in `RECIPES`."""
    return make_from(RECIPES[name](), name, head, f"avatar/bake/bake_looks.py {name}")


def make_from(recipe: Recipe, name: str, head: Head | None = None, made_by: str = "") -> Avatar:
    """Paint the person of any recipe."""
    from mien.identity import semantic

    head = head or Head.default()
    person = semantic(**recipe.person)
    return paint(
        head,
        person.shape,
        recipe.look,
        recipe.fineness,
        name=name,
        gains=person.gains,
        made_by=made_by,
    )
