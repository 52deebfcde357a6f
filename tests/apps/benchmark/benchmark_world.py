"""A small made-up world for the tests of the benchmark."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mien.apps.benchmark.text_scores import words_of
from mien.data_synth.clip import Clip, make_clip
from mien.data_synth.phrases import Split

SEED = 11


class FakeWords:
    """Word vectors from the letters of each word: no model to load."""

    width = 32

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> list[Tensor]:
        return [torch.stack([self._word(w) for w in words_of(text)]) for text in texts]

    def _word(self, word: str) -> Tensor:
        seed = sum(place * letter for place, letter in enumerate(word.encode(), start=1))
        return torch.randn(self.width, generator=torch.Generator().manual_seed(seed))


def make_clips(count: int, split: Split, first: int = 0) -> list[Clip]:
    """Clips of a split, whoever performs them."""
    return [replace(make_clip(SEED, i), split=split) for i in range(first, first + count)]
