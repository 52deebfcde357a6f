import pytest
import torch

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


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.kind)
def test_looking_up_the_indices_gives_the_quantized_vectors(config: QuantizerConfig) -> None:
    quantizer = ready(config).eval()
    quantized, indices, _ = quantizer(torch.randn(2, 9, config.dim))
    assert indices.shape == (2, 9) and indices.dtype == torch.long
    torch.testing.assert_close(quantizer.lookup(indices), quantized)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.kind)
def test_every_integer_is_a_code_and_no_other(config: QuantizerConfig) -> None:
    quantizer = ready(config).eval()
    size = config.num_indices
    assert quantizer.lookup(torch.arange(size)).shape == (size, config.dim)
    with pytest.raises(ValueError, match=f"0..{size - 1}, got {size}"):
        quantizer.lookup(torch.tensor([0, size]))
    with pytest.raises(ValueError, match="got -1"):
        quantizer.lookup(torch.tensor([-1]))


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
    codes = torch.arange(config.num_indices)
    before = quantizer.lookup(codes)
    quantizer(3.0 + torch.randn(3, 50, config.dim))
    torch.testing.assert_close(quantizer.lookup(codes), before, rtol=0, atol=0)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'vq', 'fsq' or 'rvq', got 'sphere'"):
        QuantizerConfig(kind="sphere")  # type: ignore[arg-type]
