import pytest

from mien.data_synth.grammar import PERSONS, YOU, fill, inflect, sentence, with_adjective


@pytest.mark.parametrize(
    ("phrase", "third", "gerund", "past"),
    [
        ("smile", "smiles", "smiling", "smiled"),
        ("nod twice", "nods twice", "nodding twice", "nodded twice"),
        ("cry", "cries", "crying", "cried"),
        ("bite {her} lip", "bites {her} lip", "biting {her} lip", "bit {her} lip"),
        ("purse {her} lips", "purses {her} lips", "pursing {her} lips", "pursed {her} lips"),
        ("be happy", "is happy", "being happy", "was happy"),
        ("slowly open and close", "slowly opens and closes", "slowly opening and closing", None),
        ("not understand", "does not understand", "not understanding", "did not understand"),
        ("see red", "sees red", "seeing red", "saw red"),
    ],
)
def test_verbs_are_put_into_their_forms(
    phrase: str, third: str, gerund: str | None, past: str | None
) -> None:
    assert inflect(phrase, "third") == third
    assert gerund is None or inflect(phrase, "gerund") == gerund
    assert past is None or inflect(phrase, "past") == past


def test_placeholders_follow_the_person() -> None:
    phrase = "{she} {has} lost {her} keys and blame{s} {herself}"
    assert fill(phrase, PERSONS[0]) == "she has lost her keys and blames herself"
    assert fill(phrase, YOU) == "you have lost your keys and blame yourself"
    they = next(p for p in PERSONS if p.name == "someone")
    assert fill(phrase, they) == "they have lost their keys and blame themself"


def test_an_adjective_goes_behind_the_article_that_agrees_with_it() -> None:
    assert with_adjective("a smile", "intense") == "an intense smile"
    assert with_adjective("an eye roll", "big") == "a big eye roll"
    assert with_adjective("tears", "faint") == "faint tears"


def test_a_sentence_gets_one_capital_and_one_stop() -> None:
    assert sentence("she nods") == "She nods."
    assert sentence("can you nod?") == "Can you nod?"


def test_be_agrees_with_everyone() -> None:
    forms = {"he": "is", "they": "are", "I": "am"}
    for name, be in forms.items():
        person = next(p for p in PERSONS if p.name == name)
        assert inflect("be sad", person.form) == f"{be} sad"
        assert fill("{she} {is} late", person) == f"{name} {be} late"


def test_a_plain_verb_is_plain_behind_they() -> None:
    they = next(p for p in PERSONS if p.name == "someone")
    assert inflect("nod", they.form) == "nods"
    assert inflect("nod", they.pronoun_form) == "nod"
    assert inflect("not understand", they.pronoun_form) == "do not understand"
