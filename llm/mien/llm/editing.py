"""Changing part of a motion: an interval drawn anew, and how far a change of words reaches."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mien.llm.composer import CONTEXT, WINDOW, FrameWriter, Planner, Steps, Window
from mien.llm.decoder import Decoder
from mien.llm.drive import run_batch, run_steps
from mien.llm.plan import (
    FPS,
    FRAMES_PER_CLOCK,
    FRAMES_PER_TICK,
    Line,
    clip_lines,
    format_lines,
    parse_lines,
    shift_lines,
    ticks_of,
)
from mien.llm.prefix import Prompt
from mien.llm.sampling import Sampling
from mien.llm.vocabulary import Vocabulary

if TYPE_CHECKING:
    from mien.llm.model import MotionLanguageModel

Misfit = Callable[[Sequence[int], int], float]
MAX_CANDIDATES = 32


def frames_between(between: tuple[float, float], num_frames: int) -> tuple[int, int]:
    """The frames of an interval in seconds: the first, and the one behind the last.

    Raises:
        ValueError: If the interval is reversed, shorter than a frame or not inside the motion.

    Example:
        >>> frames_between((1.0, 2.5), 100)
        (25, 62)
    """
    start_s, stop_s = between
    whole = num_frames / FPS
    if not (0 <= start_s < stop_s <= whole + 0.5 / FPS):  # NaN fails too
        raise ValueError(
            f"`between` must be two times in order from 0 to {whole:.2f} s, where the clip ends, "
            f"got {start_s:g} and {stop_s:g}."
        )
    start, stop = round(start_s * FPS), min(round(stop_s * FPS), num_frames)
    if start >= stop:
        raise ValueError(
            f"`between` must hold at least one frame of {1 / FPS:g} s, "
            f"got {start_s:g} and {stop_s:g}."
        )
    return start, stop


def _ticks_between(start: int, stop: int) -> tuple[int, int]:
    """The ticks that cover frames."""
    return start // FRAMES_PER_TICK, math.ceil(stop / FRAMES_PER_TICK)


def _frames_around(start: int, stop: int, num_frames: int) -> tuple[int, int]:
    """What of a long motion matters to an interval: a window on each side, on the clock."""
    low = max(0, start - WINDOW) // FRAMES_PER_CLOCK * FRAMES_PER_CLOCK
    return low, min(stop + WINDOW, num_frames)


def replace_lines(
    lines: Sequence[Line], inside: Sequence[Line], start: int, stop: int
) -> tuple[Line, ...]:
    """Put other lines between two ticks; a line that reaches in is cut, in two if need be.

    Args:
        lines: The plan.
        inside: The new lines, in ticks from `start`.
        start: First tick.
        stop: The tick behind the last.
    """
    before = (replace(x, stop=min(x.stop, start)) for x in lines if x.start < start)
    after = (replace(x, start=max(x.start, stop)) for x in lines if x.stop > stop)
    return tuple(sorted([*before, *shift_lines(inside, start), *after]))


@dataclass(frozen=True, eq=False)
class Infill:
    """Composes an interval of a motion whose other codes are kept.

    All that stands before is context, exactly, as far as a window reaches. What stands behind
    shows in the window's plan only: the model reads from left to right.

    Attributes:
        writer: Composes the frames.
        prompt: What is asked for; one without words where the plan says everything.
        lines: The plan of the whole motion.
        codes: The motion as it was.
        start: First frame to compose.
        stop: The frame behind the last.
    """

    writer: FrameWriter
    prompt: Prompt
    lines: tuple[Line, ...]
    codes: tuple[int, ...]
    start: int
    stop: int

    def run(self) -> Steps:
        """Compose, window by window where the interval is long."""
        codes = list(self.codes[: self.start])
        while len(codes) < self.stop:
            window = self._window(len(codes))
            shown = codes[window.start :]
            kept = len(shown)
            yield from self.writer.write(window, shown, min(window.stop, self.stop))
            codes += shown[kept:]

    def _window(self, done: int) -> Window:
        """The whole motion where it fits, else from two seconds before what is to come."""
        last = max(0, ticks_of(len(self.codes) / FPS) * FRAMES_PER_TICK - WINDOW)
        start = max(0, min((done - CONTEXT) // FRAMES_PER_TICK * FRAMES_PER_TICK, last))
        return Window(self.prompt, self.lines, start, min(start + WINDOW, len(self.codes)))


@dataclass(frozen=True, eq=False)
class Edit:
    """A motion of which an interval is new.

    Attributes:
        indices: All codes, 25 a second; those outside of the interval are the old ones.
        score: The plan of the interval, its times in seconds since the motion's start.
        misfits: How ill each candidate leads to the kept codes behind it, where that was measured.
            The one of the least was taken.
    """

    indices: Int[Tensor, " t"]
    score: str
    misfits: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Editor:
    """Draws intervals of motions anew.

    Attributes:
        decoder: Its memory is used up.
        vocabulary: The ids.
        sampling: How freely to choose.
        seed: Of the plan; candidate i composes by `seed + i`.
        candidates: How many to draw at once, of which the best is taken.
        misfit: How ill codes go on at a frame; None takes the first candidate.
    """

    decoder: Decoder
    vocabulary: Vocabulary
    sampling: Sampling
    seed: int
    candidates: int
    misfit: Misfit | None

    def __post_init__(self) -> None:
        if not 1 <= self.candidates <= MAX_CANDIDATES:
            raise ValueError(
                f"`candidates` must be from 1 to {MAX_CANDIDATES}, got {self.candidates}."
            )

    def redraw(
        self,
        codes: Sequence[int],
        interval: tuple[int, int],
        prompt: Prompt | None,
        read: Callable[[int, int], tuple[Line, ...]],
    ) -> Edit:
        """Draw an interval anew.

        Args:
            codes: The motion.
            interval: First frame, and the one behind the last.
            prompt: Of the interval; None keeps the motion's own plan.
            read: Gives the motion's plan between two frames, in ticks from the first of them.
        """
        low, high = _frames_around(*interval, len(codes))
        start, stop = interval[0] - low, interval[1] - low
        lines = read(low, high)
        if prompt is None:
            prompt = Prompt(self.decoder.embed(torch.zeros(0, dtype=torch.long)))
        else:
            lines = self._plan(lines, prompt, start, stop)
        drawn = [
            [*codes[: interval[0]], *found, *codes[interval[1] :]]
            for found in self._compose(codes[low:high], lines, prompt, start, stop)
        ]
        misfits: tuple[float, ...] = ()
        if len(drawn) > 1 and self.misfit is not None:
            misfits = tuple(self.misfit(each, interval[1]) for each in drawn)
        best = drawn[misfits.index(min(misfits))] if misfits else drawn[0]
        first, last = _ticks_between(start, stop)
        inside = clip_lines(shift_lines(lines, -first), last - first)
        score = format_lines(shift_lines(inside, first + low // FRAMES_PER_TICK))
        return Edit(torch.tensor(best), score, misfits)

    def _plan(
        self, lines: Sequence[Line], prompt: Prompt, start: int, stop: int
    ) -> tuple[Line, ...]:
        """Plan frames by a prompt and put that into the plan of the whole."""
        first, last = _ticks_between(start, stop)
        planner = Planner(self.decoder, self.vocabulary, self.sampling, self.seed)
        _, inside = run_steps(self.decoder, planner.plan_part(prompt, last - first))
        return replace_lines(lines, inside, first, last)

    def _compose(
        self,
        codes: Sequence[int],
        lines: tuple[Line, ...],
        prompt: Prompt,
        start: int,
        stop: int,
    ) -> list[list[int]]:
        """Draw candidates for frames."""
        has_end = stop < len(codes) and self.misfit is not None
        count = self.candidates if has_end else 1
        jobs = [
            Infill(self._writer(i), prompt, lines, tuple(codes), start, stop).run()
            for i in range(count)
        ]
        return [codes for codes, _ in run_batch(self.decoder, jobs, self.sampling.rows)]

    def _writer(self, candidate: int) -> FrameWriter:
        return FrameWriter(self.decoder, self.vocabulary, self.sampling, self.seed + candidate)


@dataclass(frozen=True)
class Locality:
    """How much of a motion stays when a word of its text changes.

    Attributes:
        kept: Share of equal codes outside of the changed lines, NaN where there is no outside.
        control: The same share between two seeds of the unchanged text.
        frames: How many codes are outside.
        before: The plan of the unchanged text.
        after: The plan of the changed text.
    """

    kept: float
    control: float
    frames: int
    before: str
    after: str


def changed_frames(
    before: Sequence[Line], after: Sequence[Line], num_frames: int
) -> Bool[Tensor, " t"]:
    """The frames during a line that only one of two plans has.

    Example:
        >>> lines = [Line(0, 2, "nod", "both", "mid")]
        >>> changed_frames(lines, [], 12).sum().item()
        10
    """
    changed = torch.zeros(num_frames, dtype=torch.bool)
    for line in set(before) ^ set(after):
        changed[line.start * FRAMES_PER_TICK : line.stop * FRAMES_PER_TICK] = True
    return changed


def share_equal(
    first: Int[Tensor, " t"], second: Int[Tensor, " t"], where: Bool[Tensor, " t"]
) -> float:
    """Share of equal codes among some frames, NaN where there are none."""
    return float((first == second)[where].float().mean())


def measure_locality(
    model: "MotionLanguageModel",
    before: str,
    after: str,
    seconds: float,
    seed: int = 0,
    guidance: float = 2.0,
) -> Locality:
    """Generate two texts by one seed, and the first by the next seed; compare their codes.

    Args:
        model: Generates.
        before: A text.
        after: The same with a word changed.
        seconds: Duration of all.
        seed: Of both texts; the control takes the next.
        guidance: See `generate_motion`.
    """
    (old, codes), (new, changed), (_, other) = (
        model.generate_motion([text], seconds, seed=number, guidance=guidance)[0]
        for text, number in ((before, seed), (after, seed), (before, seed + 1))
    )
    outside = ~changed_frames(parse_lines(old), parse_lines(new), len(codes))
    kept, control = (share_equal(codes, found, outside) for found in (changed, other))
    return Locality(kept, control, int(outside.sum()), old, new)
