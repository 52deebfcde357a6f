"""The wording that people chose: it parses, fits the lexicon, and is not that of the benchmark."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mien.data_synth.free_wording import Act, FreeWording, parse_act, parse_plan
from mien.data_synth.grammar import PERSONS, YOU, Form, fill, inflect
from mien.data_synth.lexicon import Lexicon

PROMPTS = Path(__file__).parents[1] / "prompts"
FORMS: tuple[Form, ...] = ("base", "third", "gerund", "past")


@pytest.fixture(scope="module")
def wording() -> FreeWording:
    return FreeWording.default()


def all_texts(wording: FreeWording) -> Iterator[str]:
    for table in (wording.prompts, wording.phrases):
        for texts in table.values():
            yield from texts
    yield from (text for text, _ in wording.plans)


def words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z0-9']+", text.lower()))


def runs_of_four(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {found[i : i + 4] for i in range(max(1, len(found) - 3))}


def test_every_act_of_the_lexicon_has_prompts_and_phrases(wording: FreeWording) -> None:
    acts = {Act(e.id, side) for e in Lexicon.default().entries.values() for side in e.sides}
    assert acts == set(wording.prompts)
    assert acts == set(wording.phrases)
    assert min(map(len, wording.prompts.values())) >= 10
    assert min(map(len, wording.phrases.values())) >= 3


def test_no_text_stands_twice(wording: FreeWording) -> None:
    counts = Counter(" ".join(words(text)) for text in all_texts(wording))
    assert [text for text, count in counts.items() if count > 1] == []


def test_no_text_shares_four_words_in_a_row_with_the_benchmark(wording: FreeWording) -> None:
    reserved: set[tuple[str, ...]] = set()
    for name in ("unseen_wording", "free_wording"):
        table = tomllib.loads((PROMPTS / f"{name}.toml").read_text("utf-8"))
        for prompt in table["prompt"]:
            reserved |= runs_of_four(prompt["text"])
    assert [text for text in all_texts(wording) if runs_of_four(text) & reserved] == []


@pytest.mark.parametrize(
    "name",
    ["several_things", "more_wording", "fresh_wording", "fresh_sequences", "slang_and_stories"],
)
def test_no_text_of_more_than_four_words_is_one_to_develop_on(
    wording: FreeWording, name: str
) -> None:
    table = tomllib.loads((PROMPTS / f"{name}.toml").read_text("utf-8"))
    kept = {words(prompt["text"]) for prompt in table["prompt"]}
    found = [text for text in all_texts(wording) if words(text) in kept]
    assert [text for text in found if len(words(text)) > 4] == []


def test_every_phrase_takes_every_person_and_form(wording: FreeWording) -> None:
    for phrases in wording.phrases.values():
        for phrase in phrases:
            for form in FORMS:
                inflected = inflect(phrase, form)
                for person in (*PERSONS, YOU) if "{" in inflected else ():
                    assert "{" not in fill(inflected, person)


def test_a_plan_is_read_group_by_group() -> None:
    plan = parse_plan("nod + smile/left~slight > look-down")
    assert plan == (
        (Act("nod", "both"), Act("smile", "left", "slight")),
        (Act("look-down", "both"),),
    )


@pytest.mark.parametrize("text", ["juggle", "smile/top", "nod/left", "wink", "smile~huge", ""])
def test_an_act_that_the_lexicon_has_not_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)wanted an"):
        parse_act(text)
