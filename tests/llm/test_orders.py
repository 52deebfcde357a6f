"""Several things that a prompt names in so many words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from tests.llm.llm_world import make_language_model

from mien.llm import MotionLanguageModel
from mien.llm.composer import Composer
from mien.llm.drive import run_all
from mien.llm.orders import Named, Order, asked_for, insist, named_orders, put_in_row, unmet
from mien.llm.parts import Part, spoken_parts
from mien.llm.plan import Line, parse_lines


def _names(*shares: float) -> torch.Tensor:
    """Log shares of three entries."""
    return torch.tensor(shares).clamp_min(1e-6).log()


EVEN = _names(0.34, 0.33, 0.33)
SIDES = {"raise-brows": ("both", "left", "right"), "turn-left": ("both",), "turn-right": ("both",)}


def _named(
    parts: Sequence[Part],
    names: torch.Tensor,
    whole: torch.Tensor,
    sides: Mapping[str, Sequence[str]],
    barred: torch.Tensor | None = None,
) -> Named:
    """What parts name where each answers to one row in all of its wordings."""
    rows = [row.expand(len(part.wordings), -1) for part, row in zip(parts, names, strict=True)]
    return named_orders(parts, rows, whole, sides, barred)


def test_only_what_is_sure_and_heard_in_the_whole_is_named() -> None:
    parts = spoken_parts("frown, then look up and smile")
    sure = torch.stack([_names(0.9, 0.1, 0), _names(0, 0.9, 0.1), _names(0, 0.1, 0.9)])
    first, second, third = SIDES
    found = (Order(first, False), Order(second, True), Order(third, False))
    assert _named(parts, sure, EVEN, SIDES).orders == found
    unsure = sure.clone()
    unsure[1] = _names(0.38, 0.3, 0.32)
    assert _named(parts, unsure, EVEN, SIDES).orders == (
        Order(first, False),
        Order(third, True),
    )
    assert _named(parts, sure, _names(0.5, 0.5, 0), SIDES).orders == found[:2]
    feelings = {"sad": ("both",), "smile": ("both",), "turn-left": ("both",)}
    half = torch.stack([_names(0.5, 0.3, 0.2), _names(0.3, 0.5, 0.2), _names(0.3, 0.2, 0.5)])
    assert len(_named(parts, half, EVEN, SIDES).orders) == 3
    assert _named(parts, half, EVEN, feelings).orders == ()  # a movement alone is not several
    assert _named(parts, sure, EVEN, SIDES, torch.tensor([False, True, True])).orders == ()
    twice = sure[[0, 0, 0]]
    assert _named(parts, twice, EVEN, SIDES).orders == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("don't frown, look up and smile", (1, 2)),
        ("frown, never look up, smile", (0, 2)),
        ("frown, look up, with no smile", (0, 1)),
        ("frown, look up, shake your head no", (0, 1, 2)),
        ("at this moment, look up, smile", (0, 1, 2)),
        ("frown like a judge, look up, press so nothing gets out", (0, 1, 2)),
        ("frown, like a hawk, smile", (0, 2)),
    ],
)
def test_what_is_denied_is_not_named(text: str, named: tuple[int, ...]) -> None:
    parts = spoken_parts(text)
    sure = torch.stack([_names(0.9, 0.1, 0), _names(0, 0.9, 0.1), _names(0, 0.1, 0.9)])
    found = [order.entry for order in _named(parts, sure, EVEN, SIDES).orders]
    assert found == [list(SIDES)[number] for number in named]


def test_what_tells_by_itself_that_something_is_not_done_is_named() -> None:
    sides = {"stifle-laugh": ("both",), "laugh": ("both",), "nod": ("both",)}
    parts = spoken_parts("dying not to laugh, nod")
    nods = _names(0, 0, 1)
    held = _named(parts, torch.stack([_names(1, 0, 0), nods]), EVEN, sides).orders
    assert [order.entry for order in held] == ["stifle-laugh", "nod"]
    assert _named(parts, torch.stack([_names(0, 1, 0), nods]), EVEN, sides).orders == ()


def test_one_thing_is_all_where_all_else_is_denied() -> None:
    parts = spoken_parts("turn without a smile")
    names = torch.stack([_names(0, 1, 0), _names(1, 0, 0)])
    barred = torch.tensor([True, False, False])
    assert _named(parts, names, EVEN, SIDES, barred) == Named((Order("turn-left", False),), True)
    assert _named(parts, names, EVEN, SIDES) == Named((), False)  # nothing is known to be denied
    also = spoken_parts("turn without a smile, brows up")
    names = torch.stack([_names(0, 1, 0), _names(1, 0, 0), _names(1, 0, 0)])
    assert _named(also, names, EVEN, SIDES, barred).orders == ()  # nor is it all that was asked


def test_what_parts_ask_for_is_told_from_what_they_deny() -> None:
    parts = spoken_parts("turn, no brows up, like a hawk")
    names = [row[None] for row in (_names(0, 1, 0), _names(1, 0, 0), _names(0, 0, 1))]
    assert asked_for(parts, names, list(SIDES)).tolist() == [False, True, False]


def test_what_is_said_beside_the_point_hides_no_name() -> None:
    parts = spoken_parts("turn like a spaniel, brows up")
    vague, turns, brows = _names(0.36, 0.32, 0.32), _names(0, 0.9, 0.1), _names(0.9, 0.1, 0)
    (turned, up) = named_orders(
        parts, [torch.stack([vague, turns]), brows[None]], EVEN, SIDES
    ).orders
    assert (turned.entry, up.entry) == ("turn-left", "raise-brows")
    sure = torch.stack([_names(0, 0.1, 0.9), turns])
    (turned, _) = named_orders(parts, [sure, brows[None]], EVEN, SIDES).orders
    assert turned.entry == "turn-right"  # all of its words come first


def test_a_blink_that_is_held_closes_the_eyes() -> None:
    sides = {"blink": ("both",), "nod": ("both",), "close-eyes": ("both",)}
    names = torch.stack([_names(0, 1, 0), _names(1, 0, 0)])
    parts = spoken_parts("nod, lids shuttered the whole time")
    found = _named(parts, names, EVEN, sides).orders
    assert found[1] == Order("close-eyes", False, holds=True)
    parts = spoken_parts("nod, shutter the lids")
    assert _named(parts, names, EVEN, sides).orders[1].entry == "blink"


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("turn, the left eyebrow goes up", "left"),
        ("turn, RIGHT brows up", "right"),
        ("turn, brows up in your left half", "left"),
        ("turn, one eyebrow up", "left"),  # either would do
        ("turn, the left brow, I mean the right one", None),
        ("turn, brows up, left alone for good", None),
        ("turn, brows up right now", None),
    ],
)
def test_an_action_takes_the_side_that_its_part_names(text: str, sides: str | None) -> None:
    parts = spoken_parts(text)
    names = torch.stack([_names(0, 0.9, 0.1), *[_names(0.9, 0, 0.1)] * (len(parts) - 1)])
    found = _named(parts, names, EVEN, SIDES).orders
    wanted = "left" if "I mean" in text else sides  # each part speaks for itself
    assert found[1] == Order("raise-brows", False, wanted)


def test_two_sides_of_one_movement_speak_together_where_none_is_named() -> None:
    names = torch.stack([_names(1, 0, 0), _names(0.3, 0.36, 0.34)])

    def last(text: str) -> tuple[Order, ...]:
        return _named(spoken_parts(text), names, EVEN, SIDES).orders[1:]

    assert last("brows up, turned to one side") == (Order("turn-left", False),)
    assert last("brows up, turned to the left") == ()


def test_the_other_one_is_across_from_what_was_named_last() -> None:
    parts = spoken_parts("raise your left brow, then the other one, turn left, then the other way")
    vague = _names(0.36, 0.32, 0.32)
    names = torch.stack([_names(0.9, 0.1, 0), vague, _names(0, 0.9, 0.1), vague])
    assert _named(parts, names, EVEN, SIDES).orders == (
        Order("raise-brows", False, "left"),
        Order("raise-brows", True, "right"),
        Order("turn-left", False),
        Order("turn-right", True),
    )
    parts = spoken_parts("raise your left brow, now the right one, not the other one")
    found = _named(parts, names[:3], EVEN, SIDES).orders
    assert [order.side for order in found] == ["left", "right"]


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("turn to your left, then to your right", Order("turn-right", True)),
        ("turn to the left, back and right", Order("turn-right", False)),
        ("raise the left brow, now the right", Order("raise-brows", True, "right")),
    ],
)
def test_a_direction_alone_is_one_of_what_was_named_last(text: str, last: Order) -> None:
    parts = spoken_parts(text)
    row = _names(0, 0.9, 0.1) if "turn" in text else _names(0.9, 0.1, 0)
    vague = _names(0.36, 0.32, 0.32)
    names = torch.stack([row, *[vague] * (len(parts) - 1)])
    assert _named(parts, names, EVEN, SIDES).orders[-1] == last


def test_a_direction_that_is_the_same_says_nothing_new() -> None:
    parts = spoken_parts("turn to your left, all the way to the left")
    names = torch.stack([_names(0, 0.9, 0.1), _names(0.36, 0.32, 0.32)])
    assert _named(parts, names, EVEN, SIDES).orders == ()


def test_what_has_no_middle_counts_once_a_side() -> None:
    sides = {"wink": ("left", "right"), "nod": ("both",)}
    parts = spoken_parts("wink left wink right, wink")
    names = torch.stack([torch.tensor([0.9, 0.1]).log()] * 3)
    found = _named(parts, names, torch.tensor([0.5, 0.5]).log(), sides).orders
    assert found == (Order("wink", False, "left"), Order("wink", False, "right"))


def test_each_line_meets_one_order() -> None:
    orders = [Order("wink", False, "left"), Order("wink", True, "right"), Order("nod", True)]
    line = Line(0, 8, "wink", "right", "mid")
    assert unmet(orders, [line]) == [orders[0], orders[2]]
    assert unmet(orders, [line, line]) == [orders[0], orders[2]]
    twice = [Order("nod", False), Order("nod", True)]
    assert unmet(twice, [Line(0, 8, "nod", "both", "mid")]) == twice[1:]


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
    row = [Order("a", False), Order("b", True)]
    apart = [_line("a", 1, 9), _line("b", 9, 15)]
    assert put_in_row(apart, row) == tuple(apart)
    into = [_line("a", 1, 30), _line("b", 12, 20)]
    assert put_in_row(into, row) == (_line("a", 1, 12), _line("b", 12, 20))
    both = [_line("a", 2, 20), _line("b", 2, 20), _line("c", 5, 9)]
    late = put_in_row(both, row)
    assert late == (_line("a", 2, 10), _line("b", 10, 28), _line("c", 13, 17))
    at_once = [Order("a", False), Order("b", False)]
    assert put_in_row(both, at_once) == tuple(both)
    assert put_in_row(both, [Order("z", False), Order("b", True)]) == tuple(both)


@pytest.mark.parametrize(
    ("text", "is_all"),
    [
        ("turn, brows up", True),
        ("turn, brows up, both at once", True),
        ("turn, brows up, no smile", True),
        ("turn, brows up, like a hawk", True),
        ("turn, brows up, turn", True),
        ("turn, brows up, for reasons of her own", False),
    ],
)
def test_a_prompt_may_ask_for_nothing_else(text: str, is_all: bool) -> None:
    parts = spoken_parts(text)
    turns = _names(0, 0.9, 0.1)
    names = torch.stack([turns, _names(0.9, 0.1, 0), turns if "up, turn" in text else EVEN])
    found = _named(parts, names[: len(parts)], EVEN, SIDES)
    assert found.is_all == is_all and len(found.orders) == 2


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        ("turn while raising your brows", True),
        ("grinning, but with the brows low", True),
        ("turn as you raise your brows", True),
        ("turn, brows up", False),
        ("turn, brows up, both at once", True),
        ("brows up and turn, at the same time!", True),
        ("turn, then smile with your brows up", False),
    ],
)
def test_a_text_may_say_that_parts_come_together(text: str, beside: bool) -> None:
    first, second = spoken_parts(text)[:2]
    assert (first.beside, second.beside) == (False, beside)
    names = torch.stack([_names(0, 1, 0), _names(1, 0, 0), *[EVEN] * 2])[: len(spoken_parts(text))]
    assert _named(spoken_parts(text), names, EVEN, SIDES).orders[1].beside == beside


def test_what_belongs_together_begins_together() -> None:
    row = [Order("smile", False), Order("lower-brows", False, beside=True)]
    apart = [_line("smile", 2, 10), _line("lower-brows", 12, 20), _line("nod", 21, 24)]
    found = put_in_row(apart, row)
    assert found == (_line("smile", 2, 10), _line("lower-brows", 2, 10), _line("nod", 21, 24))
    assert put_in_row(found, row) == found
    swapped = [_line("lower-brows", 2, 10), _line("smile", 12, 20)]
    assert put_in_row(swapped, row) == (_line("lower-brows", 2, 10), _line("smile", 2, 10))
    clashing = [Order("smile", False), Order("pucker", False, beside=True)]
    lines = [_line("smile", 2, 10), _line("pucker", 12, 20)]
    assert put_in_row(lines, clashing) == tuple(lines)


def test_what_is_held_lasts_as_long_as_all() -> None:
    parts = spoken_parts("turn left, turn right, brows up the whole time")
    names = torch.stack([_names(0, 1, 0), _names(0, 0, 1), _names(1, 0, 0)])
    orders = _named(parts, names, EVEN, SIDES).orders
    assert [order.holds for order in orders] == [False, False, True]
    lines = [_line("turn-left", 2, 10), _line("turn-right", 12, 18), _line("raise-brows", 18, 23)]
    held = (_line("turn-left", 2, 10), _line("raise-brows", 2, 23), _line("turn-right", 12, 18))
    assert put_in_row(lines, orders) == held
    parts = spoken_parts("turn left, and keep the eyes open the whole time")
    assert _named(parts, names[[0, 2]], EVEN, SIDES).orders == ()


def test_what_is_named_lasts_long_enough_to_be_seen() -> None:
    lines = [_line("a", 0, 20), _line("c", 19, 21), _line("b", 19, 21)]
    found = put_in_row(lines, [Order("a", False), Order("b", False)])
    assert found == (_line("a", 0, 20), _line("c", 19, 21), _line("b", 19, 24))
    assert put_in_row(lines, []) == tuple(lines)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ticks", [None, 30])
def test_a_plan_has_all_that_is_named_in_its_order(seed: int, ticks: int | None) -> None:
    model = make_language_model()
    (prompt,) = model.read_prompts(["she winks"])
    named = ("look-left", "nod", "smile")
    prompt = replace(prompt, orders=tuple(Order(name, True) for name in named))
    decoder = model._decoders["text_to_motion"].fork()
    seconds = None if ticks is None else ticks / 5
    composer = Composer(decoder, model.vocabulary, prompt, seconds, seed)
    run_all(decoder, [composer.plan()], 1)
    entries = [line.entry for line in composer.lines]
    first = [entries.index(name) for name in named if name in entries]
    assert first == sorted(first)
    if ticks is None:
        assert len(first) == 3
        stops = [composer.lines[at].stop for at in first[:-1]]
        starts = [composer.lines[at].start for at in first[1:]]
        assert all(stop <= start for stop, start in zip(stops, starts, strict=True))
    assert composer.num_frames >= 5 * max(line.stop for line in composer.lines)


@pytest.mark.parametrize("seed", range(3))
def test_a_plan_keeps_to_the_sides_that_are_named(seed: int) -> None:
    model = make_language_model()
    (prompt,) = model.read_prompts(["she winks"])
    orders = (
        Order("wink", False, "right"),
        Order("wink", True, "left"),
        Order("smile", True, "left"),
    )
    composer = Composer(
        model._decoders["text_to_motion"].fork(), model.vocabulary, replace(prompt, orders=orders),
        None, seed,
    )  # fmt: skip
    run_all(composer.decoder, [composer.plan()], 1)
    sides = [line.side for line in composer.lines if line.entry == "wink"]
    assert sides[:2] == ["right", "left"]
    assert [line.side for line in composer.lines if line.entry == "smile"][0] == "left"


def test_the_shipped_model_plans_what_is_named() -> None:
    model = MotionLanguageModel.load()
    text = "smile, frown, stick out tongue, lift brows"
    (prompt,) = model.read_prompts([text])
    named = [order.entry for order in prompt.orders]
    assert named == ["smile", "frown", "tongue-out", "raise-brows"]
    score, _ = model.generate_motion([text], seed=1)[0]
    planned = list(dict.fromkeys(line.entry for line in parse_lines(score)))
    assert [entry for entry in planned if entry in named] == named


def test_what_a_face_cannot_do_at_once_comes_in_a_row() -> None:
    orders = (Order("look-right", False), Order("look-left", False))
    lines = parse_lines("look-right both mid 0.0 1.4 ; look-left both mid 0.0 2.4")

    first, second = put_in_row(lines, orders)

    assert (first.entry, second.entry) == ("look-right", "look-left")
    assert second.start >= first.stop and second.stop > second.start


def test_what_it_can_do_at_once_stays_at_once() -> None:
    orders = (Order("smile", False), Order("raise-brows", False))
    lines = parse_lines("smile both mid 0.0 2.4 ; raise-brows both mid 0.2 1.4")

    assert put_in_row(lines, orders) == lines
