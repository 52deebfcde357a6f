import tomllib
from pathlib import Path

import pytest

from mien.apps.words import check_words, is_known

PROMPTS = Path(__file__).parents[1] / "prompts" / "free_wording.toml"


@pytest.mark.parametrize(
    "word",
    ["smile", "Smirks", "winced", "guffaws", "sheepishly", "flabbergasted", "grinning", "naïve"],
)
def test_words_and_their_inflections_are_known(word: str) -> None:
    assert is_known(word)


def test_every_free_prompt_is_in_words_that_are_known() -> None:
    prompts = tomllib.loads(PROMPTS.read_text(encoding="utf-8"))["prompt"]
    for prompt in prompts:
        assert len(check_words(prompt["text"])) <= 1, prompt["text"]


@pytest.mark.parametrize("text", ["sus", "knackered", "gobsmacked", "bruh", "so meh"])
def test_slang_that_the_model_has_learned_is_no_other_language(text: str) -> None:
    assert check_words(text) == ()


@pytest.mark.parametrize(
    "text",
    ["ein Lächeln", "er ist traurig", "elle rit", "la femme rit", "ella ríe", "zij is blij"],
)
def test_short_prompts_in_another_language_are_refused_by_their_small_words(text: str) -> None:
    with pytest.raises(ValueError, match="must be in English, got 2 of 2 words"):
        check_words(text)


@pytest.mark.parametrize(
    "text", ["asdfgh qwertz", "blorptangle", "sie lächelt schüchtern", "ella sonríe tímidamente"]
)
def test_words_that_nobody_knows_are_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=f"not known: .*{text.split()[-1]}"):
        check_words(text)


def test_one_odd_word_among_others_is_only_named() -> None:
    assert check_words("she smirks at the flurble and nods") == ("flurble",)
    assert check_words("uh, no") == ()
