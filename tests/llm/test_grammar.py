import numpy as np
import pytest
from tests.llm.llm_world import make_codec, make_vocabulary

from mien.llm.grammar import PlanGrammar
from mien.llm.plan import format_lines, parse_lines
from mien.llm.vocabulary import MAX_LINES, MAX_TICKS


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("ticks", [None, 1, 2, 12, 40])
def test_any_choice_of_allowed_tokens_is_a_valid_plan(seed: int, ticks: int | None) -> None:
    vocabulary = make_vocabulary(make_codec())
    rng = np.random.default_rng(seed)
    grammar = PlanGrammar(vocabulary, "motion", ticks)
    tokens = []
    while not grammar.closed:
        allowed = grammar.allowed(MAX_TICKS)
        tokens.append(int(rng.choice(allowed)))
        grammar.advance(tokens[-1])
    lines = grammar.lines
    assert parse_lines(format_lines(lines)) == tuple(sorted(lines))
    assert [x.start for x in lines] == sorted(x.start for x in lines)
    assert all(0 <= x.start < x.stop <= (grammar.ticks or 0) for x in lines)
    sides = dict(zip(vocabulary.entries, vocabulary.entry_sides, strict=True))
    assert all(x.side in sides[x.entry] for x in lines)
    assert len(lines) <= MAX_LINES


def test_a_plan_must_say_something_where_it_has_to() -> None:
    vocabulary = make_vocabulary(make_codec())
    strict = PlanGrammar(vocabulary, "motion", 10, min_lines=1)
    free = PlanGrammar(vocabulary, "caption", 10, min_lines=0)
    for grammar in (strict, free):
        grammar.advance(grammar.allowed(MAX_TICKS)[0])
    assert vocabulary.control("motion") not in strict.allowed(MAX_TICKS)
    assert vocabulary.control("caption") in free.allowed(MAX_TICKS)


def test_strengths_and_times_lie_on_scales_and_nothing_else_does() -> None:
    vocabulary = make_vocabulary(make_codec())
    grammar = PlanGrammar(vocabulary, "caption", 10)
    found = []
    while not grammar.closed:
        token = grammar.allowed(MAX_TICKS)[0]
        found.append((grammar.is_ordered, vocabulary.is_pace(token)))
        grammar.advance(token)
    assert not found[0][0]  # the duration
    assert found[1:] == [(paced, paced) for _, paced in found[1:]]
