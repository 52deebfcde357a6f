"""How systems are measured: the protocol, and the test clips with all they are measured by."""

import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from mien.apps.benchmark.evaluator import Evaluator, curve_features
from mien.apps.benchmark.geometry import clip_statistics, face_motion
from mien.apps.benchmark.repeats import REPEATS, Figure, Rows, repeated, repeated_mean
from mien.apps.benchmark.retrieval import POOL
from mien.apps.benchmark.sentences import Words
from mien.apps.benchmark.systems import Describe, Generate
from mien.arkit import curves_from_motion, motion_from_curves
from mien.data_synth.clip import FPS, Clip
from mien.motion import Motion
from mien.tokenizer.features import FaceSpace

Figures = dict[str, Figure]
Curves = Float[ndarray, "t 61"]
Varied = Float[ndarray, "n g e"]


@dataclass(frozen=True)
class Protocol:
    """How systems are measured.

    Attributes:
        repeats: Of each figure.
        generations: Motions made for each text, each with another seed.
        seed: Of the first generation, and of the repeats.
        pool: Clips that R-precision ranks among.
        varied_texts: Texts that multimodality is measured on; 0 leaves it out.
        varied: Motions made for each of these, each with a seed of its own.
    """

    repeats: int = REPEATS
    generations: int = 3
    seed: int = 0
    pool: int = POOL
    varied_texts: int = 16
    varied: int = 30

    def __post_init__(self) -> None:
        """Refuse a protocol that measures nothing."""
        if self.repeats < 2 or self.generations < 1 or self.pool < 2:
            raise ValueError(f"Wanted 2 repeats, 1 generation and a pool of 2 at least: {self}.")
        if self.varied_texts and (self.varied_texts < 4 or self.varied < 2):
            raise ValueError(
                "Multimodality wants 4 texts and 2 motions of each at least, got "
                f"{self.varied_texts} and {self.varied}."
            )


class Tokenizes(typing.Protocol):
    """Gives tokens and takes them back, as `mien.tokenizer.MotionTokenizer`."""

    def encode(self, motion: Motion) -> torch.Tensor:
        """One token a frame."""
        ...

    def decode(self, indices: torch.Tensor) -> Motion:
        """The motion that tokens stand for."""
        ...


class Yardstick:
    """The test clips and everything they are measured by, computed once.

    Args:
        clips: Test clips; the first text of each is the prompt.
        evaluator: Trained on the train split alone.
        tokenizer: Whose tokens the token accuracy counts.
        encoder: Gives word vectors.
        protocol: Repeats, generations and seeds.
        reader: Reads generated motion for CorE; None leaves it out.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        evaluator: Evaluator,
        tokenizer: Tokenizes,
        encoder: Words,
        protocol: Protocol,
        reader: Describe | None = None,
    ) -> None:
        if len(clips) < 2 * protocol.pool:
            raise ValueError(
                f"Wanted two pools of {protocol.pool} test clips at least, got {len(clips)}."
            )
        self.clips, self.protocol, self.encoder = clips, protocol, encoder
        self.evaluator, self.tokenizer, self.reader = evaluator, tokenizer, reader
        self.space = FaceSpace.default()
        self.prompts = [clip.texts[0] for clip in clips]
        self.seconds = [len(clip.curves) / FPS for clip in clips]
        self.texts = evaluator.embed_texts(self.prompts, encoder)
        self.truth = [clip.curves for clip in clips]
        self.true_faces = [face_motion(curves, self.space) for curves in self.truth]
        self.true_vectors = evaluator.embed_motions(self.truth, self.space)
        self.true_statistics = self.statistics(self.truth)
        self.true_tokens = self.tokens(self.truth)

    def statistics(self, motions: Sequence[Curves]) -> Float[ndarray, "n s"]:
        """What the Frechet distance without a learned model compares."""
        reduced = (self.evaluator.reduce(curve_features(c, self.space)) for c in motions)
        return np.stack([clip_statistics(frames.numpy()) for frames in reduced])

    def tokens(self, motions: Sequence[Curves]) -> list[torch.Tensor]:
        """Tokens of each motion."""
        return [self.tokenizer.encode(motion_from_curves(c, FPS)) for c in motions]

    def generate(self, generate: Generate) -> list[list[Curves]]:
        """Motions of a system: one list a generation."""
        step = len(self.clips)  # so that no two motions of a text share a seed
        return [
            generate(self.prompts, self.seconds, self.protocol.seed + number * step)
            for number in range(self.protocol.generations)
        ]

    def generate_varied(self, generate: Generate) -> Varied | None:
        """Embeddings of many motions of each of the first texts, or None where none are wanted."""
        p, step = self.protocol, len(self.clips)
        prompts, seconds = self.prompts[: p.varied_texts], self.seconds[: p.varied_texts]
        if not prompts:
            return None
        made = [
            generate(prompts, seconds, p.seed + (p.generations + number) * step)
            for number in range(p.varied)
        ]
        return np.stack([self.evaluator.embed_motions(one, self.space) for one in made], axis=1)

    def coded(self) -> list[Curves]:
        """The truth as its tokens tell it: what no system that makes these tokens can pass."""
        return [curves_from_motion(self.tokenizer.decode(t)).numpy() for t in self.true_tokens]

    def mean(self, values: Sequence[float | None] | ndarray) -> Figure:
        """The mean of one value a clip."""
        return repeated_mean(values, self.protocol.repeats, self.protocol.seed)

    def repeat(self, measure: Callable[[Rows, np.random.Generator], float]) -> Figure:
        """Any measure of rows."""
        return repeated(measure, len(self.clips), self.protocol.repeats, self.protocol.seed)
