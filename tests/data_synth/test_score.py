import random

import pytest

from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import Performance, sample_performance
from mien.data_synth.score import format_score, intensity_word, parse_score, score_vocabulary


def samples(count: int) -> list[Performance]:
    rng = random.Random(11)
    return [sample_performance(rng, Lexicon.default()) for _ in range(count)]


def test_a_score_is_read_back_as_it_was_written() -> None:
    for performance in samples(400):
        score = format_score(performance)
        read = parse_score(score, seconds=performance.seconds)
        assert format_score(read) == score
        assert read.seconds == performance.seconds


def test_a_read_score_holds_what_ends_with_the_clip() -> None:
    held = parse_score("smile both mid 0.4 3.0", seconds=3.0).actions[0]
    gone = parse_score("smile both mid 0.4 2.0", seconds=3.0).actions[0]
    assert held.release_s == held.end_s
    assert gone.release_s < gone.end_s


def test_the_vocabulary_holds_every_word_of_every_score() -> None:
    words = score_vocabulary(Lexicon.default())
    assert len(words) == len(set(words))
    for performance in samples(400):
        assert set(format_score(performance).split()) <= set(words)


def test_a_damaged_score_is_read_as_far_as_it_goes() -> None:
    score = "smile strong 0.4 ; flurb both mid 1 2 ; ; wink both slight 9.9 0.2 ; 3.0 nod"
    actions = parse_score(score).actions
    assert {a.entry for a in actions} == {"smile", "wink", "nod"}
    wink = next(a for a in actions if a.entry == "wink")
    assert wink.side == "left" and intensity_word(wink.intensity) == "slight"
    assert all(a.end_s > a.start_s for a in actions)


def test_actions_beyond_the_clip_are_left_out() -> None:
    read = parse_score("smile both mid 0.4 2.0 ; nod both mid 5.0 6.0", seconds=3.0)
    assert [a.entry for a in read.actions] == ["smile"]


@pytest.mark.parametrize("text", ["", " ; ; ", "hello world 1.0"])
def test_a_score_without_any_action_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must hold an action"):
        parse_score(text)


def test_intensity_words_rise_with_intensity() -> None:
    assert [intensity_word(i) for i in (0.1, 0.5, 0.9)] == ["slight", "mid", "strong"]
