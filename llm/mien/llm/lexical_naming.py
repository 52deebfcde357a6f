"""Teaching the reader that names by words alone."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mien.llm.free_prompts import free_sample
from mien.llm.lexical import Bags, LexicalReader
from mien.llm.naming import even_shares, naming_losses
from mien.llm.plan import parse_lines
from mien.llm.pools import Sample, TextPool
from mien.llm.vocabulary import Vocabulary
from mien.llm.word_encoder import WordEncoder

_HIDDEN = 0.2  # share of a bag that an exercise hides


@dataclass(frozen=True, eq=False)
class LexicalBatch:
    """Prompts as bags, and what answers them.

    Attributes:
        rows: As in `Bags`.
        starts: As in `Bags`.
        weights: As in `Bags`.
        targets: For each prompt, equal parts of the entries asked for.
    """

    rows: Int[Tensor, " n"]
    starts: Int[Tensor, " b"]
    weights: Float[Tensor, " n"]
    targets: Float[Tensor, "b e"]

    @property
    def num_positions(self) -> int:
        """Pieces and pairs read."""
        return len(self.rows)


class LexicalNaming(nn.Module):
    """A lexical reader at its exercise.

    Args:
        reader: Learns.
    """

    def __init__(self, reader: LexicalReader) -> None:
        super().__init__()
        self.reader = reader

    @property
    def tokens(self) -> Tensor:
        """What bags are compared with."""
        return self.reader.entries.weight

    def forward(self, batch: LexicalBatch) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """Give the cross-entropy of every prompt, and equal weights."""
        scores = self.reader(Bags(batch.rows, batch.starts, batch.weights))
        return naming_losses(scores, batch.targets)


@dataclass(frozen=True, eq=False)
class LexicalMixture:
    """Draws batches, each a function of (seed, step, worker); hardly any prompt comes twice.

    Attributes:
        reader: Knows the bags.
        vocabulary: Knows the entries.
        texts: Prompts of the corpus among them.
        batch: Prompts in a batch.
        free: Share of prompts in free wording, each new; the others are of the pool.
    """

    reader: LexicalReader
    vocabulary: Vocabulary
    texts: TextPool
    batch: int
    free: float
    task: ClassVar[str] = "lexical"

    def draw(self, seed: int, step: int, worker: int = 0) -> tuple[str, LexicalBatch]:
        """Draw a worker's batch of a step."""
        rng = np.random.default_rng((seed, step, worker))
        samples = [self._sample(rng) for _ in range(self.batch)]
        ids = WordEncoder.default().ids([sample.text for sample in samples])
        rows = [self.reader.rows(each) for each in ids]
        shows = rng.random(sum(map(len, rows))) >= _HIDDEN
        asked = [{line.entry for line in parse_lines(sample.score)} for sample in samples]
        bags = self.reader.bags(rows, torch.from_numpy(shows.astype(np.float32)))
        return self.task, LexicalBatch(*bags, even_shares(asked, self.vocabulary))

    def _sample(self, rng: np.random.Generator) -> Sample:
        if rng.random() < self.free:
            seed, index = rng.integers(1 << 40, size=2).tolist()
            return free_sample(seed, index)
        return self.texts.samples[int(rng.integers(len(self.texts)))]
