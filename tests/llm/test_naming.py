from pathlib import Path

import pytest
import torch
from tests.llm.llm_world import FakeWords, make_mixture

from mien.llm.mixture import Variation
from mien.llm.naming import COUNTS, CountingMixture, Naming, NamingMixture
from mien.llm.prefix import SentenceReader, Wording, WordPrefix
from mien.llm.stage import Schedule, train_stage

PLAIN = Variation(0.0, 0.0, 0.0)


def _reader(num_entries: int = 5, seed: int = 0) -> SentenceReader:
    torch.manual_seed(seed)
    return SentenceReader(FakeWords.width, 24, 32, num_entries)


def test_a_sentence_reads_the_same_alone_and_among_others() -> None:
    reader = _reader().eval()
    words = torch.randn(9, FakeWords.width)
    together = reader(words, torch.tensor([2, 4, 3]), torch.ones(9))
    for row, part in enumerate(torch.split(words, [2, 4, 3])):
        alone = reader(part, torch.tensor([len(part)]))
        torch.testing.assert_close(together[row], alone[0])


def test_pooling_equals_a_plain_loop() -> None:
    reader = _reader().eval()
    words = torch.randn(5, FakeWords.width)
    values = reader.words(words)
    shares = reader.score(values).softmax(dim=0)  # [5, heads]
    pooled = torch.cat([(shares[:, h, None] * values).sum(0) for h in range(shares.shape[1])])
    expected = reader.norm(reader.mix(pooled))
    torch.testing.assert_close(reader(words, torch.tensor([5]))[0], expected)


def test_the_last_word_of_each_prompt_carries_its_sentence() -> None:
    torch.manual_seed(1)
    prefix = WordPrefix(FakeWords.width, 24, 32, num_entries=5).eval()
    assert prefix.sentence is not None
    words, counts = torch.randn(5, FakeWords.width), torch.tensor([2, 3])
    plain = super(WordPrefix, prefix).forward(words)
    added = prefix(words, None, counts) - plain
    assert not added[[0, 2, 3]].any()
    whole = prefix.sentence_gain * prefix.sentence(words, counts)
    torch.testing.assert_close(added[[1, 4]], whole)
    prefix.sentence_gain = 0.0
    assert torch.equal(prefix(words, None, counts), plain)


def test_batches_are_a_function_of_seed_and_step_and_tell_the_entries(tmp_path: Path) -> None:
    mixture = make_mixture(tmp_path)
    vocabulary, texts = mixture.writer.vocabulary, mixture.texts
    draws = NamingMixture(vocabulary, texts, 6, PLAIN)
    (_, first), (_, again) = draws.draw(3, 7), draws.draw(3, 7)
    assert torch.equal(first.words, again.words) and torch.equal(first.targets, again.targets)
    asked = {tuple(sorted({line.entry for line in texts.lines(i)})) for i in range(len(texts))}
    for row in first.targets:
        names = tuple(sorted(vocabulary.entries[i] for i in row.nonzero()[:, 0]))
        assert names in asked
    assert first.targets.sum(dim=1).tolist() == pytest.approx([1.0] * 6)


def test_entries_are_learned(tmp_path: Path) -> None:
    mixture = make_mixture(tmp_path / "pool")
    vocabulary = mixture.writer.vocabulary
    task = Naming(_reader(len(vocabulary.entries)))
    draws = NamingMixture(vocabulary, mixture.texts, 6, PLAIN)
    losses = train_stage(task, draws, Schedule(60, 1e-2, warmup=2), tmp_path / "run", seed=0)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_counting_asks_for_the_number_of_different_entries(tmp_path: Path) -> None:
    mixture = make_mixture(tmp_path)
    draws = CountingMixture(mixture.writer.vocabulary, mixture.texts, 6, PLAIN)
    numbers = {len({x.entry for x in mixture.texts.lines(i)}) for i in range(len(mixture.texts))}

    task, batch = draws.draw(3, 7)

    assert task == "counting"
    assert batch.targets.shape == (6, COUNTS) and batch.targets.sum(dim=1).tolist() == [1.0] * 6
    assert {int(row.argmax()) + 1 for row in batch.targets} <= {min(n, COUNTS) for n in numbers}


@torch.inference_mode()
def test_only_a_prompt_for_one_thing_tells_what_it_does_not_ask_for() -> None:
    torch.manual_seed(2)
    prefix = WordPrefix(FakeWords.width, 24, 32, num_entries=5, counts=3).eval()
    assert prefix.counter is not None
    found = set()
    for words in torch.randn(40, 4, FakeWords.width):
        prompt, count = prefix.read(Wording(words)), torch.tensor([4])
        is_one = prefix.counter.scores(prefix.counter(words, count))[0].softmax(0)[0] > 0.5
        assert prompt.names is not None and (prompt.uncalled is not None) == bool(is_one)
        if prompt.uncalled is not None:
            assert torch.equal(prompt.uncalled, prompt.names.exp() < 0.1)
        found.add(bool(is_one))
    assert found == {False, True}


def test_a_prefix_that_does_not_count_tells_nothing_of_it() -> None:
    prefix = WordPrefix(FakeWords.width, 24, 32, num_entries=5).eval()
    assert prefix.read(Wording(torch.randn(4, FakeWords.width))).uncalled is None


def test_names_are_the_mean_of_both_readings() -> None:
    torch.manual_seed(2)
    prefix = WordPrefix(FakeWords.width, 24, 32, num_entries=5).eval()
    words, tuned = torch.randn(3, FakeWords.width), torch.randn(3, FakeWords.width)
    first, second = prefix.name([Wording(words)]), prefix.name([Wording(tuned)])
    both = prefix.name([Wording(words, tuned)])
    torch.testing.assert_close(both.exp(), (first.exp() + second.exp()) / 2)
    prompt = prefix.read(Wording(words, tuned))
    torch.testing.assert_close(prompt.names, both[0])
    assert torch.equal(prompt.words, prefix.read(Wording(words)).words)
