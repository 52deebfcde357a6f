"""A motion without end whose prompt can change while it runs."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from mien.llm.composer import CONTEXT, WINDOW, FrameWriter, Planner, Steps, Window
from mien.llm.decoder import Decoder
from mien.llm.drive import stream_steps
from mien.llm.plan import (
    FRAMES_PER_CLOCK,
    FRAMES_PER_TICK,
    Line,
    format_lines,
    shift_lines,
)
from mien.llm.prefix import Prompt
from mien.llm.sampling import Sampling
from mien.llm.vocabulary import Vocabulary

IDLE = "The face is calm and blinks now and then."
RELEASE_TICKS = 2  # what shows when a new prompt takes over has ended 0.4 s later


class MotionSession:
    """Motion codes for ever, 25 a second; iterate, and say something new at any time.

    The prompt's plan comes first: up to its end the codes are those that `generate_motion` gives
    for the prompt without a duration. Then the face goes on by plans for `idle`. Each plan and
    each window begins with the last two seconds as context, so memory is bounded.

    Args:
        decoder: Its memory is used up.
        vocabulary: The ids.
        read: Makes a prompt of a text, or refuses it.
        text: What the face does first.
        idle: What it does when it has done what was said; None does the last text again.
        seed: Of every choice. The same seed and texts at the same frames give the same codes.
        sampling: How freely to choose.
    """

    def __init__(
        self,
        decoder: Decoder,
        vocabulary: Vocabulary,
        read: Callable[[str], Prompt],
        text: str,
        idle: str | None = IDLE,
        seed: int = 0,
        sampling: Sampling | None = None,
    ) -> None:
        sampling = sampling or Sampling()
        self._planner = Planner(decoder, vocabulary, sampling, seed)
        self._writer = FrameWriter(decoder, vocabulary, sampling, seed)
        self._read = read
        self._idle = idle
        self._idle_prompt: Prompt | None = None
        self._prompt = read(text)
        self._said: Prompt | None = None
        self._is_new = True  # whether what was said last is still to be planned
        self._lines: tuple[Line, ...] = ()
        self._codes: list[int] = []  # from the window's first frame on
        self._frame = self._planned = self._part = 0
        self._stream = stream_steps(decoder, self._run(), sampling.rows)

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        return next(self._stream)

    def say(self, text: str) -> None:
        """Let a new prompt take over at the next clock (frames 0, 10, 20 ...).

        It does so earlier where a plan ends before. The last frames stay as context. What shows
        is over 0.4 s later, what was still to come is dropped. Of several texts before a clock
        the last counts. Times that the text states count from when it takes over.

        Raises:
            ValueError: If the text has no words or too many; the face goes on as before.
        """
        self._said = self._read(text)

    @property
    def frame(self) -> int:
        """How many codes have come."""
        return self._frame

    @property
    def score(self) -> str:
        """The plan from the present window on, its times in seconds since the first code."""
        return format_lines(self._lines)

    def _run(self) -> Steps:
        while True:
            if self._said is not None:
                self._take_over(self._said)
            if self._frame == self._planned:
                yield from self._plan()
            self._codes = self._codes[-CONTEXT:]
            start = self._frame - len(self._codes)
            self._lines = tuple(x for x in self._lines if x.stop * FRAMES_PER_TICK > start)
            stop = min(start + WINDOW, self._planned)
            window = Window(self._prompt, self._lines, start, stop)
            yield from self._follow(self._writer.write(window, self._codes, stop))

    def _follow(self, steps: Steps) -> Steps:
        """Pass steps on until they end, or until a new prompt waits at a clock."""
        answer = None
        while True:
            try:
                step = steps.send(answer)  # type: ignore[arg-type]
            except StopIteration:
                return
            if step.code is not None:
                self._frame += 1
            answer = yield step
            is_clock = step.code is not None and self._frame % FRAMES_PER_CLOCK == 0
            if is_clock and self._said is not None:
                return

    def _take_over(self, prompt: Prompt) -> None:
        now = self._frame // FRAMES_PER_TICK
        end = now + RELEASE_TICKS
        begun = (line for line in self._lines if line.start < now)
        self._lines = tuple(replace(line, stop=min(line.stop, end)) for line in begun)
        self._prompt, self._said, self._is_new = prompt, None, True
        self._planned = self._frame

    def _plan(self) -> Steps:
        """Plan what was said, or how to go on when that is done."""
        if not self._is_new and self._idle is not None:
            if self._idle_prompt is None:
                self._idle_prompt = self._read(self._idle)
            self._prompt = self._idle_prompt
        ticks, lines = yield from self._planner.plan_whole(self._prompt, self._part)
        self._lines += shift_lines(lines, self._frame // FRAMES_PER_TICK)
        self._planned += ticks * FRAMES_PER_TICK
        self._part += max(1, len(self._prompt.clauses))
        self._is_new = False
