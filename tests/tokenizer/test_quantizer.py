import pytest
import torch
from torch import Tensor

from mien.tokenizer.quantizer import Quantizer, QuantizerConfig

CONFIGS = [
    QuantizerConfig(kind="vq", dim=5, codebook_size=16),
    QuantizerConfig(kind="fsq", dim=3, levels=(4, 3, 5)),
    QuantizerConfig(kind="rvq", dim=5, codebook_size=8, num_quantizers=2),
]


def ready(config: QuantizerConfig) -> Quantizer:
    """A quantizer that has seen data once."""
    torch.manual_seed(0)
    quantizer = Quantizer(config).train()
    quantizer(torch.randn(4, 60, config.dim))
    return quantizer


def every_index(config: QuantizerConfig) -> Tensor:
    """All integers, each in every place of a chain."""
    indices = torch.arange(config.num_indices)
    return indices[:, None].expand(-1, *config.index_shape) if config.index_shape else indices


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.kind)
def test_looking_up_the_indices_gives_the_quantized_vectors(config: QuantizerConfig) -> None:
    quantizer = ready(config).eval()
    quantized, indices, _ = quantizer(torch.randn(2, 9, config.dim))
    assert indices.shape == (2, 9, *config.index_shape) and indices.dtype == torch.long
    torch.testing.assert_close(quantizer.lookup(indices), quantized)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.kind)
def test_every_integer_is_a_code_and_no_other(config: QuantizerConfig) -> None:
    quantizer = ready(config).eval()
    size = config.num_indices
    assert quantizer.lookup(every_index(config)).shape == (size, config.dim)
    for wrong in (size, -1):
        with pytest.raises(ValueError, match=f"0..{size - 1}, got {wrong}"):
            quantizer.lookup(torch.full((2, *config.index_shape), wrong))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.kind)
def test_gradients_reach_what_is_before_the_quantizer(config: QuantizerConfig) -> None:
    quantizer = ready(config)
    x = torch.randn(2, 7, config.dim, requires_grad=True)
    quantized, _, loss = quantizer(x)
    (quantized.square().sum() + loss).backward()
    assert x.grad is not None and bool((x.grad != 0).any())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.kind)
def test_a_reloaded_quantizer_continues_bit_for_bit(config: QuantizerConfig) -> None:
    first = ready(config)
    second = Quantizer(config).train()
    second.load_state_dict(first.state_dict())
    batch = torch.randn(3, 50, config.dim)
    outputs = []
    for quantizer in (first, second):
        torch.manual_seed(4)
        outputs.append([quantizer(batch + 0.1 * i) for i in range(5)][-1])
    for a, b in zip(*outputs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, second.state_dict()[name], rtol=0, atol=0)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.kind)
def test_a_frozen_quantizer_keeps_its_codes(config: QuantizerConfig) -> None:
    quantizer = ready(config)
    quantizer.freeze()
    codes = every_index(config)
    before = quantizer.lookup(codes)
    quantizer(3.0 + torch.randn(3, 50, config.dim))
    torch.testing.assert_close(quantizer.lookup(codes), before, rtol=0, atol=0)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'vq', 'fsq' or 'rvq', got 'sphere'"):
        QuantizerConfig(kind="sphere")  # type: ignore[arg-type]


def test_each_codebook_of_a_chain_brings_the_code_nearer() -> None:
    config = QuantizerConfig(kind="rvq", dim=4, codebook_size=32, num_quantizers=3)
    quantizer = ready(config).eval()
    x = torch.randn(2, 60, config.dim)
    indices = quantizer(x)[1]
    books = quantizer.inner.codebooks
    assert indices.shape == (2, 60, 3)
    rest, errors = x, [float(x.norm(dim=-1).mean())]
    for level, book in enumerate(books):
        nearest = torch.cdist(rest, book[None]).argmin(-1)
        assert torch.equal(nearest, indices[..., level])
        rest = rest - book[nearest]
        errors.append(float(rest.norm(dim=-1).mean()))
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.5 * errors[0]
    torch.testing.assert_close(x - rest, quantizer.lookup(indices))


def test_a_chain_refuses_indices_that_are_one_a_vector() -> None:
    quantizer = ready(CONFIGS[2])
    with pytest.raises(
        ValueError, match=r"must be \[..., 2\], one for each codebook of the chain, got \(5,\)"
    ):
        quantizer.lookup(torch.zeros(5, dtype=torch.long))
