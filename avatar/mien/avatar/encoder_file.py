"""A trained photo encoder in a folder: weights in safetensors, everything else in a JSON card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mien.avatar.backbone import Backbone
from mien.avatar.encoder import PhotoEncoder
from mien.avatar.encoder_size import EncoderSize
from mien.avatar.learned import make_unet
from mien.avatar.sizes import DecoderSize
from mien.avatar.tensor_file import read_finite
from mien.avatar.unet import UNet
from mien.files import check_size, whole_file

FORMAT = 1
WEIGHTS = "encoder.safetensors"
CARD = "encoder.json"
_MOST_BYTES = 1024 * 2**20
_MOST_CARD_BYTES = 2**20
_LARGEST = 4096  # of any number in a size
_DEEPEST = 64
_BACKBONE = "backbone."


@dataclass(frozen=True, eq=False)
class LoadedEncoder:
    """What a folder holds; both networks are in evaluation and want no gradients.

    Attributes:
        encoder: From photos to maps.
        unet: The network that was learned with it.
        decoder: Size of the maps.
        card: What made it.
    """

    encoder: PhotoEncoder
    unet: UNet
    decoder: DecoderSize
    card: dict[str, Any]


def save_encoder(
    folder: str | Path,
    encoder: PhotoEncoder,
    unet: UNet,
    decoder_size: DecoderSize,
    card: Mapping[str, Any],
) -> None:
    """Write an encoder and the network learned with it, in half floats.

    A frozen backbone is not written, only what it was loaded from.

    Args:
        folder: Made if it is not there.
        encoder: Of any device.
        unet: Of `decoder_size`.
        decoder_size: The encoder's.
        card: What made it, as JSON can say.

    Raises:
        ValueError: If sizes disagree, or a weight is not finite in half floats.
    """
    if encoder.decoder != decoder_size:
        raise ValueError(
            f"The encoder was built for the decoder {encoder.decoder}, got {decoder_size}."
        )
    state = _halved("encoder", encoder, _backbone_of(encoder))
    state |= _halved("unet", unet, None)
    described = {
        "format": FORMAT,
        "encoder": asdict(encoder.size),
        "decoder": asdict(decoder_size),
        "sinks": encoder.sinks is not None,
        "backbone": _backbone_of(encoder),
        "made": dict(card),
    }
    text = json.dumps(described, indent=1) + "\n"
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    with whole_file(path / WEIGHTS) as target:
        save_file(state, target)
    with whole_file(path / CARD) as target:
        target.write_text(text)


def load_encoder(folder: str | Path, backbone: Backbone | None = None) -> LoadedEncoder:
    """Read an encoder.

    Args:
        folder: That `save_encoder` wrote.
        backbone: The frozen backbone that the card names, if it names one: nothing is fetched
            by itself.

    Raises:
        ValueError: If the folder does not hold an encoder of our format, whole and sound, or the
            backbone is another.
    """
    path = Path(folder)
    described = _read_card(path)
    size, decoder = _read_sizes(described, path)
    _check_backbone(described.get("backbone"), backbone, path)
    state = _read_state(path / WEIGHTS)
    with torch.device("meta"):  # nothing is allocated for what a card claims
        encoder = PhotoEncoder(size, decoder, backbone, sinks=bool(described.get("sinks")))
        unet = make_unet(decoder)
    kept = {} if backbone is None else encoder.backbone.state_dict(prefix=_BACKBONE)
    try:
        encoder.load_state_dict(_part(state, "encoder") | kept, assign=True)
        unet.load_state_dict(_part(state, "unet"), assign=True)
    except RuntimeError as error:
        raise ValueError(
            f"{path / WEIGHTS} does not hold an encoder of the size {size.name!r} for the decoder "
            f"{decoder.name!r}."
        ) from error
    made = described.get("made")
    card = made if isinstance(made, dict) else {}
    for network in (encoder, unet):
        network.eval().requires_grad_(False)
    return LoadedEncoder(encoder, unet, decoder, card)


def _backbone_of(encoder: PhotoEncoder) -> str | None:
    return encoder.backbone.source


def _halved(prefix: str, network: nn.Module, frozen: str | None) -> dict[str, Tensor]:
    """Weights under a prefix, without those of a frozen backbone."""
    state = {}
    for name, value in network.state_dict().items():
        if frozen is not None and name.startswith(_BACKBONE):
            continue
        half = value.detach().to("cpu", torch.float16, copy=True).contiguous()
        if not bool(torch.isfinite(half).all()):
            raise ValueError(f"`{prefix}.{name}` is not finite in half floats; it is not saved.")
        state[f"{prefix}.{name}"] = half
    return state


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {
        name.removeprefix(start): value for name, value in state.items() if name.startswith(start)
    }


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    if not path.is_file():
        raise ValueError(f"{folder} is not a photo encoder: {CARD} is missing.")
    check_size(path, _MOST_CARD_BYTES)
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}.") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        came = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise ValueError(f"{path} must be an encoder's card of format {FORMAT}, got {came!r}.")
    return card


def _read_sizes(card: dict[str, Any], folder: Path) -> tuple[EncoderSize, DecoderSize]:
    try:
        size = EncoderSize(**_entries(card["encoder"]))
        decoder = DecoderSize(**_entries(card["decoder"]))
        numbers = [*list(asdict(size).values())[1:], decoder.resolution, *decoder.widths]
        most = max(int(number) for number in (*numbers, decoder.features))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder} does not say its encoder's sizes: {error}.") from error
    if most > _LARGEST or size.depth > _DEEPEST:
        raise ValueError(f"{folder} names an encoder too large to read: {size}, {decoder}.")
    return size, decoder


def _entries(described: dict[str, Any]) -> dict[str, Any]:
    """Fields of a size; JSON has lists in place of tuples, and anything might come as a number."""
    read: dict[str, Any] = {}
    for name, value in described.items():
        if isinstance(value, list):
            read[name] = tuple(int(number) for number in value)
        else:
            read[name] = str(value) if name == "name" else int(value)
    return read


def _check_backbone(named: object, given: Backbone | None, folder: Path) -> None:
    came = None if given is None else given.source
    if named != came:
        wanted = "with its own backbone" if named is None else f"on the backbone {named!r}"
        raise ValueError(
            f"{folder} was trained {wanted}, got {came!r}; "
            "give what `load_backbone` makes of its name, and nothing where it has its own."
        )


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"{path} is missing.")
    return {name: value.float() for name, value in read_finite(path, _MOST_BYTES).items()}
