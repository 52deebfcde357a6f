"""The trainable whole: a causal language model with the word prefix in front."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mien.llm.prefix import WordPrefix
from mien.llm.sequences import Batch


class PrefixedModel(nn.Module):
    """A base with soft word vectors where its input says `word`.

    Args:
        base: A causal language model of transformers, with or without adapters.
        prefix: The projection of word vectors.
        word_id: The token whose embedding is replaced by the next word vector.
    """

    def __init__(self, base: Any, prefix: WordPrefix, word_id: int) -> None:
        super().__init__()
        self.base = base
        self.prefix = prefix
        self.word_id = word_id

    def forward(self, batch: Batch) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Give the cross-entropy of every label and its weight; only labels cost logits."""
        hidden = self.base.get_decoder()(inputs_embeds=self.embed(batch), use_cache=False)
        keep = batch.labels != -100
        logits = self.base.get_output_embeddings()(hidden.last_hidden_state[keep])
        losses = F.cross_entropy(logits.float(), batch.labels[keep], reduction="none")
        return losses, batch.weights[keep]

    @property
    def tokens(self) -> Tensor:
        """The embedding of tokens, which is also what they are scored with where tied."""
        weight: Tensor = self.base.get_input_embeddings().weight
        return weight

    def embed(self, batch: Batch) -> Float[Tensor, "b t d"]:
        """Embeddings of a batch, word vectors in place."""
        embeds: Tensor = self.base.get_input_embeddings()(batch.input_ids)
        at = batch.input_ids == self.word_id
        counts = at.sum(dim=1)
        words = self.prefix(batch.words, batch.static_gain, counts[counts > 0]).to(embeds.dtype)
        return torch.masked_scatter(embeds, at[..., None].expand_as(embeds), words)
