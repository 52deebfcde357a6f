"""A figure with its 95 % interval, for any measure of a set of clips."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

REPEATS = 20
_Z = 1.96  # standard errors in a 95 % interval

Rows = Int[ndarray, " n"]
Measure = Callable[[Rows, np.random.Generator], float]


@dataclass(frozen=True)
class Figure:
    """A value and its 95 % interval.

    Attributes:
        value: Over all clips; nan where there was nothing to measure.
        low: Lower end of the interval.
        high: Upper end.
        repeats: How many repeats it rests on; 0 where there was nothing to measure.
    """

    value: float
    low: float
    high: float
    repeats: int

    def text(self, digits: int = 3) -> str:
        """The value and half its interval's width, or a dash.

        Example:
            >>> Figure(0.5, 0.45, 0.55, 20).text(2)
            '0.50 ± 0.05'
        """
        if math.isnan(self.value):
            return "–"
        half = (self.high - self.low) / 2
        return f"{self.value:.{digits}f} ± {half:.{digits}f}"


NOTHING = Figure(math.nan, math.nan, math.nan, 0)


def repeated(measure: Measure, count: int, repeats: int = REPEATS, seed: int = 0) -> Figure:
    """Measure a set of clips again and again.

    The value is the mean of the measure over all clips, in another order each time. The interval
    is that of the choice of clips: 1.96 times the spread of the measure over random halves of
    them, for the variance over halves drawn without replacement is that of the whole estimate
    (delete-d jackknife with d = n / 2; Shao and Wu 1989, doi:10.1214/aos/1176347263). It is wider
    than the usual interval of twenty shuffles of the same clips, which says nothing of the clips.

    Args:
        measure: Of row numbers, in the order given, and a source of chance.
        count: How many clips.
        repeats: At least 2.
        seed: Of orders, halves and the measure's own chance.

    Raises:
        ValueError: If there are too few clips or repeats.

    Example:
        >>> repeated(lambda rows, rng: float(rows.mean()), 5).value
        2.0
    """
    if count < 4 or repeats < 2:
        raise ValueError(f"Wanted at least 4 clips and 2 repeats, got {count} and {repeats}.")
    whole, halves = [], []
    for number in range(repeats):
        rng = np.random.default_rng([seed, number])
        whole.append(measure(rng.permutation(count), rng))
        halves.append(measure(rng.permutation(count)[: count // 2], rng))
    value, half = float(np.mean(whole)), _Z * float(np.std(halves, ddof=1))
    return Figure(value, value - half, value + half, repeats)


def repeated_mean(
    values: Sequence[float | None] | Float[ndarray, " n"], repeats: int = REPEATS, seed: int = 0
) -> Figure:
    """The mean of one value a clip; clips without one (None) do not count."""
    kept = np.array([value for value in values if value is not None], np.float64)
    if len(kept) < 4:
        return NOTHING
    return repeated(lambda rows, _: float(kept[rows].mean()), len(kept), repeats, seed)


def repeated_ratio(
    above: Float[ndarray, " n"], below: Float[ndarray, " n"], repeats: int = REPEATS, seed: int = 0
) -> Figure:
    """The ratio of two sums over clips, such as of jerk to the truth's; nan over zero."""
    if len(above) < 4 or float(below.sum()) <= 0:
        return NOTHING

    def measure(rows: Rows, _: np.random.Generator) -> float:
        total = float(below[rows].sum())
        return float(above[rows].sum()) / total if total > 0 else math.nan

    return repeated(measure, len(above), repeats, seed)
