"""Beginning a training from what an earlier one wrote, on a lexicon or corpus that has changed."""

import json
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from mien.llm.network import PrefixedModel
from mien.llm.vocabulary import Vocabulary

__all__ = ["begin_from", "check_start"]


def check_start(folder: Path) -> None:
    """Refuse a folder that holds no built-in language model.

    Raises:
        ValueError: If it is none.
    """
    card = folder / "card.json"
    if not card.is_file():
        raise ValueError(f"{folder}: wanted a language model of `mien train llm`, found no card.")
    if json.loads(card.read_text()).get("base") is not None:
        raise ValueError(f"{folder}: wanted a model of the built-in base, got one of another.")


@torch.no_grad()
def begin_from(model: PrefixedModel, vocabulary: Vocabulary, folder: Path) -> None:
    """Give a new model the weights of an earlier one, without its adapters, in place.

    Rows of tokens are matched by what they stand for; those that are new stay as they are.

    Raises:
        ValueError: If the earlier model is of another size.
    """
    before = Vocabulary.load(folder / "vocabulary.json")
    state = {k: v.float() for k, v in load_file(folder / "base/model.safetensors").items()}
    rows = "model.embed_tokens.weight"
    _check_width(folder, state[rows], model.tokens)
    state[rows] = _matched(model.tokens, vocabulary.row_names, state[rows], before.row_names)
    model.base.load_state_dict(state, strict=False)
    prefix = {k: v.float() for k, v in load_file(folder / "prefix.safetensors").items()}
    reader, entries = model.prefix.sentence, "sentence.entries"
    if reader is not None and entries in prefix:
        prefix[entries] = _matched(
            reader.entries, vocabulary.entries, prefix[entries], before.entries
        )
    missing = model.prefix.load_state_dict(prefix, strict=False).missing_keys
    has = {name.partition(".")[0] for name in prefix}
    lacking = [  # an earlier model may be without a reader of sentences, or one that counts
        name for name in missing if name.partition(".")[0] not in {"sentence", "counter"} - has
    ]
    if lacking:
        raise ValueError(f"{folder}: wanted a whole prefix, it lacks {lacking[0]!r}.")


def _matched(
    rows: Tensor, names: Sequence[Hashable], old_rows: Tensor, old_names: Sequence[Hashable]
) -> Tensor:
    """Old rows in the order of new names; new rows where a name is new."""
    where = {name: i for i, name in enumerate(old_names)}
    pairs = [(i, where[name]) for i, name in enumerate(names) if name in where]
    new, old = (list(each) for each in zip(*pairs, strict=True))
    out = rows.detach().clone()
    out[new] = old_rows[old].to(out)
    return out


def _check_width(folder: Path, old: Tensor, new: Tensor) -> None:
    if old.shape[1] != new.shape[1]:
        raise ValueError(
            f"{folder}: wanted a model of width {new.shape[1]}, got one of {old.shape[1]}."
        )
