"""Several things that a prompt names in so many words."""

import math
from dataclasses import replace

import pytest
import torch
from tests.llm.llm_world import make_language_model

from mien.llm import MotionLanguageModel
from mien.llm.composer import Composer
from mien.llm.drive import run_all
from mien.llm.orders import Order, Part, insist, named_orders, put_in_row, spoken_parts
from mien.llm.plan import Line, parse_lines


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("frown, then look up", [("frown", False), ("look up", True)]),
        ("wide eyes + open mouth", [("wide eyes", False), ("open mouth", False)]),
        ("smile -> gasp -> glare", [("smile", False), ("gasp", True), ("glare", True)]),
        ("nod while smiling", [("nod", False), ("smiling", False)]),
        ("Nod. Now wink!", [("Nod", False), ("wink", True)]),
        ("hold-up, well-known", [("hold-up", False), ("well-known", False)]),
    ],
)
def test_a_text_is_cut_where_it_joins(text: str, parts: list[tuple[str, bool]]) -> None:
    assert spoken_parts(text) == tuple(Part(*part) for part in parts)


@pytest.mark.parametrize("text", ["smile", "...", "a, b, c, d, e, f and g", "sandpaper withal"])
def test_one_part_or_a_story_is_not_cut(text: str) -> None:
    assert spoken_parts(text) == ()


def _names(*shares: float) -> torch.Tensor:
    """Log shares of three entries."""
    return torch.tensor(shares).clamp_min(1e-6).log()


EVEN = _names(0.34, 0.33, 0.33)


def test_only_what_is_sure_and_heard_in_the_whole_is_named() -> None:
    parts = spoken_parts("frown, then look up and smile")
    sure = torch.stack([_names(0.9, 0.1, 0), _names(0, 0.9, 0.1), _names(0, 0.1, 0.9)])
    found = (Order(0, False), Order(1, True), Order(2, False))
    assert named_orders(parts, sure, EVEN) == found
    unsure = sure.clone()
    unsure[1] = _names(0.3, 0.4, 0.3)
    assert named_orders(parts, unsure, EVEN) == (Order(0, False), Order(2, True))
    assert named_orders(parts, sure, _names(0.5, 0.5, 0)) == found[:2]
    assert named_orders(parts, sure, EVEN, torch.tensor([False, True, True])) == ()
    twice = sure[[0, 0, 0]]
    assert named_orders(parts, twice, EVEN) == ()


def test_what_is_denied_is_not_named() -> None:
    parts = spoken_parts("don't frown, look up and smile")
    sure = torch.stack([_names(0.9, 0.1, 0), _names(0, 0.9, 0.1), _names(0, 0.1, 0.9)])
    assert [order.entry for order in named_orders(parts, sure, EVEN)] == [1, 2]


def test_the_end_waits_for_what_is_missing_and_that_for_its_turn() -> None:
    logits, ids = torch.tensor([1.0, 0.0, 3.0, 2.0, 5.0]), [10, 11, 12, 13, 99]
    moved = insist(logits, ids, [11, 12], 99)
    assert moved[3] == 2.0 and moved[0] == 1.0
    assert moved[2] == moved[4] == -torch.inf
    assert moved[1] == pytest.approx(2 + math.log(1 + math.exp(5)))
    assert int(moved.argmax()) == 1
    assert torch.equal(insist(logits, ids, [], 99), logits)
    assert torch.equal(insist(logits, ids, [77], 99), logits)
    assert logits.tolist() == [1.0, 0.0, 3.0, 2.0, 5.0]


def _line(entry: str, start: int, stop: int) -> Line:
    return Line(start, stop, entry, "both", "mid")


def test_what_follows_comes_when_the_other_has_ended() -> None:
    row = [("a", False), ("b", True)]
    apart = [_line("a", 1, 9), _line("b", 9, 15)]
    assert put_in_row(apart, row) == tuple(apart)
    into = [_line("a", 1, 30), _line("b", 12, 20)]
    assert put_in_row(into, row) == (_line("a", 1, 12), _line("b", 12, 20))
    both = [_line("a", 2, 20), _line("b", 2, 20), _line("c", 5, 9)]
    late = put_in_row(both, row)
    assert late == (_line("a", 2, 10), _line("b", 10, 28), _line("c", 13, 17))
    at_once = [("a", False), ("b", False)]
    assert put_in_row(both, at_once) == tuple(both)
    assert put_in_row(both, [("z", False), ("b", True)]) == tuple(both)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ticks", [None, 30])
def test_a_plan_has_all_that_is_named_in_its_order(seed: int, ticks: int | None) -> None:
    model = make_language_model()
    (prompt,) = model.read_prompts(["she winks"])
    prompt = replace(prompt, orders=tuple(Order(i, True) for i in (3, 1, 0)))
    decoder = model._decoders["text_to_motion"].fork()
    seconds = None if ticks is None else ticks / 5
    composer = Composer(decoder, model.vocabulary, prompt, seconds, seed)
    run_all(decoder, [composer.plan()], 1)
    entries = [line.entry for line in composer.lines]
    first = [entries.index(name) for name in ("look-left", "nod", "smile") if name in entries]
    assert first == sorted(first)
    if ticks is None:
        assert len(first) == 3
        stops = [composer.lines[at].stop for at in first[:-1]]
        starts = [composer.lines[at].start for at in first[1:]]
        assert all(stop <= start for stop, start in zip(stops, starts, strict=True))
    assert composer.num_frames >= 5 * max(line.stop for line in composer.lines)


def test_the_shipped_model_plans_what_is_named() -> None:
    model = MotionLanguageModel.load()
    text = "smile, frown, stick out tongue, lift brows"
    (prompt,) = model.read_prompts([text])
    named = [model.vocabulary.entries[order.entry] for order in prompt.orders]
    assert named == ["smile", "frown", "tongue-out", "raise-brows"]
    score, _ = model.generate_motion([text], seed=1)[0]
    planned = list(dict.fromkeys(line.entry for line in parse_lines(score)))
    assert [entry for entry in planned if entry in named] == named
