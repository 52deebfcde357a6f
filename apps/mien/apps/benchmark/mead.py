"""Clips as a studio corpus of eight emotions has them, such as MEAD: labels in place of texts.

One emotion is held from beginning to end in one of three strengths, and the text is its label.
Everything else (performers, idle life, rendering to curves) is as in our own corpus.

Source:
    MEAD (Wang et al. 2020): eight emotions at three levels of intensity.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial

from mien.data_synth.caption import write_caption
from mien.data_synth.clip import FPS, Clip, clip_rng, split_of
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import Performance, on_grid, shaped_action
from mien.data_synth.performer import perform
from mien.data_synth.score import format_score
from mien.data_synth.separability import MEAD
from mien.data_synth.writer import write_events

PIECE = 1000  # clips that are encoded together
_STREAM = 0x3EAD  # apart from the clips and drills of the same seed
_STRENGTHS = ((0.25, "slightly "), (0.55, ""), (0.85, "very "))
_SHORTEST_S, _LONGEST_S = 3.0, 6.0


def make_mead_clip(seed: int, index: int, lexicon: Lexicon | None = None) -> Clip:
    """Make clip `index` of a seed, labels and strengths in turn; for training alone.

    Example:
        >>> clip = make_mead_clip(0, 5)
        >>> clip.texts[0], clip.split, len(clip.performance.actions)
        ('happy', 'train', 1)
    """
    lexicon = lexicon or Lexicon.default()
    rng = clip_rng(seed ^ _STREAM, index)
    label = MEAD[index % len(MEAD)]
    strength, word = _STRENGTHS[index // len(MEAD) % len(_STRENGTHS)]
    performance = _perform_label(rng, label, strength, lexicon)
    while split_of(performance) != "train":
        performance = _perform_label(rng, label, strength, lexicon)
    curves = perform(performance, rng.getrandbits(31), FPS, lexicon)
    events, score = tuple(write_events(performance, lexicon)), format_score(performance)
    caption = write_caption(performance, rng, lexicon)
    strong = label if label == "neutral" else word + label  # which has one level
    texts = (label, f"a {label} face", f"a person who looks {label}", strong)
    return Clip(index, "train", texts, caption, score, events, performance, curves)


def _perform_label(
    rng: random.Random, label: str, strength: float, lexicon: Lexicon
) -> Performance:
    entry = lexicon[label]
    low, high = entry.intensity
    seconds = on_grid(rng.uniform(_SHORTEST_S, _LONGEST_S))
    action = shaped_action(
        entry, rng.choice(entry.sides), min(max(strength, low), high), 0.0, seconds, True,
        rng.random(),
    )  # fmt: skip
    return Performance((action,), seconds, rng.getrandbits(31))


def mead_pieces(count: int, seed: int) -> Iterator[tuple[str, Callable[[], list[Clip]]]]:
    """Name each piece of so many clips, with a function that makes it."""
    for start in range(0, count, PIECE):
        numbers = range(start, min(start + PIECE, count))
        yield f"mead{start:07d}", partial(_make, seed, numbers)


def _make(seed: int, numbers: range) -> list[Clip]:
    return [make_mead_clip(seed, index) for index in numbers]
