"""Naming by the words alone."""

from pathlib import Path

import pytest
import torch
from tests.llm.llm_world import make_mixture

from mien.llm import MotionLanguageModel
from mien.llm.lexical import NUM_PIECES, LexicalReader
from mien.llm.lexical_naming import LexicalMixture, LexicalNaming
from mien.llm.prefix import shared_names
from mien.llm.stage import Schedule, train_stage
from mien.llm.word_encoder import WordEncoder


def _reader(num_entries: int = 5) -> LexicalReader:
    torch.manual_seed(0)
    reader = LexicalReader(num_entries, num_pairs=64, width=8)
    torch.nn.init.normal_(reader.bag.weight, std=0.1)
    return reader.eval()


def test_a_text_is_its_pieces_and_each_pair_of_neighbours() -> None:
    reader = _reader()
    rows = reader.rows([101, 7, 8, 102])
    assert rows[:2] == [7, 8] and len(rows) == 2 + 3
    assert all(NUM_PIECES <= row < NUM_PIECES + 64 for row in rows[2:])
    assert reader.rows([101, 8, 7, 102])[2:] != rows[2:]  # the order of words counts
    assert len(reader.rows([101, 102])) == 1  # a text of nothing still has its ends


def test_what_is_hidden_weighs_nothing_and_the_rest_makes_up_for_it() -> None:
    reader = _reader()
    texts = [[101, 7, 8, 102], [101, 9, 102]]
    shows = torch.tensor([1.0, 0, 0, 0, 0, 1, 1, 1])
    found = reader(reader.bags([reader.rows(ids) for ids in texts], shows))
    table = reader.bag.weight
    expected = torch.stack([table[7], table[reader.rows(texts[1])].mean(dim=0)])
    torch.testing.assert_close(found, reader.entries(10 * expected))


def test_texts_are_named_together_as_one_by_one() -> None:
    reader = _reader()
    texts = WordEncoder.default().ids(["a shy smile", "sus", "he grins, then he looks away"])
    together = reader.name(texts)
    alone = torch.cat([reader.name([text]) for text in texts])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together.exp().sum(dim=1), torch.ones(3))


def test_a_saved_reader_names_alike_and_keeps_only_what_it_has_learned(tmp_path: Path) -> None:
    reader = _reader()
    with torch.no_grad():
        reader.bag.weight[1000:NUM_PIECES] = 0
    reader.save(tmp_path / "lexical.safetensors")
    again = LexicalReader.load(tmp_path / "lexical.safetensors")
    texts = [[101, 7, 8, 102], [101, 2000, 9, 102]]
    # rows of 8 bits; worst difference seen 0.006
    torch.testing.assert_close(again.name(texts), reader.name(texts), rtol=0, atol=0.03)
    assert (tmp_path / "lexical.safetensors").stat().st_size < 30_000
    assert not again.bag.weight[1000:NUM_PIECES].any()


def test_a_reader_learns_and_batches_are_a_function_of_seed_and_step(tmp_path: Path) -> None:
    mixture = make_mixture(tmp_path / "pool")
    vocabulary = mixture.writer.vocabulary
    torch.manual_seed(0)
    reader = LexicalReader(len(vocabulary.entries), num_pairs=64, width=8)
    draws = LexicalMixture(reader, vocabulary, mixture.texts, 32, free=0.0)
    (_, first), (_, again), (_, other) = draws.draw(3, 7), draws.draw(3, 7), draws.draw(3, 8)
    assert torch.equal(first.rows, again.rows) and torch.equal(first.weights, again.weights)
    assert not torch.equal(first.rows[:50], other.rows[:50])
    assert first.targets.sum(dim=1).tolist() == pytest.approx([1.0] * 32)
    assert (first.weights == 0).float().mean() == pytest.approx(0.2, abs=0.05)
    schedule = Schedule(40, 3e-2, warmup=0, weight_decay=0.0)
    losses = train_stage(LexicalNaming(reader), draws, schedule, tmp_path / "run", seed=0)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


@pytest.mark.parametrize(
    ("text", "entry"), [("sus", "suspicious"), ("meh", "bored"), ("knackered", "tired")]
)
def test_the_shipped_reader_knows_words_that_the_encoder_takes_for_others(
    text: str, entry: str
) -> None:
    model = MotionLanguageModel.load()
    with_it = model.read_prompts([text])[0].names
    model._lexical = None
    without = model.read_prompts([text])[0].names
    assert with_it is not None and without is not None
    place = model.vocabulary.entries.index(entry)
    assert int(with_it.argmax()) == place != int(without.argmax())


def test_entries_that_look_alike_speak_for_each_other() -> None:
    likeness = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    torn = torch.tensor([0.3, 0.3, 0.4]).log()
    assert int(torn.argmax()) == 2 and int(shared_names(torn, likeness).argmax()) < 2
    sure = torch.tensor([0.1, 0.1, 0.8]).log()
    assert int(shared_names(sure, likeness).argmax()) == 2
    torch.testing.assert_close(shared_names(torn, likeness).exp().sum(), torch.tensor(1.0))
    alone = torch.log_softmax(2 * torn, dim=-1)
    torch.testing.assert_close(shared_names(torn, torch.eye(3)), alone)
