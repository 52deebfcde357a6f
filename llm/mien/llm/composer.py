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
from mien.llm.orders import insist, put_in_row, unmet
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
from mien.llm.prefix import Prompt
from mien.llm.sampling import Chooser, Sampling
from mien.llm.times import place_lines
from mien.llm.vocabulary import MAX_TICKS, Vocabulary

WINDOW = MAX_TICKS * FRAMES_PER_TICK  # frames that one context holds
CONTEXT = 50  # frames of a window that repeat the end of the one before
SEGMENT_TICKS = 60  # 12 s: a longer motion is planned in parts of at most this
_SLACK_TICKS, _TAIL_TICKS = 5, 2
MIN_TICKS = 10  # 2 s: the shortest motion that the model may choose by itself
_PLAN, _MOTION = 0, 1  # whose choice, as the first number of its place
_LINE_TOKENS = 5
_LEAST_NAME = -2.0  # less likely names are held against an entry no further
_ACTION_TICKS = 7  # room for one of several named things
_LATER_NAMES = 1 / 6  # what names weigh in later lines beside the first: words tell the order


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
Planning = Generator[Step, Tensor, tuple[int, tuple[Line, ...]]]


@dataclass(frozen=True, eq=False)
class Window:
    """What one context of the model holds, before the codes.

    Attributes:
        prompt: What is asked for.
        lines: The plan, in ticks of the whole motion.
        start: Its first frame, on a tick.
        stop: The frame behind its last.
    """

    prompt: Prompt
    lines: tuple[Line, ...]
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Planner:
    """Plans what a prompt asks for.

    The noise of each choice depends on which it is and not on how many came before: a line that
    two plans share draws its side, level and times alike in both.

    Attributes:
        decoder: Looks up embeddings and scores tokens; the driver lets it read.
        vocabulary: The ids.
        sampling: How freely to choose.
        seed: Of every choice.
    """

    decoder: Decoder
    vocabulary: Vocabulary
    sampling: Sampling
    seed: int

    def plan(self, prompt: Prompt, ticks: int | None, part: int = 0) -> Planning:
        """Plan up to 8 s; give the duration, the model's own where it is None, and the lines."""
        vocabulary = self.vocabulary
        grammar = PlanGrammar(vocabulary, "motion", ticks)
        chooser = Chooser(self.seed, vocabulary.motion_start - vocabulary.num_text)
        tokens: list[int] = []
        opening = _embedded(self.decoder, [vocabulary.control("plan")])
        pending, is_fresh = torch.cat([prompt.words, opening]), True
        while not grammar.closed:
            ids = torch.tensor(grammar.allowed(MAX_TICKS, MIN_TICKS))
            if grammar.opens_line:
                ids = self._unbarred(ids, prompt, len(grammar.lines))
            elif grammar.open_entry is not None:
                ids = self._on_named_side(ids, prompt, grammar)
            pick = 0
            if len(ids) > 1:  # what has no choice is read along with what comes next
                hidden = yield Step(pending, is_fresh=is_fresh)
                pending, is_fresh = pending[:0], False
                logits = self.decoder.logits(hidden[0], ids)
                if grammar.opens_line:
                    logits = self._with_names(logits, ids, prompt, grammar.lines)
                    logits = self._without_uncalled(logits, ids, prompt, grammar, ticks is None)
                    missing = self._missing(prompt, grammar.lines)
                    logits = insist(logits, ids.tolist(), missing, grammar.close)
                pick = chooser.choose(
                    logits,
                    ids - vocabulary.num_text,
                    self._temperature(int(ids[0])),
                    self.sampling.plan_top_p,
                    (_PLAN, part, *_place(tokens)),
                )
            is_own_duration = ticks is None and not tokens
            tokens.append(int(ids[pick]))
            if is_own_duration:
                tokens[0] = self._with_slack(tokens[0], len(prompt.orders))
            grammar.advance(tokens[-1])
            if not grammar.closed:
                pending = torch.cat([pending, _embedded(self.decoder, tokens[-1:])])
        lines = put_in_row(grammar.lines, prompt.orders)
        if ticks is None:
            ticks = max(MIN_TICKS, _end(lines) + _TAIL_TICKS)
        return min(ticks, max(grammar.ticks or 1, _end(lines))), lines

    def plan_whole(self, prompt: Prompt, part: int = 0) -> Planning:
        """Plan for as long as the prompt needs: each clause by itself, where its time says."""
        if not prompt.clauses:
            return (yield from self.plan(prompt, None, part))
        placed: tuple[Line, ...] = ()
        for number, (clause, own) in enumerate(prompt.clauses):
            _, lines = yield from self.plan(own, None, part + number)
            placed += place_lines(lines, clause, _end(placed))
        return max(MIN_TICKS, _end(placed) + _TAIL_TICKS), placed

    def _unbarred(self, ids: Tensor, prompt: Prompt, line: int) -> Tensor:
        """Leave out the entries that the prompt forbids."""
        barred = prompt.bars(line)
        if barred is None:
            return ids
        return ids[~self._are_of(ids, barred)]

    def _are_of(self, ids: Tensor, entries: Tensor) -> Tensor:
        """Which ids are those of entries, given as a mask over the lexicon."""
        return torch.isin(ids, self.vocabulary.entry_start + entries.nonzero()[:, 0])

    def _missing(self, prompt: Prompt, lines: Sequence[Line]) -> list[int]:
        """Ids of the entries that the prompt names and the plan lacks, in their order."""
        return [self.vocabulary.entry(order.entry) for order in unmet(prompt.orders, lines)]

    def _on_named_side(self, ids: Tensor, prompt: Prompt, grammar: PlanGrammar) -> Tensor:
        """Keep to the side that the prompt names with the action whose side comes next."""
        for order in unmet(prompt.orders, grammar.lines):
            if grammar.open_entry == order.entry:
                if order.side is not None:
                    return ids[ids == self.vocabulary.side(order.side)]
                break
        return ids

    def _with_names(
        self, logits: Tensor, ids: Tensor, prompt: Prompt, lines: Sequence[Line]
    ) -> Tensor:
        """Move the scores of entries by what the sentence as a whole asks for.

        The best of those that are not yet planned keeps its score, so that what the model holds
        of one more line against the end stays. What is planned already has had its name, and what
        is forbidden has none.
        """
        if prompt.names is None or not self.sampling.naming:
            return logits
        vocabulary = self.vocabulary
        entries = ids - vocabulary.entry_start
        is_entry = (entries >= 0) & (entries < len(prompt.names))
        planned = [vocabulary.entry(line.entry) - vocabulary.entry_start for line in lines]
        left = prompt.names.index_fill(0, torch.tensor(planned, dtype=torch.long), -torch.inf)
        barred = prompt.bars(len(lines))
        left = left if barred is None else left.masked_fill(barred, -torch.inf)
        most = left.max().nan_to_num(neginf=0.0)  # none is left where all are planned or barred
        moves = (left - most).clamp_min(_LEAST_NAME)
        moved = moves[entries.clamp(0, len(moves) - 1)] * is_entry
        weight = self.sampling.naming * (_LATER_NAMES if lines else 1.0)
        return logits + weight * moved

    def _without_uncalled(
        self, logits: Tensor, ids: Tensor, prompt: Prompt, grammar: PlanGrammar, may_end: bool
    ) -> Tensor:
        """Where nothing but one thing or some named ones is asked for, go on with nothing else.

        What speaks for that speaks for the end, or, where a length is asked for, for doing it
        again. Plans of a small model go on by themselves: a frown gets a smile behind it, a turn
        to the left one to the right.
        """
        if prompt.uncalled is None or not (grammar.lines or prompt.orders):
            return logits
        planned = torch.tensor([self.vocabulary.entry(line.entry) for line in grammar.lines])
        goes = self._are_of(ids, prompt.uncalled) & ~torch.isin(ids, planned)
        if goes.all():
            return logits
        if may_end:
            ends = ids == grammar.close
            logits = logits.masked_fill(ends, float(logits[goes | ends].logsumexp(dim=0)))
        return logits.masked_fill(goes, -torch.inf)

    def _with_slack(self, token: int, wanted: int) -> int:
        """A little longer than the duration that comes first, so that no action lacks room.

        What is not needed is cut off behind the last action.
        """
        ticks = max(self.vocabulary.time_tick(token) + _SLACK_TICKS, wanted * _ACTION_TICKS)
        return self.vocabulary.time(min(ticks, MAX_TICKS))

    def _temperature(self, token: int) -> float:
        """How freely to choose among tokens of one's kind."""
        is_pace = self.vocabulary.is_pace(token)
        return self.sampling.pace_temperature if is_pace else self.sampling.plan_temperature

    def plan_part(
        self, prompt: Prompt, ticks: int, part: int = 0
    ) -> Generator[Step, Tensor, tuple[Line, ...]]:
        """Plan up to 12 s: what is longer than a window is planned as one window and stretched."""
        planned = min(ticks, MAX_TICKS)
        _, lines = yield from self.plan(prompt, planned, part)
        return clip_lines(stretch_lines(lines, ticks / planned), ticks)


@dataclass(frozen=True, eq=False)
class FrameWriter:
    """Composes the frames of a window.

    Attributes:
        decoder: Looks up embeddings and scores tokens; the driver lets it read.
        vocabulary: The ids.
        sampling: How freely to choose.
        seed: Of every choice.
        take: Which of several motions of a plan; all draw their own noise.
    """

    decoder: Decoder
    vocabulary: Vocabulary
    sampling: Sampling
    seed: int
    take: int = 0

    def write(self, window: Window, codes: list[int], stop: int) -> Steps:
        """Compose what `codes`, which begin with the window, lack up to a frame; append them."""
        start = window.start
        first, last = start // FRAMES_PER_TICK, ticks_of(window.stop / FPS)
        lines = window_lines(window.lines, first, last)
        chooser = Chooser(self.seed, self.vocabulary.num_codes)
        pending = torch.cat([window.prompt.words, self._opening(codes, lines, last - first)])
        is_fresh = True
        shadow = self._opening(codes, (), last - first) if self.sampling.is_guided else None
        for frame in range(start + len(codes), stop):
            if (frame - start) % FRAMES_PER_CLOCK == 0:
                index = (frame - start) // FRAMES_PER_CLOCK
                pending = self._with_cues(pending, lines, index)
                shadow = None if shadow is None else self._with_cues(shadow, (), index)
            hidden = yield Step(pending, shadow, is_fresh)
            code = self._choose_code(hidden, window.prompt.barred_codes, chooser, frame)
            codes.append(code)
            yield Step(code=code)
            pending, is_fresh = self._embed([self.vocabulary.motion_start + code]), False
            shadow = None if shadow is None else pending

    def _opening(self, codes: Sequence[int], lines: Sequence[Line], ticks: int) -> Tensor:
        """The plan and the motion so far of a window."""
        vocabulary = self.vocabulary
        plan = [*vocabulary.plan_ids(lines, ticks), vocabulary.control("motion")]
        return self._embed(plan + vocabulary.cued_motion_ids(codes, lines))

    def _with_cues(self, pending: Tensor, lines: Sequence[Line], index: int) -> Tensor:
        return torch.cat([pending, self._embed(self.vocabulary.cue_ids(lines, index))])

    def _choose_code(
        self, hidden: Tensor, barred: Tensor | None, chooser: Chooser, frame: int
    ) -> int:
        """Choose by the logits, moved away from those that the motion has without its plan."""
        codes = torch.arange(self.vocabulary.num_codes)
        ids = codes + self.vocabulary.motion_start
        logits = self.decoder.logits(hidden[0], ids)
        if self.sampling.is_guided:
            blind = self.decoder.logits(hidden[1], ids)
            logits = blind + self.sampling.guidance * (logits - blind)
        if barred is not None:
            logits = logits.masked_fill(barred, -torch.inf)
        temperature, top_p = self.sampling.temperature, self.sampling.top_p
        place = (_MOTION, frame, self.take) if self.take else (_MOTION, frame)
        return chooser.choose(logits, codes, temperature, top_p, place)

    def _embed(self, ids: Sequence[int]) -> Float[Tensor, "n d"]:
        return _embedded(self.decoder, ids)


@dataclass
class Composer:
    """Generates one motion.

    Attributes:
        decoder: Looks up embeddings and scores tokens; the driver lets it read.
        vocabulary: The ids.
        prompt: What is asked for.
        seconds: Duration; None lets the model choose.
        seed: Of every choice.
        sampling: How freely to choose.
        lines: The plan, filled when the first code comes.
        num_frames: Length of the motion, known with the plan.
    """

    decoder: Decoder
    vocabulary: Vocabulary
    prompt: Prompt
    seconds: float | None
    seed: int
    sampling: Sampling = field(default_factory=Sampling)
    lines: tuple[Line, ...] = ()
    num_frames: int = 0

    def run(self) -> Steps:
        """Plan, then compose."""
        yield from self.plan()
        yield from self.compose()

    def compose(self, take: int = 0) -> Steps:
        """Compose what is planned, window by window; each take is another motion."""
        writer = FrameWriter(self.decoder, self.vocabulary, self.sampling, self.seed, take)
        codes: list[int] = []
        start = 0
        while True:
            stop = min(start + WINDOW, self.num_frames)
            yield from writer.write(Window(self.prompt, self.lines, start, stop), codes, stop)
            if stop == self.num_frames:
                return
            start, codes = stop - CONTEXT, codes[-CONTEXT:]

    def plan(self) -> Steps:
        """Fill `lines` and `num_frames`."""
        planner = Planner(self.decoder, self.vocabulary, self.sampling, self.seed)
        if self.seconds is None:
            ticks, self.lines = yield from planner.plan_whole(self.prompt)
            self.num_frames = ticks * FRAMES_PER_TICK
            return
        self.num_frames = _frames(self.seconds)
        total = ticks_of(self.num_frames / FPS)
        if self.prompt.clauses:
            _, lines = yield from planner.plan_whole(self.prompt)
            self.lines = clip_lines(lines, total)
            return
        parts = math.ceil(total / SEGMENT_TICKS)
        for part in range(parts):
            start, stop = total * part // parts, total * (part + 1) // parts
            lines = yield from planner.plan_part(self.prompt, stop - start, part)
            self.lines += shift_lines(lines, start)


def _end(lines: Sequence[Line]) -> int:
    """The tick behind the last action."""
    return max((line.stop for line in lines), default=0)


def _frames(seconds: float) -> int:
    return max(1, round(seconds * FPS))


def _embedded(decoder: Decoder, ids: Sequence[int]) -> Float[Tensor, "n d"]:
    return decoder.embed(torch.tensor(list(ids), dtype=torch.long))


def _place(tokens: Sequence[int]) -> tuple[int, ...]:
    """Which choice of a plan comes behind these tokens.

    The duration is by itself; an entry (or the end) goes by the number of its line, all else of a
    line by its entry and how often that came before.
    """
    if not tokens:
        return (0,)
    line, step = divmod(len(tokens) - 1, _LINE_TOKENS)
    if step == 0:
        return 1, line
    entries = tokens[1::_LINE_TOKENS]
    return 2, entries[line], entries[:line].count(entries[line]), step
