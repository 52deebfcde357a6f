"""What training draws from: texts with scores and word vectors, clips with codes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.llm.plan import Line, parse_lines, ticks_of
from mien.llm.word_encoder import WordEncoder


@dataclass(frozen=True)
class Sample:
    """A text and what it asks for.

    Attributes:
        text: What a person would write.
        score: The performance as a score.
        seconds: Its length.
        clip: Number of the clip that shows it.
    """

    text: str
    score: str
    seconds: float
    clip: int


class TextPool:
    """Texts with their word vectors, on disk in half precision.

    Args:
        folders: What `write_texts` wrote, one or more.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.samples: list[Sample] = []
        self._words: list[np.ndarray] = []
        self._places: list[tuple[int, int, int]] = []  # piece, first row, one past the last
        for piece, folder in enumerate(folders):
            rows = (folder / "samples.jsonl").read_text().splitlines()
            self.samples += [Sample(**json.loads(row)) for row in rows]
            self._words.append(np.load(folder / "words.npy", mmap_mode="r"))
            ends = np.load(folder / "ends.npy").tolist()
            self._places += [(piece, a, b) for a, b in zip(ends, ends[1:], strict=False)]

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self.samples)

    def words(self, index: int) -> Float[Tensor, "w f"]:
        """Word vectors of a text."""
        piece, start, stop = self._places[index]
        return torch.from_numpy(np.array(self._words[piece][start:stop]))

    def num_words(self, index: int) -> int:
        """How many word vectors a text has."""
        _, start, stop = self._places[index]
        return stop - start

    def lines(self, index: int) -> tuple[Line, ...]:
        """Lines of a text's score."""
        return parse_lines(self.samples[index].score)

    def ticks(self, index: int) -> int:
        """Duration of a text's performance, in ticks."""
        return ticks_of(self.samples[index].seconds)


def write_texts(samples: Sequence[Sample], encoder: WordEncoder, folder: Path) -> None:
    """Encode samples and write them; their list comes last and marks the folder as whole."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors = encoder.encode([sample.text for sample in samples])
    np.save(folder / "words.npy", torch.cat(vectors).half().numpy())
    np.save(folder / "ends.npy", np.cumsum([0] + [len(each) for each in vectors]))
    lines = "".join(json.dumps(asdict(sample)) + "\n" for sample in samples)
    fresh = folder / "samples.new"
    fresh.write_text(lines)
    fresh.replace(folder / "samples.jsonl")


@dataclass(frozen=True, eq=False)
class ClipPool:
    """Clips as codes, each with the texts that tell of it.

    Attributes:
        texts: All texts; each sample's `clip` is a key of `codes`.
        codes: Motion codes by clip number.
    """

    texts: TextPool
    codes: Mapping[int, Int[np.ndarray, " t"]]

    @cached_property
    def numbers(self) -> list[int]:
        """The clips that have both codes and texts."""
        return [number for number in self.codes if number in self.texts_of]

    @cached_property
    def texts_of(self) -> dict[int, list[int]]:
        """Indices of each clip's texts."""
        found: dict[int, list[int]] = {}
        for index, sample in enumerate(self.texts.samples):
            found.setdefault(sample.clip, []).append(index)
        return found

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.numbers)


def save_codes(codes: Mapping[int, Int[np.ndarray, " t"]], path: Path) -> None:
    """Write the codes of clips, one after the other."""
    ends = np.cumsum([0] + [len(row) for row in codes.values()])
    flat = np.concatenate(list(codes.values())).astype(np.int32)
    with path.with_suffix(".new").open("wb") as file:
        np.savez(file, codes=flat, ends=ends, numbers=np.array(list(codes)))
    path.with_suffix(".new").replace(path)


def load_codes(path: Path) -> dict[int, Int[np.ndarray, " t"]]:
    """Read what `save_codes` wrote."""
    with np.load(path, allow_pickle=False) as file:
        codes, ends, numbers = file["codes"], file["ends"].tolist(), file["numbers"].tolist()
    spans = zip(numbers, ends, ends[1:], strict=False)
    return {number: codes[a:b] for number, a, b in spans}
