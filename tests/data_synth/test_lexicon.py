import pytest

from mien.data_synth.grammar import PERSONS, YOU, fill, inflect
from mien.data_synth.lexicon import KINDS, Lexicon, expand, read_entries
from mien.data_synth.phrases import PhraseSet, read_set, swap_sides

FORMS = ("words", "verbs", "nouns", "looks", "adverbs", "scenes", "likes", "sided")


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.default()


def phrases_of(lexicon: Lexicon) -> list[tuple[str, str, PhraseSet]]:
    entries = lexicon.entries.values()
    return [(e.id, form, getattr(e.phrases, form)) for e in entries for form in FORMS]


def test_there_are_more_than_130_entries_in_every_kind_some(lexicon: Lexicon) -> None:
    assert len(lexicon) >= 130
    assert all(len(lexicon.of_kind(kind)) >= 20 for kind in KINDS)


def test_every_entry_moves_something_but_the_looks_of_stillness(lexicon: Lexicon) -> None:
    still = {e.id for e in lexicon.entries.values() if not (e.units or e.wave or e.steps)}
    assert still == {"neutral", "look-at-camera"}


def test_every_entry_has_words_verbs_and_nouns_and_some_are_held_out(lexicon: Lexicon) -> None:
    for entry in lexicon.entries.values():
        sets = (entry.phrases.words, entry.phrases.verbs, entry.phrases.nouns)
        assert all(s.train for s in sets), entry.id
        assert all(s.test for s in sets), entry.id


def test_no_phrase_is_both_for_training_and_held_out(lexicon: Lexicon) -> None:
    for name, form, phrases in phrases_of(lexicon):
        assert not set(phrases.train) & set(phrases.test), (name, form)
        assert not any(p.startswith("*") for p in phrases.train + phrases.test)


def test_every_phrase_fits_every_person_and_every_verb_every_form(lexicon: Lexicon) -> None:
    for _, form, phrases in phrases_of(lexicon):
        for phrase in phrases.train + phrases.test:
            for person in (PERSONS[0], PERSONS[-1], YOU):
                assert "{" not in fill(phrase, person, "left")
            if form in ("verbs", "sided"):
                assert inflect(phrase, "third") != phrase or phrase.startswith("can")
                assert "ing" in inflect(phrase, "gerund")


def test_a_mirrored_entry_is_the_mirror_image_words_included(lexicon: Lexicon) -> None:
    left, right = lexicon["turn-left"], lexicon["turn-right"]
    assert right.units["headYaw"] == -left.units["headYaw"]
    assert right.phrases.verbs.train == tuple(map(swap_sides, left.phrases.verbs.train))
    assert any("left" in p for p in left.phrases.verbs.train)
    assert not any("left" in p for p in right.phrases.verbs.train)


def test_one_side_of_a_two_sided_entry_leaves_only_a_trace_on_the_other(lexicon: Lexicon) -> None:
    right = lexicon["raise-brows"].on_side("right")
    assert right.units["browOuterUpRight"] == lexicon["raise-brows"].units["browOuterUpRight"]
    assert right.units["browOuterUpLeft"] < 0.2


def test_a_one_sided_entry_is_written_for_the_left_and_mirrored_for_the_right(
    lexicon: Lexicon,
) -> None:
    assert lexicon["wink"].on_side("left").units["eyeBlinkLeft"] == 1.0
    assert lexicon["wink"].on_side("right").units["eyeBlinkRight"] == 1.0
    assert "eyeBlinkRight" not in lexicon["wink"].on_side("left").units


def test_a_side_that_an_entry_does_not_have_is_refused(lexicon: Lexicon) -> None:
    with pytest.raises(ValueError, match="'wink' can be done on"):
        lexicon["wink"].on_side("both")


def test_an_unknown_entry_is_refused_by_name(lexicon: Lexicon) -> None:
    with pytest.raises(ValueError, match="'smil'"):
        lexicon["smil"]


def test_mistakes_in_the_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="mouthSmlie"):
        expand({"mouthSmlie": 1.0})
    with pytest.raises(ValueError, match="untis"):
        read_entries("head", {"nod": {"untis": {}}}, {})
    with pytest.raises(ValueError, match="nood"):
        read_entries("head", {"nod": {}}, {"nood": {"verbs": ["nod"]}})
    with pytest.raises(ValueError, match="verbes"):
        read_entries("head", {"nod": {}}, {"nod": {"verbes": ["nod"]}})
    with pytest.raises(ValueError, match="mirror an entry above"):
        read_entries("head", {"nod": {"mirror": "don"}}, {})


def test_a_star_keeps_a_phrase_for_the_test_split() -> None:
    phrases = read_set(["nod", "*bow"])
    assert phrases.of("train") == phrases.of("val") == ("nod",)
    assert phrases.of("test") == ("bow",)
    assert read_set(["nod"]).of("test") == ("nod",)
