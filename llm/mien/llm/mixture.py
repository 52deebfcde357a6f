"""Drawing training batches, each a function of (seed, step): task, samples, variations."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.llm.captions import caption_pieces
from mien.llm.plan import FRAMES_PER_CLOCK, FRAMES_PER_TICK, Line, clip_lines, window_lines
from mien.llm.pools import ClipPool, TextPool
from mien.llm.sequences import TASKS, Batch, Example, SequenceWriter, Task, collate
from mien.llm.text_codec import TextCodec
from mien.llm.vocabulary import MAX_LINES

INSTRUCTIONS = (
    "Describe the face.",
    "What does the face do?",
    "Describe the facial motion.",
    "Say what happens in this clip.",
    "What do you see?",
    "Put this expression into words.",
    "Tell me what this person shows.",
    "Caption the motion.",
)
_MIN_CROP_CLOCKS = 5
LENGTH_GROUPS = 8
_WITH_MOTION: tuple[Task, ...] = ("text_to_motion", "motion_to_text")


@dataclass(frozen=True)
class Variation:
    """How samples are varied, so that wording generalizes and windows look like training.

    Attributes:
        word_noise: Standard deviation of noise on word vectors, of their own.
        hide_static: Share of prompts read by meaning alone, without the static half of their
            words.
        drop_word: Share of words left out.
        drop_prefix: Share of motions learned from the plan alone.
        crop: Share of motions of which only a window is seen.
    """

    word_noise: float = 0.2
    hide_static: float = 0.4
    drop_word: float = 0.03
    drop_prefix: float = 0.2
    crop: float = 0.25


@dataclass(frozen=True, eq=False)
class Mixture:
    """Draws batches of one task at a time.

    Attributes:
        writer: Writes sequences.
        codec: Ids of captions.
        texts: For the tasks without motion.
        clips: For the tasks with motion; None allows only those without.
        shares: How often each task is drawn.
        text_batch: Sequences in a batch without motion.
        clip_batch: Sequences in a batch with motion.
        word_width: Width of word vectors.
        variation: How samples are varied.
        caption: Writes what the model is to answer, one piece a line.
    """

    writer: SequenceWriter
    codec: TextCodec
    texts: TextPool
    clips: ClipPool | None
    shares: Mapping[Task, float]
    text_batch: int = 48
    clip_batch: int = 12
    word_width: int = 768
    variation: Variation = field(default_factory=Variation)
    caption: Callable[[Sequence[Line], random.Random], list[str]] = caption_pieces

    def draw(self, seed: int, step: int, worker: int = 0) -> tuple[Task, Batch]:
        """Draw a worker's batch of a step; all workers get the same task."""
        shares = np.array([self.shares.get(task, 0.0) for task in TASKS])
        chance = np.random.default_rng((seed, step))
        task = TASKS[int(chance.choice(len(TASKS), p=shares / shares.sum()))]
        rng = np.random.default_rng((seed, step, worker))
        count = self.clip_batch if task in _WITH_MOTION else self.text_batch
        indices = self._alike(task, count, int(chance.integers(LENGTH_GROUPS)), rng)
        examples = [self.example(task, index, rng) for index in indices]
        hidden = rng.random(count) < self.variation.hide_static
        gains = [float(1 - h) for h in hidden]
        pad = self.writer.vocabulary.control("pad")
        return task, collate(examples, pad, self.word_width, gains)

    def _alike(self, task: Task, count: int, group: int, rng: np.random.Generator) -> list[int]:
        """Draw texts of like length, which need little padding."""
        return draw_alike(
            lambda: self._index(task, rng), lambda index: self._length(task, index), count, group
        )

    def _index(self, task: Task, rng: np.random.Generator) -> int:
        """Draw a text of the pool that a task takes from."""
        if task not in _WITH_MOTION:
            return int(rng.integers(len(self.texts)))
        if self.clips is None:
            raise ValueError("Tasks with motion need clips, got a mixture without.")
        clip = self.clips.numbers[int(rng.integers(len(self.clips)))]
        texts = self.clips.texts_of[clip]
        return texts[int(rng.integers(len(texts)))]

    def _length(self, task: Task, index: int) -> int:
        """About how long the sequence of a text is, up to a constant."""
        if task in _WITH_MOTION:
            pool, codes = self._motion(index)
            return len(codes) + (pool.num_words(index) if task == "text_to_motion" else 0)
        if task == "text_to_plan":
            return self.texts.num_words(index)
        return len(self.texts.samples[index].score)

    def example(self, task: Task, index: int, rng: np.random.Generator) -> Example:
        """Write a text of the task's pool as an example, varied."""
        if task == "text_to_motion":
            return self._text_to_motion(index, rng)
        if task == "motion_to_text":
            return self._motion_to_text(index, rng)
        pool = self.texts
        lines, ticks = pool.lines(index), pool.ticks(index)
        if task == "text_to_plan":
            return self._vary(self.writer.text_to_plan(pool.words(index), lines, ticks), rng)
        lines = clip_lines(lines, ticks)[:MAX_LINES]
        caption = self._caption(lines, rng)
        return self.writer.plan_to_text(self._instruction(rng), lines, ticks, caption)

    def _text_to_motion(self, index: int, rng: np.random.Generator) -> Example:
        pool, codes = self._motion(index)
        lines, ticks = pool.lines(index), pool.ticks(index)
        if rng.random() < self.variation.crop:
            start, stop = _crop(len(codes), rng)
            lines = window_lines(lines, start // FRAMES_PER_TICK, -(-stop // FRAMES_PER_TICK))
            codes = codes[start:stop]
            ticks = -(-len(codes) // FRAMES_PER_TICK)
            example = self.writer.text_to_motion(None, lines, ticks, codes.tolist())
            return example if rng.random() < 0.5 else self._prepend(pool, index, example, rng)
        words = None if rng.random() < self.variation.drop_prefix else pool.words(index)
        return self._vary(self.writer.text_to_motion(words, lines, ticks, codes.tolist()), rng)

    def _prepend(
        self, pool: TextPool, index: int, example: Example, rng: np.random.Generator
    ) -> Example:
        """Put the words of the whole clip in front of a window, without a loss."""
        words = pool.words(index)
        ids = [self.writer.vocabulary.control("word")] * len(words) + example.ids
        weights = [0.0] * len(words) + example.weights
        return self._vary(Example(ids, weights, words), rng)

    def _motion_to_text(self, index: int, rng: np.random.Generator) -> Example:
        pool, codes = self._motion(index)
        lines, ticks = pool.lines(index), pool.ticks(index)
        if rng.random() < self.variation.crop:
            start, stop = _crop(len(codes), rng)
            lines = window_lines(lines, start // FRAMES_PER_TICK, -(-stop // FRAMES_PER_TICK))
            codes = codes[start:stop]
            ticks = -(-len(codes) // FRAMES_PER_TICK)
        lines = clip_lines(lines, ticks)[:MAX_LINES]
        instruction, caption = self._instruction(rng), self._caption(lines, rng)
        return self.writer.motion_to_text(instruction, codes.tolist(), lines, ticks, caption)

    def _motion(self, index: int) -> tuple[TextPool, Int[np.ndarray, " t"]]:
        if self.clips is None:
            raise ValueError("Tasks with motion need clips, got a mixture without.")
        pool = self.clips.texts
        return pool, self.clips.codes[pool.samples[index].clip]

    def _caption(self, lines: Sequence[Line], rng: np.random.Generator) -> list[list[int]]:
        pieces = self.caption(lines, random.Random(int(rng.integers(2**32))))
        return self.codec.encode_pieces(pieces)

    def _instruction(self, rng: np.random.Generator) -> list[int]:
        return self.codec.encode(INSTRUCTIONS[int(rng.integers(len(INSTRUCTIONS)))])

    def _vary(self, example: Example, rng: np.random.Generator) -> Example:
        """Leave out some words and add noise to the rest."""
        if example.words is None:
            return example
        words, dropped = drop_and_disturb(example.words, self.variation, rng)
        return replace(
            example, ids=example.ids[dropped:], weights=example.weights[dropped:], words=words
        )


def draw_alike(
    draw: Callable[[], int], length: Callable[[int], float], count: int, group: int
) -> list[int]:
    """Draw items of like length, which need little padding.

    Of several times as many, sorted by length and cut into groups, one group: every item is as
    likely as another.
    """
    drawn = sorted((draw() for _ in range(count * LENGTH_GROUPS)), key=length)
    return drawn[group * count : (group + 1) * count]


def drop_and_disturb(
    words: Float[Tensor, "n f"], variation: Variation, rng: np.random.Generator
) -> tuple[Float[Tensor, "m f"], int]:
    """Leave out some words, never all, and add noise to the rest; also say how many went."""
    keep = torch.from_numpy(rng.random(len(words)) >= variation.drop_word)
    keep[int(rng.integers(len(keep)))] = True
    kept = words[keep].float()
    noise = torch.from_numpy(rng.standard_normal(kept.shape, dtype=np.float32))
    halves = kept.view(len(kept), 2, -1)
    scale = halves.std(dim=(0, 2), keepdim=True) * variation.word_noise
    return (halves + noise.view_as(halves) * scale).view_as(kept), len(keep) - len(kept)


def _crop(num_frames: int, rng: np.random.Generator) -> tuple[int, int]:
    """A window on the clock, of at least two seconds where there are that many."""
    clocks = num_frames // FRAMES_PER_CLOCK
    shortest = min(_MIN_CROP_CLOCKS, clocks)
    length = int(rng.integers(shortest, clocks + 1)) if clocks > shortest else max(clocks, 1)
    start = int(rng.integers(0, max(clocks - length, 0) + 1)) * FRAMES_PER_CLOCK
    return start, min(start + length * FRAMES_PER_CLOCK, num_frames)
