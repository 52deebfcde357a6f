"""Who the default head is: a person from age, gender, build and features, or a random one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

__all__ = [
    "Identity",
    "expression_gains",
    "memberships",
    "random_features",
    "random_traits",
    "sample",
    "semantic",
    "slider_names",
]

Array = NDArray[np.float64]

GENDERS = ("female", "male")
AGES = ("baby", "child", "young", "old")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
HEIGHTS = ("minheight", "", "maxheight")
PROPORTIONS = ("uncommonproportions", "", "idealproportions")
RACES = ("african", "asian", "caucasian")  # MakeHuman's names of its three sculpted poles
FEATURE_SPREAD, BUILD_SPREAD = 0.22, 0.08  # standard deviations of a random person's sliders
BUILD = ("head", "neck", "measure", "forehead", "ear")  # sliders that turn grotesque first

_BOTH_SIDES = (
    *("mouthSmile", "mouthStretch", "mouthFrown", "mouthDimple", "mouthUpperUp"),
    *("mouthLowerDown", "mouthPress", "cheekSquint", "noseSneer", "eyeBlink"),
)
# At some ages, what a unit at full strength is multiplied by; linear between them, 1 if not named.
_GAINS_BY_AGE: dict[float, dict[str, float]] = {
    0.0: {
        **{"mouthSmile": 0.55, "mouthStretch": 0.5, "mouthFrown": 0.6, "mouthDimple": 0.5},
        **{"mouthUpperUp": 0.6, "mouthLowerDown": 0.6, "mouthPress": 0.7},
        **{"mouthRollUpper": 0.6, "mouthRollLower": 0.6, "mouthFunnel": 0.7, "mouthPucker": 0.7},
        **{"mouthShrugUpper": 0.7, "mouthShrugLower": 0.7, "cheekPuff": 0.6},
        **{"cheekSquint": 0.5, "noseSneer": 0.6, "jawOpen": 0.75, "mouthClose": 0.75},
        "eyeBlink": 1.12,  # larger eyes: lids have further to go
    },
    1 / 3: {"eyeBlink": 1.06},
    1 / 2: {},
    2 / 3: {},
    1.0: {"mouthRollUpper": 0.75, "mouthRollLower": 0.75, "mouthPress": 0.85},
}

_ASSET = Path(__file__).parent / "assets" / "head.safetensors"


@dataclass(frozen=True, eq=False)
class Identity:
    """A person.

    Attributes:
        shape: Coefficients for `Head`; the face they give has the head's own eye distance.
        scale: Size relative to the mean adult: multiply vertices by it for metres in the world.
        gains: Factors on expression components and "jawOpen" by name that keep this face whole;
            1 where not named. See `expression_gains`.
    """

    shape: Float[Tensor, " s"]
    scale: float
    gains: Mapping[str, float] = field(default_factory=dict)


def expression_gains(age: float) -> dict[str, float]:
    """Give factors on the units that a face of this age needs, by name; 1 where not named.

    The units were sculpted on adults. At full strength they fold an infant's cheeks, which are
    mostly fat, push its chin out, and press thin old lips through each other; and its lids, which
    have larger eyes to cover, do not meet. `mouthClose` goes with `jawOpen`, which it undoes.

    Args:
        age: As for `semantic`.

    Example:
        >>> expression_gains(2 / 3)
        {}
        >>> gains = expression_gains(0.0)
        >>> gains["jawOpen"], gains["mouthSmileLeft"], gains["eyeBlinkRight"]
        (0.75, 0.55, 1.12)
    """
    ages = sorted(_GAINS_BY_AGE)
    names = dict.fromkeys(name for at in ages for name in _GAINS_BY_AGE[at])
    found: dict[str, float] = {}
    for name in names:
        gain = float(np.interp(age, ages, [_GAINS_BY_AGE[at].get(name, 1.0) for at in ages]))
        if gain != 1.0:
            sides = ("Left", "Right") if name in _BOTH_SIDES else ("",)
            found |= {name + side: round(gain, 4) for side in sides}
    return found


def memberships(
    age: float, gender: float, muscle: float, weight: float, height: float, proportions: float
) -> dict[str, float]:
    """Give each pole's share in [0, 1]: piecewise linear between the poles of one parameter."""
    found: dict[str, float] = {}
    for value, poles in (
        (age, AGES),
        (gender, GENDERS),
        (muscle, MUSCLES),
        (weight, WEIGHTS),
        (height, HEIGHTS),
        (proportions, PROPORTIONS),
    ):
        position = value * (len(poles) - 1)
        found |= {
            pole: max(0.0, 1.0 - abs(position - index)) for index, pole in enumerate(poles) if pole
        }
    return found


def semantic(
    age: float = 2 / 3,
    gender: float = 0.5,
    muscle: float = 0.5,
    weight: float = 0.5,
    height: float = 0.5,
    proportions: float = 0.5,
    race: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3),
    features: dict[str, float] | None = None,
    seed: int | None = None,
) -> Identity:
    """Give a person from a description.

    Args:
        age: 0 infant, 1/3 child, 1/2 teenager, 2/3 adult, 1 old.
        gender: 0 female to 1 male.
        muscle: 0 to 1.
        weight: 0 lean to 1 heavy.
        height: 0 to 1; grown with the body, it hardly shows on a face.
        proportions: 0 uncommon to 1 ideal.
        race: Shares of the three sculpted poles (african, asian, caucasian); need not sum to one.
        features: Local sliders in [-1, 1] by name, see `slider_names()`.
        seed: Adds random local features, the same for the same seed.

    Raises:
        ValueError: If a value leaves its range or a feature's name is unknown.

    Example:
        >>> semantic(age=0.0).scale < semantic(age=1 / 3).scale < 1.05
        True
    """
    model = _model()
    given = {
        "age": age,
        "gender": gender,
        "muscle": muscle,
        "weight": weight,
        "height": height,
        "proportions": proportions,
    }
    for name, value in given.items():
        if not 0 <= value <= 1:
            raise ValueError(f"`{name}` must lie in [0, 1], got {value}.")
    if min(race) < 0 or sum(race) <= 0:
        raise ValueError(f"`race` must be three shares of at least 0, not all 0, got {race}.")
    sliders = np.zeros(len(model.sliders))
    if seed is not None:
        sliders = np.array(list(random_features(seed).values()))
    for name, value in (features or {}).items():
        if name not in model.sliders or not -1 <= value <= 1:
            raise ValueError(
                f"`features` holds values in [-1, 1] by a name of slider_names(), "
                f"got {name}={value}."
            )
        sliders[model.sliders.index(name)] = value
    shares = dict(zip(RACES, (part / sum(race) for part in race), strict=True))
    person = model.identity(memberships(**given) | shares, sliders)
    return Identity(person.shape, person.scale, expression_gains(age))


def random_features(seed: int) -> dict[str, float]:
    """Give a plausible value for each local feature, the same for the same seed."""
    names = slider_names()
    spread = [BUILD_SPREAD if name.startswith(BUILD) else FEATURE_SPREAD for name in names]
    values = np.clip(np.random.default_rng(seed).normal(0, spread), -1, 1)
    return dict(zip(names, values.tolist(), strict=True))


def random_traits(seed: int) -> dict[str, Any]:
    """Give plausible arguments for `semantic`, the same for the same seed."""
    rng = np.random.default_rng(seed)
    return {
        "age": float(rng.uniform()),
        "gender": float(np.clip(rng.choice([0.1, 0.9]) + rng.normal() * 0.1, 0, 1)),
        "muscle": float(np.clip(rng.normal(0.5, 0.2), 0, 1)),
        "weight": float(np.clip(rng.normal(0.5, 0.2), 0, 1)),
        "proportions": float(np.clip(rng.normal(0.6, 0.2), 0, 1)),
        "race": tuple(rng.dirichlet([0.7] * 3).tolist()),
        "seed": int(rng.integers(2**31)),
    }


def sample(seed: int) -> Identity:
    """Give a random plausible person, the same for the same seed."""
    return semantic(**random_traits(seed))


def slider_names() -> tuple[str, ...]:
    """Give the names of the local features, such as "nose-hump" or "chin-width"."""
    return _model().sliders


@dataclass(frozen=True)
class _SemanticModel:
    """The targets' projections on the identity basis; their sum is linear, then normalized.

    Attributes:
        corners: The poles of each macro target.
        sliders: Names of the local features.
        projections: `[1 + M + 2 L, S]`: base, macro targets, then each feature's two ends.
        eye_distances: `[1 + M + 2 L]`, metres.
        template: `[S]`, the template's own projection.
        ipd: The head's interpupillary distance, metres.
        adult_ipd: The mean adult's in the world, metres.
    """

    corners: tuple[tuple[str, ...], ...]
    sliders: tuple[str, ...]
    projections: Array
    eye_distances: Array
    template: Array
    ipd: float
    adult_ipd: float

    def identity(self, shares: dict[str, float], sliders: Array) -> Identity:
        """Add the targets up and normalize."""
        macro = [np.prod([shares[pole] for pole in corner]) for corner in self.corners]
        ends = np.stack([np.maximum(-sliders, 0), np.maximum(sliders, 0)], 1).ravel()
        weights = np.concatenate([[1.0], macro, ends])
        ipd = float(weights @ self.eye_distances)
        shape = (weights @ self.projections) * (self.ipd / ipd) - self.template
        return Identity(torch.from_numpy(shape.astype(np.float32)), ipd / self.adult_ipd)


@cache
def _model() -> _SemanticModel:
    with safe_open(_ASSET, framework="np") as file:
        card = json.loads(file.metadata()["identity"])
        get = {name: file.get_tensor(f"identity.{name}") for name in ("projections", "template")}
        distances = file.get_tensor("identity.eye_distances").astype(np.float64)
    return _SemanticModel(
        tuple(tuple(corner) for corner in card["corners"]),
        tuple(card["sliders"]),
        get["projections"].astype(np.float64),
        distances,
        get["template"].astype(np.float64),
        card["ipd"],
        card["adult_ipd"],
    )
