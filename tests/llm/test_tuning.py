"""Tuning the sentence encoder by what a reader makes of its words."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.llm.llm_world import make_mixture

from mien.llm.mixture import Variation
from mien.llm.prefix import SentenceReader
from mien.llm.stage import Schedule, train_stage
from mien.llm.storage import read_updates
from mien.llm.tuning import Tuning, TuningMixture, tuning_batch
from mien.llm.word_encoder import WordEncoder

TEXTS = ["a shy smile, then she looks away", "unbelievableness", "he can't believe it's his!"]
PLAIN = Variation(0.0, 0.0, 0.0)

pytestmark = pytest.mark.filterwarnings("ignore")


def _reader(num_entries: int = 5) -> SentenceReader:
    torch.manual_seed(0)
    return SentenceReader(WordEncoder.width, 24, 32, num_entries)


def _words(tuning: Tuning) -> torch.Tensor:
    batch = tuning_batch(TEXTS, torch.zeros(3, 5), PLAIN, np.random.default_rng(0))
    with torch.inference_mode():
        return tuning.eval().words(batch)


def test_an_encoder_that_has_learned_nothing_gives_the_words_that_it_gave() -> None:
    expected = torch.cat(WordEncoder.default().encode(TEXTS))
    # float32; worst difference seen 2e-6
    torch.testing.assert_close(_words(Tuning(_reader())), expected, rtol=1e-4, atol=1e-5)


def test_what_was_learned_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    tuning = Tuning(_reader())
    with torch.no_grad():
        for value in tuning.parameters():
            if value.requires_grad:
                value.normal_(0, 0.05)
    tuning.save(tmp_path)
    updates = read_updates(tmp_path)
    assert updates is not None
    plain, tuned = WordEncoder.default(), WordEncoder.default().updated(*updates)
    found, before = torch.cat(tuned.encode(TEXTS)), torch.cat(plain.encode(TEXTS))
    # kept in half precision; worst difference seen 3e-4 of values up to 1.5
    torch.testing.assert_close(found, _words(tuning), rtol=1e-2, atol=2e-3)
    assert (found - before)[:, :384].abs().max() > 0.1
    assert torch.equal(found[:, 384:], before[:, 384:])
    both = plain.encode_both(tuned, TEXTS)
    assert torch.equal(torch.cat([own for own, _ in both]), before)
    assert torch.equal(torch.cat([other for _, other in both]), found)
    assert "/" not in str(updates[1]).replace("sentence-transformers/", "")


def test_only_updates_of_the_upper_layers_learn_and_the_loss_falls(tmp_path: Path) -> None:
    mixture = make_mixture(tmp_path / "pool")
    vocabulary = mixture.writer.vocabulary
    reader = _reader(len(vocabulary.entries))
    before = {name: value.clone() for name, value in reader.state_dict().items()}
    tuning = Tuning(reader)
    learns = [name for name, value in tuning.named_parameters() if value.requires_grad]
    assert len(learns) == 4 * 6 * 2 and all(".lora_" in name for name in learns)
    assert not any(f"layer.{below}." in name for below in (0, 1) for name in learns)
    draws = TuningMixture(vocabulary, mixture.texts, 8, PLAIN)
    schedule = Schedule(40, 3e-3, warmup=2)
    losses = train_stage(tuning, draws, schedule, tmp_path / "run", seed=0)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert all(torch.equal(before[name], value) for name, value in reader.state_dict().items())


def test_batches_are_a_function_of_seed_and_step(tmp_path: Path) -> None:
    mixture = make_mixture(tmp_path)
    draws = TuningMixture(mixture.writer.vocabulary, mixture.texts, 6, Variation(0.5, 0.5, 0.0))
    (task, first), (_, again) = draws.draw(3, 7), draws.draw(3, 7)
    assert task == "tuning" and vars(first).keys() == vars(again).keys()
    assert all(torch.equal(value, vars(again)[name]) for name, value in vars(first).items())
    assert first.num_positions == int(first.counts.sum()) == len(first.noise)
    assert first.targets.sum(dim=1).tolist() == pytest.approx([1.0] * 6)
    belongs = first.word_of[first.word_of >= 0]
    assert torch.equal(belongs.unique(), torch.arange(first.num_positions))
