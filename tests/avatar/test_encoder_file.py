"""A trained encoder on disk: what is read is what was written, and damage is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Dinov2Config, Dinov2Model

from mien.avatar.backbone import load_backbone
from mien.avatar.encoder import ENCODER_SIZES, PhotoEncoder
from mien.avatar.encoder_file import CARD, WEIGHTS, load_encoder, save_encoder
from mien.avatar.learned import make_unet
from mien.avatar.sizes import small, tiny

MADE = {"made_by": "a test", "steps": 3}
SHOWN = (0.5 + 0.5 * torch.arange(2 * 3 * 32 * 32).float().sin()).reshape(1, 2, 3, 32, 32)


def trained(sinks: bool = True, **more: Any) -> PhotoEncoder:
    torch.manual_seed(0)
    encoder = PhotoEncoder(ENCODER_SIZES["tiny"], tiny(), sinks=sinks, **more)
    for parameter in encoder.maps.readers.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    encoder.set_template(torch.arange(14 * 32 * 32).float().sin().reshape(14, 32, 32))
    return encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_encoder(tmp_path / "a" / "encoder", trained(), make_unet(tiny()), tiny(), MADE)
    return tmp_path / "a" / "encoder"


def rewrite(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / CARD).read_text()) | changes
    (folder / CARD).write_text(json.dumps(card))


@pytest.mark.parametrize("sinks", [True, False])
def test_what_is_read_is_what_was_written(sinks: bool, tmp_path: Path) -> None:
    encoder, unet = trained(sinks), make_unet(tiny())
    torch.nn.init.normal_(unet.exit.weight)
    save_encoder(tmp_path, encoder, unet, tiny(), MADE)
    loaded = load_encoder(tmp_path)
    assert loaded.decoder == tiny() and loaded.encoder.size == encoder.size
    assert loaded.card == MADE
    assert not loaded.encoder.training and not loaded.unet.training
    for network, read in ((encoder, loaded.encoder), (unet, loaded.unet)):
        wanted = network.state_dict()
        assert read.state_dict().keys() == wanted.keys()
        for name, value in read.state_dict().items():
            assert torch.equal(value, wanted[name].half().float()), name
            assert not value.requires_grad
    with torch.no_grad():
        first, second = encoder(SHOWN), loaded.encoder(SHOWN)
    torch.testing.assert_close(second.attributes, first.attributes, rtol=0.02, atol=0.02)


def test_saving_a_loaded_encoder_changes_no_bit(folder: Path, tmp_path: Path) -> None:
    loaded = load_encoder(folder)
    save_encoder(tmp_path / "b", loaded.encoder, loaded.unet, loaded.decoder, loaded.card)
    for name in (WEIGHTS, CARD):
        assert (tmp_path / "b" / name).read_bytes() == (folder / name).read_bytes()
    assert {value.dtype for value in load_file(folder / WEIGHTS).values()} == {torch.float16}


def test_a_frozen_backbone_is_named_and_not_written(tmp_path: Path) -> None:
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(tmp_path / "dino")
    backbone = load_backbone(str(tmp_path / "dino"))
    encoder = trained(backbone=backbone)
    save_encoder(tmp_path / "e", encoder, make_unet(tiny()), tiny(), MADE)
    assert not [name for name in load_file(tmp_path / "e" / WEIGHTS) if "backbone" in name]
    with pytest.raises(ValueError, match="trained on the backbone '.*dino', got None"):
        load_encoder(tmp_path / "e")
    read = load_encoder(tmp_path / "e", load_backbone(str(tmp_path / "dino"))).encoder
    with torch.no_grad():
        torch.testing.assert_close(
            read(SHOWN).attributes, encoder(SHOWN).attributes, rtol=0.02, atol=0.02
        )


def test_a_backbone_where_none_belongs_is_refused(folder: Path, tmp_path: Path) -> None:
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(tmp_path / "dino")
    with pytest.raises(ValueError, match="trained with its own backbone, got '.*dino'"):
        load_encoder(folder, load_backbone(str(tmp_path / "dino")))


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="built for the decoder .*'tiny'.*got .*'small'"):
        save_encoder(tmp_path, trained(), make_unet(tiny()), small(), MADE)
    encoder = trained()
    with torch.no_grad():
        encoder.queries[0, 0] = 1e6
    with pytest.raises(ValueError, match="`encoder.queries` is not finite in half floats"):
        save_encoder(tmp_path, encoder, make_unet(tiny()), tiny(), MADE)
    assert not list(tmp_path.iterdir())


def test_missing_and_foreign_files_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a photo encoder: encoder.json is missing"):
        load_encoder(tmp_path / "nowhere")
    (folder / WEIGHTS).rename(tmp_path / "kept")
    with pytest.raises(ValueError, match="encoder.safetensors is missing"):
        load_encoder(folder)
    (folder / CARD).write_text("[1]")
    with pytest.raises(ValueError, match="card of format 1, got 'list'"):
        load_encoder(folder)
    (folder / CARD).write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        load_encoder(folder)
    (folder / CARD).write_text(" " * (2**20 + 1))
    with pytest.raises(ValueError, match="at most 1 MB are read"):
        load_encoder(folder)


def sized(part: str, **changes: Any) -> dict[str, Any]:
    sizes = {"encoder": vars(ENCODER_SIZES["tiny"]), "decoder": vars(tiny())}
    return {part: sizes[part] | changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "card of format 1, got 2"),
        ({"encoder": None}, "does not say its encoder's sizes"),
        (sized("encoder", depth="many"), "does not say its encoder's sizes: invalid literal"),
        (sized("encoder", more=1), "does not say its encoder's sizes: .*'more'"),
        (sized("encoder", depth=65), "names an encoder too large to read"),
        (sized("encoder", width=2**20), "names an encoder too large to read"),
        (sized("decoder", resolution=2**14), "names an encoder too large to read"),
        (sized("encoder", width=64), "does not hold an encoder of the size 'tiny'"),
        (sized("decoder", features=5), "does not hold an encoder of the size 'tiny'"),
        ({"sinks": False}, "does not hold an encoder of the size 'tiny'"),
        ({"backbone": "facebook/x"}, "trained on the backbone 'facebook/x', got None"),
    ],
)
def test_a_card_that_lies_is_refused(changes: dict[str, Any], said: str, folder: Path) -> None:
    rewrite(folder, **changes)
    with pytest.raises(ValueError, match=said):
        load_encoder(folder)


def test_damaged_weights_are_refused(folder: Path) -> None:
    path = folder / WEIGHTS
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    with pytest.raises(ValueError, match="encoder.safetensors is damaged"):
        load_encoder(folder)
    path.write_bytes(whole)
    state = load_file(path)
    state["encoder.queries"][0, 0] = torch.nan
    save_file(state, path)
    with pytest.raises(ValueError, match="is damaged: it holds NaN or infinity"):
        load_encoder(folder)
