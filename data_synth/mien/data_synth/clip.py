"""Clips: one performance with its texts and its motion, a function of (seed, index)."""

import hashlib
import random
from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray

from mien.data_synth.caption import write_caption
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import Performance, sample_drill, sample_performance
from mien.data_synth.performer import perform
from mien.data_synth.phrases import Split
from mien.data_synth.score import format_score
from mien.data_synth.writer import write, write_events

FPS = 25.0
NUM_TEXTS = 4
_PERCENT = {"val": 4, "test": 6}  # the rest is for training


@dataclass(frozen=True, eq=False)
class Clip:
    """One performance, its texts and its motion.

    Attributes:
        index: Its number in the corpus.
        split: train, val or test; test texts use phrases and frames that training never sees.
        texts: Paraphrases that may have asked for it.
        caption: What it shows, in the captions' style.
        score: The canonical score.
        events: (start, end, name) an action, seconds.
        performance: The ground truth.
        curves: float32, 25 frames a second, columns `mien.arkit.CHANNEL_NAMES`.
    """

    index: int
    split: Split
    texts: tuple[str, ...]
    caption: str
    score: str
    events: tuple[tuple[float, float, str], ...]
    performance: Performance
    curves: Float[ndarray, "t 61"]


def clip_rng(seed: int, index: int) -> random.Random:
    """The chance of one clip."""
    digest = hashlib.blake2b(f"mien clip {seed} {index}".encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "little"))


def split_of(performance: Performance) -> Split:
    """Which split a performance belongs to, by its performer's seed."""
    percent = performance.style_seed * 2654435761 % (1 << 32) * 100 >> 32
    if percent < _PERCENT["test"]:
        return "test"
    return "val" if percent < _PERCENT["test"] + _PERCENT["val"] else "train"


def make_clip(seed: int, index: int, lexicon: Lexicon | None = None) -> Clip:
    """Make clip `index` of the corpus of `seed`; the same one wherever and whenever."""
    lexicon = lexicon or Lexicon.default()
    rng = clip_rng(seed, index)
    return _clip_of(sample_performance(rng, lexicon), index, rng, lexicon)


def make_drill(seed: int, index: int, lexicon: Lexicon | None = None) -> Clip:
    """Make drill `index` of a seed: one action alone, for training beside the corpus.

    Example:
        >>> drill = make_drill(0, 3)
        >>> len(drill.performance.actions), drill.split
        (1, 'train')
    """
    lexicon = lexicon or Lexicon.default()
    rng = clip_rng(seed ^ 0xD811, index)
    performance = sample_drill(rng, lexicon, index)
    while split_of(performance) != "train":
        performance = sample_drill(rng, lexicon, index)
    return _clip_of(performance, index, rng, lexicon)


def _clip_of(performance: Performance, index: int, rng: random.Random, lexicon: Lexicon) -> Clip:
    split, motion_seed = split_of(performance), rng.getrandbits(31)
    texts = tuple(write(performance, rng, lexicon, split) for _ in range(NUM_TEXTS))
    caption = write_caption(performance, rng, lexicon)
    curves = perform(performance, motion_seed, FPS, lexicon)
    events = tuple(write_events(performance, lexicon))
    score = format_score(performance)
    return Clip(index, split, texts, caption, score, events, performance, curves)


def sample_pair(
    seed: int, index: int, lexicon: Lexicon | None = None, split: Split = "train"
) -> tuple[str, str, float]:
    """A text, the score it asks for and the seconds it takes, without any motion.

    Pairs are independent of the clips of the same seed. Only performers of `split` are drawn.

    Example:
        >>> text, score, seconds = sample_pair(0, 1)
        >>> bool(text) and bool(score) and 2.0 <= seconds <= 8.0
        True
    """
    lexicon = lexicon or Lexicon.default()
    rng = clip_rng(seed ^ 0x7E47, index)
    performance = sample_performance(rng, lexicon)
    while split_of(performance) != split:
        performance = sample_performance(rng, lexicon)
    return write(performance, rng, lexicon, split), format_score(performance), performance.seconds


def sample_caption(
    seed: int, index: int, lexicon: Lexicon | None = None, split: Split = "train"
) -> tuple[str, str, float]:
    """A caption, its score and its seconds, without any motion."""
    lexicon = lexicon or Lexicon.default()
    rng = clip_rng(seed ^ 0xCAB7, index)
    performance = sample_performance(rng, lexicon)
    while split_of(performance) != split:
        performance = sample_performance(rng, lexicon)
    return write_caption(performance, rng, lexicon), format_score(performance), performance.seconds
