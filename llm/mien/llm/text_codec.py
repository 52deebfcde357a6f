"""Plain text to ids and back, by whatever tokenizer the base has."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers


class TextCodec:
    """A tokenizer file as ids of captions and instructions.

    Args:
        tokenizer: A tokenizer of the library `tokenizers`; `PreTrainedTokenizerFast` carries one
            as `backend_tokenizer`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, path: Path) -> "TextCodec":
        """Read a `tokenizer.json`."""
        return cls(Tokenizer.from_file(str(path)))

    @classmethod
    def train(cls, texts: Iterable[str], size: int) -> "TextCodec":
        """Learn a byte-level BPE: every text can be written, however strange."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    def save(self, path: Path) -> None:
        """Write a `tokenizer.json`."""
        self._tokenizer.save(str(path))

    @property
    def size(self) -> int:
        """Number of ids, added tokens included."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without special tokens."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_pieces(self, pieces: Sequence[str]) -> list[list[int]]:
        """Ids of a text given in pieces: those of the whole, parted where a piece begins."""
        encoding = self._tokenizer.encode("".join(pieces), add_special_tokens=False)
        ends = [sum(map(len, pieces[: i + 1])) for i in range(len(pieces))]
        out: list[list[int]] = [[] for _ in pieces]
        for token, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True):
            out[next(i for i, end in enumerate(ends) if max(start, stop - 1) < end)].append(token)
        return out

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        return str(self._tokenizer.decode(list(ids))).strip()
