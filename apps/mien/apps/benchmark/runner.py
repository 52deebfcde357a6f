"""Measuring text to motion: every figure of the tables, each with its interval."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from mien.apps.benchmark.actions import action_marks
from mien.apps.benchmark.frechet import frechet_distance
from mien.apps.benchmark.geometry import Deviation, FaceMotion, deviation, face_motion
from mien.apps.benchmark.readers import caption_marks
from mien.apps.benchmark.repeats import NOTHING, Figure, Rows, repeated, repeated_ratio
from mien.apps.benchmark.retrieval import diversity, mm_dist, multimodality, r_precision
from mien.apps.benchmark.yardstick import Curves, Figures, Varied, Yardstick
from mien.data_synth.clip import FPS
from mien.data_synth.judge import expectations_of, judge_motion


def measure_generation(
    yardstick: Yardstick,
    motions: Sequence[Sequence[Curves]],
    varied: Varied | None = None,
    forced: Sequence[float] = (),
) -> Figures:
    """All figures of text to motion.

    Args:
        yardstick: The truth.
        motions: One list a generation, each with a motion a clip.
        varied: Embeddings of many motions a text, for multimodality.
        forced: For each clip the share of tokens guessed after the true ones; empty where the
            system cannot be asked.
    """
    if any(len(one) != len(yardstick.clips) for one in motions) or not motions:
        raise ValueError(
            f"Wanted {len(yardstick.clips)} motions a generation, "
            f"got {[len(one) for one in motions]}."
        )
    return {
        **_measure_space(yardstick, motions, varied),
        **_measure_geometry(yardstick, motions),
        **_measure_meaning(yardstick, motions),
        **_measure_actions(yardstick, motions[0]),
        "token_next": yardstick.mean(forced),
    }


def _measure_space(
    y: Yardstick, motions: Sequence[Sequence[Curves]], varied: Varied | None
) -> Figures:
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
        "fd_plain": of(lambda v, r, _: frechet_distance(v[r], y.true_vectors[r], shrink=False)),
        "fd_geometry": y.repeat(
            lambda r, rng: frechet_distance(
                shapes[_any(rng, shapes)][r] / scale, y.true_statistics[r] / scale
            )
        ),
        "mm_dist": of(lambda v, r, _: mm_dist(y.texts[r], v[r])),
        "diversity": of(lambda v, r, rng: diversity(v[r], rng)),
        "multimodality": NOTHING if varied is None else _multimodality(y, varied),
    }


def _multimodality(y: Yardstick, varied: Varied) -> Figure:
    p = y.protocol
    return repeated(
        lambda rows, rng: multimodality(varied[rows], rng), len(varied), p.repeats, p.seed
    )


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
        marks = caption_marks(y, [reading.caption for reading in y.reader(first)])
        emotion = y.mean(marks["emotion"])
    return {
        "judge_score": y.mean([marks.score for marks in seen]),
        "judge_passed": y.mean([float(marks.passed) for marks in seen]),
        "cor_e_read": emotion,
    }


def _measure_actions(y: Yardstick, motions: Sequence[Curves]) -> Figures:
    """The objective judge's verdict taken apart, in the first generation."""
    marks = [
        action_marks(curves, true, clip.performance)
        for curves, true, clip in zip(motions, y.truth, y.clips, strict=True)
    ]
    return {
        "action_seen": y.mean([m.seen for m in marks]),
        "action_side": y.mean([m.side for m in marks]),
        "action_order": y.mean([m.order for m in marks]),
        "action_intensity": y.mean([m.intensity for m in marks]),
    }
