"""Naming by the words themselves: a bag of word pieces and of neighbouring pairs.

A sentence encoder reads a word by what it means, and takes a word that it has hardly met ("sus",
"meh") for whatever stands near. A linear model over a bag of words (Joulin et al. 2017, "Bag of
Tricks for Efficient Text Classification", arXiv 1607.01759) knows nothing but which words came
with which actions. Its errors are others, and so the two together err less than either.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

NUM_PIECES = 30_522  # MiniLM's vocabulary
_GAIN = 10.0  # of the mean: rows as small as they begin move the scores from the first step
_PRIMES = 1_000_003, 7919


class Bags(NamedTuple):
    """Texts as bags.

    Attributes:
        rows: Pieces and pairs, text after text.
        starts: Where each text begins.
        weights: One a row: its share of the text.
    """

    rows: Int[Tensor, " n"]
    starts: Int[Tensor, " b"]
    weights: Float[Tensor, " n"]


class LexicalReader(nn.Module):
    """Names what a prompt asks for by its word pieces and pairs of them.

    Args:
        num_entries: Entries of the lexicon.
        num_pairs: Rows that pairs share, by a hash.
        width: Of a row.
    """

    def __init__(self, num_entries: int, num_pairs: int = 1 << 14, width: int = 48) -> None:
        super().__init__()
        self.num_pairs = num_pairs
        self.bag = nn.EmbeddingBag(NUM_PIECES + num_pairs, width, mode="sum")
        nn.init.zeros_(self.bag.weight)  # what no prompt has said stays silent
        self.entries = nn.Linear(width, num_entries)

    def bags(
        self, each: Sequence[Sequence[int]], shows: Float[Tensor, " n"] | None = None
    ) -> Bags:
        """Put texts into bags.

        Args:
            each: The rows of each text.
            shows: For each row 1, or 0 to hide it; None hides none.
        """
        counts = torch.tensor([len(rows) for rows in each])
        shows = torch.ones(int(counts.sum())) if shows is None else shows
        text_of = torch.arange(len(each)).repeat_interleave(counts)
        shown = torch.bincount(text_of, shows, len(each)).clamp_min(1)
        rows = torch.tensor(list(itertools.chain(*each)))
        return Bags(rows, counts.cumsum(0) - counts, shows / shown[text_of].float())

    def rows(self, ids: Sequence[int]) -> list[int]:
        """The rows of a text: its pieces, then its pairs, those with its ends among them.

        Args:
            ids: Of its word pieces, from [CLS] to [SEP].
        """
        first, second = _PRIMES
        pairs = ((a * first + b * second) % self.num_pairs for a, b in itertools.pairwise(ids))
        return [*ids[1:-1], *(NUM_PIECES + pair for pair in pairs)]

    def forward(self, bags: Bags) -> Float[Tensor, "b e"]:
        """How well each entry of the lexicon answers each text, as logits."""
        held = self.bag(bags.rows, bags.starts, per_sample_weights=bags.weights)
        scores: Tensor = self.entries(_GAIN * held)
        return scores

    @torch.inference_mode()
    def name(self, texts: Sequence[Sequence[int]]) -> Float[Tensor, "t e"]:
        """The logarithm of the share of each text, given as ids, that each entry answers."""
        scores: Tensor = self(self.bags([self.rows(ids) for ids in texts]))
        return scores.log_softmax(dim=-1)

    def save(self, path: Path) -> None:
        """Write it with rows in 8 bits, each by its own scale, and without those never learned."""
        rows = self.bag.weight.detach()
        learned = rows.abs().amax(dim=1).nonzero()[:, 0]
        scales = (rows[learned].abs().amax(dim=1) / 127).half()
        state = {
            "learned": learned.int(),
            "scales": scales,
            "rows": (rows[learned] / scales.float()[:, None]).round().clamp(-127, 127).char(),
            "entries": self.entries.weight.detach().half().contiguous(),
            "bias": self.entries.bias.detach().half(),
            "num_pairs": torch.tensor(self.num_pairs),
        }
        save_file(state, path)

    @staticmethod
    def load(path: Path) -> "LexicalReader":
        """Read what `save` wrote."""
        state = load_file(path)
        entries = state["entries"].float()
        reader = LexicalReader(len(entries), int(state["num_pairs"]), entries.shape[1])
        with torch.no_grad():
            rows = state["rows"].float() * state["scales"].float()[:, None]
            reader.bag.weight[state["learned"].long()] = rows
            reader.entries.weight.copy_(entries)
            reader.entries.bias.copy_(state["bias"].float())
        return reader.eval()
