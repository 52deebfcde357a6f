"""Measuring motion to text: marks of the objective judge, n-grams, sentences, timed events."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from mien.apps.benchmark.events import EventMarks, f1, match_events, mean_iou
from mien.apps.benchmark.llm_judge import LlmMarks
from mien.apps.benchmark.repeats import NOTHING, Figure
from mien.apps.benchmark.sentences import similarity
from mien.apps.benchmark.systems import Reading, true_events
from mien.apps.benchmark.text_scores import bleu, bleu_counts, cider_d, rouge_l, words_of
from mien.apps.benchmark.yardstick import Figures, Yardstick
from mien.data_synth.clip import Clip
from mien.data_synth.judge import judge_caption
from mien.data_synth.lexicon import Lexicon


def caption_marks(y: Yardstick, captions: Sequence[str]) -> dict[str, list[float | None]]:
    """Marks of 1 to 5 by the objective judge, one a clip."""
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
    marks = caption_marks(y, captions)
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
