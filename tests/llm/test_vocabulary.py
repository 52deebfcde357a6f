from pathlib import Path

import pytest
from tests.llm.llm_world import ENTRIES, NUM_CODES, make_codec, make_vocabulary

from mien.llm.plan import Line
from mien.llm.vocabulary import CONTROLS, MAX_TICKS, NUM_CLOCKS, Vocabulary


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return make_vocabulary(make_codec())


def test_no_two_tokens_share_an_id(vocabulary: Vocabulary) -> None:
    ids = [vocabulary.control(name) for name in CONTROLS]
    ids += [vocabulary.clock(i) for i in range(NUM_CLOCKS)]
    ids += [vocabulary.time(i) for i in range(MAX_TICKS + 1)]
    ids += [vocabulary.side(s) for s in ("both", "left", "right")]
    ids += [vocabulary.level(s) for s in vocabulary.levels]
    ids += [vocabulary.entry(name) for name in ENTRIES]
    ids += [
        vocabulary.act(name, side)
        for name, sides in zip(vocabulary.entries, vocabulary.entry_sides, strict=True)
        for side in sides
    ]
    ids += vocabulary.motion(range(NUM_CODES))
    assert len(set(ids)) == len(ids)
    assert min(ids) == vocabulary.num_text
    assert max(ids) == vocabulary.size - 1


def test_a_larger_codebook_moves_no_other_token(vocabulary: Vocabulary) -> None:
    larger = Vocabulary(
        vocabulary.num_text, vocabulary.entries, vocabulary.entry_sides, vocabulary.levels, 4096
    )
    assert larger.motion_start == vocabulary.motion_start


def test_there_is_a_clock_every_ten_frames(vocabulary: Vocabulary) -> None:
    ids = vocabulary.clocked_motion_ids([3] * 25)
    clocks = [i for i, token in enumerate(ids) if token < vocabulary.motion_start]
    assert clocks == [0, 11, 22]


def test_cues_name_the_lines_that_show(vocabulary: Vocabulary) -> None:
    lines = [Line(0, 4, "smile", "left", "mid"), Line(4, 9, "nod", "both", "strong")]
    assert vocabulary.act("smile", "left") in vocabulary.cue_ids(lines, 1)
    assert vocabulary.act("nod", "both") not in vocabulary.cue_ids(lines, 1)
    assert vocabulary.act("nod", "both") in vocabulary.cue_ids(lines, 2)
    assert vocabulary.cue_ids(lines, 5) == [vocabulary.clock(5)]


def test_cues_tell_sides_apart(vocabulary: Vocabulary) -> None:
    left, right = (Line(0, 4, "smile", side, "mid") for side in ("left", "right"))
    assert not set(vocabulary.cue_ids([left], 0)[1:2]) & set(vocabulary.cue_ids([right], 0))


def test_cues_tell_how_far_a_line_is(vocabulary: Vocabulary) -> None:
    line = Line(1, 9, "smile", "both", "mid")
    cues = [vocabulary.cue_ids([line], i)[-1] for i in range(5)]
    assert len(set(cues)) == 5


def test_strength_and_times_are_the_pace_of_a_plan(vocabulary: Vocabulary) -> None:
    entry, side, level, start, stop = vocabulary.line_ids(Line(0, 4, "smile", "left", "mid"))
    assert [vocabulary.is_pace(x) for x in (entry, side)] == [False, False]
    assert [vocabulary.is_pace(x) for x in (level, start, stop)] == [True, True, True]
    assert not vocabulary.is_pace(vocabulary.control("motion"))


def test_an_unknown_entry_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="no entry 'juggle'"):
        vocabulary.entry("juggle")
    with pytest.raises(ValueError, match="no 'smile' on the side 'top'"):
        vocabulary.act("smile", "top")


def test_entries_and_sides_must_match_in_number() -> None:
    with pytest.raises(ValueError, match="one item an entry"):
        Vocabulary(10, ("smile",), (), ("mid",), 4)


def test_it_is_saved_and_loaded(vocabulary: Vocabulary, tmp_path: Path) -> None:
    vocabulary.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary
