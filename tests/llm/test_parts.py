"""Cutting a prompt into parts."""

import pytest

from mien.llm.parts import spoken_parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("frown, then look up", [("frown", False), ("look up", True)]),
        ("wide eyes + open mouth", [("wide eyes", False), ("open mouth", False)]),
        ("smile -> gasp -> glare", [("smile", False), ("gasp", True), ("glare", True)]),
        ("nod while smiling", [("nod", False), ("smiling", False)]),
        ("scrunch ur nose n wink", [("scrunch ur nose", False), ("wink", False)]),
        ("Nod. Now wink!", [("Nod", False), ("wink", True)]),
        ("nod and after that wink", [("nod", False), ("wink", True)]),
        ("start angry, end scared", [("start angry", False), ("end scared", True)]),
        ("hold-up, well-known", [("hold-up", False), ("well-known", False)]),
        ("joy fading slowly into grief", [("joy", False), ("grief", True)]),
        ("a grin gives way to a pout", [("a grin", False), ("a pout", True)]),
        ("wink left wink right", [("wink left", False), ("wink right", False)]),
        ("shock that hardened into rage", [("shock that", False), ("rage", True)]),
        ("he goes from calm to furious", [("he goes calm", False), ("furious", True)]),
        ("look from left to right, wink", [("look from left to right", False), ("wink", False)]),
        ("raise them as a warning, nod", [("raise them as a warning", False), ("nod", False)]),
        ("brows up over closed eyes", [("brows up", False), ("closed eyes", False)]),
        ("tongue over your lips", []),
        ("say no with your head, but beam", [("say no with your head", False), ("beam", False)]),
        ("nod with just the eyes open", [("nod", False), ("just the eyes open", False)]),
        ("she giggles till he looks", [("she giggles", False), ("he looks", True)]),
        (
            "the beams, the floor, once more the beams",
            [("the beams", False), ("the floor", False), ("once more the beams", False)],
        ),
        (
            "stare without once blinking, then nod",
            [("stare", False), ("without once blinking", False), ("nod", True)],
        ),
        ("gasp w/o moving", [("gasp", False), ("without moving", False)]),
        (
            "wink with the left eye only and nod",
            [("wink with the left eye only", False), ("nod", False)],
        ),
        (
            "tilt to your right and after to your left",
            [("tilt to your right", False), ("to your left", True)],
        ),
        (
            "turn your head and after it your eyes",
            [("turn your head", False), ("your eyes", True)],
        ),
    ],
)
def test_a_text_is_cut_where_it_joins(text: str, parts: list[tuple[str, bool]]) -> None:
    assert [(part.text, part.follows) for part in spoken_parts(text)] == parts


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("he looks down at the ball, up at the lights", "he looks up at the lights"),
        ("she glances left at him, then right at her watch", "she glances right at her watch"),
        ("turn to your left, now over to your right", "turn over to your right"),
        ("purse the lips, slide them over to your left", "slide the lips over to your left"),
        ("eyes shut tight... and then wide open", "eyes wide open"),
        ("the jaw drops, snaps shut", "jaw snaps shut"),
        ("mouth goes to the left, then goes to the right", "mouth goes to the right"),
        ("close the left eye only. then right eye only", "close the right eye only"),
        ("raise the left brow, now the right", "the right"),
        ("the left cheek, it is up", "it is up"),
        ("the jaw drops, he stares", "he stares"),
        ("smile, open your mouth", "open your mouth"),
        ("head tilted left, right brow up", "right brow up"),
        ("the jaw drops. this is it", "this is it"),
    ],
)
def test_a_part_takes_the_words_that_it_leaves_out_from_the_one_before(
    text: str, full: str
) -> None:
    parts = spoken_parts(text)
    assert parts[0].full == parts[0].text and parts[1].full == full


@pytest.mark.parametrize(
    "text", ["smile", "...", "a, b, c, d, e, f, g, h, i and j", "sandpaper withal"]
)
def test_one_part_or_a_story_is_not_cut(text: str) -> None:
    assert spoken_parts(text) == ()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("wink after you nod", [("you nod", False), ("wink", True)]),
        ("wink, but only after nodding", [("nodding", False), ("wink", True)]),
        ("after you nod, wink", [("you nod", False), ("wink", True)]),
        (
            "once u stuck ur tongue out u wink",
            [("u stuck ur tongue out", False), ("u wink", True)],
        ),
        ("smile. after she nods, wink", [("smile", False), ("she nods", True), ("wink", True)]),
        ("calm, once he sees her furious", [("he sees her furious", False), ("calm", True)]),
        (
            "calm, once he sees her, furious",
            [("calm", False), ("he sees her", True), ("furious", True)],
        ),
        ("before you wink, nod", [("nod", False), ("you wink", True)]),
        ("wink before you nod", [("wink", False), ("you nod", True)]),
        ("wink after the match", []),
    ],
)
def test_parts_come_in_the_order_in_which_they_happen(
    text: str, parts: list[tuple[str, bool]]
) -> None:
    assert [(part.text, part.follows) for part in spoken_parts(text)] == parts


def test_the_core_of_a_part_leaves_out_what_it_is_like() -> None:
    like, plain = spoken_parts("lids down like a basset, brows up")
    assert like.wordings == ("lids down like a basset", "lids down")
    assert (like.core.strip(), plain.core) == ("lids down", "brows up")
    assert plain.wordings == ("brows up",)
    first, second, third = spoken_parts("open wide, love, like a carp")
    assert first.core and not second.core and not third.core
    assert third.wordings == ("like a carp",)
