"""How far one plan agrees with another: entries, sides, strength, times and order."""

from collections.abc import Sequence
from dataclasses import dataclass

from mien.llm.plan import TICK_S, Line


@dataclass(frozen=True)
class Agreement:
    """Figures over many pairs of plans.

    Attributes:
        precision: Share of found entries that were wanted.
        recall: Share of wanted entries that were found.
        side: Share of matched entries on the right side.
        level: Share of matched entries of the right intensity.
        order: Share of plans whose matched entries come in the right order.
        start_error_s: Mean distance of the starts of matched entries, seconds.
    """

    precision: float
    recall: float
    side: float
    level: float
    order: float
    start_error_s: float


def plan_agreement(found: Sequence[Sequence[Line]], wanted: Sequence[Sequence[Line]]) -> Agreement:
    """Compare plans pairwise; equal entries are matched in the order of their starts.

    Raises:
        ValueError: If there are not as many found as wanted, or none.
    """
    if len(found) != len(wanted) or not found:
        raise ValueError(
            f"One found plan a wanted one is needed, got {len(found)} and {len(wanted)}."
        )
    pairs = [match_lines(a, b) for a, b in zip(found, wanted, strict=True)]
    matched = [pair for row in pairs for pair in row]
    count = max(1, len(matched))
    return Agreement(
        len(matched) / max(1, sum(map(len, found))),
        len(matched) / max(1, sum(map(len, wanted))),
        sum(a.side == b.side for a, b in matched) / count,
        sum(a.level == b.level for a, b in matched) / count,
        sum(_is_ordered(row) for row in pairs) / len(pairs),
        sum(abs(a.start - b.start) for a, b in matched) * TICK_S / count,
    )


def match_lines(found: Sequence[Line], wanted: Sequence[Line]) -> list[tuple[Line, Line]]:
    """Pair lines of equal entries, first with first."""
    left = sorted(found)
    pairs = []
    for line in sorted(wanted):
        same = next((x for x in left if x.entry == line.entry), None)
        if same is not None:
            left.remove(same)
            pairs.append((same, line))
    return pairs


def _is_ordered(pairs: Sequence[tuple[Line, Line]]) -> bool:
    """Whether lines that follow each other in the wanted plan do not go back in the found one."""
    return all(a[0].start <= b[0].start for a, b in zip(pairs, pairs[1:], strict=False))
