import numpy as np
import pytest
import torch
from tests.llm.llm_world import (
    NUM_CODES,
    FakeWords,
    make_codec,
    make_lines,
    make_model,
    make_vocabulary,
)

from mien.llm.sequences import CODE_WEIGHT, Example, SequenceWriter, collate
from mien.llm.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return make_vocabulary(make_codec())


@pytest.fixture(scope="module")
def examples(vocabulary: Vocabulary) -> list[Example]:
    writer, rng = SequenceWriter(vocabulary), np.random.default_rng(1)
    lines = make_lines(rng, 14)
    pieces = [[20 + i, 21 + i] for i in range(len(lines))]
    codes = rng.integers(0, NUM_CODES, 70).tolist()
    (words,) = FakeWords().encode(["she winks then nods"])
    return [
        writer.text_to_plan(words, lines, 14),
        writer.text_to_motion(words, lines, 14, codes),
        writer.text_to_motion(None, lines, 14, codes),
        writer.motion_to_text([7, 8], codes, lines, 14, pieces),
        writer.motion_to_text([7, 8], codes, (), 14, [[20]]),
        writer.plan_to_text([7, 8], lines, 14, pieces),
    ]


def test_every_token_has_a_weight(examples: list[Example]) -> None:
    assert all(len(x.ids) == len(x.weights) for x in examples)


def test_each_word_has_its_own_place(vocabulary: Vocabulary, examples: list[Example]) -> None:
    word = vocabulary.control("word")
    assert examples[0].ids[:4] == [word] * 4
    assert all(x.ids.count(word) == (0 if x.words is None else len(x.words)) for x in examples)


def test_motion_is_learned_only_where_it_is_written(
    vocabulary: Vocabulary, examples: list[Example]
) -> None:
    def learned(example: Example) -> int:
        pairs = zip(example.ids, example.weights, strict=True)
        return sum(w == CODE_WEIGHT for token, w in pairs if token >= vocabulary.motion_start)

    assert [learned(x) for x in examples] == [0, 70, 70, 0, 0, 0]


def test_a_given_plan_is_not_learned(vocabulary: Vocabulary, examples: list[Example]) -> None:
    without_words, from_plan = examples[2], examples[5]
    assert set(without_words.weights) == {0.0, CODE_WEIGHT}
    pairs = zip(from_plan.ids, from_plan.weights, strict=True)
    learned = [token for token, weight in pairs if weight > 0]
    lines = make_lines(np.random.default_rng(1), 14)
    marks = [vocabulary.entry(line.entry) for line in lines[1:]]
    words = [[20 + i, 21 + i] for i in range(len(lines))]
    expected = words[0] + [t for m, w in zip(marks, words[1:], strict=True) for t in (m, *w)]
    assert learned == [*expected, vocabulary.control("end")]


def test_clocks_and_cues_are_never_learned(
    vocabulary: Vocabulary, examples: list[Example]
) -> None:
    clocks = {vocabulary.clock(i) for i in range(20)}
    for example in examples:
        learned = [i for i, w in enumerate(example.weights) if w > 0 and i not in example.hints]
        assert not clocks & {example.ids[i] for i in learned}


def test_hints_name_what_showed_just_before(
    vocabulary: Vocabulary, examples: list[Example]
) -> None:
    ids, hints = examples[3].ids, examples[3].hints
    lines = make_lines(np.random.default_rng(1), 14)
    assert len(hints) >= 5
    for at, hint in hints.items():
        block = sum(t in {vocabulary.clock(i) for i in range(20)} for t in ids[:at]) - 1
        shown = {x.entry for x in lines if x.start < 2 * block + 2 and x.stop > 2 * block}
        assert vocabulary.entry_name(hint) in shown


def test_labels_are_the_next_tokens(vocabulary: Vocabulary, examples: list[Example]) -> None:
    batch = collate(examples, vocabulary.control("pad"), FakeWords.width)
    for row, example in enumerate(examples):
        for at, label in enumerate(batch.labels[row].tolist()):
            if label != -100:
                assert label == example.hints.get(at + 1, example.ids[at + 1])
                assert batch.weights[row, at] == pytest.approx(example.weights[at + 1])


def test_padding_does_not_change_the_loss(vocabulary: Vocabulary, examples: list[Example]) -> None:
    model = make_model(vocabulary)
    pad = vocabulary.control("pad")
    together, weights = model(collate(examples, pad, FakeWords.width))
    alone = [model(collate([x], pad, FakeWords.width)) for x in examples]
    # float32; batched and single matrix products round apart, worst seen 2e-6
    torch.testing.assert_close(together, torch.cat([x for x, _ in alone]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights, torch.cat([w for _, w in alone]))


def test_padding_gets_no_gradient(vocabulary: Vocabulary, examples: list[Example]) -> None:
    model = make_model(vocabulary)
    pad = vocabulary.control("pad")
    losses, weights = model(collate(examples, pad, FakeWords.width))
    embeds = model.base.get_input_embeddings().weight
    (losses * weights).sum().backward()
    batch = collate(examples, pad, FakeWords.width)
    assert (batch.labels[batch.input_ids == pad] == -100).all()
    assert embeds.grad is not None


def test_words_reach_the_plan(vocabulary: Vocabulary, examples: list[Example]) -> None:
    model, pad = make_model(vocabulary), vocabulary.control("pad")
    words = examples[0].words
    assert words is not None
    other = Example(examples[0].ids, examples[0].weights, words.roll(1, dims=0))
    first, _ = model(collate([examples[0]], pad, FakeWords.width))
    second, _ = model(collate([other], pad, FakeWords.width))
    assert not torch.allclose(first, second)
