"""What training draws from: texts with their scores and word vectors, and clips with their codes."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.lib.format import open_memmap
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
        clip: Index of the clip that shows it; -1 where there is none.
    """

    text: str
    score: str
    seconds: float
    clip: int = -1


class TextPool:
    """Texts with their word vectors, on disk in half precision.

    Args:
        folder: What `TextPool.build` wrote.
    """

    def __init__(self, folder: Path) -> None:
        rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
        self.samples = [Sample(**row) for row in rows]
        self._words = np.load(folder / "words.npy", mmap_mode="r")
        self._ends = np.load(folder / "ends.npy")

    @staticmethod
    def build(
        samples: Iterable[Sample],
        encoder: WordEncoder,
        folder: Path,
        report: Callable[[int], None] = lambda done: None,
        chunk: int = 2048,
    ) -> "TextPool":
        """Encode samples and write them; `report` is told how many are done."""
        folder.mkdir(parents=True, exist_ok=True)
        kept: list[Sample] = []
        parts: list[np.ndarray] = []
        ends = [0]
        for group in _chunks(samples, chunk):
            vectors = encoder.encode([sample.text for sample in group])
            parts.append(torch.cat(vectors).half().numpy())
            for each in vectors:
                ends.append(ends[-1] + len(each))
            kept += group
            report(len(kept))
        words = open_memmap(folder / "words.npy", "w+", np.float16, (ends[-1], encoder.width))
        np.concatenate(parts, out=words)
        words.flush()
        np.save(folder / "ends.npy", np.array(ends))
        lines = "\n".join(json.dumps(asdict(sample)) for sample in kept)
        (folder / "samples.jsonl").write_text(lines + "\n")
        return TextPool(folder)

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self.samples)

    def words(self, index: int) -> Float[Tensor, "w f"]:
        """Word vectors of a text."""
        return torch.from_numpy(np.array(self._words[self._ends[index] : self._ends[index + 1]]))

    def lines(self, index: int) -> tuple[Line, ...]:
        """Lines of a text's score."""
        return parse_lines(self.samples[index].score)

    def ticks(self, index: int) -> int:
        """Duration of a text's performance, in ticks."""
        return ticks_of(self.samples[index].seconds)


@dataclass(frozen=True, eq=False)
class ClipPool:
    """Clips as codes, each with the texts that tell of it.

    Attributes:
        texts: All texts; each sample's `clip` is an index into `codes`.
        codes: Motion codes of each clip.
    """

    texts: TextPool
    codes: Sequence[Int[np.ndarray, "t"]]

    @cached_property
    def texts_of(self) -> list[list[int]]:
        """Indices of each clip's texts."""
        found: list[list[int]] = [[] for _ in self.codes]
        for index, sample in enumerate(self.texts.samples):
            found[sample.clip].append(index)
        return found

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.codes)


def _chunks(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    source = iter(samples)
    while group := list(islice(source, size)):
        yield group


def save_codes(codes: Sequence[Int[np.ndarray, "t"]], path: Path) -> None:
    """Write the codes of clips, one after the other."""
    ends = np.cumsum([0] + [len(row) for row in codes])
    np.savez(path, codes=np.concatenate(codes).astype(np.int32), ends=ends)


def load_codes(path: Path) -> list[Int[np.ndarray, "t"]]:
    """Read what `save_codes` wrote."""
    with np.load(path, allow_pickle=False) as file:
        codes, ends = file["codes"], file["ends"]
    return [codes[a:b] for a, b in zip(ends, ends[1:], strict=False)]
