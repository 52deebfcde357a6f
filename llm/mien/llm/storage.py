"""Reading what training wrote: weights, adapters and card of a language model's folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from jaxtyping import Float
from numpy import ndarray
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file
from torch import Tensor

from mien.llm.decoder import Decoder, QwenDecoder, TransformersDecoder
from mien.llm.lexical import LexicalReader
from mien.llm.vocabulary import Vocabulary

Adapter = tuple[dict[str, Tensor], dict[str, Any]]
"""Weights of a peft adapter, and its configuration."""

Direction = Literal["text_to_motion", "motion_to_text"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
FORMAT_VERSION = 1
POSES = "poses.safetensors"
ENCODER = "encoder"
LEXICAL = "lexical.safetensors"


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
        raise ValueError(
            f"{folder} must hold a language model (card.json), as `mien train llm` writes."
        )
    card: dict[str, Any] = json.loads(path.read_text())
    if card.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{path} must have format_version {FORMAT_VERSION}, got "
            f"{card.get('format_version')!r}; train it again with this version of mien."
        )
    return card


def read_poses(folder: Path) -> Float[ndarray, "c channel"] | None:
    """What each motion code shows on a face at rest; None where the folder does not say."""
    path = folder / POSES
    return load_arrays(path)["poses"].astype("float32") if path.is_file() else None


def merged_state(folder: Path, direction: Direction) -> dict[str, Tensor]:
    """The built-in base's weights with the adapter of one direction added in."""
    state = {
        name: value.float() for name, value in load_file(folder / "base/model.safetensors").items()
    }
    adapter = folder / direction
    if not adapter.is_dir():
        return state
    return add_lora(state, *read_adapter(adapter))


def read_updates(folder: Path) -> Adapter | None:
    """Updates of the sentence encoder; None where the folder has none."""
    adapter = folder / ENCODER
    return read_adapter(adapter) if adapter.is_dir() else None


def read_lexical(folder: Path) -> LexicalReader | None:
    """The reader that names by words alone; None where the folder has none."""
    path = folder / LEXICAL
    return LexicalReader.load(path) if path.is_file() else None


def read_adapter(folder: Path) -> Adapter:
    """The weights and the configuration of a peft adapter."""
    config: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text())
    return load_file(folder / "adapter_model.safetensors"), config


def add_lora(
    state: Mapping[str, Tensor], adapter: Mapping[str, Tensor], config: Mapping[str, Any]
) -> dict[str, Tensor]:
    r"""Add the updates of a peft adapter to weights, :math:`W + \frac{\alpha}{r} B A`."""
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


def load_decoders(
    folder: Path, vocabulary: Vocabulary, base: str | None, is_local: bool
) -> dict[Direction, Decoder]:
    """The decoder of each direction: the built-in base's weights, or a foreign base."""
    if base is not None:
        return _adapted_decoders(folder, vocabulary, base, is_local)
    config = json.loads((folder / "base/config.json").read_text())
    return {d: QwenDecoder(config, merged_state(folder, d)) for d in DIRECTIONS}


def _adapted_decoders(
    folder: Path, vocabulary: Vocabulary, base: str, is_local: bool
) -> dict[Direction, Decoder]:
    """One copy of a foreign base a direction, with its adapter merged in."""
    from peft import PeftModel

    from mien.llm.base import append_rows, load_base

    decoders: dict[Direction, Decoder] = {}
    for direction in DIRECTIONS:
        model, _ = load_base(base, is_local)
        append_rows(model, vocabulary.size, seed=0)
        adapted = PeftModel.from_pretrained(model, str(folder / direction))
        decoders[direction] = TransformersDecoder(adapted.merge_and_unload().eval())
    return decoders
