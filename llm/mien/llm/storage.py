"""Reading what training wrote: weights, adapters and card of a language model's folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from safetensors.torch import load_file
from torch import Tensor

Direction = Literal["text_to_motion", "motion_to_text"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
FORMAT_VERSION = 1


def shipped_folder() -> Path:
    """Where the shipped language model lies."""
    return Path(__file__).parent / "weights"


def read_card(folder: Path) -> dict[str, Any]:
    """Read a model's card.

    Raises:
        ValueError: If the folder holds no language model, or one of another format.
    """
    path = folder / "card.json"
    if not path.is_file():
        raise ValueError(f"{folder} must hold a language model (card.json), as `mien train llm` writes.")
    card: dict[str, Any] = json.loads(path.read_text())
    if card.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{path} must have format_version {FORMAT_VERSION}, got {card.get('format_version')!r}; "
            "train it again with this version of mien."
        )
    return card


def merged_state(folder: Path, direction: Direction) -> dict[str, Tensor]:
    """The built-in base's weights with one adapter added in: :math:`W + \\frac{\\alpha}{r} B A`."""
    state = {name: value.float() for name, value in load_file(folder / "base/model.safetensors").items()}
    adapter = folder / direction
    if not adapter.is_dir():
        return state
    config = json.loads((adapter / "adapter_config.json").read_text())
    return add_lora(state, load_file(adapter / "adapter_model.safetensors"), config)


def add_lora(
    state: Mapping[str, Tensor], adapter: Mapping[str, Tensor], config: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Add the low-rank updates of a peft adapter to weights."""
    scale = float(config["lora_alpha"]) / float(config["r"])
    out = dict(state)
    for name, a in adapter.items():
        if not name.endswith(".lora_A.weight"):
            continue
        stem = name.removesuffix(".lora_A.weight")
        b = adapter[f"{stem}.lora_B.weight"]
        target = stem.removeprefix("base_model.model.") + ".weight"
        out[target] = out[target] + scale * (b.float() @ a.float())
    return out
