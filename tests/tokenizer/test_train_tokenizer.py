import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.tokenizer import FaceSpace, MotionTokenizer, TokenizerConfig
from mien.tokenizer.augment import Curves
from mien.tokenizer.data import as_clips, corpus_hash, frames_from_curves, read_corpus
from mien.tokenizer.train import TrainTokenizerConfig, learning_rate_at, train_tokenizer


@pytest.fixture
def training(config: TokenizerConfig, tmp_path: Path) -> TrainTokenizerConfig:
    return TrainTokenizerConfig(
        out=tmp_path / "run",
        tokenizer=config,
        steps=12,
        windows=6,
        frames=20,
        unquantized_steps=4,
        checkpoint_every=0,
        progress=False,
        cpu=True,
    )


def test_training_lowers_the_error_and_writes_a_card(
    training: TrainTokenizerConfig, clips: list[Curves], space: FaceSpace
) -> None:
    longer = dataclasses.replace(training, steps=120, unquantized_steps=60)
    _, short = train_tokenizer(training, clips, clips[:2], space)
    tokenizer, figures = train_tokenizer(longer, clips, clips[:2], space)
    assert figures.mean_mm < 0.8 * short.mean_mm
    card = json.loads((training.out / "card.json").read_text())
    assert card["seed"] == 0 and card["corpus"]["sha256"] == corpus_hash(as_clips(clips))
    assert card["held_out"]["mean_mm"] == pytest.approx(figures.mean_mm, abs=1e-3)
    loaded = MotionTokenizer.load(training.out, space)
    assert torch.equal(loaded.decode([1, 2]).expr, tokenizer.decode([1, 2]).expr)


def test_a_resumed_run_ends_where_an_unbroken_one_ends(
    training: TrainTokenizerConfig, clips: list[Curves], space: FaceSpace, tmp_path: Path
) -> None:
    whole = dataclasses.replace(training, out=tmp_path / "whole")
    unbroken, _ = train_tokenizer(whole, clips, clips[:1], space)
    part = dataclasses.replace(training, checkpoint_every=5)
    train_tokenizer(part, clips, clips[:1], space)  # leaves a checkpoint at step 10
    resumed, _ = train_tokenizer(part, clips, clips[:1], space)
    for name, value in unbroken.codec.state_dict().items():
        torch.testing.assert_close(resumed.codec.state_dict()[name], value, rtol=0, atol=0)


def test_the_coefficient_twin_trains_too(
    training: TrainTokenizerConfig, clips: list[Curves], space: FaceSpace
) -> None:
    sizes = dataclasses.replace(training.tokenizer, kind="coefficients")
    twin = dataclasses.replace(training, tokenizer=sizes)
    tokenizer, figures = train_tokenizer(twin, clips, clips[:1], space)
    assert tokenizer.kind == "coefficients" and np.isfinite(figures.mean_mm)


def test_a_corpus_folder_is_read_by_split(clips: list[Curves], tmp_path: Path) -> None:
    from datasets import Dataset

    rows = {
        "split": ["train", "test", "train"],
        "curves": [clip.astype(np.float16).tobytes() for clip in clips[:3]],
    }
    Dataset.from_dict(rows).to_parquet(str(tmp_path / "shard-0.parquet"))
    train, test = read_corpus(tmp_path, "train"), read_corpus(tmp_path, "test")
    assert [len(clip) for clip in train] == [len(clips[0]), len(clips[2])]
    np.testing.assert_allclose(test[0], clips[1], atol=1e-3)
    assert len(read_corpus(tmp_path, "train", most=1)) == 1
    with pytest.raises(ValueError, match="at least one clip"):
        read_corpus(tmp_path, "nothing")


def test_a_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="mien synth"):
        read_corpus(tmp_path, "train")


def test_curves_that_are_not_curves_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \[T, 61\], got \(4, 60\)"):
        as_clips([np.zeros((4, 60))])
    with pytest.raises(ValueError, match="not finite"):
        as_clips([np.full((4, 61), np.nan)])


def test_held_out_curves_are_needed(
    training: TrainTokenizerConfig, clips: list[Curves], space: FaceSpace
) -> None:
    with pytest.raises(ValueError, match="held_out"):
        train_tokenizer(training, clips, None, space)


def test_contradicting_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="unquantized_steps"):
        TrainTokenizerConfig(steps=10, unquantized_steps=10)


def test_the_learning_rate_rises_then_falls(training: TrainTokenizerConfig) -> None:
    config = dataclasses.replace(training, steps=1000)
    rates = [learning_rate_at(step, config) for step in range(1000)]
    assert max(rates) == pytest.approx(config.learning_rate, rel=0.05)
    assert rates[0] < rates[50] < rates[99] and rates[999] < 0.02 * config.learning_rate


def test_batches_of_curves_become_head_frames(clips: list[Curves]) -> None:
    batch = np.stack([clip[:30] for clip in clips])
    frames = frames_from_curves(batch)
    assert frames.expr.shape == (6, 30, 43) and frames.rotation.shape == (6, 30, 3, 3)
    alone = frames_from_curves(batch[2])
    torch.testing.assert_close(alone.expr, frames.expr[2], rtol=0, atol=0)


def test_refining_keeps_the_tokens_and_trains_the_decoder(
    training: TrainTokenizerConfig, clips: list[Curves], space: FaceSpace, tmp_path: Path
) -> None:
    first, _ = train_tokenizer(training, clips, clips[:1], space)
    refining = dataclasses.replace(training, out=tmp_path / "refined", refine=training.out)
    second, _ = train_tokenizer(refining, clips, clips[:1], space)
    features = torch.randn(3, 25, 3 * space.num_points + 6)
    assert torch.equal(first.encode(features), second.encode(features))
    assert not torch.equal(first.decode([1, 2, 3]).expr, second.decode([1, 2, 3]).expr)
    before, after = first.codec.state_dict(), second.codec.state_dict()
    for name in before:
        if not name.startswith(("from_code", "decoder", "to_frame")):
            torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)


def test_refining_refuses_other_sizes(
    training: TrainTokenizerConfig, clips: list[Curves], space: FaceSpace, tmp_path: Path
) -> None:
    train_tokenizer(dataclasses.replace(training, steps=5), clips, clips[:1], space)
    other = dataclasses.replace(training.tokenizer, decoder_width=8)
    refining = dataclasses.replace(training, tokenizer=other, refine=training.out)
    with pytest.raises(ValueError, match="was trained with"):
        train_tokenizer(refining, clips, clips[:1], space)


def test_codes_may_move_before_refining(
    training: TrainTokenizerConfig, clips: list[Curves], space: FaceSpace, tmp_path: Path
) -> None:
    sizes = dataclasses.replace(training.tokenizer, kind="coefficients", scheme="parts")
    parts = dataclasses.replace(training, tokenizer=sizes, steps=5, unquantized_steps=0)
    first, _ = train_tokenizer(parts, clips, clips[:1], space)
    moving = dataclasses.replace(parts, out=tmp_path / "moved", refine=parts.out, move_codes=True)
    second, _ = train_tokenizer(moving, [clip * 0.5 for clip in clips], clips[:1], space)
    before, after = first.codec.state_dict(), second.codec.state_dict()
    assert torch.equal(before["feature_basis"], after["feature_basis"])
    books = [name for name in before if name.endswith("codes")]
    assert books and not any(torch.equal(before[name], after[name]) for name in books)


def test_only_codebooks_of_parts_move(
    training: TrainTokenizerConfig, clips: list[Curves], space: FaceSpace, tmp_path: Path
) -> None:
    train_tokenizer(dataclasses.replace(training, steps=5), clips, clips[:1], space)
    moving = dataclasses.replace(
        training, out=tmp_path / "moved", refine=training.out, move_codes=True
    )
    with pytest.raises(ValueError, match="codebooks of parts"):
        train_tokenizer(moving, clips, clips[:1], space)
