import json
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from mien.data_synth.clip import make_clip
from mien.data_synth.corpus import CorpusConfig, clip_from_row, read_corpus, write_corpus
from mien.data_synth.data_card import count_corpus, describe_card, skeleton, write_card
from mien.data_synth.held_out import HeldOut, clips_for_hours, hold_out, text_key
from mien.data_synth.shards import ShardSet, pack

CONFIG = CorpusConfig(seed=8, num_clips=240, clips_per_shard=60)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counted")
    list(write_corpus(folder, CONFIG))
    return folder


def test_the_card_counts_what_the_clips_hold(corpus: Path) -> None:
    card = write_card(corpus)
    clips = [clip_from_row(row) for row in read_corpus(corpus)]
    actions = [a for clip in clips for a in clip.performance.actions]
    assert card["clips"] == len(clips) == 240
    assert card["hours"] == pytest.approx(sum(len(c.curves) for c in clips) / 25 / 3600, abs=1e-3)
    assert +Counter(card["entries"]) == Counter(a.entry for a in actions)
    assert card["sides"] == Counter(a.side for a in actions)
    assert sum(card["intensities"].values()) == len(actions)
    assert card["actions_per_clip"] == Counter(str(len(c.performance.actions)) for c in clips)
    assert {k: s["clips"] for k, s in card["splits"].items()} == Counter(c.split for c in clips)
    assert card["texts"] == 960 == sum(s["texts"] for s in card["splits"].values())
    assert json.loads((corpus / "data_card.json").read_text()) == json.loads(json.dumps(card))
    assert (corpus / "data_card.md").read_text() == describe_card(card)


def test_no_text_and_no_performer_is_in_two_splits(corpus: Path) -> None:
    leaks = count_corpus(corpus)["leaks"]
    assert leaks.pop("none") and set(leaks.values()) == {0} and len(leaks) == 6


def test_a_leak_is_found(tmp_path: Path) -> None:
    clips = [make_clip(8, i) for i in range(60)]
    test = next(c for c in clips if c.split == "test")
    train = next(c for c in clips if c.split == "train")
    object.__setattr__(train, "texts", (test.texts[0].upper() + "!", *train.texts[1:]))
    object.__setattr__(train, "performance", test.performance)
    shards = ShardSet(tmp_path, {"seed": 8, "recipe": "x"}, 1)
    shards.claim()
    shards.place(0, pack([test, train]))
    shards.finish()
    card = count_corpus(tmp_path)
    assert card["leaks"]["texts train and test"] == 1
    assert card["leaks"]["performers train and test"] == 1 and not card["leaks"]["none"]
    assert "something is shared" in describe_card(card)


def test_taken_texts_are_written_anew_and_the_others_stay() -> None:
    clip = next(c for c in map(lambda i: make_clip(8, i), range(9)) if c.split == "train")
    taken = HeldOut(frozenset([text_key(clip.texts[1])]), frozenset([text_key(clip.texts[2])]))
    other = taken.keep_apart(clip, 8)
    assert other.texts[0] == clip.texts[0] and other.texts[3] == clip.texts[3]
    assert not {text_key(t) for t in other.texts} & (taken.test | taken.val)
    assert other.curves is clip.curves and taken.keep_apart(clip, 8).texts == other.texts
    assert HeldOut(frozenset(), frozenset()).keep_apart(clip, 8) is clip


def test_texts_are_held_out_without_making_the_clips() -> None:
    clips = [make_clip(3, i) for i in range(80)]
    found = hold_out(3, 80)
    assert found.test == {text_key(t) for c in clips if c.split == "test" for t in c.texts}
    assert found.val == {text_key(t) for c in clips if c.split == "val" for t in c.texts}
    assert found.test and found.val


def test_hours_are_the_fewest_clips_that_last_so_long() -> None:
    count = clips_for_hours(2, 0.05)
    seconds = [make_clip(2, i).performance.seconds for i in range(count)]
    assert sum(seconds) >= 180 > sum(seconds[:-1])


def test_a_template_is_what_frames_and_joins_leave() -> None:
    assert skeleton("Anna smirks, then she blinks.") == "who _ , then who _"
    assert skeleton("smirk") == skeleton("wiggle your ears!".replace("your ", "")) == "_"
    assert skeleton("i'd like to see a smirk") == skeleton("I'd like to see a wink")
    assert skeleton("i'd like to see a smirk") != skeleton("show me a smirk")


def test_a_template_that_fills_a_corpus_is_reported(tmp_path: Path) -> None:
    clips = [make_clip(8, i) for i in range(12)]
    for clip in clips:
        object.__setattr__(clip, "texts", ("can you please smirk?",))
    shards = ShardSet(tmp_path, {"seed": 8, "recipe": "x"}, 1)
    shards.claim()
    shards.place(0, pack(clips))
    shards.finish()
    templates = count_corpus(tmp_path)["templates"]
    assert templates["largest_share"] == 1.0 and not templates["holds"]


def test_a_shard_that_was_damaged_is_made_again(tmp_path: Path) -> None:
    config = CorpusConfig(seed=8, num_clips=8, clips_per_shard=4)
    list(write_corpus(tmp_path, config))
    manifest = (tmp_path / "manifest.json").read_bytes()
    path = tmp_path / "clips-00001.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert next(islice(write_corpus(tmp_path, config), 1)) == (1, 2)
    list(write_corpus(tmp_path, config))
    assert (tmp_path / "manifest.json").read_bytes() == manifest
    assert read_corpus(tmp_path).num_rows == 8
