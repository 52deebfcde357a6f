"""The identity basis: principal components of sampled heads of one interpupillary distance."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bake.makehuman import Array, Ids
from bake.phenotype import MacroTargets, macro_weights
from mien.identity import RACES

SLIDER_SPREAD = 0.25  # standard deviation of sampled sliders: wider than faces are

LocalTargets = dict[str, tuple[Array, Array]]


@dataclass(frozen=True)
class IdentitySource:
    """Everything identities are composed of, on the head's vertices.

    Attributes:
        base: `[V, 3]`, the base mesh, metres.
        macro: The macro targets.
        local: Local sliders: name -> offsets at -1 and at +1.
        eyes: Vertex ids of the left and right eyeball.
    """

    base: Array
    macro: MacroTargets
    local: LocalTargets
    eyes: tuple[Ids, Ids]

    def mapped(self, apply: Callable[[Array], Array], eyes: tuple[Ids, Ids]) -> "IdentitySource":
        """Carry the source over to other vertices by a linear map with rows that sum to one."""
        macro = np.stack([apply(offsets) for offsets in self.macro.offsets])
        return IdentitySource(
            apply(self.base),
            MacroTargets(self.macro.corners, macro),
            {name: (apply(low), apply(high)) for name, (low, high) in self.local.items()},
            eyes,
        )

    @cached_property
    def ipd(self) -> float:
        """The base mesh's interpupillary distance, metres: what the units were sculpted for."""
        return self._centered(self.base)[1]

    @cached_property
    def adult_ipd(self) -> float:
        """The mean adult's own interpupillary distance, metres."""
        return self._centered(self.compose({}, {}))[1]

    @cached_property
    def template(self) -> Array:
        """The mean adult, `[V, 3]`: the eyes' midpoint at the origin, `ipd` apart."""
        return self.normalized({}, {})[0]

    def compose(self, parameters: dict[str, float], sliders: dict[str, float]) -> Array:
        """Give a person's vertices, not yet normalized."""
        weights = macro_weights(self.macro, parameters)
        vertices = self.base + np.tensordot(weights, self.macro.offsets, 1)
        for name, value in sliders.items():
            vertices = vertices + abs(value) * self.local[name][int(value > 0)]
        return vertices

    def normalized(
        self, parameters: dict[str, float], sliders: dict[str, float]
    ) -> tuple[Array, float]:
        """Give a person at the common eye distance, and their size relative to the mean adult."""
        vertices, ipd = self._centered(self.compose(parameters, sliders))
        return vertices * (self.ipd / ipd), ipd / self.adult_ipd

    def _centered(self, vertices: Array) -> tuple[Array, float]:
        left, right = (vertices[ids].mean(0) for ids in self.eyes)
        return vertices - (left + right) / 2, float(np.linalg.norm(left - right))


def sample_person(
    rng: np.random.Generator, local_names: list[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Draw a plausible person: semantic parameters and local sliders."""
    races = rng.dirichlet([0.7] * len(RACES))
    parameters = {
        "age": float(rng.uniform()),
        "gender": float(np.clip(rng.choice([0.1, 0.9]) + rng.normal() * 0.15, 0, 1)),
        "muscle": float(np.clip(rng.normal(0.5, 0.2), 0, 1)),
        "weight": float(np.clip(rng.normal(0.5, 0.22), 0, 1)),
        "height": float(np.clip(rng.normal(0.5, 0.15), 0, 1)),
        "proportions": float(np.clip(rng.normal(0.6, 0.2), 0, 1)),
        **{race: float(share) for race, share in zip(RACES, races, strict=True)},
    }
    values = np.clip(rng.normal(0, SLIDER_SPREAD, len(local_names)), -1, 1)
    return parameters, {n: float(v) for n, v in zip(local_names, values, strict=True)}


@dataclass(frozen=True)
class Basis:
    """Orthonormal axes `[3 V, S]`, their standard deviations `[S]`, held-out RMS in metres."""

    axes: Array
    deviation: Array
    held_out_rms: float

    @property
    def directions(self) -> Array:
        """The identity directions at unit standard deviation, `[V, 3, S]`."""
        return (self.axes * self.deviation).reshape(len(self.axes) // 3, 3, -1)

    def project(self, vertices: Array) -> Array:
        """Give coefficients of offsets `[..., V, 3]`, `[..., S]`."""
        flat = vertices.reshape(*vertices.shape[:-2], -1)
        return np.asarray((flat @ self.axes) / self.deviation)


def fit_basis(source: IdentitySource, num_components: int, num_samples: int, seed: int) -> Basis:
    """Fit principal components to sampled people, about the mean adult."""
    rng = np.random.default_rng(seed)
    names = sorted(source.local)
    template = source.template
    held_out = max(20, num_samples // 10)
    heads = np.stack(
        [
            (source.normalized(*sample_person(rng, names))[0] - template).ravel()
            for _ in range(num_samples + held_out)
        ]
    )
    train, test = heads[:num_samples], heads[num_samples:]
    values, vectors = np.linalg.eigh(train @ train.T)
    best = np.argsort(values)[::-1][:num_components]
    axes = (train.T @ vectors[:, best]) / np.sqrt(values[best])
    deviation = np.sqrt(values[best] / num_samples)
    left = test - (test @ axes) @ axes.T
    rms = float(np.sqrt((left.reshape(len(test), -1, 3) ** 2).sum(-1).mean()))
    return Basis(axes, deviation, rms)


def semantic_tensors(
    source: IdentitySource, basis: Basis
) -> tuple[dict[str, Array], dict[str, object]]:
    """Project every target on the basis: what `mien.identity.semantic` adds up.

    Returns:
        Tensors and their card, see `mien.identity`.
    """
    names = sorted(source.local)
    ends = [end for name in names for end in source.local[name]]
    rows, distances = [], []
    for offsets in (source.base, *source.macro.offsets, *ends):
        left, right = (offsets[ids].mean(0) for ids in source.eyes)
        rows.append(basis.project(offsets - (left + right) / 2))
        distances.append(left[0] - right[0])
    tensors = {
        "projections": np.stack(rows),
        "eye_distances": np.array(distances),
        "template": basis.project(source.template),
    }
    card = {
        "corners": source.macro.corners,
        "sliders": names,
        "ipd": source.ipd,
        "adult_ipd": source.adult_ipd,
    }
    return tensors, card
