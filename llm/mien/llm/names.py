"""What a prompt asks for, named from its sentence as a whole by a MiniLM that was tuned for it."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from mien.llm.prefix import SentenceReader
from mien.llm.storage import add_lora
from mien.llm.word_encoder import WordEncoder

FOLDER = "names"  # in a language model's own


class NameReader:
    """Says how far each entry of the lexicon answers a prompt.

    Args:
        encoder: Gives word vectors; its upper layers were tuned together with the reader.
        reader: Reads a sentence's word vectors.
    """

    def __init__(self, encoder: WordEncoder, reader: SentenceReader) -> None:
        self._encoder = encoder
        self._reader = reader.eval()

    @classmethod
    def load(cls, folder: Path, encoder: WordEncoder | None = None) -> "NameReader":
        """Load what `mien train names` wrote.

        Args:
            folder: Where: an adapter of MiniLM (peft's layout), the reader and its card.
            encoder: MiniLM as published; None loads the installed one.
        """
        encoder = encoder or WordEncoder.default()
        config = json.loads((folder / "adapter_config.json").read_text())
        adapter = load_file(folder / "adapter_model.safetensors")
        reader = SentenceReader(**json.loads((folder / "card.json").read_text())["reader"])
        reader.load_state_dict(load_file(folder / "reader.safetensors"))
        return cls(
            encoder.with_weights(lambda weights: add_lora(weights, adapter, config)), reader
        )

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> Float[Tensor, "b e"]:
        """The logarithm of the share of each text that each entry answers.

        Raises:
            ValueError: If a text has no words or more than 128.
        """
        words = self._encoder.encode(texts)
        counts = torch.tensor([len(each) for each in words])
        sentences = self._reader(torch.cat(words), counts)
        return self._reader.scores(sentences).log_softmax(dim=-1)
