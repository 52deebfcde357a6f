"""Text and motion made together: a lexicon, performances of it, and the words for them."""

from mien.data_synth.babble import babble
from mien.data_synth.caption import write_caption
from mien.data_synth.clip import Clip, make_clip, sample_caption, sample_pair
from mien.data_synth.corpus import CorpusConfig, clip_from_row, read_corpus, write_corpus
from mien.data_synth.judge import (
    Expectation,
    expectations_of,
    judge_caption,
    judge_motion,
)
from mien.data_synth.lexicon import Entry, Lexicon
from mien.data_synth.performance import Action, Performance, sample_performance
from mien.data_synth.performer import perform, perform_motion
from mien.data_synth.score import format_score, parse_score, score_vocabulary
from mien.data_synth.writer import write, write_events, write_label

__all__ = [
    "Action",
    "Clip",
    "CorpusConfig",
    "Entry",
    "Expectation",
    "Lexicon",
    "Performance",
    "babble",
    "clip_from_row",
    "expectations_of",
    "format_score",
    "judge_caption",
    "judge_motion",
    "make_clip",
    "parse_score",
    "perform",
    "perform_motion",
    "read_corpus",
    "sample_caption",
    "sample_pair",
    "sample_performance",
    "score_vocabulary",
    "write",
    "write_caption",
    "write_corpus",
    "write_events",
    "write_label",
]
