"""The causal language model underneath: the built-in one, or any of transformers."""

from pathlib import Path
from typing import Any

import torch
from torch import nn


def built_in_base(vocab_size: int, seed: int, width: int = 256, layers: int = 4) -> Any:
    """A small Qwen3 with random weights, about 4 million parameters as shipped."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=width // 4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config)


def load_base(name: str, is_local: bool = False) -> tuple[Any, Any]:
    """Load a causal language model and the tokenizer that belongs to it.

    Args:
        name: A folder, or the id of a model on the hub (which reaches for the network unless it
            is in the cache).
        is_local: Whether to forbid the network; a folder never needs it.

    Returns:
        The model and its `tokenizers.Tokenizer`.

    Raises:
        ValueError: If there is no such model, or its tokenizer is not a fast one.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    offline = is_local or Path(name).exists()
    try:
        model = AutoModelForCausalLM.from_pretrained(name, local_files_only=offline)
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=offline)
    except OSError as error:
        raise ValueError(
            f"--base must be a folder or hub id of a causal language model, got {name!r}: {error}"
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(f"--base needs a fast tokenizer (tokenizer.json), {name!r} has none.")
    return model, tokenizer.backend_tokenizer


def append_rows(model: Any, vocab_size: int, seed: int) -> None:
    """Give a model rows up to `vocab_size`: the mean of the old ones with small noise."""
    embedding = model.get_input_embeddings()
    old = embedding.weight.shape[0]
    if vocab_size <= old:
        return
    weights = [embedding.weight.detach().clone()]
    head = model.get_output_embeddings()
    is_tied = head.weight is embedding.weight
    if not is_tied:
        weights.append(head.weight.detach().clone())
    model.resize_token_embeddings(vocab_size, mean_resizing=False)
    modules = [model.get_input_embeddings()] + ([] if is_tied else [model.get_output_embeddings()])
    generator = torch.Generator().manual_seed(seed)
    for module, before in zip(modules, weights, strict=True):
        _fill(module, before, generator)


@torch.no_grad()
def _fill(module: nn.Module, before: torch.Tensor, generator: torch.Generator) -> None:
    weight: torch.Tensor = module.weight  # type: ignore[assignment]
    old = before.shape[0]
    noise = torch.randn(weight.shape[0] - old, weight.shape[1], generator=generator)
    scale = before.float().std() * 0.5
    rows = before.float().mean(0) + noise.to(before.device) * scale
    weight[:old] = before
    weight[old:] = rows.to(weight.dtype)
