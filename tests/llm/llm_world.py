"""A made-up world for tests: few entries, words without meaning, codes drawn at random."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mien.llm.base import built_in_base
from mien.llm.decoder import QwenDecoder
from mien.llm.mixture import Mixture
from mien.llm.model import MotionLanguageModel
from mien.llm.network import PrefixedModel
from mien.llm.plan import Line, format_lines
from mien.llm.pools import ClipPool, Sample, TextPool, write_texts
from mien.llm.prefix import WordPrefix
from mien.llm.sequences import SequenceWriter, Task
from mien.llm.text_codec import TextCodec
from mien.llm.vocabulary import Vocabulary

ENTRIES = ("smile", "nod", "wink", "look-left")
ENTRY_SIDES = (("both", "left", "right"), ("both",), ("left", "right"), ("both",))
NUM_CODES = 32


class FakeWords:
    """Word vectors from the bytes of each word: no model to load."""

    width = 16

    def encode(self, texts: list[str], batch_size: int = 64) -> list[Tensor]:
        return [torch.stack([self._word(word) for word in text.split()]) for text in texts]

    def ids(self, texts: list[str]) -> list[list[int]]:
        return [[101, *(sum(word.encode()) for word in text.split()), 102] for text in texts]

    def _word(self, word: str) -> Tensor:
        generator = torch.Generator().manual_seed(sum(word.encode()))
        return torch.randn(self.width, generator=generator)


def make_codec() -> TextCodec:
    return TextCodec.train(["She smiles and nods.", "He winks, then looks left."] * 4, 300)


def make_vocabulary(codec: TextCodec) -> Vocabulary:
    return Vocabulary(codec.size, ENTRIES, ENTRY_SIDES, ("slight", "mid", "strong"), NUM_CODES)


def make_lines(rng: np.random.Generator, ticks: int) -> tuple[Line, ...]:
    lines = []
    for start in range(0, ticks - 4, 6):
        index = int(rng.integers(len(ENTRIES)))
        side = str(rng.choice(ENTRY_SIDES[index]))
        lines.append(Line(start, min(start + 5, ticks), ENTRIES[index], side, "mid"))
    return tuple(lines)


def make_pools(folder: Path, count: int = 12) -> ClipPool:
    rng = np.random.default_rng(5)
    samples, codes = [], {}
    for clip in range(count):
        ticks = int(rng.integers(10, 25))
        lines = make_lines(rng, ticks)
        text = "she does " + " then ".join(f"{x.side} {x.entry}" for x in lines)
        samples.append(Sample(text, format_lines(lines), ticks * 0.2, clip))
        codes[clip] = rng.integers(0, NUM_CODES, ticks * 5)
    write_texts(samples, FakeWords(), folder)  # type: ignore[arg-type]
    return ClipPool(TextPool([folder]), codes)


def make_model(vocabulary: Vocabulary, seed: int = 3) -> PrefixedModel:
    base = built_in_base(vocabulary.size, seed, width=32, layers=2)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        prefix = WordPrefix(FakeWords.width, 24, 32)
    return PrefixedModel(base, prefix, vocabulary.control("word"))


def make_language_model(
    kind: type[QwenDecoder] = QwenDecoder, poses: np.ndarray | None = None
) -> MotionLanguageModel:
    codec = make_codec()
    vocabulary = make_vocabulary(codec)
    network = make_model(vocabulary)
    decoder = kind(network.base.config.to_dict(), network.base.state_dict())
    return MotionLanguageModel(
        vocabulary,
        codec,
        network.prefix,
        {"text_to_motion": decoder, "motion_to_text": decoder},
        FakeWords(),  # type: ignore[arg-type]
        poses,
    )


def plain_caption(lines: Sequence[Line], rng: random.Random) -> list[str]:
    return [f" She does {x.entry}." for x in lines] or ["Nothing."]


def make_mixture(folder: Path, shares: dict[Task, float] | None = None) -> Mixture:
    codec = make_codec()
    pools = make_pools(folder)
    return Mixture(
        SequenceWriter(make_vocabulary(codec)),
        codec,
        pools.texts,
        pools,
        shares or {"text_to_plan": 1, "text_to_motion": 1, "motion_to_text": 1, "plan_to_text": 1},
        text_batch=4,
        clip_batch=3,
        word_width=FakeWords.width,
        caption=plain_caption,
    )
