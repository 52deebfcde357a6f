"""How surely a plan can be read in a motion, by the model's own reading direction."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mien.llm.composer import Step
from mien.llm.decoder import Decoder
from mien.llm.drive import run_all
from mien.llm.grammar import PlanGrammar
from mien.llm.plan import FPS, FRAMES_PER_TICK, Line, ticks_of, window_lines
from mien.llm.reader import split_frames
from mien.llm.sequences import SequenceWriter
from mien.llm.vocabulary import MAX_TICKS, Vocabulary

_LEAST = -12.0  # the mark of what the reader could not have said at all


@dataclass(frozen=True, eq=False)
class Critic:
    """Marks motions by the plans that they should show.

    Attributes:
        decoder: Looks up embeddings and scores tokens; the driver lets it read.
        vocabulary: The ids.
        instruction: What the model is asked, as ids of text.
    """

    decoder: Decoder
    vocabulary: Vocabulary
    instruction: Sequence[int]

    def judge(self, codes: Sequence[int], lines: Sequence[Line]) -> Generator[Step, Tensor, float]:
        """The logarithm of the plan's probability behind the motion, window by window."""
        mark = 0.0
        for start, stop in split_frames(len(codes)):
            first, last = start // FRAMES_PER_TICK, ticks_of(stop / FPS)
            shown = window_lines(lines, first, last)
            mark += yield from self._judge_window(codes[start:stop], shown)
        return mark

    def _judge_window(
        self, codes: Sequence[int], lines: Sequence[Line]
    ) -> Generator[Step, Tensor, float]:
        vocabulary = self.vocabulary
        ticks = min(ticks_of(len(codes) / FPS), MAX_TICKS)
        grammar = PlanGrammar(vocabulary, "caption", ticks, min_lines=0)
        opening, *plan = vocabulary.plan_ids(lines, ticks)
        pending = [*SequenceWriter(vocabulary).describe_ids(self.instruction, codes), opening]
        mark, is_fresh = 0.0, True
        for token in [*plan, vocabulary.control("caption")]:
            ids = torch.tensor(grammar.allowed(MAX_TICKS))
            if len(ids) > 1:
                hidden = yield Step(self.decoder.embed(torch.tensor(pending)), is_fresh=is_fresh)
                pending, is_fresh = [], False
                chances = self.decoder.logits(hidden[0], ids).log_softmax(dim=-1)
                at = (ids == token).nonzero()
                mark += float(chances[at[0, 0]]) if len(at) else _LEAST
            pending.append(token)
            grammar.advance(token)
        return mark


def keep_best(
    critic: Critic, takes: Sequence[list[int]], plans: Sequence[Sequence[Line]], batch: int
) -> list[list[int]]:
    """Of the takes of each plan, as many of each, keep the one with the highest mark.

    Args:
        critic: Marks them.
        takes: Motion codes, the takes of a plan in a row.
        plans: One for all takes of it.
        batch: How many to mark together.
    """
    each = len(takes) // len(plans)
    views = [critic.judge(take, plans[i // each]) for i, take in enumerate(takes)]
    marks = [float(mark) for _, mark in run_all(critic.decoder, views, batch)]
    best = []
    for at in range(0, len(takes), each):
        own = marks[at : at + each]
        best.append(takes[at + own.index(max(own))])
    return best
