"""Who sits for the portraits: faces, colors, hair and light of a session, all from a seed.

People come in sessions. Those of one session have an age, a skin and a hairstyle of their own kind
in common, so that the skin's grain, freckles and brows are painted once; faces, builds, genders,
tints and lights differ from one to the next.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from mien.avatar.look import Color, HairStyle, Look
from mien.avatar.shading import Studio
from mien.data_synth.phrases import Split
from mien.identity import Identity, random_traits, semantic

__all__ = ["Session", "Sitter", "Subset", "sample_session", "sample_sitter"]

Subset = Literal["one_view", "many_view"]
Vector = tuple[float, float, float]

_MELANIN = (0.09, 2.5)
_AGE_SPREAD = 0.03
# Along the skin's pigment from pale to dark: hair, brow and iris that go with it most often.
_HAIRS: tuple[tuple[Color, ...], ...] = (
    ((0.62, 0.47, 0.28), (0.48, 0.31, 0.17), (0.34, 0.20, 0.12), (0.45, 0.20, 0.10)),
    ((0.22, 0.14, 0.09), (0.10, 0.068, 0.052), (0.15, 0.10, 0.075)),
    ((0.062, 0.048, 0.042), (0.085, 0.06, 0.05)),
)
_IRISES: tuple[tuple[Color, ...], ...] = (
    ((0.33, 0.40, 0.38), (0.30, 0.42, 0.55), (0.34, 0.38, 0.26), (0.30, 0.20, 0.12)),
    ((0.27, 0.155, 0.075), (0.22, 0.13, 0.07), (0.33, 0.24, 0.13)),
    ((0.17, 0.09, 0.05), (0.20, 0.11, 0.06)),
)
_GRAY = (0.62, 0.60, 0.57)


@dataclass(frozen=True)
class Session:
    """What the people of one session share.

    Attributes:
        number: Which session.
        split: Of all its people, so that nothing painted is in two splits.
        age: About which age they are; see `mien.identity.semantic`.
        look: What is painted once.
    """

    number: int
    split: Split
    age: float
    look: Look


@dataclass(frozen=True, eq=False)
class Sitter:
    """One person before the cameras.

    Attributes:
        name: Unique in a collection.
        traits: Arguments of `mien.identity.semantic`.
        identity: What they give.
        look: The session's with own tints; only colors differ.
        studio: The lights.
        subset: Seen by many cameras at each instant, or by one.
        style_seed: How the face moves, see `mien.data_synth.style`.
    """

    name: str
    traits: dict[str, Any]
    identity: Identity
    look: Look
    studio: Studio
    subset: Subset
    style_seed: int


def split_of_session(seed: int, number: int) -> Split:
    """Which split a session belongs to; each ten of them hold eight, one and one."""
    order = np.random.default_rng([seed, number // 10, 0x5911]).permutation(10)
    place = int(order[number % 10])
    return "val" if place == 0 else "test" if place == 1 else "train"


def sample_session(seed: int, number: int) -> Session:
    """Draw a session; ages and skins are even over each twelve in a row."""
    rng = np.random.default_rng([seed, number, 0x5E55])
    around = np.random.default_rng([seed, number // 12, 0xA6E5])
    place = number % 12
    age = (int(around.permutation(12)[place]) + rng.uniform()) / 12
    depth = (int(around.permutation(12)[place]) + rng.uniform()) / 12
    age = float(np.clip(age, 0.0, 1.0))
    return Session(number, split_of_session(seed, number), age, _look(rng, age, float(depth)))


def sample_sitter(seed: int, session: Session, index: int, subset: Subset) -> Sitter:
    """Draw the person of a number of a session."""
    rng = np.random.default_rng([seed, session.number, index, 0x517E])
    traits = random_traits(int(rng.integers(2**31)))
    traits["age"] = float(np.clip(session.age + rng.normal() * _AGE_SPREAD, 0.0, 1.0))
    traits["race"] = tuple(rng.dirichlet(_race_weights(session.look.melanin)).tolist())
    if session.look.hair == "bob":  # mostly, not always
        traits["gender"] = traits["gender"] * (1.0 if rng.uniform() < 0.15 else 0.5)
    return Sitter(
        f"{seed:x}-{session.number:05d}-{index:02d}",
        traits,
        semantic(**traits),
        _tinted(session.look, rng),
        _studio(rng),
        subset,
        int(rng.integers(2**31)),
    )


def _race_weights(melanin: float) -> list[float]:
    """Faces of all kinds in all skins, some kinds more often."""
    band = _band(melanin)
    return [[0.25, 0.7, 1.4], [0.7, 1.0, 0.7], [1.8, 0.3, 0.4]][band]


def _band(melanin: float) -> int:
    return 0 if melanin < 0.36 else 1 if melanin < 1.15 else 2


def _look(rng: np.random.Generator, age: float, depth: float) -> Look:
    low, high = (math.log(value) for value in _MELANIN)
    melanin = math.exp(low + (high - low) * depth)
    band = _band(melanin)
    gray = float(np.clip((age - 0.74) / 0.16, 0, 1) * rng.uniform(0.3, 1.0))
    hair = _mixed(_pick(rng, _HAIRS[band]), _GRAY, gray)
    brow = tuple(0.72 * part for part in _mixed(hair, hair, 0.0))
    return Look(
        melanin=melanin,
        blood=float(rng.uniform(0.22, 0.34)),
        flush=float(rng.uniform(0.3, 0.8) * (1.0, 0.7, 0.4)[band]),
        freckles=float(rng.uniform(0, 1) ** 3 * (1.0, 0.4, 0.1)[band]) if age > 0.12 else 0.0,
        wrinkles=float(np.clip((age - 0.66) / 0.30, 0, 1) * rng.uniform(0.6, 1.0)),
        lip_blood=float(rng.uniform(0.62, 0.98)),
        lip_gloss=float(rng.uniform(0.15, 0.55)),
        brow_density=float(rng.uniform(0.6, 0.95)) * (0.55 if age < 0.1 else 1.0),
        brow_color=(brow[0], brow[1], brow[2]),
        lash_length_mm=float(rng.uniform(3.2, 5.8)),
        hair=_hair(rng, age, band),
        hair_color=hair,
        iris_color=_pick(rng, _IRISES[band]),
        iris_scale=float(np.interp(age, [0.0, 0.33, 0.5], [1.10, 1.06, 1.0])),
        teeth=age > 0.06,
        cloth_color=_cloth(rng),
        tooth_color=_mixed((0.93, 0.90, 0.84), (0.86, 0.80, 0.68), float(rng.uniform()) * age),
        seed=int(rng.integers(2**20)),
    )


def _hair(rng: np.random.Generator, age: float, band: int) -> HairStyle:
    if age < 0.1:
        return "down"
    shares = ([0.5, 0.5, 0.0], [0.45, 0.45, 0.1], [0.15, 0.2, 0.65])[band]
    styles: tuple[HairStyle, ...] = ("bob", "short", "coils")
    assert set(styles) < set(get_args(HairStyle)), "a style that the avatar lacks"
    return styles[int(rng.choice(3, p=shares))]


def _tinted(look: Look, rng: np.random.Generator) -> Look:
    """Another person's colors, near enough that the painting of the first can be tinted."""
    band = _band(look.melanin)
    melanin = float(np.clip(look.melanin * math.exp(0.16 * rng.normal()), *_MELANIN))
    strength = float(math.exp(0.15 * rng.normal()))
    hair = _scaled(look.hair_color, strength)
    return dataclasses.replace(
        look,
        melanin=melanin,
        blood=float(np.clip(look.blood + 0.03 * rng.normal(), 0.18, 0.40)),
        hair_color=hair,
        brow_color=_scaled(look.brow_color, strength),
        iris_color=_pick(rng, _IRISES[band]),
        cloth_color=_cloth(rng),
    )


def _studio(rng: np.random.Generator) -> Studio:
    """A main light from before the face, two weaker ones, and what surrounds them."""
    yaw, pitch = rng.uniform(-1.05, 1.05), rng.uniform(-0.05, 0.95)
    back = math.copysign(rng.uniform(2.0, 2.6), -yaw)
    warm = rng.normal() * 0.05
    key, fill = rng.uniform(0.6, 1.0), rng.uniform(0.06, 0.28)
    around = rng.uniform(0.16, 0.34)
    return Studio(
        key=_way(yaw, pitch),
        key_color=_tone(key, warm),
        fill=_way(-yaw * 0.9 + rng.normal() * 0.2, rng.uniform(-0.2, 0.4)),
        fill_color=_tone(fill, -0.5 * warm),
        rim=_way(back, rng.uniform(0.1, 0.7)),
        rim_color=_tone(rng.uniform(0.0, 0.45), -warm),
        sky_color=_tone(around, -0.6 * warm),
        ground_color=_tone(around * rng.uniform(0.35, 0.7), 0.04),
    )


def _way(yaw: float, pitch: float) -> Vector:
    flat = math.cos(pitch)
    return (flat * math.sin(yaw), math.sin(pitch), flat * math.cos(yaw))


def _tone(strength: float, warm: float) -> Vector:
    return (strength * (1 + warm), strength * (1 + 0.1 * warm), strength * (1 - warm))


def _cloth(rng: np.random.Generator) -> Color:
    hue, light = rng.uniform(0, 2 * math.pi), rng.uniform(0.15, 0.65)
    spread = rng.uniform(0.0, 0.22)
    parts = [light + spread * math.cos(hue + turn) for turn in (0.0, 2.094, 4.189)]
    red, green, blue = (float(np.clip(part, 0.02, 0.95)) for part in parts)
    return (red, green, blue)


def _pick(rng: np.random.Generator, colors: Sequence[Color]) -> Color:
    return _scaled(colors[int(rng.integers(len(colors)))], float(math.exp(0.1 * rng.normal())))


def _scaled(color: Color, factor: float) -> Color:
    red, green, blue = (min(max(part * factor, 0.02), 0.95) for part in color)
    return (red, green, blue)


def _mixed(first: Color, second: Color, share: float) -> Color:
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return (red, green, blue)
