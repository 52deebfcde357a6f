import pytest
import torch
from tests.llm.llm_world import make_codec, make_model, make_vocabulary
from torch import Tensor

from mien.llm.decoder import Decoder, QwenDecoder, TransformersDecoder

# float32; worst difference seen 5e-7 on an AVX-512 CPU
RTOL, ATOL = 1e-4, 1e-5


@pytest.fixture(scope="module")
def reference() -> tuple[Decoder, Decoder, Tensor, Tensor]:
    vocabulary = make_vocabulary(make_codec())
    base = make_model(vocabulary).base.eval()
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(0, vocabulary.size, (3, 40), generator=generator)
    with torch.inference_mode():
        hidden = base.get_decoder()(input_ids=ids).last_hidden_state
    ours = QwenDecoder(base.config.to_dict(), base.state_dict())
    return ours, TransformersDecoder(base), ids, hidden


@pytest.mark.parametrize("which", [0, 1])
def test_steps_agree_with_the_whole_pass(
    reference: tuple[Decoder, Decoder, Tensor, Tensor], which: int
) -> None:
    decoder, (_, _, ids, hidden) = reference[which], reference
    assert isinstance(decoder, QwenDecoder | TransformersDecoder)
    decoder.start(1, 8)
    for at in range(40):
        found = decoder.append(decoder.embed(ids[:1, at : at + 1]), [1])
        torch.testing.assert_close(found[0], hidden[0, at], rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("which", [0, 1])
def test_rows_of_unlike_lengths_do_not_disturb_each_other(
    reference: tuple[Decoder, Decoder, Tensor, Tensor], which: int
) -> None:
    decoder, (_, _, ids, hidden) = reference[which], reference
    assert isinstance(decoder, QwenDecoder | TransformersDecoder)
    decoder.start(3, 8)
    decoder.append(decoder.embed(ids[:, :15]), [15, 15, 15])
    found = decoder.append(decoder.embed(ids[:, 15:30]), [15, 4, 0])
    torch.testing.assert_close(found[0], hidden[0, 29], rtol=RTOL, atol=ATOL)
    torch.testing.assert_close(found[1], hidden[1, 18], rtol=RTOL, atol=ATOL)
    decoder.clear(2)
    chunk = torch.stack([ids[0, 30:34], ids[1, 19:23], ids[2, :4]])
    found = decoder.append(decoder.embed(chunk), [4, 4, 4])
    torch.testing.assert_close(found[1], hidden[1, 22], rtol=RTOL, atol=ATOL)
    torch.testing.assert_close(found[2], hidden[2, 3], rtol=RTOL, atol=ATOL)


def test_both_decoders_score_alike(reference: tuple[Decoder, Decoder, Tensor, Tensor]) -> None:
    ours, theirs, _, hidden = reference
    ids = torch.arange(5, 60)
    torch.testing.assert_close(
        ours.logits(hidden[0, 3], ids), theirs.logits(hidden[0, 3], ids), rtol=RTOL, atol=ATOL
    )


def test_a_fork_has_a_memory_of_its_own(
    reference: tuple[Decoder, Decoder, Tensor, Tensor],
) -> None:
    decoder, _, ids, hidden = reference
    decoder.start(1, 8)
    decoder.append(decoder.embed(ids[:1, :10]), [10])
    other = decoder.fork()
    other.start(1, 8)
    other.append(other.embed(ids[1:2, :7]), [7])
    found = decoder.append(decoder.embed(ids[:1, 10:11]), [1])
    torch.testing.assert_close(found[0], hidden[0, 10], rtol=RTOL, atol=ATOL)
