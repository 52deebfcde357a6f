"""The word prefix: one soft vector a word, in front of the sequence."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class WordPrefix(nn.Module):
    """Project word vectors into the embedding space of the language model.

    Each half of a word vector (contextual, static) is normalized by itself; in training the
    static half is dropped for whole prompts, so that the model also learns to read words by what
    they mean in their sentence.

    Args:
        word_width: Width of a word vector, both halves.
        hidden: Width inside.
        width: Width of the language model.
    """

    def __init__(self, word_width: int, hidden: int, width: int) -> None:
        super().__init__()
        self.norm_context = nn.LayerNorm(word_width // 2)
        self.norm_static = nn.LayerNorm(word_width // 2)
        self.project = nn.Sequential(
            nn.Linear(word_width, hidden), nn.GELU(), nn.Linear(hidden, width)
        )

    def forward(
        self, words: Float[Tensor, "*n f"], static_gain: Float[Tensor, "*n"] | None = None
    ) -> Float[Tensor, "*n d"]:
        """Project words; `static_gain` of 0 hides the static half of a word."""
        context, static = words.chunk(2, dim=-1)
        static = self.norm_static(static)
        if static_gain is not None:
            static = static * static_gain[..., None]
        out: Tensor = self.project(torch.cat([self.norm_context(context), static], dim=-1))
        return out
