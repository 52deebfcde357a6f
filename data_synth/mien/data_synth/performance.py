"""Performances: what a face is asked to do, as timed actions."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from mien.data_synth.lexicon import KINDS, Entry, Kind, Lexicon, Side

GRID_S = 0.2  # starts and ends lie on this grid, so that a score can name them
MAX_ACTIONS = 5
_KIND_WEIGHTS: dict[Kind, float] = {
    "emotion": 0.28,
    "expression": 0.28,
    "action": 0.18,
    "head": 0.13,
    "gaze": 0.13,
}
_COUNT_WEIGHTS = (0.36, 0.30, 0.20, 0.09, 0.05)


@dataclass(frozen=True)
class Action:
    """One entry of the lexicon, done once.

    It grows from `start_s` to `apex_s`, holds until `release_s` and is gone at `end_s`. An action
    whose release is its end, at the performance's end, is still held there.

    Attributes:
        entry: The entry's id.
        side: Which side does it, the subject's own.
        intensity: 0 to 1; a third is slight, two thirds is middling.
        start_s: Seconds.
        apex_s: Seconds.
        release_s: Seconds.
        end_s: Seconds.
    """

    entry: str
    side: Side
    intensity: float
    start_s: float
    apex_s: float
    release_s: float
    end_s: float

    def __post_init__(self) -> None:
        """Refuse times out of order and intensities out of range."""
        times = (self.start_s, self.apex_s, self.release_s, self.end_s)
        if not 0 <= times[0] <= times[1] <= times[2] <= times[3] or times[0] == times[3]:
            raise ValueError(f"An action's times must be in order and from 0 on, got {times}.")
        if not 0 <= self.intensity <= 1:
            raise ValueError(f"`intensity` must be in 0..1, got {self.intensity}.")


@dataclass(frozen=True)
class Performance:
    """Timed actions of one performer.

    Attributes:
        actions: Sorted by start.
        seconds: Length.
        style_seed: Which performer: gains, asymmetry, tempo, looseness.
    """

    actions: tuple[Action, ...]
    seconds: float
    style_seed: int = 0

    def __post_init__(self) -> None:
        """Refuse actions out of order or beyond the end."""
        starts = [a.start_s for a in self.actions]
        if starts != sorted(starts):
            raise ValueError(f"`actions` must be sorted by start, got starts {starts}.")
        if any(a.end_s > self.seconds + 1e-6 for a in self.actions):
            raise ValueError(f"Actions must end within `seconds` = {self.seconds}.")

    def to_json(self) -> str:
        """Write as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> "Performance":
        """Read what :meth:`to_json` wrote."""
        table: dict[str, Any] = json.loads(text)
        actions = tuple(Action(**action) for action in table.pop("actions"))
        return Performance(actions=actions, **table)


def on_grid(seconds: float) -> float:
    """The nearest time of the grid."""
    return round(round(seconds / GRID_S) * GRID_S, 1)


def shaped_action(
    entry: Entry,
    side: Side,
    intensity: float,
    start_s: float,
    end_s: float,
    is_held: bool,
    pace: float = 0.5,
) -> Action:
    """Give an action its onset and release.

    Args:
        entry: What is done.
        side: Which side does it.
        intensity: 0 to 1.
        start_s: Seconds.
        end_s: Seconds.
        is_held: Whether it is still held at `end_s` rather than gone.
        pace: 0 for the entry's quickest onset, 1 for its slowest.
    """
    room = end_s - start_s
    low, high = entry.onset
    onset = min(low + (high - low) * pace, 0.45 * room)
    offset = 0.0 if is_held else min(1.25 * onset + 0.08, 0.4 * room)
    apex, release = round(start_s + onset, 3), round(end_s - offset, 3)
    return Action(entry.id, side, intensity, start_s, apex, max(apex, release), end_s)


def sample_performance(
    rng: random.Random, lexicon: Lexicon, seconds: float | None = None
) -> Performance:
    """Draw a performance, uniform over the entries of each category.

    Args:
        rng: Where chance comes from.
        lexicon: What can be drawn.
        seconds: Length; 2 to 8 when not given.
    """
    count = rng.choices(range(1, MAX_ACTIONS + 1), _COUNT_WEIGHTS)[0]
    if seconds is None:
        seconds = on_grid(min(8.0, max(2.0, rng.uniform(1.6, 4.4) + 1.1 * (count - 1))))
    count = max(1, min(count, int(seconds / 0.9)))
    if count == 1:
        actions = [_single(rng, lexicon, seconds)]
    elif rng.random() < 0.45:
        actions = _overlapping(rng, lexicon, seconds, count)
    else:
        actions = _sequential(rng, [_draw(rng, lexicon) for _ in range(count)], seconds)
    actions.sort(key=lambda a: (a.start_s, a.end_s))
    return Performance(tuple(actions), seconds, rng.getrandbits(31))


def sample_drill(rng: random.Random, lexicon: Lexicon, index: int) -> Performance:
    """One action alone, short: every entry on every side of its own in turn.

    A corpus of performances shows one-sided movements seldom, and the extremes of strength; drills
    show all alike.

    Args:
        rng: Where chance comes from.
        lexicon: What is done.
        index: Which entry and side, counted round.
    """
    acts: list[tuple[Entry, Side]] = [
        (entry, side) for entry in lexicon.entries.values() for side in entry.sides
    ]
    entry, side = acts[index % len(acts)]
    start = on_grid(rng.choice((0.0, 0.2, 0.2, 0.4)))
    end = on_grid(start + max(0.4, rng.uniform(*entry.seconds)))
    seconds = on_grid(min(8.0, end + rng.choice((0.0, 0.2, 0.4, 0.8))))
    held = end >= seconds and entry.kind != "action" and not entry.steps
    end, intensity = min(end, seconds), round(rng.uniform(*entry.intensity), 2)
    action = shaped_action(entry, side, intensity, start, end, held, rng.random())
    return Performance((action,), seconds, rng.getrandbits(31))


def _draw(rng: random.Random, lexicon: Lexicon, kinds: Sequence[Kind] = KINDS) -> Entry:
    kind = rng.choices(kinds, [_KIND_WEIGHTS[k] for k in kinds])[0]
    return rng.choice(lexicon.of_kind(kind))


def _intensity(rng: random.Random, entry: Entry) -> float:
    """Mid most often; slight and strong about a quarter each."""
    low, high = entry.intensity
    return round(low + (high - low) * rng.betavariate(1.6, 1.5), 2)


def _side(rng: random.Random, entry: Entry) -> Side:
    if entry.is_sided and "both" in entry.sides:
        return rng.choice(("both", "both", "left", "right"))
    return rng.choice(entry.sides)


def _timed(rng: random.Random, entry: Entry, start: float, end: float, seconds: float) -> Action:
    held = end >= seconds and entry.kind != "action" and not entry.steps
    return shaped_action(
        entry, _side(rng, entry), _intensity(rng, entry), start, end, held, rng.random()
    )


def _single(rng: random.Random, lexicon: Lexicon, seconds: float) -> Action:
    entry = _draw(rng, lexicon)
    lead = on_grid(rng.choice((0.0, 0.2, 0.2, 0.4, rng.uniform(0, 0.3 * seconds))))
    start = min(lead, seconds - 0.6)
    length = on_grid(rng.uniform(*entry.seconds))
    lasting = entry.kind in ("emotion", "expression", "gaze") and rng.random() < 0.4
    end = seconds if lasting and not entry.steps else min(seconds, start + max(0.4, length))
    return _timed(rng, entry, on_grid(start), on_grid(end), seconds)


def _sequential(
    rng: random.Random, entries: list[Entry], seconds: float, begin_s: float = 0.0
) -> list[Action]:
    """One after the other, some just touching, some a little overlapped."""
    wanted = [max(0.6, rng.uniform(*e.seconds)) for e in entries]
    start = begin_s + rng.choice((0.0, 0.2, 0.4))
    scale = min(1.4, (seconds - start) / sum(wanted))
    actions = []
    for i, (entry, length) in enumerate(zip(entries, wanted, strict=True)):
        last = i == len(entries) - 1
        end = start + max(0.4, length * scale * rng.uniform(0.8, 1.0))
        if last and rng.random() < 0.5 and not entry.steps:
            end = seconds
        begin = min(on_grid(start), on_grid(seconds - 0.6))
        finish = min(seconds, max(on_grid(end), on_grid(begin + 0.4)))
        actions.append(_timed(rng, entry, begin, finish, seconds))
        start = max(begin + 0.2, finish + rng.choice((-0.2, 0.0, 0.0, 0.2)))
    return actions


def _overlapping(rng: random.Random, lexicon: Lexicon, seconds: float, count: int) -> list[Action]:
    """A lasting look with accents on parts of the face that it leaves free."""
    base = _draw(rng, lexicon, ("emotion", "expression"))
    start = rng.choice((0.0, 0.0, 0.2, 0.4))
    end = seconds if rng.random() < 0.6 else on_grid(rng.uniform(0.75, 1.0) * seconds)
    actions = [_timed(rng, base, start, max(end, start + 1.0), seconds)]
    accents: list[Entry] = []
    for _ in range(count * 8):
        entry = _draw(rng, lexicon, ("action", "head", "gaze", "expression"))
        if len(accents) < count - 1 and not clash(base, entry):
            accents.append(entry)
    if not accents:
        return actions
    return actions + _sequential(rng, accents, seconds, start + 0.4)


def clash(first: Entry, second: Entry) -> bool:
    """Whether two entries both need the same part of the face."""
    return bool(_needs(first) & _needs(second))


@cache
def _needs(entry: Entry) -> frozenset[str]:
    tracks = {**entry.units, **entry.wave}
    for _, units in entry.steps:
        tracks |= units
    strong = (t for t, w in tracks.items() if abs(w) >= (0.2 if t.startswith("head") else 0.4))
    return frozenset(map(_region, strong))


def _region(track: str) -> str:
    for stem in ("brow", "eye", "gaze", "head"):
        if track.startswith(stem):
            return stem
    return "gaze" if track == "crossEyes" else "mouth"
