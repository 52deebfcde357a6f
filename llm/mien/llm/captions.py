"""What the model learns to answer: a plan in the words of the corpus' captions."""

import random
from collections.abc import Sequence

from mien.data_synth.caption import write_caption
from mien.data_synth.score import parse_score
from mien.llm.plan import Line, format_lines

QUIET = "The face stays neutral."


def caption_lines(lines: Sequence[Line], rng: random.Random) -> str:
    """Say what a plan's lines show, in order; `rng` chooses among phrases.

    Example:
        >>> caption_lines([], random.Random(0))
        'The face stays neutral.'
    """
    if not lines:
        return QUIET
    return str(write_caption(parse_score(format_lines(lines)), rng))
