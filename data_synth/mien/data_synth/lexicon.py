"""The lexicon: what each named look or movement does to the face, and what people call it.

The data are the TOML files of the folder `lexicon_data`: `recipes_KIND.toml` says what moves,
`phrases_KIND.toml` how it is named. Both are for people to edit; the emotions' files explain the
format.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from mien.arkit import ARKIT_NAMES
from mien.data_synth.phrases import Phrases, read_phrases

Kind = Literal["emotion", "expression", "action", "head", "gaze"]
Side = Literal["both", "left", "right"]
Shape = Literal["beat", "sine", "blink", "tremble", "square", "saw", "speech"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SIDES: tuple[Side, ...] = get_args(Side)
SIGNED = ("headYaw", "headPitch", "headRoll", "gazeYaw", "gazePitch", "mouthSide", "jawSide")
LATERAL = frozenset({"headYaw", "headRoll", "gazeYaw", "mouthSide", "jawSide"})
TRACKS: tuple[str, ...] = (*ARKIT_NAMES, *SIGNED, "crossEyes")

_SECONDS = {
    "emotion": (1.6, 5.0),
    "expression": (1.0, 3.0),
    "action": (0.6, 2.2),
    "head": (0.8, 2.4),
    "gaze": (0.8, 2.4),
}
_ONSET = {
    "emotion": (0.35, 0.75),
    "expression": (0.22, 0.45),
    "action": (0.16, 0.34),
    "head": (0.3, 0.6),
    "gaze": (0.08, 0.16),
}
_FIELDS = frozenset(
    ["units", "wave", "hz", "shape", "steps", "sides", "seconds", "onset"]
    + ["intensity", "floor", "blinks", "mirror"]
)
_PAIRED = frozenset(n.removesuffix("Left") for n in ARKIT_NAMES if n.endswith("Left"))
_PAIRED -= {"mouth", "jaw", "eyeLookDown", "eyeLookUp", "eyeLookIn", "eyeLookOut"}
_SINGLE = frozenset(ARKIT_NAMES) - {n for n in ARKIT_NAMES if n.startswith("eyeLook")}

Units = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Entry:
    """One look or movement with a name.

    Attributes:
        id: A short word, unique.
        kind: Which category it belongs to.
        units: What is held, by track of :data:`TRACKS`, at full strength; of sided entries the
            left side.
        wave: What is repeated on top, at full strength.
        hz: Range of the repetitions a second.
        shape: Form of the repetition.
        steps: Places visited in turn: (fraction of the duration, units).
        sides: Which sides it can be asked for; the first is the usual one.
        seconds: Usual duration, lowest and highest.
        onset: Usual time to full strength, seconds.
        intensity: Usual strength, lowest and highest, 0 to 1.
        floor: The share of full strength that the weakest performance shows.
        blinks: Rate of spontaneous blinks, relative to a quiet face.
        phrases: What people call it.
    """

    id: str
    kind: Kind
    units: Units = field(default_factory=dict)
    wave: Units = field(default_factory=dict)
    hz: tuple[float, float] = (1.5, 2.5)
    shape: Shape = "beat"
    steps: tuple[tuple[float, Units], ...] = ()
    sides: tuple[Side, ...] = ("both",)
    seconds: tuple[float, float] = (1.0, 3.0)
    onset: tuple[float, float] = (0.2, 0.5)
    intensity: tuple[float, float] = (0.15, 1.0)
    floor: float = 0.3
    blinks: float = 1.0
    phrases: Phrases = field(default_factory=Phrases)

    @property
    def is_sided(self) -> bool:
        """Whether it can be done on one side only."""
        return "left" in self.sides

    def on_side(self, side: Side) -> "Entry":
        """Return the entry with its units as seen when done on `side`."""
        if side not in self.sides:
            raise ValueError(f"{self.id!r} can be done on {self.sides}, got {side!r}.")
        one_sided = "both" in self.sides and side != "both"
        entry = _map_units(self, _keep_left) if one_sided else self
        return entry.mirrored(self.id) if side == "right" else entry

    def mirrored(self, name: str) -> "Entry":
        """Return the mirror image, called `name`."""
        return replace(_map_units(self, _mirror), id=name)

    def amplitude(self, intensity: float) -> float:
        """The share of full strength shown at an intensity of 0 to 1."""
        return self.floor + (1.0 - self.floor) * intensity


@dataclass(frozen=True, eq=False)
class Lexicon:
    """All entries by id, in a fixed order."""

    entries: Mapping[str, Entry]

    @staticmethod
    @cache
    def default() -> "Lexicon":
        """The lexicon that ships with mien."""
        folder = files("mien.data_synth") / "lexicon_data"
        entries: dict[str, Entry] = {}
        for kind in KINDS:
            recipes = tomllib.loads((folder / f"recipes_{kind}.toml").read_text("utf-8"))
            phrases = tomllib.loads((folder / f"phrases_{kind}.toml").read_text("utf-8"))
            entries |= read_entries(kind, recipes, phrases)
        return Lexicon(MappingProxyType(entries))

    def __getitem__(self, name: str) -> Entry:
        """Return the entry called `name`."""
        if name not in self.entries:
            raise ValueError(f"Wanted an entry of the lexicon, got {name!r}; see Lexicon.entries.")
        return self.entries[name]

    def __contains__(self, name: object) -> bool:
        """Whether an entry is called `name`."""
        return name in self.entries

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self.entries)

    def of_kind(self, kind: Kind) -> tuple[Entry, ...]:
        """All entries of one category."""
        return _of_kind(self, kind)


@cache
def _of_kind(lexicon: Lexicon, kind: Kind) -> tuple[Entry, ...]:
    return tuple(e for e in lexicon.entries.values() if e.kind == kind)


def read_entries(
    kind: Kind, recipes: Mapping[str, Any], phrases: Mapping[str, Any]
) -> dict[str, Entry]:
    """Build entries from the two parsed tables of a kind.

    Raises:
        ValueError: If a table names an unknown field, unit or mirror image, or phrases lack a
            recipe.
    """
    entries: dict[str, Entry] = {}
    for name, table in recipes.items():
        if unknown := set(table) - _FIELDS:
            raise ValueError(f"[{name}] may use {sorted(_FIELDS)}, got {sorted(unknown)}.")
        if mirror := table.get("mirror"):
            if mirror not in entries:
                raise ValueError(f"[{name}] must mirror an entry above it, got {mirror!r}.")
            entries[name] = entries[mirror].mirrored(name)
            entries[name] = replace(entries[name], phrases=entries[mirror].phrases.mirrored())
        else:
            entries[name] = _read_entry(name, kind, table, read_phrases(phrases.get(name, {})))
    if lost := set(phrases) - set(entries):
        raise ValueError(f"Phrases must belong to a recipe of kind {kind!r}, got {sorted(lost)}.")
    return entries


def _read_entry(name: str, kind: Kind, table: Mapping[str, Any], phrases: Phrases) -> Entry:
    steps = tuple(
        (float(step["at"]), expand({k: v for k, v in step.items() if k != "at"}, name))
        for step in table.get("steps", ())
    )
    return Entry(
        id=name,
        kind=kind,
        units=expand(table.get("units", {}), name),
        wave=expand(table.get("wave", {}), name),
        hz=_pair(table.get("hz", (1.5, 2.5))),
        shape=cast(Shape, table.get("shape", "beat")),
        steps=steps,
        sides=tuple(table.get("sides", ("both",))),
        seconds=_pair(table.get("seconds", _SECONDS[kind])),
        onset=_pair(table.get("onset", _ONSET[kind])),
        intensity=_pair(table.get("intensity", (0.15, 1.0))),
        floor=float(table.get("floor", 0.3)),
        blinks=float(table.get("blinks", 1.0)),
        phrases=phrases,
    )


def expand(units: Units, name: str = "units") -> Units:
    """Write two-sided stems such as `mouthSmile` out as their left and right tracks."""
    full: dict[str, float] = {}
    for unit, weight in units.items():
        if unit in _PAIRED:
            full[unit + "Left"] = full[unit + "Right"] = float(weight)
        elif unit in SIGNED or unit in _SINGLE or unit == "crossEyes":
            full[unit] = float(weight)
        else:
            raise ValueError(f"[{name}] must name ARKit units or one of {SIGNED}, got {unit!r}.")
    return MappingProxyType(full)


def _pair(values: Any) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)


def _map_units(entry: Entry, change: Any) -> Entry:
    steps = tuple((at, change(units)) for at, units in entry.steps)
    return replace(entry, units=change(entry.units), wave=change(entry.wave), steps=steps)


def _keep_left(units: Units) -> Units:
    """Leave a trace on the right and half of what has no side, as faces do."""
    share = {"Left": 1.0, "ight": 0.12}
    return {k: v * share.get(k[-4:], 0.5) for k, v in units.items()}


def _mirror(units: Units) -> Units:
    mirrored: dict[str, float] = {}
    for track, weight in units.items():
        if track in LATERAL:
            mirrored[track] = -weight
        elif track.endswith("Left"):
            mirrored[track.removesuffix("Left") + "Right"] = weight
        elif track.endswith("Right"):
            mirrored[track.removesuffix("Right") + "Left"] = weight
        else:
            mirrored[track] = weight
    return mirrored
