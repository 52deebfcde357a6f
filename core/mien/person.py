"""A person in words and numbers: what `mien.identity` makes a face of, to keep and to edit."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.files import check_size, whole_file
from mien.identity import Identity, random_features, random_traits, semantic, slider_names

__all__ = ["Person"]

FORMAT, VERSION = "mien-person", 1
MAX_BYTES = 2**20
_TRAITS = ("age", "gender", "muscle", "weight", "height", "proportions")


@dataclass(frozen=True)
class Person:
    """Who somebody is; the traits of `mien.identity.semantic`, checked when made.

    Attributes:
        age: 0 infant, 1/3 child, 1/2 teenager, 2/3 adult, 1 old.
        gender: 0 female to 1 male.
        muscle: 0 soft to 1 muscular.
        weight: 0 lean to 1 heavy.
        height: 0 short to 1 tall; it hardly shows on a face.
        proportions: 0 uncommon to 1 ideal.
        race: Shares of the three sculpted poles (african, asian, caucasian).
        features: Local features in [-1, 1] by name, see `mien.identity.slider_names`.

    Example:
        >>> girl = Person(age=0.3, gender=0.0, features={"nose-hump": 0.4})
        >>> grown = girl.edit(age=0.7)
        >>> grown.age, grown.features["nose-hump"], Person.from_json(grown.to_json()) == grown
        (0.7, 0.4, True)
    """

    age: float = 2 / 3
    gender: float = 0.5
    muscle: float = 0.5
    weight: float = 0.5
    height: float = 0.5
    proportions: float = 0.5
    race: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)
    features: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _TRAITS:
            _check_between(f"`{name}`", getattr(self, name), 0.0)
        if (
            not isinstance(self.race, list | tuple)
            or len(self.race) != 3
            or not all(_is_number(part) and 0 <= part <= 1e6 for part in self.race)
            or sum(self.race) <= 0
        ):
            raise ValueError("`race` must be three shares of at least 0, not all 0.")
        if not isinstance(self.features, Mapping):
            raise ValueError("`features` must be values in [-1, 1] by name.")
        known = set(slider_names())
        for name, value in self.features.items():
            if name not in known:
                near = sorted(
                    each for each in known if each.split("-")[0] == str(name).split("-")[0]
                )[:4]
                raise ValueError(
                    f"There is no feature {str(name)[:40]!r}; there are {len(known)}, such as "
                    f"{', '.join(near or sorted(known)[:4])}."
                )
            _check_between(f"The feature {name!r}", value, -1.0)
        object.__setattr__(self, "race", tuple(self.race))
        object.__setattr__(self, "features", dict(self.features))

    @classmethod
    def sample(cls, seed: int) -> "Person":
        """Give a random plausible person, the same for the same seed, as `identity.sample`."""
        traits = random_traits(seed)
        features = random_features(traits.pop("seed"))
        return cls(**traits, features=features)

    def edit(self, **changes: Any) -> "Person":
        """Give a person who differs in some traits; features are added to those there are.

        Raises:
            ValueError: If a trait is unknown or leaves its range.
        """
        unknown = sorted(set(changes) - {each.name for each in dataclasses.fields(self)})
        if unknown:
            raise ValueError(f"A person has no {', '.join(unknown)}.")
        if "features" in changes:
            changes["features"] = {**self.features, **changes["features"]}
        return dataclasses.replace(self, **changes)

    def with_random_features(self, seed: int) -> "Person":
        """Give a person of the same age and build with another face; own features stay."""
        return dataclasses.replace(self, features={**random_features(seed), **self.features})

    def identity(self) -> Identity:
        """Give the face: coefficients, scale, and the factors on expressions."""
        traits = {name: getattr(self, name) for name in _TRAITS}
        return semantic(**traits, race=self.race, features=dict(self.features))

    def to_json(self) -> str:
        """Give the file's text; `from_json` reads it back."""
        card = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        return json.dumps(card, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Person":
        """Read a person; absent traits are the mean adult's.

        Raises:
            ValueError: If it is not a person of this version, or a trait leaves its range.
        """
        try:
            card = json.loads(text)
        except (json.JSONDecodeError, RecursionError, ValueError) as error:
            raise ValueError(f"A person must be JSON ({str(error)[:80]}).") from error
        if not isinstance(card, dict) or card.pop("format", None) != FORMAT:
            raise ValueError(f'A person is an object with "format": "{FORMAT}".')
        if (version := card.pop("version", None)) != VERSION:
            raise ValueError(f"Version {VERSION} of a person is read, got {str(version)[:20]}.")
        unknown = sorted(set(card) - {each.name for each in dataclasses.fields(cls)})
        if unknown:
            raise ValueError(f"A person has no {unknown[0][:40]!r}.")
        return cls(**card)

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        with whole_file(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> "Person":
        """Read what `write` wrote.

        Raises:
            ValueError: If the file is missing, too large or not a person.
        """
        check_size(path, MAX_BYTES)
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(f"{str(path)!r} is not text.") from error
        except ValueError as error:
            raise ValueError(f"{str(path)!r}: {error}") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _check_between(name: str, value: Any, lowest: float) -> None:
    if not _is_number(value) or not lowest <= value <= 1:
        shown = f"{value:g}" if _is_number(value) and abs(value) < 1e300 else "another value"
        raise ValueError(f"{name} must lie in [{lowest:g}, 1], got {shown}.")
