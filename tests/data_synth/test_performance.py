import random
from collections import Counter

import pytest

from mien.data_synth.lexicon import KINDS, Lexicon
from mien.data_synth.performance import (
    GRID_S,
    Action,
    Performance,
    clash,
    on_grid,
    sample_performance,
)


@pytest.fixture(scope="module")
def samples() -> list[Performance]:
    rng = random.Random(5)
    return [sample_performance(rng, Lexicon.default()) for _ in range(1500)]


def test_a_performance_survives_json(samples: list[Performance]) -> None:
    assert all(Performance.from_json(p.to_json()) == p for p in samples[:50])


def test_starts_and_ends_lie_on_the_grid_and_inside(samples: list[Performance]) -> None:
    for p in samples:
        assert 2.0 <= p.seconds <= 8.0
        for a in p.actions:
            assert a.start_s == on_grid(a.start_s) and a.end_s == on_grid(a.end_s)
            assert a.end_s - a.start_s >= 2 * GRID_S - 1e-9
            assert a.end_s <= p.seconds


def test_only_an_action_at_the_very_end_is_held(samples: list[Performance]) -> None:
    held = [(a, p) for p in samples for a in p.actions if a.release_s >= a.end_s]
    assert held
    assert all(a.end_s == p.seconds for a, p in held)


def test_one_to_five_actions_of_every_kind_and_entry_come(samples: list[Performance]) -> None:
    lexicon = Lexicon.default()
    counts = Counter(len(p.actions) for p in samples)
    assert set(counts) == {1, 2, 3, 4, 5}
    entries = Counter(a.entry for p in samples for a in p.actions)
    assert len(entries) > 0.98 * len(lexicon)
    kinds = Counter(lexicon[a.entry].kind for p in samples for a in p.actions)
    assert min(kinds[k] for k in KINDS) > 0.1 * kinds.total()


def test_actions_both_follow_and_overlap_each_other(samples: list[Performance]) -> None:
    pairs = [p.actions[:2] for p in samples if len(p.actions) > 1]
    overlapping = sum(b.start_s < a.end_s - 0.3 for a, b in pairs) / len(pairs)
    assert 0.2 < overlapping < 0.8


def test_a_length_that_is_asked_for_is_kept() -> None:
    performance = sample_performance(random.Random(1), Lexicon.default(), 3.0)
    assert performance.seconds == 3.0


def test_looks_that_need_the_same_part_clash() -> None:
    lexicon = Lexicon.default()
    assert clash(lexicon["smile"], lexicon["kiss"])
    assert not clash(lexicon["smile"], lexicon["look-left"])


def test_times_out_of_order_and_odd_intensities_are_refused() -> None:
    with pytest.raises(ValueError, match="in order"):
        Action("nod", "both", 0.5, 1.0, 0.5, 1.0, 2.0)
    with pytest.raises(ValueError, match="0..1"):
        Action("nod", "both", 1.5, 0.0, 0.5, 1.0, 2.0)
    nod = Action("nod", "both", 0.5, 0.0, 0.5, 1.0, 2.0)
    with pytest.raises(ValueError, match="end within"):
        Performance((nod,), 1.0)
    later = Action("nod", "both", 0.5, 0.4, 0.5, 1.0, 2.0)
    with pytest.raises(ValueError, match="sorted by start"):
        Performance((later, nod), 2.0)
