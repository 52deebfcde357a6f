"""From the corpus to what training draws from: vocabulary, words and motion codes."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Int
from numpy import ndarray

from mien.arkit import motion_from_curves
from mien.data_synth.corpus import (
    Clip,
    clip_from_row,
    read_corpus,
    read_manifest,
    sample_caption,
    sample_pair,
)
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.score import INTENSITIES
from mien.llm.free_prompts import free_sample
from mien.llm.mixture import INSTRUCTIONS
from mien.llm.plan import FPS
from mien.llm.pools import Sample, load_codes, save_codes, write_texts
from mien.llm.text_codec import TextCodec
from mien.llm.vocabulary import Vocabulary
from mien.llm.word_encoder import WordEncoder
from mien.tokenizer import MotionTokenizer

PIECE = 1000  # clips that are encoded together
_CAPTIONS = 20_000  # to learn the text tokenizer from


def lexicon_vocabulary(lexicon: Lexicon, num_text: int, num_codes: int) -> Vocabulary:
    """The vocabulary of a lexicon."""
    entries = list(lexicon.entries.values())
    return Vocabulary(
        num_text,
        tuple(entry.id for entry in entries),
        tuple(tuple(entry.sides) for entry in entries),
        INTENSITIES,
        num_codes,
    )


Pieces = Iterable[tuple[str, Callable[[], list[Clip]]]]


class CorpusPieces:
    """The clips of a corpus that are for training, a thousand at a time.

    Args:
        folder: What `mien synth` wrote.
    """

    def __init__(self, folder: Path) -> None:
        self._rows = read_corpus(folder, "train")
        self.hash = str(read_manifest(folder)["corpus_hash"])

    def pieces(self) -> Iterator[tuple[str, Callable[[], list[Clip]]]]:
        """Name each piece, with a function that reads it."""
        for start in range(0, len(self._rows), PIECE):
            stop = min(start + PIECE, len(self._rows))
            yield f"{start:07d}", partial(self._read, start, stop)

    def _read(self, start: int, stop: int) -> list[Clip]:
        return [clip_from_row(self._rows[i]) for i in range(start, stop)]


def clip_samples(clips: Iterable[Clip], texts: int) -> list[Sample]:
    """The first texts of each clip that say anything."""
    return [
        Sample(text, clip.score, clip.performance.seconds, clip.index)
        for clip in clips
        for text in clip.texts[:texts]
        if any(map(str.isalnum, text))
    ]


def train_codec(size: int, seed: int) -> TextCodec:
    """Learn the built-in base's text tokenizer from captions, instructions and prompts."""
    captions = [sample_caption(seed, index)[0] for index in range(_CAPTIONS)]
    prompts = [sample_pair(seed, index)[0] for index in range(_CAPTIONS // 4)]
    return TextCodec.train([*captions, *prompts, *INSTRUCTIONS], size)


def prepare_texts(
    pieces: Pieces,
    folder: Path,
    texts: int,
    report: Callable[[str], None] = lambda name: None,
) -> list[Path]:
    """Encode the texts of clips piece by piece; pieces that are done are kept."""
    folders = []
    for name, clips in pieces:
        folders.append(folder / name)
        if not (folders[-1] / "samples.jsonl").is_file():
            write_texts(clip_samples(clips(), texts), WordEncoder.default(), folders[-1])
        report(name)
    return folders


def prepare_free_prompts(folder: Path, count: int, seed: int) -> Path:
    """Encode prompts in free wording, unless that is done."""
    if not (folder / "samples.jsonl").is_file():
        samples = [free_sample(seed, index) for index in range(count)]
        write_texts(samples, WordEncoder.default(), folder)
    return folder


def prepare_codes(
    pieces: Pieces,
    tokenizer: MotionTokenizer,
    folder: Path,
    report: Callable[[str], None] = lambda name: None,
) -> dict[int, Int[ndarray, " t"]]:
    """Encode the motion of clips piece by piece; pieces that are done are kept."""
    codes: dict[int, Int[ndarray, " t"]] = {}
    for name, clips in pieces:
        path = folder / name / "codes.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            save_codes({clip.index: encode_clip(tokenizer, clip) for clip in clips()}, path)
        codes |= load_codes(path)
        report(name)
    return codes


@torch.inference_mode()
def encode_clip(tokenizer: MotionTokenizer, clip: Clip) -> Int[ndarray, " t"]:
    """Motion codes of a clip."""
    return tokenizer.encode(motion_from_curves(clip.curves, FPS)).numpy()
