"""Motion to language: the plan read from codes, then a caption, as coroutines."""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from mien.llm.composer import WINDOW, Step
from mien.llm.decoder import Decoder
from mien.llm.grammar import PlanGrammar
from mien.llm.levels import measured
from mien.llm.plan import (
    FPS,
    FRAMES_PER_CLOCK,
    FRAMES_PER_TICK,
    Line,
    clip_lines,
    shift_lines,
    stretch_lines,
    ticks_of,
)
from mien.llm.sequences import SequenceWriter
from mien.llm.text_codec import TextCodec
from mien.llm.vocabulary import MAX_TICKS, Vocabulary

MAX_PIECE_TOKENS = 32
MAX_CAPTION_LINES = 6
JOIN_TICKS = 2
BRIEF = 2 * FRAMES_PER_TICK  # frames; no action of a performance is shorter
HELD = 5 * FRAMES_PER_TICK  # frames of the shortest motion that the model has learned from


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads motions of any length.

    Attributes:
        decoder: Looks up embeddings and scores tokens; the driver lets it read.
        vocabulary: The ids.
        codec: Ids of text.
        instruction: What the model is asked, as text.
    """

    decoder: Decoder
    vocabulary: Vocabulary
    codec: TextCodec
    instruction: str

    def run(
        self, codes: Sequence[int], curves: Float[ndarray, "t 61"] | None = None
    ) -> Generator[Step, Tensor, tuple[tuple[Line, ...], str]]:
        """Read one motion; what does not fit is read window by window, with one caption.

        A motion too short for any action is read as if its last frame were held. Something is
        seen in each motion that is read at once: a caption without a plan would be made up.

        Args:
            codes: The motion, 25 a second.
            curves: The motion itself, as many frames: how strong each action is, is measured on
                it; None leaves that to the model, too.

        Returns:
            The lines of the plan, in ticks of the whole motion, and the caption.
        """
        if len(codes) < BRIEF:
            held = list(codes) + list(codes[-1:]) * (HELD - len(codes))
            lines = yield from self._read_plan(held, 1, is_held=True)
            caption = yield from self._read_caption(lines)
            return pull_lines(lines, ticks_of(len(codes) / FPS)), caption
        pieces = split_frames(len(codes))
        if len(pieces) == 1:
            lines = yield from self._read_plan(codes, 1)
            lines = lines if curves is None else measured(lines, curves)
            return lines, (yield from self._read_caption(lines))
        found: tuple[Line, ...] = ()
        for start, stop in pieces:
            lines = yield from self._read_plan(codes[start:stop], 0)
            found += shift_lines(lines, start // FRAMES_PER_TICK)
        merged = join_lines(found)
        merged = merged if curves is None else measured(merged, curves)
        caption = yield from self._caption_of(merged, ticks_of(len(codes) / FPS))
        return merged, caption

    def _read_plan(
        self, codes: Sequence[int], min_lines: int, is_held: bool = False
    ) -> Generator[Step, Tensor, tuple[Line, ...]]:
        vocabulary = self.vocabulary
        ticks = min(ticks_of(len(codes) / FPS), MAX_TICKS)
        grammar = PlanGrammar(vocabulary, "caption", ticks, min_lines)
        given = SequenceWriter(vocabulary).describe_ids(self.codec.encode(self.instruction), codes)
        pending, is_fresh = [*given, vocabulary.control("plan")], True
        while not grammar.closed:
            ids = torch.tensor(untold(grammar) if is_held else grammar.allowed(MAX_TICKS))
            pick = 0
            if len(ids) > 1:  # what has no choice is read along with what comes next
                hidden = yield Step(self._embed(pending), is_fresh=is_fresh)
                pending, is_fresh = [], False
                pick = self._pick(hidden[0], ids, grammar.is_ordered)
            pending.append(int(ids[pick]))
            grammar.advance(pending[-1])
        if pending[:-1]:
            yield Step(self._embed(pending[:-1]), is_fresh=is_fresh)
        return tuple(grammar.lines)

    def _pick(self, hidden: Float[Tensor, " d"], ids: Tensor, is_ordered: bool) -> int:
        """The likeliest id; on a scale the middle one, which errs least."""
        logits = self.decoder.logits(hidden, ids)
        return middle(logits) if is_ordered else int(logits.argmax())

    def _read_caption(self, lines: Sequence[Line]) -> Generator[Step, Tensor, str]:
        """Tell each line of the plan once, in order; the words and their ends are the model's."""
        end = self.vocabulary.control("end")
        marks = [self.vocabulary.line_ids(line)[:3] for line in lines]
        stops = [row[0] for row in marks[1:]] + [end]
        caption: list[int] = []
        opening = [self.vocabulary.control("caption")]
        for i, stop in enumerate(stops):
            hidden = yield Step(self._embed(opening + (marks[i] if marks else [])))
            opening = []
            caption += yield from self._read_piece(hidden, stop)
        return self.codec.decode(caption)

    def _read_piece(
        self, hidden: Float[Tensor, "r d"], stop: int
    ) -> Generator[Step, Tensor, list[int]]:
        ids = torch.tensor([*range(self.codec.size), stop])
        is_last, piece = stop == self.vocabulary.control("end"), list[int]()
        while len(piece) < MAX_PIECE_TOKENS:
            token = int(ids[int(self.decoder.logits(hidden[0], ids).argmax())])
            if token == stop:
                break
            ends = self._ends_sentence(piece, token)
            if not ends or is_last:
                piece.append(token)
            if ends:
                break
            hidden = yield Step(self._embed([token]))
        return piece

    def _ends_sentence(self, piece: Sequence[int], token: int) -> bool:
        """Whether a full stop comes behind words; a piece may begin with one."""
        is_stop = self.codec.decode([token]).strip() == "."
        return is_stop and any(c.isalpha() for c in self.codec.decode(piece))

    def _caption_of(self, lines: Sequence[Line], ticks: int) -> Generator[Step, Tensor, str]:
        """Caption the longest lines of a long motion as if it were as long as a window."""
        kept = sorted(lines, key=lambda x: x.start - x.stop)[:MAX_CAPTION_LINES]
        shrunk = clip_lines(stretch_lines(kept, min(1.0, MAX_TICKS / ticks)), MAX_TICKS)
        vocabulary = self.vocabulary
        given = SequenceWriter(vocabulary).describe_ids(self.codec.encode(self.instruction), ())
        plan = vocabulary.plan_ids(shrunk, min(ticks, MAX_TICKS))
        yield Step(self._embed([*given, *plan]), is_fresh=True)
        return (yield from self._read_caption(shrunk))

    def _embed(self, ids: Sequence[int]) -> Float[Tensor, "n d"]:
        return self.decoder.embed(torch.tensor(list(ids), dtype=torch.long))


def middle(logits: Float[Tensor, " n"]) -> int:
    """Where half of a distribution over a scale lies behind.

    Example:
        >>> middle(torch.tensor([0.4, 0.25, 0.35]).log())
        1
    """
    return int((logits.float().softmax(0).cumsum(0) < 0.5).sum())


def split_frames(num_frames: int) -> list[tuple[int, int]]:
    """Cut a motion into about equal windows of at most 8 s, on the clock.

    Example:
        >>> split_frames(450)
        [(0, 150), (150, 300), (300, 450)]
    """
    count = math.ceil(num_frames / WINDOW)
    clocks = math.ceil(num_frames / FRAMES_PER_CLOCK)
    cuts = [clocks * i // count * FRAMES_PER_CLOCK for i in range(count)] + [num_frames]
    return list(zip(cuts, cuts[1:], strict=False))


def pull_lines(lines: Sequence[Line], ticks: int) -> tuple[Line, ...]:
    """Pull lines that were seen in a held motion into the `ticks` that there are; none is lost.

    Example:
        >>> pull_lines([Line(0, 5, "nod", "both", "mid"), Line(3, 5, "smile", "both", "mid")], 2)
        (Line(start=0, stop=2, entry='nod', side='both', level='mid'), \
Line(start=1, stop=2, entry='smile', side='both', level='mid'))
    """
    return tuple(
        sorted(
            Line(min(x.start, ticks - 1), min(x.stop, ticks), x.entry, x.side, x.level)
            for x in lines
        )
    )


def untold(grammar: PlanGrammar) -> list[int]:
    """The ids that may come next in a plan that has each action once."""
    ids = grammar.allowed(MAX_TICKS)
    if not grammar.opens_line:
        return ids
    told = {grammar.vocabulary.entry(line.entry) for line in grammar.lines}
    return [token for token in ids if token not in told]


def join_lines(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Join lines that a cut between windows has parted; the longer part gives the level."""
    out: list[Line] = []
    for line in sorted(lines):
        same = [
            i
            for i, x in enumerate(out)
            if (x.entry, x.side) == (line.entry, line.side) and line.start - x.stop <= JOIN_TICKS
        ]
        if not same:
            out.append(line)
            continue
        old = out[same[-1]]
        longer = max(old, line, key=lambda x: x.stop - x.start)
        stop = max(old.stop, line.stop)
        out[same[-1]] = Line(old.start, stop, old.entry, old.side, longer.level)
    return tuple(sorted(out))
