"""Language to motion: one prompt's plan and codes, as a coroutine that any decoder can drive.

A composer yields `Step`s: embeddings to read, after which it is sent the last hidden states,
or a code that is ready. Offline, streamed and batched generation are three drivers of the
same coroutine.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from mien.llm.decoder import Decoder
from mien.llm.grammar import PlanGrammar
from mien.llm.plan import (
    FPS,
    FRAMES_PER_CLOCK,
    FRAMES_PER_TICK,
    Line,
    clip_lines,
    shift_lines,
    stretch_lines,
    ticks_of,
    window_lines,
)
from mien.llm.sampling import Chooser, Sampling
from mien.llm.vocabulary import MAX_TICKS, Vocabulary

WINDOW = MAX_TICKS * FRAMES_PER_TICK  # frames that one context holds
CONTEXT = 50  # frames of a window that repeat the end of the one before
SEGMENT_TICKS = 60  # 12 s: a longer motion is planned in parts of at most this
MIN_TICKS = 10  # 2 s: the shortest motion that the model may choose by itself


@dataclass(frozen=True, eq=False)
class Step:
    """What a composer wants or has.

    Attributes:
        x: Embeddings to read; None where only a code is handed out.
        shadow: Embeddings that a second row reads, of the same motion without its plan.
        is_fresh: Whether to forget everything before reading.
        code: A motion code that is ready.
    """

    x: Float[Tensor, "n d"] | None = None
    shadow: Float[Tensor, "m d"] | None = None
    is_fresh: bool = False
    code: int | None = None


Steps = Generator[Step, Tensor, None]


@dataclass
class Composer:
    """Generates one motion.

    Attributes:
        decoder: Looks up embeddings and scores tokens; the driver lets it read.
        vocabulary: The ids.
        words: The prompt's projected word vectors.
        seconds: Duration; None lets the model choose.
        seed: Of every choice.
        sampling: How freely to choose.
        lines: The plan, filled when the first code comes.
        num_frames: Length of the motion, known with the plan.
    """

    decoder: Decoder
    vocabulary: Vocabulary
    words: Float[Tensor, "w d"]
    seconds: float | None
    seed: int
    sampling: Sampling = field(default_factory=Sampling)
    lines: tuple[Line, ...] = ()
    num_frames: int = 0

    def run(self) -> Steps:
        """Plan, then compose window by window."""
        yield from self._plan_all()
        chooser = Chooser(self.seed + 1, self.vocabulary.num_codes)
        codes: list[int] = []
        start = 0
        while True:
            stop = min(start + WINDOW, self.num_frames)
            yield from self._window(codes, start, stop, chooser)
            if stop == self.num_frames:
                return
            start = stop - CONTEXT

    def _plan_all(self) -> Steps:
        chooser = Chooser(self.seed, self.vocabulary.motion_start - self.vocabulary.num_text)
        if self.seconds is None:
            ticks, self.lines = yield from self._plan(None, chooser)
            self.num_frames = ticks * FRAMES_PER_TICK
            return
        self.num_frames = max(1, round(self.seconds * FPS))
        total = ticks_of(self.num_frames / FPS)
        parts = math.ceil(total / SEGMENT_TICKS)
        for part in range(parts):
            start, stop = total * part // parts, total * (part + 1) // parts
            lines = yield from self._plan_part(stop - start, chooser)
            self.lines += shift_lines(lines, start)

    def _plan_part(
        self, ticks: int, chooser: Chooser
    ) -> Generator[Step, Tensor, tuple[Line, ...]]:
        """Plan up to 12 s: what is longer than a window is planned as one window and stretched."""
        planned = min(ticks, MAX_TICKS)
        _, lines = yield from self._plan(planned, chooser)
        return clip_lines(stretch_lines(lines, ticks / planned), ticks)

    def _plan(
        self, ticks: int | None, chooser: Chooser
    ) -> Generator[Step, Tensor, tuple[int, tuple[Line, ...]]]:
        vocabulary = self.vocabulary
        grammar = PlanGrammar(vocabulary, "motion", ticks)
        opening = self._embed([vocabulary.control("plan")])
        hidden = yield Step(torch.cat([self.words, opening]), is_fresh=True)
        while not grammar.closed:
            ids = torch.tensor(grammar.allowed(MAX_TICKS, MIN_TICKS))
            pick = 0
            if len(ids) > 1:
                logits = self.decoder.logits(hidden[0], ids)
                pick = chooser.choose(
                    logits,
                    ids - vocabulary.num_text,
                    self.sampling.plan_temperature,
                    self.sampling.plan_top_p,
                )
            token = int(ids[pick])
            grammar.advance(token)
            if not grammar.closed:
                hidden = yield Step(self._embed([token]))
        return grammar.ticks or 1, tuple(grammar.lines)

    def _window(self, codes: list[int], start: int, stop: int, chooser: Chooser) -> Steps:
        """Compose the frames of one window that `codes` lacks, and append them."""
        first, last = start // FRAMES_PER_TICK, ticks_of(stop / FPS)
        lines = window_lines(self.lines, first, last)
        pending = torch.cat([self.words, self._opening(codes[start:], lines, last - first)])
        shadow = self._opening(codes[start:], (), last - first) if self.is_guided else None
        is_fresh = True
        for frame in range(len(codes), stop):
            if (frame - start) % FRAMES_PER_CLOCK == 0:
                index = (frame - start) // FRAMES_PER_CLOCK
                pending = self._with_cues(pending, lines, index)
                shadow = None if shadow is None else self._with_cues(shadow, (), index)
            hidden = yield Step(pending, shadow, is_fresh)
            code = self._choose_code(hidden, chooser)
            codes.append(code)
            yield Step(code=code)
            pending, is_fresh = self._embed([self.vocabulary.motion_start + code]), False
            shadow = None if shadow is None else pending

    @property
    def is_guided(self) -> bool:
        """Whether the motion is also read without its plan."""
        return self.sampling.guidance != 1.0

    def _opening(self, codes: list[int], lines: Sequence[Line], ticks: int) -> Tensor:
        """The plan and the motion so far of a window."""
        vocabulary = self.vocabulary
        plan = [*vocabulary.plan_ids(lines, ticks), vocabulary.control("motion")]
        return self._embed(plan + vocabulary.cued_motion_ids(codes, lines))

    def _with_cues(self, pending: Tensor, lines: Sequence[Line], index: int) -> Tensor:
        return torch.cat([pending, self._embed(self.vocabulary.cue_ids(lines, index))])

    def _choose_code(self, hidden: Tensor, chooser: Chooser) -> int:
        """Choose by the logits, moved away from those that the motion has without its plan."""
        codes = torch.arange(self.vocabulary.num_codes)
        ids = codes + self.vocabulary.motion_start
        logits = self.decoder.logits(hidden[0], ids)
        if self.is_guided:
            blind = self.decoder.logits(hidden[1], ids)
            logits = blind + self.sampling.guidance * (logits - blind)
        return chooser.choose(logits, codes, self.sampling.temperature, self.sampling.top_p)

    def _embed(self, ids: Sequence[int]) -> Float[Tensor, "n d"]:
        return self.decoder.embed(torch.tensor(list(ids), dtype=torch.long))
