"""Writing what training gives: base, prefix, vocabulary, card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from numpy import ndarray
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from mien.llm.network import PrefixedModel
from mien.llm.storage import FORMAT_VERSION, POSES
from mien.llm.text_codec import TextCodec
from mien.llm.vocabulary import Vocabulary


def save_pretrained(
    model: PrefixedModel, vocabulary: Vocabulary, codec: TextCodec, folder: Path
) -> None:
    """Write base (half precision, without its tied head), prefix, codec and vocabulary."""
    (folder / "base").mkdir(parents=True, exist_ok=True)
    model.base.config.to_json_file(folder / "base/config.json")
    state = {
        name: value.detach().half().contiguous()
        for name, value in model.base.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(state, folder / "base/model.safetensors", {"format": "pt"})
    save_shell(model, vocabulary, codec, folder)


def save_shell(
    model: PrefixedModel, vocabulary: Vocabulary, codec: TextCodec, folder: Path
) -> None:
    """Write all but the base: prefix, text tokenizer and vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = {
        name: value.detach().half().contiguous()
        for name, value in model.prefix.state_dict().items()
    }
    save_file(prefix, folder / "prefix.safetensors")
    vocabulary.save(folder / "vocabulary.json")
    codec.save(folder / "tokenizer.json")


def save_poses(poses: Float[ndarray, "c channel"], folder: Path) -> None:
    """Write what each motion code shows."""
    save_arrays({"poses": poses.astype("float16")}, folder / POSES)


def write_card(
    folder: Path, model: PrefixedModel, config: Mapping[str, Any], made: Mapping[str, Any]
) -> None:
    """Write what the model is and what made it."""
    first, last = model.prefix.project[0], model.prefix.project[2]
    sentence, counter = model.prefix.sentence, model.prefix.counter
    card = {
        "format_version": FORMAT_VERSION,
        "base": config["base"],
        "prefix": {
            "word_width": first.in_features,
            "hidden": first.out_features,
            "width": last.out_features,
            "num_entries": 0 if sentence is None else len(sentence.entries),
            "sentence_gain": model.prefix.sentence_gain,
            "counts": 0 if counter is None else len(counter.entries),
        },
        "config": json.loads(json.dumps(config, default=str)),
        **made,
    }
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n")
