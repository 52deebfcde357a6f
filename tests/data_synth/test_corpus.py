import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data_synth.clip import make_clip, sample_caption, sample_pair, split_of
from mien.data_synth.corpus import (
    CorpusConfig,
    clip_from_row,
    read_corpus,
    read_manifest,
    shard_path,
    write_corpus,
)
from mien.data_synth.score import parse_score

CONFIG = CorpusConfig(seed=3, num_clips=22, clips_per_shard=8)


def finish(folder: Path, config: CorpusConfig = CONFIG) -> str:
    """Write all of a corpus and return its hash."""
    assert list(write_corpus(folder, config))[-1] == (config.num_shards, config.num_shards)
    return str(read_manifest(folder)["corpus_hash"])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    finish(folder)
    return folder


def test_a_clip_is_a_function_of_seed_and_index() -> None:
    a, b = make_clip(3, 5), make_clip(3, 5)
    assert a.texts == b.texts and a.performance == b.performance and a.caption == b.caption
    assert np.array_equal(a.curves, b.curves)
    assert make_clip(3, 6).texts != a.texts
    assert make_clip(4, 5).texts != a.texts


def test_clips_have_at_least_three_texts_and_the_length_of_their_performance() -> None:
    for index in range(20):
        clip = make_clip(1, index)
        assert len(clip.texts) >= 3
        assert len(clip.curves) == round(clip.performance.seconds * 25)
        assert clip.split == split_of(clip.performance)


def test_most_clips_are_for_training_and_some_for_val_and_test() -> None:
    pairs = [split_of(make_clip(2, i).performance) for i in range(160)]
    assert 0.8 < pairs.count("train") / 160 < 0.97
    assert {"val", "test"} <= set(pairs)


def test_a_corpus_is_read_back(corpus: Path) -> None:
    rows = read_corpus(corpus)
    assert rows.num_rows == CONFIG.num_clips
    for index in (0, 9, 21):
        clip, fresh = clip_from_row(rows[index]), make_clip(CONFIG.seed, index)
        assert clip.texts == fresh.texts and clip.performance == fresh.performance
        assert clip.events == fresh.events and clip.score == fresh.score
        np.testing.assert_allclose(clip.curves, fresh.curves, atol=1e-3)  # float16


def test_a_split_has_only_its_own_rows(corpus: Path) -> None:
    assert set(read_corpus(corpus, "train")["split"]) == {"train"}


def test_a_killed_run_goes_on_and_ends_with_the_same_corpus(tmp_path: Path, corpus: Path) -> None:
    list(islice(write_corpus(tmp_path, CONFIG), 2))  # stopped after the first shard
    assert shard_path(tmp_path, 0).exists() and not shard_path(tmp_path, 1).exists()
    (tmp_path / "clips-00001.123.part").write_bytes(b"half a shard")
    before = shard_path(tmp_path, 0).stat().st_mtime_ns
    assert finish(tmp_path) == read_manifest(corpus)["corpus_hash"]
    assert shard_path(tmp_path, 0).stat().st_mtime_ns == before
    assert not list(tmp_path.glob("*.part"))


def test_an_unfinished_corpus_is_not_read(tmp_path: Path) -> None:
    list(islice(write_corpus(tmp_path, CONFIG), 2))
    with pytest.raises(ValueError, match="finished corpus"):
        read_corpus(tmp_path)


def test_a_damaged_shard_is_refused(tmp_path: Path) -> None:
    finish(tmp_path)
    path = shard_path(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="shard of the manifest"):
        read_corpus(tmp_path)


def test_another_corpus_in_the_folder_is_refused(corpus: Path) -> None:
    other = CorpusConfig(seed=4, num_clips=22, clips_per_shard=8)
    with pytest.raises(ValueError, match="use another folder"):
        list(write_corpus(corpus, other))


def test_the_manifest_says_what_made_the_corpus(corpus: Path) -> None:
    manifest = json.loads((corpus / "manifest.json").read_text())
    assert manifest["seed"] == 3 and len(manifest["shards"]) == 3
    assert len(manifest["corpus_hash"]) == 64 and manifest["recipe"]


@pytest.mark.parametrize("field", ["num_clips", "clips_per_shard", "workers"])
def test_counts_below_one_are_refused(field: str) -> None:
    wrong: dict[str, Any] = {field: 0}
    with pytest.raises(ValueError, match=field):
        CorpusConfig(**wrong)


def test_pairs_come_without_motion_and_repeat() -> None:
    for sample in (sample_pair, sample_caption):
        assert sample(0, 3) == sample(0, 3) != sample(0, 4)
        text, score, seconds = sample(0, 3)
        assert text and parse_score(score, seconds=seconds).seconds == seconds
