"""LoRA adapters: one a direction, on top of the pretrained base or of any foreign one."""

from pathlib import Path
from typing import Any

from mien.llm.network import PrefixedModel
from mien.llm.storage import Direction, read_adapter


def attach_adapter(
    model: PrefixedModel,
    direction: Direction,
    rank: int,
    new_rows: tuple[int, int] | None = None,
    learns_prefix: bool = False,
) -> Any:
    """Freeze a model and give its base a fresh adapter on all linear layers.

    Args:
        model: Changed in place: its base's layers are wrapped.
        direction: Name of the adapter.
        rank: Of the updates.
        new_rows: Range of embedding rows that the adapter also learns, for a base that lacks our
            tokens.
        learns_prefix: Whether the word prefix goes on learning, but for its sentence reader.

    Returns:
        The peft model around the base, which saves the adapter.
    """
    from peft import LoraConfig, get_peft_model

    model.requires_grad_(False)
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules="all-linear",
        trainable_token_indices=list(range(*new_rows)) if new_rows else None,
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model.base, config, adapter_name=direction)
    model.prefix.requires_grad_(learns_prefix)
    if model.prefix.sentence is not None:
        model.prefix.sentence.requires_grad_(False)
    return adapted


def begin_adapter(adapted: Any, direction: Direction, folder: Path) -> None:
    """Give an attached adapter the weights that `save_adapter` wrote."""
    from peft import set_peft_model_state_dict

    state, _ = read_adapter(folder / direction)
    found: Any = set_peft_model_state_dict(adapted, state, adapter_name=direction)
    if found.unexpected_keys:
        raise ValueError(
            f"{folder / direction}: wanted an adapter of the same layers, got "
            f"{found.unexpected_keys[0]!r}."
        )


def save_adapter(adapted: Any, direction: Direction, folder: Path) -> None:
    """Write an adapter to `folder/direction` as safetensors and JSON."""
    adapted.save_pretrained(
        str(folder), selected_adapters=[direction], save_embedding_layers=False
    )
    (folder / direction / "README.md").unlink(missing_ok=True)
