"""Measuring systems: every figure of the tables, each with its interval."""

import math
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from mien.apps.benchmark.evaluator import Evaluator, curve_features
from mien.apps.benchmark.events import EventMarks, f1, match_events, mean_iou
from mien.apps.benchmark.frechet import frechet_distance
from mien.apps.benchmark.geometry import (
    Deviation,
    FaceMotion,
    clip_statistics,
    deviation,
    face_motion,
)
from mien.apps.benchmark.llm_judge import LlmMarks
from mien.apps.benchmark.repeats import (
    NOTHING,
    REPEATS,
    Figure,
    Rows,
    repeated,
    repeated_mean,
    repeated_ratio,
)
from mien.apps.benchmark.retrieval import POOL, diversity, mm_dist, multimodality, r_precision
from mien.apps.benchmark.sentences import Words, similarity
from mien.apps.benchmark.systems import Describe, Generate, Reading, true_events
from mien.apps.benchmark.text_scores import bleu, bleu_counts, cider_d, rouge_l, words_of
from mien.arkit import motion_from_curves
from mien.data_synth.clip import FPS, Clip
from mien.data_synth.judge import expectations_of, judge_caption, judge_motion
from mien.data_synth.lexicon import Lexicon
from mien.motion import Motion
from mien.tokenizer.features import FaceSpace

Figures = dict[str, Figure]
Curves = Float[ndarray, "t 61"]


@dataclass(frozen=True)
class Protocol:
    """How systems are measured.

    Attributes:
        repeats: Of each figure.
        generations: Motions made for each text, each with another seed.
        seed: Of the first generation, and of the repeats.
        pool: Clips that R-precision ranks among.
    """

    repeats: int = REPEATS
    generations: int = 3
    seed: int = 0
    pool: int = POOL

    def __post_init__(self) -> None:
        """Refuse a protocol that measures nothing."""
        if self.repeats < 2 or self.generations < 1 or self.pool < 2:
            raise ValueError(f"Wanted 2 repeats, 1 generation and a pool of 2 at least: {self}.")


class Tokenizes(typing.Protocol):
    """Gives tokens, as `mien.tokenizer.MotionTokenizer`."""

    def encode(self, motion: Motion) -> torch.Tensor:
        """One token a frame."""
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

    def mean(self, values: Sequence[float | None] | ndarray) -> Figure:
        """The mean of one value a clip."""
        return repeated_mean(values, self.protocol.repeats, self.protocol.seed)

    def repeat(self, measure: Callable[[Rows, np.random.Generator], float]) -> Figure:
        """Any measure of rows."""
        return repeated(measure, len(self.clips), self.protocol.repeats, self.protocol.seed)


def measure_generation(yardstick: Yardstick, motions: Sequence[Sequence[Curves]]) -> Figures:
    """All figures of text to motion.

    Args:
        yardstick: The truth.
        motions: One list a generation, each with a motion a clip.
    """
    if any(len(one) != len(yardstick.clips) for one in motions) or not motions:
        raise ValueError(
            f"Wanted {len(yardstick.clips)} motions a generation, "
            f"got {[len(one) for one in motions]}."
        )
    return {
        **_measure_space(yardstick, motions),
        **_measure_geometry(yardstick, motions),
        **_measure_meaning(yardstick, motions),
    }


def _measure_space(y: Yardstick, motions: Sequence[Sequence[Curves]]) -> Figures:
    """Retrieval and distribution; each repeat takes one of the generations by chance."""
    vectors = np.stack([y.evaluator.embed_motions(one, y.space) for one in motions])
    shapes = np.stack([y.statistics(one) for one in motions])
    scale = y.true_statistics.std(0) + 1e-6

    def of(measure: Callable[[ndarray, Rows, np.random.Generator], float]) -> Figure:
        return y.repeat(lambda rows, rng: measure(vectors[_any(rng, vectors)], rows, rng))

    def precision(k: int) -> Figure:
        return of(lambda v, r, _: r_precision(y.texts[r], v[r], y.protocol.pool)[k - 1])

    return {
        **{f"r_precision_{k}": precision(k) for k in (1, 2, 3)},
        "fd": of(lambda v, r, _: frechet_distance(v[r], y.true_vectors[r])),
        "fd_geometry": y.repeat(
            lambda r, rng: frechet_distance(
                shapes[_any(rng, shapes)][r] / scale, y.true_statistics[r] / scale
            )
        ),
        "mm_dist": of(lambda v, r, _: mm_dist(y.texts[r], v[r])),
        "diversity": of(lambda v, r, rng: diversity(v[r], rng)),
        "multimodality": NOTHING
        if len(motions) < 2
        else y.repeat(lambda r, rng: multimodality(vectors.transpose(1, 0, 2)[r], rng)),
    }


def _any(rng: np.random.Generator, generations: ndarray) -> int:
    return int(rng.integers(len(generations)))


def _measure_geometry(y: Yardstick, motions: Sequence[Sequence[Curves]]) -> Figures:
    """Distances from the truth, averaged over the generations of each clip."""
    found = [
        [_deviation(y, curves, true) for curves, true in zip(one, y.true_faces, strict=True)]
        for one in motions
    ]

    def column(name: str) -> Float[ndarray, " n"]:
        return np.asarray(np.mean([[getattr(d, name) for d in one] for one in found], axis=0))

    def ratio(name: str) -> Figure:
        above, below = column(name), column(f"true_{name}")
        return repeated_ratio(above, below, y.protocol.repeats, y.protocol.seed)

    plain = ("l2_mm", "lve_mm", "lve_mm2", "head_deg")
    deviations = ("fdd_codetalker_mm2", "fdd_facediffuser_mm2", "fdd_paper_mm")
    same = [_same_tokens(y.tokens(one), y.true_tokens) for one in motions]
    return {
        **{name: y.mean(column(name)) for name in (*plain, *deviations)},
        "jerk_ratio": ratio("jerk"),
        "energy_ratio": ratio("energy"),
        "token_accuracy": y.mean(np.mean(same, axis=0)),
    }


def _deviation(y: Yardstick, curves: Curves, true: FaceMotion) -> Deviation:
    return deviation(face_motion(curves, y.space), true, y.space)


def _same_tokens(
    made: Sequence[torch.Tensor], true: Sequence[torch.Tensor]
) -> Float[ndarray, " n"]:
    """Share of frames with the true token; the longer clip is cut."""
    pairs = [
        (a[: min(len(a), len(b))], b[: min(len(a), len(b))])
        for a, b in zip(made, true, strict=True)
    ]
    return np.array([float((a == b).double().mean()) for a, b in pairs])


def _measure_meaning(y: Yardstick, motions: Sequence[Sequence[Curves]]) -> Figures:
    """What the objective judge sees, and what a captioner reads, in the first generation."""
    first = motions[0]
    seen = [
        judge_motion(curves, FPS, expectations_of(clip.performance))
        for curves, clip in zip(first, y.clips, strict=True)
    ]
    emotion = NOTHING
    if y.reader is not None:
        marks = _caption_marks(y, [reading.caption for reading in y.reader(first)])
        emotion = y.mean(marks["emotion"])
    return {
        "judge_score": y.mean([marks.score for marks in seen]),
        "judge_passed": y.mean([float(marks.passed) for marks in seen]),
        "cor_e_read": emotion,
    }


def _caption_marks(y: Yardstick, captions: Sequence[str]) -> dict[str, list[float | None]]:
    lexicon = Lexicon.default()
    marks = [
        judge_caption(caption, clip.performance, lexicon)
        for caption, clip in zip(captions, y.clips, strict=True)
    ]
    return {
        name: [getattr(mark, name) for mark in marks]
        for name in ("emotion", "action", "intensity")
    }


def measure_captions(
    y: Yardstick, readings: Sequence[Reading], llm_marks: Sequence[LlmMarks] = ()
) -> Figures:
    """All figures of motion to text.

    Args:
        y: The truth.
        readings: One a clip.
        llm_marks: Of a language model as referee; empty where there was none.
    """
    if len(readings) != len(y.clips):
        raise ValueError(f"Wanted {len(y.clips)} readings, got {len(readings)}.")
    captions = [reading.caption for reading in readings]
    marks = _caption_marks(y, captions)
    timed = [
        match_events(reading.events, true_events(clip.performance))
        for reading, clip in zip(readings, y.clips, strict=True)
    ]
    has_events = any(reading.events for reading in readings)
    return {
        "cor_e": y.mean(marks["emotion"]),
        "cor_m": y.mean(marks["action"]),
        "cor_i": y.mean(marks["intensity"]),
        **_text_figures(y, captions),
        "event_iou": _of_events(y, timed, mean_iou) if has_events else NOTHING,
        "event_f1": _of_events(y, timed, f1) if has_events else NOTHING,
        "llm_e": y.mean([float(m.emotion) for m in llm_marks]),
        "llm_m": y.mean([float(m.motion) for m in llm_marks]),
        "llm_i": y.mean([float(m.intensity) for m in llm_marks]),
    }


def references_of(clip: Clip) -> tuple[str, ...]:
    """The raw texts that a caption is compared with: the clip's caption and its prompts."""
    return (clip.caption, *clip.texts)


def _text_figures(y: Yardstick, captions: Sequence[str]) -> Figures:
    raw = [references_of(clip) for clip in y.clips]
    own = [words_of(caption) for caption in captions]
    others = [[words_of(text) for text in group] for group in raw]
    counts = np.stack([bleu_counts(a, b) for a, b in zip(own, others, strict=True)])
    safe = [caption if words else "nothing" for caption, words in zip(captions, own, strict=True)]
    return {
        "bleu_4": y.repeat(lambda rows, _: bleu(counts[rows].sum(0))),
        "rouge_l": y.mean([rouge_l(a, b) for a, b in zip(own, others, strict=True)]),
        "cider_d": y.mean(cider_d(own, others)),
        "minilm": y.mean(similarity(safe, raw, y.encoder)),
    }


def _of_events(
    y: Yardstick, marks: Sequence[EventMarks], measure: Callable[[Sequence[EventMarks]], float]
) -> Figure:
    figure = y.repeat(lambda rows, _: measure([marks[i] for i in rows]))
    return NOTHING if math.isnan(figure.value) else figure
