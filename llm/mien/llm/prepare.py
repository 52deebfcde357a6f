"""From the corpus to what training draws from: vocabulary, words and motion codes."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, Int
from numpy import ndarray

from mien.arkit import curves_from_motion, motion_from_curves
from mien.data_synth.clip import make_drill
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
_FIRST_DRILL = 1 << 40  # above the number of any clip
_POSE_FRAMES = 12  # until a code that is held shows all that it shows
_POSES = 128  # codes that are decoded together
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


Piece = tuple[str, Callable[[], list[Clip]]]
Pieces = Iterable[Piece]


def _cut(count: int) -> Iterator[tuple[str, range]]:
    """Cut numbers from 0 on into pieces, each named by its first."""
    for start in range(0, count, PIECE):
        yield f"{start:07d}", range(start, min(start + PIECE, count))


class CorpusPieces:
    """The clips of a corpus that are for training, a thousand at a time.

    Args:
        folder: What `mien synth` wrote.
    """

    def __init__(self, folder: Path) -> None:
        self._rows = read_corpus(folder, "train")
        self.hash = str(read_manifest(folder)["corpus_hash"])

    def pieces(self) -> Iterator[Piece]:
        """Name each piece, with a function that reads it."""
        for name, numbers in _cut(len(self._rows)):
            yield name, partial(self._read, numbers)

    def _read(self, numbers: range) -> list[Clip]:
        return [clip_from_row(self._rows[i]) for i in numbers]


class DrillPieces:
    """Drills, a thousand at a time, numbered apart from the clips of the corpus.

    Args:
        count: How many.
        seed: Of their chance.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed

    def pieces(self) -> Iterator[Piece]:
        """Name each piece, with a function that makes it."""
        for name, numbers in _cut(self._count):
            yield f"drills{name}", partial(self._make, numbers)

    def _make(self, numbers: range) -> list[Clip]:
        drills = (make_drill(self._seed, index) for index in numbers)
        return [
            replace(drill, index=_FIRST_DRILL + drill.index, texts=drill.texts[:1])
            for drill in drills
        ]


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
) -> None:
    """Encode the texts of clips piece by piece; pieces that are done are kept."""
    for name, clips in pieces:
        if not (folder / name / "samples.jsonl").is_file():
            write_texts(clip_samples(clips(), texts), WordEncoder.default(), folder / name)
        report(name)


def free_pieces(count: int) -> list[tuple[str, range]]:
    """Name each piece of the prompts in free wording, with their numbers."""
    return [(f"free{name}", numbers) for name, numbers in _cut(count)]


def prepare_free_prompts(
    pieces: Iterable[tuple[str, range]],
    folder: Path,
    seed: int,
    report: Callable[[str], None] = lambda name: None,
) -> None:
    """Encode prompts in free wording piece by piece; pieces that are done are kept."""
    for name, numbers in pieces:
        if not (folder / name / "samples.jsonl").is_file():
            samples = [free_sample(seed, index) for index in numbers]
            write_texts(samples, WordEncoder.default(), folder / name)
        report(name)


def prepare_codes(
    pieces: Pieces,
    tokenizer: MotionTokenizer,
    folder: Path,
    report: Callable[[str], None] = lambda name: None,
) -> None:
    """Encode the motion of clips piece by piece; pieces that are done are kept."""
    for name, clips in pieces:
        path = folder / name / "codes.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            save_codes(encode_clips(tokenizer, clips()), path)
        report(name)


def read_codes(pieces: Pieces, folder: Path) -> dict[int, Int[ndarray, " t"]]:
    """Motion codes of all pieces, by the number of their clip."""
    codes: dict[int, Int[ndarray, " t"]] = {}
    for name, _ in pieces:
        codes |= load_codes(folder / name / "codes.npz")
    return codes


@torch.inference_mode()
def encode_clips(
    tokenizer: MotionTokenizer, clips: Iterable[Clip], batch: int = 64
) -> dict[int, Int[ndarray, " t"]]:
    """Motion codes of clips by their numbers; together where no token looks ahead."""
    if tokenizer.encoder_look_ahead:
        return {clip.index: encode_clip(tokenizer, clip) for clip in clips}
    codes: dict[int, Int[ndarray, " t"]] = {}
    rest = iter(clips)
    while group := list(itertools.islice(rest, batch)):
        features = [tokenizer.features(motion_from_curves(c.curves, FPS)) for c in group]
        tokens = tokenizer.encode(torch.nn.utils.rnn.pad_sequence(features, batch_first=True))
        for clip, each, row in zip(group, features, tokens, strict=True):
            codes[clip.index] = row[: len(each)].numpy()
    return codes


@torch.inference_mode()
def encode_clip(tokenizer: MotionTokenizer, clip: Clip) -> Int[ndarray, " t"]:
    """Motion codes of a clip."""
    return tokenizer.encode(motion_from_curves(clip.curves, FPS)).numpy()


def measure_poses(tokenizer: MotionTokenizer) -> Float[ndarray, "c channel"]:
    """What each motion code shows on a face at rest that holds it, as ARKit curves."""
    poses = []
    for codes in torch.split(torch.arange(tokenizer.codebook_size), _POSES):
        held = tokenizer.preview(codes[:, None].expand(-1, _POSE_FRAMES))
        poses += [curves_from_motion(motion)[-1] for motion in held]
    return torch.stack(poses).numpy()
