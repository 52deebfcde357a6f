"""Choosing among several motions of one plan."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxtyping import Int
from torch import Tensor

from mien.arkit import curves_from_motion
from mien.data_synth.fidelity import mark_motions
from mien.data_synth.score import parse_score

if TYPE_CHECKING:
    from mien.llm.model import Marks
    from mien.tokenizer import MotionTokenizer


def marks_by(tokenizer: "MotionTokenizer") -> "Marks":
    """Marks of how well motion codes show their plan, by the curves that the codes stand for."""

    def marks(score: str, takes: Int[Tensor, "n t"]) -> Sequence[float]:
        motions = tokenizer.preview(takes)
        try:
            performance = parse_score(score, seconds=motions[0].seconds)
        except ValueError:  # nothing of the plan has time to be seen
            return [0.0] * len(motions)
        curves = [curves_from_motion(motion).numpy() for motion in motions]
        return mark_motions(performance, curves, tokenizer.fps)

    return marks
