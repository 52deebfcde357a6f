"""How well curves show a performance: which of several motions of one plan is the best."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.data_synth.judge import expectations_of, judge_motion
from mien.data_synth.performance import Performance
from mien.data_synth.performer import perform

_PERFORMERS = 4  # whose mean is what others are held against
_DISTANCE = 10.0  # weight of a mean difference of curves beside the judge's score of 0 to 1


def mark_motions(
    performance: Performance, motions: Sequence[Float[ndarray, "t 61"]], fps: float
) -> list[float]:
    """Mark motions that should show a performance; higher is better.

    A mark is the judge's score, of what is seen of the performance, less the mean distance from
    how performers do it: what is seen equally well is better the less there is beside it.

    Args:
        performance: What should be seen.
        motions: Columns `mien.arkit.CHANNEL_NAMES`, each as long as the performance.
        fps: Frames a second.

    Raises:
        ValueError: If the performance has no actions.
    """
    expected = expectations_of(performance)
    performed = np.mean([perform(performance, seed, fps) for seed in range(_PERFORMERS)], axis=0)
    return [
        judge_motion(curves, fps, expected).score - _DISTANCE * _distance(curves, performed)
        for curves in motions
    ]


def _distance(one: Float[ndarray, "t 61"], other: Float[ndarray, "s 61"]) -> float:
    frames = min(len(one), len(other))
    return float(np.abs(one[:frames] - other[:frames]).mean())
