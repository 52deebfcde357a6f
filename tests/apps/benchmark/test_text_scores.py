import math

import numpy as np
import pytest
from tests.apps.benchmark.benchmark_world import FakeWords

from mien.apps.benchmark.sentences import sentence_vectors, similarity
from mien.apps.benchmark.text_scores import bleu, bleu_counts, cider_d, rouge_l, words_of

CAPTIONS = [
    "she smiles broadly and then slowly turns her head to the left",
    "a quick wink of the right eye followed by a broad grin",
    "he frowns hard and looks down at the floor for a moment",
    "nod nod nod nod",
]
REFERENCES = [
    [
        "she smiles broadly and then turns her head slowly to the left side",
        "a broad smile , then the head turns left",
    ],
    ["a quick wink of the right eye , then a grin", "she winks and grins"],
    [
        "he frowns and looks down at the floor for a long moment",
        "a hard frown with a look down",
    ],
    ["they nod", "a nod"],
]
C = [words_of(text) for text in CAPTIONS]
R = [[words_of(text) for text in group] for group in REFERENCES]


@pytest.mark.parity
def test_the_scores_are_those_of_the_public_code() -> None:
    """sacrebleu 2.6.0 (no tokenizer, no smoothing), rouge-score 0.1.2, pycocoevalcap 1.2."""
    counts = sum(bleu_counts(c, r) for c, r in zip(C, R, strict=True))
    assert isinstance(counts, np.ndarray)
    assert bleu(counts) == pytest.approx(0.5651789014996663)
    found = [rouge_l(c, r) for c, r in zip(C, R, strict=True)]
    assert found == pytest.approx([0.88, 0.8181818181818182, 0.9166666666666666, 1 / 3])
    wanted = [3.3615870837098543, 2.91717150617563, 3.7280641271632313, 0.5046418200307389]
    assert cider_d(C, R).tolist() == pytest.approx(wanted)


def test_bleu_of_a_case_worked_out_by_hand() -> None:
    counts = bleu_counts(words_of("a b c d e"), [words_of("a b c d f g")])
    assert counts.tolist() == [4, 3, 2, 1, 5, 4, 3, 2, 5, 6]
    wanted = math.exp(1 - 6 / 5) * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert bleu(counts) == pytest.approx(wanted)


def test_a_word_said_again_and_again_counts_as_often_as_a_reference_says_it() -> None:
    assert bleu_counts(words_of("nod nod nod"), [words_of("nod and nod"), ("nod",)])[0] == 2


def test_cider_d_of_a_case_worked_out_by_hand() -> None:
    # Two clips; "x" and "y" are in one of them each and weigh log 2. One word: (1, 1) against
    # (0, 1), cosine 1 / sqrt 2; longer orders: nothing. A caption of one pair of words against a
    # reference of none: exp(-1 / 72). A quarter of 10.
    found = cider_d([("x", "y"), ("z",)], [[("y",)], [("x",)]])
    assert found.tolist() == pytest.approx([2.5 * math.exp(-1 / 72) / math.sqrt(2), 0.0])


def test_perfect_captions_score_in_full_and_empty_ones_nothing() -> None:
    own = [[c] for c in C[:3]]
    np.testing.assert_allclose(cider_d(C[:3], own), 10.0)
    assert rouge_l(C[0], [C[0]]) == 1.0 and rouge_l((), [C[0]]) == 0.0
    assert cider_d([(), C[1]], own[:2])[0] == 0.0
    assert bleu(bleu_counts((), [C[0]])) == 0.0


def test_captions_without_references_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of them empty"):
        cider_d([("a",)], [[]])


def test_similarity_is_with_the_nearest_reference() -> None:
    words = FakeWords()
    found = similarity(["she nods", "a wink"], [["he sleeps", "nods she"], ["a wide grin"]], words)
    assert found[0] == pytest.approx(1.0) and found[1] < 0.9
    np.testing.assert_allclose(
        np.linalg.norm(sentence_vectors(CAPTIONS, words), axis=1), 1.0, rtol=1e-6
    )
