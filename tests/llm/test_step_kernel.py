"""The compiled step agrees with transformers' Qwen3 and with the plain decoder."""

import numpy as np
import pytest
import torch

from mien.llm.base import built_in_base
from mien.llm.decoder import QwenDecoder
from mien.llm.step_kernel import StepWeights


@pytest.fixture(scope="module")
def decoder() -> QwenDecoder:
    network = built_in_base(64, seed=0, width=48, layers=2)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "norm" in name:
                value.add_(torch.randn_like(value) * 0.2)
    return QwenDecoder(network.config.to_dict(), network.state_dict())


def weights_of(decoder: QwenDecoder) -> StepWeights:
    return StepWeights.of(
        decoder._layers, decoder._final_norm, decoder._rope, decoder.num_heads, decoder.eps
    )


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_it_agrees_with_the_plain_decoder(decoder: QwenDecoder, rows: int) -> None:
    x = torch.randn(rows, 20, 48, generator=torch.Generator().manual_seed(rows))
    decoder.start(rows, 32)
    wanted = torch.stack([decoder.append(x[:, i : i + 1], [1] * rows) for i in range(20)], 1)
    decoder.start(rows, 32)
    weights, cache = weights_of(decoder), decoder._cache.numpy()
    each = np.arange(rows)
    found = [weights.step(x[:, i].numpy(), each, np.full(rows, i), cache) for i in range(20)]
    assert np.abs(np.stack(found, 1) - wanted.numpy()).max() < 1e-5


def test_rows_do_not_see_each_other(decoder: QwenDecoder) -> None:
    x = torch.randn(2, 48).numpy()
    weights = weights_of(decoder)
    decoder.start(3, 8)
    cache = decoder._cache.numpy()
    both = weights.step(x, np.array([2, 0]), np.array([0, 0]), cache)
    decoder.start(3, 8)
    alone = weights.step(x[1:], np.array([0]), np.array([0]), decoder._cache.numpy())
    assert np.array_equal(both[1:], alone)


def test_its_input_is_left_alone(decoder: QwenDecoder) -> None:
    x = np.ones((1, 48), np.float32)
    decoder.start(1, 4)
    weights_of(decoder).step(x, np.array([0]), np.array([0]), decoder._cache.numpy())
    assert np.array_equal(x, np.ones((1, 48), np.float32))
