"""Tuning the sentence encoder: its words come to name what a prompt asks for.

MiniLM was made to find texts that are about the same, whatever they make a face do. Low-rank
updates of its upper layers learn that, from the prompts that the reader of sentences learned from.
The reader stays as it is, and so does the language model, which goes on reading the words that it
knows: only names come from the tuned encoder, as the mean of a reading with it and one without.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn

from mien.llm.mixture import Variation
from mien.llm.naming import Naming, NamingBatch, NamingMixture, draw_static_gain
from mien.llm.prefix import SentenceReader
from mien.llm.storage import ENCODER
from mien.llm.word_encoder import WordEncoder, mean_pieces

RANK = 16
LAYERS = (2, 3, 4, 5)  # of six: what lies below knows words, what lies above sentences
_DROPOUT = 0.1  # of hidden values while learning
_ORIGIN = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True, eq=False)
class TuningBatch:
    """Prompts as word pieces, and what answers them.

    Attributes:
        pieces: Ids, padded.
        is_real: Which are none of the padding.
        word_of: For each that is real the number of its word in the whole batch; -1 where it
            belongs to none.
        counts: Words of each prompt.
        static_gain: One a word: how much of its static half shows.
        noise: To add to word vectors, in their own standard deviations.
        targets: For each prompt, equal parts of the entries asked for.
    """

    pieces: Int[Tensor, "b t"]
    is_real: Bool[Tensor, "b t"]
    word_of: Int[Tensor, " p"]
    counts: Int[Tensor, " b"]
    static_gain: Float[Tensor, " n"]
    noise: Float[Tensor, "n f"]
    targets: Float[Tensor, "b e"]

    @property
    def num_positions(self) -> int:
        """Words read."""
        return len(self.static_gain)


class Tuning(nn.Module):
    """A sentence encoder that learns by what a sentence reader makes of its words.

    Args:
        reader: Stays as it is.
    """

    def __init__(self, reader: SentenceReader) -> None:
        super().__init__()
        self.naming = Naming(reader.requires_grad_(False))
        self.encoder = _adapted_encoder()

    @property
    def tokens(self) -> Tensor:
        """What sentences are compared with."""
        return self.naming.tokens

    def forward(self, batch: TuningBatch) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """Give the cross-entropy of every prompt, and equal weights."""
        words = self.words(batch)
        halves = words.view(len(words), 2, -1)
        spread = halves.detach().std(dim=(0, 2), keepdim=True)
        words = (halves + batch.noise.view_as(halves) * spread).view_as(words)
        found: tuple[Tensor, Tensor] = self.naming(
            NamingBatch(words, batch.counts, batch.static_gain, batch.targets)
        )
        return found

    def words(self, batch: TuningBatch) -> Float[Tensor, "n f"]:
        """Word vectors as `WordEncoder` gives them, of all prompts one after the other."""
        said = {"input_ids": batch.pieces, "attention_mask": batch.is_real.long()}
        hidden = self.encoder[0](said)["token_embeddings"].float()
        static = self.encoder[0].auto_model.embeddings.word_embeddings(batch.pieces)
        return mean_pieces(torch.cat([hidden, static], dim=-1)[batch.is_real], batch.word_of)

    def save(self, folder: Path) -> None:
        """Write the updates to `folder/encoder`, in half precision, as peft lays them out."""
        from peft import get_peft_model_state_dict

        out = folder / ENCODER
        out.mkdir(parents=True, exist_ok=True)
        state = get_peft_model_state_dict(self.encoder[0].auto_model)
        halves = {name: value.detach().half().contiguous() for name, value in state.items()}
        save_file(halves, out / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "base_model_name_or_path": _ORIGIN, "r": RANK}
        config |= {"lora_alpha": RANK, "layers_to_transform": list(LAYERS)}
        (out / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")


def _adapted_encoder() -> Any:
    """MiniLM with fresh updates, which are all that learns of it."""
    from peft import LoraConfig
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(
        str(WordEncoder.default().folder),
        device="cpu",
        local_files_only=True,
        model_kwargs={"attn_implementation": "eager"},  # backwards the quickest on a CPU
        config_kwargs={"hidden_dropout_prob": _DROPOUT, "attention_probs_dropout_prob": 0.0},
    )
    encoder.requires_grad_(False)
    encoder.add_adapter(
        LoraConfig(
            r=RANK,
            lora_alpha=RANK,
            target_modules=["query", "key", "value", "dense"],
            layers_to_transform=list(LAYERS),
            layers_pattern="layer",
        )
    )
    return encoder


@dataclass(frozen=True, eq=False)
class TuningMixture(NamingMixture):
    """The prompts of the sentence reader, as word pieces."""

    task: ClassVar[str] = "tuning"

    def draw(self, seed: int, step: int, worker: int = 0) -> tuple[str, Any]:
        """Draw a worker's batch of a step."""
        indices, rng = self._drawn(seed, step, worker)
        return self.task, tuning_batch(
            [self.texts.samples[i].text for i in indices],
            self._targets(indices),
            self.variation,
            rng,
        )


def tuning_batch(
    texts: list[str],
    targets: Float[Tensor, "b e"],
    variation: Variation,
    rng: np.random.Generator,
) -> TuningBatch:
    """Cut texts into pieces and draw how their words are varied."""
    encoder = WordEncoder.default()
    pieces = encoder.pieces(texts)
    gain = draw_static_gain(pieces.counts, variation, rng)
    noise = torch.from_numpy(rng.standard_normal((len(gain), encoder.width), dtype=np.float32))
    return TuningBatch(*pieces, gain, noise * variation.word_noise, targets)
