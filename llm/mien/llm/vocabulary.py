"""The one vocabulary of the language model: its base's text tokens, then ours, all by number.

Ours stand behind the text in blocks: controls, clocks, times, sides, levels, phases, entries, acts
(an entry on a side) and, last, one token a motion code, so that a larger codebook only appends.
Ids are made as `block + index`, never through strings.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from mien.llm.plan import FRAMES_PER_CLOCK, TICKS_PER_CLOCK, Line, clip_lines

CONTROLS = ("pad", "word", "plan", "motion", "describe", "caption", "end")
SIDES = ("both", "left", "right")
MAX_TICKS = 40  # 8 s: the longest clip of the corpus and the longest window
NUM_CLOCKS = MAX_TICKS // TICKS_PER_CLOCK
MAX_LINES = 8
_SINCE = 7  # -1 (begins later in this clock), 0, 1, ... 5 or more ticks since the start
_UNTIL = 6  # 1, 2, ... 6 or more ticks until the end


@dataclass(frozen=True)
class Vocabulary:
    """Where each block of ids begins, and the sequences that are written with them.

    Attributes:
        num_text: Rows of the base's own vocabulary; our ids begin there.
        entries: Names of the lexicon's entries.
        entry_sides: For each entry the sides that it can have.
        levels: Words for the intensity, from low to high.
        num_codes: Size of the motion tokenizer's codebook.
    """

    num_text: int
    entries: tuple[str, ...]
    entry_sides: tuple[tuple[str, ...], ...]
    levels: tuple[str, ...]
    num_codes: int

    def __post_init__(self) -> None:
        if len(self.entries) != len(self.entry_sides):
            raise ValueError(
                f"`entry_sides` needs one item an entry ({len(self.entries)}), "
                f"got {len(self.entry_sides)}."
            )

    @cached_property
    def _blocks(self) -> dict[str, int]:
        sizes = {
            "control": len(CONTROLS),
            "clock": NUM_CLOCKS,
            "time": MAX_TICKS + 1,
            "side": len(SIDES),
            "level": len(self.levels),
            "phase": _SINCE * _UNTIL,
            "entry": len(self.entries),
            "act": len(self._act_index),
            "motion": self.num_codes,
        }
        starts, at = {}, self.num_text
        for name, size in sizes.items():
            starts[name], at = at, at + size
        starts["end"] = at
        return starts

    @cached_property
    def _entry_index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.entries)}

    @cached_property
    def _act_index(self) -> dict[tuple[str, str], int]:
        sided = zip(self.entries, self.entry_sides, strict=True)
        acts = [(name, side) for name, sides in sided for side in sides]
        return {act: i for i, act in enumerate(acts)}

    @property
    def size(self) -> int:
        """Rows of the embedding: text, ours and motion."""
        return self._blocks["end"]

    @property
    def motion_start(self) -> int:
        """Id of motion code 0."""
        return self._blocks["motion"]

    @property
    def entry_start(self) -> int:
        """Id of the first lexicon entry."""
        return self._blocks["entry"]

    @cached_property
    def row_names(self) -> tuple[tuple[str | int, ...], ...]:
        """What each id stands for, so that rows of two vocabularies can be matched."""
        blocks: dict[str, list[tuple[str | int, ...]]] = {
            "control": [(name,) for name in CONTROLS],
            "side": [(name,) for name in SIDES],
            "level": [(name,) for name in self.levels],
            "entry": [(name,) for name in self.entries],
            "act": list(self._act_index),
        }
        names: list[tuple[str | int, ...]] = [("text", i) for i in range(self.num_text)]
        order = sorted(self._blocks.items(), key=lambda block: block[1])
        for (name, at), (_, stop) in itertools.pairwise(order):
            names += [(name, *each) for each in blocks.get(name, [(i,) for i in range(stop - at)])]
        return tuple(names)

    def control(self, name: str) -> int:
        """Id of a control token, one of `CONTROLS`."""
        return self._blocks["control"] + CONTROLS.index(name)

    def clock(self, index: int) -> int:
        """Id of the clock token before frame `10 * index`."""
        return self._blocks["clock"] + index

    def time(self, tick: int) -> int:
        """Id of a time in ticks of 0.2 s."""
        return self._blocks["time"] + tick

    def side(self, name: str) -> int:
        """Id of a side."""
        return self._blocks["side"] + SIDES.index(name)

    def level(self, name: str) -> int:
        """Id of an intensity word."""
        return self._blocks["level"] + self.levels.index(name)

    def entry(self, name: str) -> int:
        """Id of a lexicon entry."""
        if name not in self._entry_index:
            raise ValueError(
                f"The language model knows no entry {name!r}; its lexicon has "
                f"{len(self.entries)} entries. Train it again on the present lexicon."
            )
        return self._blocks["entry"] + self._entry_index[name]

    def act(self, name: str, side: str) -> int:
        """Id of an entry on a side; cues use it, so that each side is a thing of its own."""
        if (name, side) not in self._act_index:
            raise ValueError(f"The language model knows no {name!r} on the side {side!r}.")
        return self._blocks["act"] + self._act_index[name, side]

    def entry_name(self, token: int) -> str | None:
        """Name of the entry that a token stands for; None for any other token."""
        index = token - self._blocks["entry"]
        return self.entries[index] if 0 <= index < len(self.entries) else None

    def is_pace(self, token: int) -> bool:
        """Whether a token of a plan tells a strength or a time, rather than what is done."""
        blocks = self._blocks
        spans = (("time", MAX_TICKS + 1), ("level", len(self.levels)))
        return any(blocks[name] <= token < blocks[name] + size for name, size in spans)

    def time_tick(self, token: int) -> int:
        """Tick of a time token."""
        return token - self._blocks["time"]

    def motion(self, codes: Sequence[int]) -> list[int]:
        """Ids of motion codes."""
        start = self.motion_start
        return [start + int(code) for code in codes]

    def line_ids(self, line: Line) -> list[int]:
        """The five tokens of a line: entry, side, level, start and stop."""
        return [
            self.entry(line.entry),
            self.side(line.side),
            self.level(line.level),
            self.time(line.start),
            self.time(line.stop),
        ]

    def plan_ids(self, lines: Sequence[Line], ticks: int) -> list[int]:
        """The plan: its control token, the duration, then the lines cut to the duration."""
        ids = [self.control("plan"), self.time(ticks)]
        for line in clip_lines(lines, ticks)[:MAX_LINES]:
            ids += self.line_ids(line)
        return ids

    def cue_ids(self, lines: Sequence[Line], index: int) -> list[int]:
        """A clock token, then what each line that shows is and how far it is."""
        ids = [self.clock(index)]
        begin = index * TICKS_PER_CLOCK
        for line in lines:
            if line.start < begin + TICKS_PER_CLOCK and line.stop > begin:
                ids += self._cue(line, begin)
        return ids

    def _cue(self, line: Line, begin: int) -> list[int]:
        since = min(max(begin - line.start, -1), _SINCE - 2) + 1
        until = min(max(line.stop - begin, 1), _UNTIL) - 1
        return [
            self.act(line.entry, line.side),
            self.level(line.level),
            self._blocks["phase"] + since * _UNTIL + until,
        ]

    def cued_motion_ids(self, codes: Sequence[int], lines: Sequence[Line]) -> list[int]:
        """Motion as it is generated: ten codes behind each clock with the cues of the plan."""
        ids: list[int] = []
        for at in range(0, len(codes), FRAMES_PER_CLOCK):
            ids += self.cue_ids(lines, at // FRAMES_PER_CLOCK)
            ids += self.motion(codes[at : at + FRAMES_PER_CLOCK])
        return ids

    def clocked_motion_ids(self, codes: Sequence[int]) -> list[int]:
        """Motion as it is read: ten codes behind each bare clock."""
        return self.cued_motion_ids(codes, ())

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote."""
        raw = json.loads(path.read_text())
        return cls(
            raw["num_text"],
            tuple(raw["entries"]),
            tuple(tuple(sides) for sides in raw["entry_sides"]),
            tuple(raw["levels"]),
            raw["num_codes"],
        )
