"""Compose a MakeHuman body from its semantic parameters: age, gender, muscle, weight and so on.

A macro target is named by the corners it belongs to ("male-young-maxmuscle-minweight-..."); its
weight is the product of the corners' memberships, each piecewise linear in one parameter.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from bake.makehuman import Array, Ids, read_target
from mien.identity import (
    AGES,
    GENDERS,
    HEIGHTS,
    MUSCLES,
    PROPORTIONS,
    RACES,
    WEIGHTS,
    memberships,
)

MEAN_ADULT = {
    "age": 2 / 3,
    "gender": 0.5,
    "muscle": 0.5,
    "weight": 0.5,
    "height": 0.5,
    "proportions": 0.5,
}
LOCAL_FOLDERS = (
    "head",
    "forehead",
    "eyebrows",
    "eyes",
    "nose",
    "mouth",
    "ears",
    "chin",
    "cheek",
    "neck",
)


@dataclass(frozen=True)
class MacroTargets:
    """The macro targets of one set of vertices.

    Attributes:
        corners: The corner names of each target.
        offsets: `[M, V, 3]`, metres.
    """

    corners: tuple[tuple[str, ...], ...]
    offsets: Array


def read_macro_targets(root: Path, num_vertices: int, keep: Ids) -> MacroTargets:
    """Read every macro target that exists, restricted to the vertices `keep`."""
    folder = root / "mpfb2/targets/macrodetails"
    names: list[tuple[str, tuple[str, ...]]] = []
    for corner in product(RACES, GENDERS, AGES):
        names.append(("-".join(corner), corner))
    for build in product(GENDERS, AGES, MUSCLES, WEIGHTS):
        stem = "-".join(build)
        names.append((f"universal-{stem}", build))
        names += [(f"height/{stem}-{end}", (*build, end)) for end in HEIGHTS if end]
        names += [(f"proportions/{stem}-{end}", (*build, end)) for end in PROPORTIONS if end]
    corners, offsets = [], []
    for stem, poles in names:
        path = folder / f"{stem}.target.gz"
        if path.exists():
            corners.append(poles)
            offsets.append(read_target(path, num_vertices)[keep])
    return MacroTargets(tuple(corners), np.stack(offsets))


def macro_weights(targets: MacroTargets, parameters: dict[str, float]) -> Array:
    """Give the weight of every macro target, `[M]`."""
    races = {race: parameters.get(race, 1.0) for race in RACES}
    total = sum(races.values())
    member = memberships(**{name: parameters.get(name, mean) for name, mean in MEAN_ADULT.items()})
    member |= {race: share / total for race, share in races.items()}
    products = [np.prod([member[c] for c in corner]) for corner in targets.corners]
    return np.array(products, dtype=np.float64)


def read_local_targets(root: Path, num_vertices: int, keep: Ids) -> dict[str, tuple[Array, Array]]:
    """Read the local targets as two-sided sliders: name -> (negative, positive) offsets.

    A left and a right target of the same name are joined into one symmetric slider.
    """
    pairs = (
        ("decr", "incr"),
        ("down", "up"),
        ("in", "out"),
        ("backward", "forward"),
        ("concave", "convex"),
        ("compress", "uncompress"),
    )
    sliders: dict[str, tuple[Array, Array]] = {}
    for folder in LOCAL_FOLDERS:
        for path in sorted((root / "mpfb2/targets" / folder).glob("*.target.gz")):
            stem = path.name.removesuffix(".target.gz")
            offsets = read_target(path, num_vertices)[keep]
            side = stem[:2] if stem[:2] in ("l-", "r-") else ""
            stem = stem.removeprefix(side)
            if folder in ("head", "neck", "mouth", "nose", "chin") and stem.endswith(
                ("trans-in", "trans-out")
            ):
                continue  # a sideways shift of the middle: asymmetric, of no use to a face
            sign, name = 1, stem
            for low, high in pairs:
                for end, value in ((low, -1), (high, 1)):
                    if stem.endswith(f"-{end}"):
                        sign, name = value, stem.removesuffix(f"-{end}")
            low_side, high_side = sliders.get(
                name, (np.zeros_like(offsets), np.zeros_like(offsets))
            )
            if sign < 0:
                low_side = low_side + offsets
            else:
                high_side = high_side + offsets
            sliders[name] = (low_side, high_side)
    return sliders
