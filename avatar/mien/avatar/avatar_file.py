"""The `NAME.avatar` folder: splats in safetensors, everything else in a JSON card. No pickle.

A learned avatar's maps and network lie beside the painting that it began from, see `learned_file`;
what a painted one has learned of its skin, see `detail_file`.
Splats are packed: barycentrics and colors as integers, lengths as half floats; 44 bytes a splat.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from mien.avatar.detail_file import describe_detail, write_detail
from mien.avatar.learned_file import describe_learned, write_learned
from mien.avatar.look import Look
from mien.avatar.splats import Splats
from mien.avatar.tensor_file import read_tensors

if TYPE_CHECKING:
    from mien.avatar.avatar import Avatar

FORMAT = 1
SUFFIX = ".avatar"
LOOKS = Path(__file__).parent / "looks"
_CARD = "card.json"
_SPLATS = "splats.safetensors"
_MOST_BYTES = 256 * 2**20
_LENGTHS = ("offset", "long_axis", "wide_axis", "thickness")
_SHARES = ("albedo", "opacity", "occlusion", "key_light", "gloss")


def shipped_names() -> tuple[str, ...]:
    """Names of the avatars that come with the package."""
    return tuple(sorted(path.stem for path in LOOKS.glob(f"*{SUFFIX}")))


def find_avatar(name_or_path: str | Path) -> Path:
    """Give the folder of a shipped avatar's name, or of a path.

    Raises:
        ValueError: If there is no such folder.
    """
    shipped = LOOKS / f"{name_or_path}{SUFFIX}"
    path = shipped if str(name_or_path) in shipped_names() else Path(name_or_path)
    if not path.is_dir():
        names = ", ".join(shipped_names())
        raise ValueError(
            f"An avatar is a shipped name ({names}) or a {SUFFIX} folder, "
            f"got {str(name_or_path)!r}, which is neither."
        )
    return path


def write_avatar(avatar: Avatar, folder: Path) -> None:
    """Write an avatar; `folder` is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    card = {
        "format": FORMAT,
        "name": avatar.name,
        "head": {"name": avatar.head.name, "faces": len(avatar.head.faces)},
        "splats": len(avatar.splats),
        "look": asdict(avatar.look),
        "gains": dict(avatar.gains),
        "made_by": avatar.made_by,
    }
    card |= describe_learned(avatar.learned) | describe_detail(avatar.detail)
    tensors = pack(avatar.splats) | {"shape": avatar.shape.float().contiguous()}
    (folder / _SPLATS).write_bytes(save(tensors))
    write_learned(avatar.learned, folder)
    write_detail(avatar.detail, folder)
    (folder / _CARD).write_text(json.dumps(card, indent=1) + "\n")


def read_avatar(folder: Path) -> tuple[dict[str, Any], Splats, Tensor]:
    """Read card, splats and identity.

    Raises:
        ValueError: If the folder does not hold an avatar of our format, whole and sound.
    """
    card = _read_card(folder)
    path = folder / _SPLATS
    if not path.is_file():
        raise ValueError(f"{folder} is not an avatar: {_SPLATS} is missing.")
    tensors = read_tensors(path, _MOST_BYTES)
    try:
        shape = tensors.pop("shape").float()
        splats = unpack(tensors)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} does not hold an avatar's splats: {error}.") from error
    if card.get("splats") != len(splats):
        raise ValueError(
            f"{folder} is damaged: the card says {card.get('splats')} splats, "
            f"the file has {len(splats)}."
        )
    return card, splats, shape


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / _CARD
    if not path.is_file():
        raise ValueError(f"{folder} is not an avatar: {_CARD} is missing.")
    try:
        card = json.loads(path.read_text()[: 2**20])
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        came = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise ValueError(f"{path} must be an avatar's card of format {FORMAT}, got {came!r}.")
    return card


def read_look(card: dict[str, Any]) -> Look:
    """Build the look of a card."""
    try:
        entries: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in card["look"].items()
        }
        return Look(**entries)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The avatar's card does not describe a look: {error}.") from error


def read_gains(card: dict[str, Any]) -> dict[str, float]:
    """Read the factors on expression components."""
    gains = card.get("gains", {})
    if not isinstance(gains, dict) or not all(isinstance(v, int | float) for v in gains.values()):
        raise ValueError(f"The avatar's card must hold `gains` as numbers by name, got {gains!r}.")
    return {str(name): float(value) for name, value in gains.items()}


def pack(splats: Splats) -> dict[str, Tensor]:
    """Pack splats into small integers and half floats."""
    packed = {"kinds": splats.kinds, "faces": splats.faces.int()}
    packed["bary"] = (splats.bary * 65535).round().int().to(torch.uint16)
    packed["bump"] = (splats.bump.clamp(-1, 1) * 127).round().to(torch.int8)
    for name in _LENGTHS:
        packed[name] = (getattr(splats, name) * 1e3).half()
    for name in _SHARES:
        packed[name] = (getattr(splats, name) * 255).round().to(torch.uint8)
    return {name: value.contiguous() for name, value in packed.items()}


def unpack(packed: dict[str, Tensor]) -> Splats:
    """Undo `pack`."""
    values = {name: packed[name].float() * 1e-3 for name in _LENGTHS}
    values |= {name: packed[name].float() / 255 for name in _SHARES}
    bary = packed["bary"].int().float() / 65535
    return Splats(
        kinds=packed["kinds"],
        faces=packed["faces"].long(),
        bary=bary,
        bump=packed["bump"].float() / 127,
        **values,
    )
