"""The four kinds of training sequence, and batches of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.llm.plan import TICKS_PER_CLOCK, Line, clip_lines
from mien.llm.vocabulary import MAX_LINES, Vocabulary

Task = Literal["text_to_plan", "text_to_motion", "motion_to_text", "plan_to_text"]
TASKS: tuple[Task, ...] = get_args(Task)
DURATION_WEIGHT = 0.2
HINT_WEIGHT = 1.0
# Of a line's entry, side, level, start and stop: prompts leave strength and times open.
ASKED_WEIGHTS = (2.0, 1.0, 0.5, 0.5, 0.5)
SHOWN_WEIGHTS = (1.5, 1.0, 2.0, 1.0, 1.0)
CAPTION_WEIGHT = 0.3  # behind a motion; behind a given plan it is all there is to learn
CODE_WEIGHT = 0.3  # ten times as many as plan tokens, which decide more


@dataclass(frozen=True, eq=False)
class Example:
    """One sequence.

    Attributes:
        ids: Tokens; `word` stands where a word vector goes.
        weights: Weight of each token's own loss; 0 for what is given.
        words: The word vectors in order, one for each `word` token.
        hints: Other things to learn at a place than the token that stands there; see
            `SequenceWriter.hints`.
    """

    ids: list[int]
    weights: list[float]
    words: Float[Tensor, "w f"] | None = None
    hints: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Batch:
    """Sequences padded on the right; a causal model needs no mask for that.

    Attributes:
        input_ids: Tokens.
        labels: The same shifted by one, -100 where no loss falls.
        weights: Weight of each label.
        words: Word vectors of all rows, in the order of the `word` tokens.
        static_gain: One a word vector: how much of its static half shows.
    """

    input_ids: Int[Tensor, "b t"]
    labels: Int[Tensor, "b t"]
    weights: Float[Tensor, "b t"]
    words: Float[Tensor, "n f"]
    static_gain: Float[Tensor, " n"]

    @property
    def num_positions(self) -> int:
        """Positions read, with padding."""
        return self.input_ids.numel()


class SequenceWriter:
    """Writes examples of each task.

    Args:
        vocabulary: The ids.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def text_to_plan(
        self, words: Float[Tensor, "w f"], lines: Sequence[Line], ticks: int
    ) -> Example:
        """Words, then the plan."""
        ids, weights = self._prefixed(words)
        plan, plan_weights = self._plan(lines, ticks, "motion", DURATION_WEIGHT, ASKED_WEIGHTS)
        return Example(ids + plan, weights + plan_weights, words)

    def text_to_motion(
        self,
        words: Float[Tensor, "w f"] | None,
        lines: Sequence[Line],
        ticks: int,
        codes: Sequence[int],
    ) -> Example:
        """Words (or none), the plan, then the motion; without words only the motion is learned."""
        example = (
            self.text_to_plan(words, lines, ticks)
            if words is not None
            else self._given_plan(lines, ticks)
        )
        motion = self.vocabulary.cued_motion_ids(codes, lines)
        start = self.vocabulary.motion_start
        weights = [CODE_WEIGHT if token >= start else 0.0 for token in motion]
        return Example(example.ids + motion, example.weights + weights, words)

    def motion_to_text(
        self,
        instruction: Sequence[int],
        codes: Sequence[int],
        lines: Sequence[Line],
        ticks: int,
        caption: Sequence[Sequence[int]],
    ) -> Example:
        """An instruction, motion, its plan, then the caption, one piece a line."""
        given = self.describe_ids(instruction, codes)
        example = self._captioned(given, lines, ticks, caption, learns_plan=True)
        hints = self.hints(example.ids, lines)
        weights = list(example.weights)
        for at in hints:
            weights[at] = HINT_WEIGHT
        return replace(example, weights=weights, hints=hints)

    def hints(self, ids: Sequence[int], lines: Sequence[Line]) -> dict[int, int]:
        """For each place behind ten frames of motion, an entry that just showed.

        A clock stands there that nobody needs to predict. Predicting the entry instead teaches
        what codes mean many times a clip; generation forces the clock and never sees the
        difference.
        """
        vocabulary = self.vocabulary
        found, index = {}, 0
        for at in range(1, len(ids)):
            if ids[at - 1] >= vocabulary.motion_start > ids[at]:
                begin = index * TICKS_PER_CLOCK
                shown = [x for x in lines if x.start < begin + TICKS_PER_CLOCK and x.stop > begin]
                if shown:
                    found[at] = vocabulary.entry(shown[index % len(shown)].entry)
                index += 1
        return found

    def plan_to_text(
        self,
        instruction: Sequence[int],
        lines: Sequence[Line],
        ticks: int,
        caption: Sequence[Sequence[int]],
    ) -> Example:
        """An instruction, a given plan, then the caption."""
        given = self.describe_ids(instruction, ())
        return self._captioned(given, lines, ticks, caption, learns_plan=False)

    def describe_ids(self, instruction: Sequence[int], codes: Sequence[int]) -> list[int]:
        """What is given when a motion is to be described."""
        vocabulary = self.vocabulary
        control = [vocabulary.control("describe")]
        return [*instruction, *control, *vocabulary.clocked_motion_ids(codes)]

    def _captioned(
        self,
        given: list[int],
        lines: Sequence[Line],
        ticks: int,
        caption: Sequence[Sequence[int]],
        learns_plan: bool,
    ) -> Example:
        plan, plan_weights = self._plan(lines, ticks, "caption", 0.0, SHOWN_WEIGHTS)
        if not learns_plan:
            plan_weights = [0.0] * len(plan)
        ids, weights = given + plan, [0.0] * len(given) + plan_weights
        weight = CAPTION_WEIGHT if learns_plan else 1.0
        told = clip_lines(lines, ticks)[:MAX_LINES]
        for i, piece in enumerate(caption):
            marks = self.vocabulary.line_ids(told[i])[:3] if told else []
            ids += [*marks, *piece]
            weights += [weight if i else 0.0, 0.0, 0.0][: len(marks)] + [weight] * len(piece)
        return Example([*ids, self.vocabulary.control("end")], [*weights, weight])

    def _prefixed(self, words: Tensor) -> tuple[list[int], list[float]]:
        return [self.vocabulary.control("word")] * len(words), [0.0] * len(words)

    def _plan(
        self,
        lines: Sequence[Line],
        ticks: int,
        close: str,
        duration_weight: float,
        line_weights: tuple[float, ...],
    ) -> tuple[list[int], list[float]]:
        ids = [*self.vocabulary.plan_ids(lines, ticks), self.vocabulary.control(close)]
        num_lines = (len(ids) - 3) // len(line_weights)
        return ids, [0.0, duration_weight, *line_weights * num_lines, 1.0]

    def _given_plan(self, lines: Sequence[Line], ticks: int) -> Example:
        ids = [*self.vocabulary.plan_ids(lines, ticks), self.vocabulary.control("motion")]
        return Example(ids, [0.0] * len(ids))


def collate(
    examples: Sequence[Example],
    pad: int,
    word_width: int,
    static_gain: Sequence[float] | None = None,
) -> Batch:
    """Pad examples on the right and shift their labels.

    Args:
        examples: The rows.
        pad: Id to pad with; it never has a label.
        word_width: Width of word vectors, for batches without any.
        static_gain: One an example, all ones if None.
    """
    longest = max(len(example.ids) for example in examples)
    input_ids = torch.full((len(examples), longest), pad)
    labels = torch.full((len(examples), longest), -100)
    weights = torch.zeros(len(examples), longest)
    for row, example in enumerate(examples):
        length = len(example.ids)
        ids, own = torch.tensor(example.ids), torch.tensor(example.weights)
        input_ids[row, :length] = ids
        targets = ids.clone()
        for at, hint in example.hints.items():
            targets[at] = hint
        labels[row, : length - 1] = torch.where(own[1:] > 0, targets[1:], -100)
        weights[row, : length - 1] = own[1:]
    words, gains = _stack_words(examples, word_width, static_gain)
    return Batch(input_ids, labels, weights, words, gains)


def _stack_words(
    examples: Sequence[Example], width: int, static_gain: Sequence[float] | None
) -> tuple[Tensor, Tensor]:
    gains = static_gain if static_gain is not None else [1.0] * len(examples)
    words, each = [torch.zeros(0, width)], [torch.zeros(0)]
    for example, gain in zip(examples, gains, strict=True):
        if example.words is not None:
            words.append(example.words.float())
            each.append(torch.full((len(example.words),), gain))
    return torch.cat(words), torch.cat(each)
