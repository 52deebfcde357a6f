"""Teaching readers of sentences: to name the actions that a prompt asks for, and to count them."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from mien.llm.mixture import LENGTH_GROUPS, Variation, draw_alike, drop_and_disturb
from mien.llm.pools import TextPool
from mien.llm.prefix import SentenceReader
from mien.llm.vocabulary import Vocabulary

COUNTS = 3  # one, two, more
_SMOOTHING = 0.05


@dataclass(frozen=True, eq=False)
class NamingBatch:
    """Prompts and what answers them.

    Attributes:
        words: Word vectors, prompt after prompt.
        counts: Words of each prompt.
        static_gain: One a word: how much of its static half shows.
        targets: For each prompt, a distribution over answers: equal parts of the entries asked
            for, or their number.
    """

    words: Float[Tensor, "n f"]
    counts: Int[Tensor, " b"]
    static_gain: Float[Tensor, " n"]
    targets: Float[Tensor, "b e"]

    @property
    def num_positions(self) -> int:
        """Words read."""
        return len(self.words)


class Naming(nn.Module):
    """A sentence reader at either exercise.

    Args:
        reader: Learns.
    """

    def __init__(self, reader: SentenceReader) -> None:
        super().__init__()
        self.reader = reader

    @property
    def tokens(self) -> Tensor:
        """What sentences are compared with, as a language model's tokens are."""
        return self.reader.entries

    def forward(self, batch: NamingBatch) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """Give the cross-entropy of every prompt, and equal weights."""
        sentences = self.reader(batch.words, batch.counts, batch.static_gain)
        return naming_losses(self.reader.scores(sentences), batch.targets)


def draw_static_gain(
    counts: Int[Tensor, " b"], variation: Variation, rng: np.random.Generator
) -> Float[Tensor, " n"]:
    """How much of each word's static half shows: for some texts nothing."""
    shows = rng.random(len(counts)) >= variation.hide_static
    return torch.from_numpy(shows.astype(np.float32)).repeat_interleave(counts)


def naming_losses(
    scores: Float[Tensor, "b e"], targets: Float[Tensor, "b e"]
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """The cross-entropy of every prompt, and equal weights."""
    losses = F.cross_entropy(scores, targets, reduction="none", label_smoothing=_SMOOTHING)
    return losses, torch.ones_like(losses)


def even_shares(asked: Sequence[Set[str]], vocabulary: Vocabulary) -> Float[Tensor, "b e"]:
    """For each of some texts equal parts of the entries that it asks for."""
    targets = torch.zeros(len(asked), len(vocabulary.entries))
    for row, entries in enumerate(asked):
        at = [vocabulary.entry(entry) - vocabulary.entry_start for entry in entries]
        targets[row, at] = 1 / max(1, len(at))
    return targets


@dataclass(frozen=True, eq=False)
class NamingMixture:
    """Draws batches, each a function of (seed, step, worker).

    Attributes:
        vocabulary: Knows the entries.
        texts: Prompts with their scores.
        batch: Prompts in a batch.
        variation: How words are varied.
    """

    vocabulary: Vocabulary
    texts: TextPool
    batch: int
    variation: Variation
    task: ClassVar[str] = "naming"

    def draw(self, seed: int, step: int, worker: int = 0) -> tuple[str, NamingBatch]:
        """Draw a worker's batch of a step."""
        indices, rng = self._drawn(seed, step, worker)
        words = [drop_and_disturb(self.texts.words(i), self.variation, rng)[0] for i in indices]
        counts = torch.tensor([len(each) for each in words])
        gains = draw_static_gain(counts, self.variation, rng)
        return self.task, NamingBatch(torch.cat(words), counts, gains, self._targets(indices))

    def _drawn(self, seed: int, step: int, worker: int) -> tuple[list[int], np.random.Generator]:
        """Texts of like length, and what more of the batch is drawn with."""
        group = int(np.random.default_rng((seed, step)).integers(LENGTH_GROUPS))
        rng = np.random.default_rng((seed, step, worker))
        indices = draw_alike(
            lambda: int(rng.integers(len(self.texts))), self.texts.num_words, self.batch, group
        )
        return indices, rng

    def _targets(self, indices: Sequence[int]) -> Float[Tensor, "b e"]:
        return even_shares([self._asked(index) for index in indices], self.vocabulary)

    def _asked(self, index: int) -> set[str]:
        """The entries that a text asks for."""
        return {line.entry for line in self.texts.lines(index)}


@dataclass(frozen=True, eq=False)
class CountingMixture(NamingMixture):
    """The same prompts, and how many different things each asks for: one, two, or more."""

    task: ClassVar[str] = "counting"

    def _targets(self, indices: Sequence[int]) -> Float[Tensor, "b n"]:
        numbers = torch.tensor([len(self._asked(index)) for index in indices])
        return F.one_hot(numbers.clamp(1, COUNTS) - 1, COUNTS).float()
