"""Drawing training batches, each a function of (seed, step): task, samples, variations."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from mien.llm.captions import caption_lines
from mien.llm.plan import FRAMES_PER_CLOCK, FRAMES_PER_TICK, Line, clip_lines, window_lines
from mien.llm.pools import ClipPool, TextPool
from mien.llm.sequences import TASKS, Batch, Example, SequenceWriter, Task, collate
from mien.llm.text_codec import TextCodec

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
        caption: Writes what the model is to answer.
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
    caption: Callable[[Sequence[Line], random.Random], str] = caption_lines

    def draw(self, seed: int, step: int, worker: int = 0) -> tuple[Task, Batch]:
        """Draw a worker's batch of a step; all workers get the same task."""
        shares = np.array([self.shares.get(task, 0.0) for task in TASKS])
        chance = np.random.default_rng((seed, step))
        task = TASKS[int(chance.choice(len(TASKS), p=shares / shares.sum()))]
        rng = np.random.default_rng((seed, step, worker))
        has_motion = task in ("text_to_motion", "motion_to_text")
        count = self.clip_batch if has_motion else self.text_batch
        examples = [self.example(task, rng) for _ in range(count)]
        hidden = rng.random(count) < self.variation.hide_static
        gains = [float(1 - h) for h in hidden]
        pad = self.writer.vocabulary.control("pad")
        return task, collate(examples, pad, self.word_width, gains)

    def example(self, task: Task, rng: np.random.Generator) -> Example:
        """Draw one varied example of a task."""
        if task == "text_to_motion":
            return self._text_to_motion(rng)
        if task == "motion_to_text":
            return self._motion_to_text(rng)
        pool = self.texts
        index = int(rng.integers(len(pool)))
        lines, ticks = pool.lines(index), pool.ticks(index)
        if task == "text_to_plan":
            return self._vary(self.writer.text_to_plan(pool.words(index), lines, ticks), rng)
        caption = self._caption(lines, rng)
        return self.writer.plan_to_text(self._instruction(rng), lines, ticks, caption)

    def _text_to_motion(self, rng: np.random.Generator) -> Example:
        clips, clip, index = self._clip(rng)
        pool = clips.texts
        lines, ticks, codes = pool.lines(index), pool.ticks(index), clips.codes[clip]
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

    def _motion_to_text(self, rng: np.random.Generator) -> Example:
        clips, clip, index = self._clip(rng)
        lines, ticks, codes = clips.texts.lines(index), clips.texts.ticks(index), clips.codes[clip]
        if rng.random() < self.variation.crop:
            start, stop = _crop(len(codes), rng)
            lines = window_lines(lines, start // FRAMES_PER_TICK, -(-stop // FRAMES_PER_TICK))
            codes = codes[start:stop]
            ticks = -(-len(codes) // FRAMES_PER_TICK)
            lines = clip_lines(lines, ticks)
        instruction, caption = self._instruction(rng), self._caption(lines, rng)
        return self.writer.motion_to_text(instruction, codes.tolist(), lines, ticks, caption)

    def _clip(self, rng: np.random.Generator) -> tuple[ClipPool, int, int]:
        if self.clips is None:
            raise ValueError("Tasks with motion need clips, got a mixture without.")
        clip = self.clips.numbers[int(rng.integers(len(self.clips)))]
        texts = self.clips.texts_of[clip]
        return self.clips, clip, texts[int(rng.integers(len(texts)))]

    def _caption(self, lines: Sequence[Line], rng: np.random.Generator) -> list[int]:
        return self.codec.encode(self.caption(lines, random.Random(int(rng.integers(2**32)))))

    def _instruction(self, rng: np.random.Generator) -> list[int]:
        return self.codec.encode(INSTRUCTIONS[int(rng.integers(len(INSTRUCTIONS)))])

    def _vary(self, example: Example, rng: np.random.Generator) -> Example:
        """Leave out some words and add noise to the rest."""
        if example.words is None:
            return example
        keep = torch.from_numpy(rng.random(len(example.words)) >= self.variation.drop_word)
        keep[int(rng.integers(len(keep)))] = True
        words = example.words[keep].float()
        noise = torch.from_numpy(rng.standard_normal(words.shape, dtype=np.float32))
        halves = words.view(len(words), 2, -1)
        scale = halves.std(dim=(0, 2), keepdim=True) * self.variation.word_noise
        words = (halves + noise.view_as(halves) * scale).view_as(words)
        dropped = len(keep) - len(words)
        return replace(
            example, ids=example.ids[dropped:], weights=example.weights[dropped:], words=words
        )


def _crop(num_frames: int, rng: np.random.Generator) -> tuple[int, int]:
    """A window on the clock, of at least two seconds where there are that many."""
    clocks = num_frames // FRAMES_PER_CLOCK
    shortest = min(_MIN_CROP_CLOCKS, clocks)
    length = int(rng.integers(shortest, clocks + 1)) if clocks > shortest else max(clocks, 1)
    start = int(rng.integers(0, max(clocks - length, 0) + 1)) * FRAMES_PER_CLOCK
    return start, min(start + length * FRAMES_PER_CLOCK, num_frames)
