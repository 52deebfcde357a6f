"""Sentences as single vectors, for similarity and for nearest neighbors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor


class Words(Protocol):
    """Gives a vector a word, as `mien.llm.word_encoder.WordEncoder`."""

    width: int

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> list[Tensor]:
        """Each text's word vectors [W, width]; the first half knows the sentence."""
        ...


def sentence_vectors(texts: Sequence[str], encoder: Words) -> Float[ndarray, "n d"]:
    """Unit vectors of sentences: the mean of their words' last hidden states.

    It differs from sentence-transformers in that every word counts once, however many pieces it
    has, and the two marks around a sentence do not count.
    """
    half = encoder.width // 2
    means = [words[:, :half].mean(0) for words in encoder.encode(texts)]
    return torch.nn.functional.normalize(torch.stack(means), dim=-1).numpy()


def similarity(
    candidates: Sequence[str], references: Sequence[Sequence[str]], encoder: Words
) -> Float[ndarray, " n"]:
    """The cosine of each caption with the nearest of its references."""
    flat = [text for group in references for text in group]
    own, others = sentence_vectors(candidates, encoder), sentence_vectors(flat, encoder)
    ends = np.cumsum([len(group) for group in references])
    groups = np.split(others, ends[:-1])
    return np.array([float((g @ x).max()) for x, g in zip(own, groups, strict=True)])
