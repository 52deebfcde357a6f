"""Backbones: tokens of each photo by itself; a frozen one stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    Dinov2Config,
    Dinov2Model,
    DINOv3ViTConfig,
    DINOv3ViTModel,
)

from mien.avatar.backbone import Backbone, Block, BuiltInViT, FrozenBackbone, load_backbone

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 5,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 56,
}


def save_random(kind: str, folder: Path) -> str:
    torch.manual_seed(0)
    if kind == "dinov2":
        Dinov2Model(Dinov2Config(patch_size=14, **SIZES)).save_pretrained(folder)
    else:
        config = DINOv3ViTConfig(patch_size=16, num_register_tokens=2, **SIZES)
        DINOv3ViTModel(config).save_pretrained(folder)
    return str(folder)


def photos(count: int, side: int) -> torch.Tensor:
    ramp = torch.arange(count * 3 * side * side, dtype=torch.float32)
    return (0.5 + 0.5 * (0.37 * ramp).sin()).reshape(count, 3, side, side)


def check_each_by_itself(backbone: Backbone, shown: torch.Tensor) -> None:
    together = backbone(shown)
    for i, photo in enumerate(shown):
        torch.testing.assert_close(backbone(photo[None])[0], together[i], rtol=1e-4, atol=1e-5)


def test_the_built_in_one_sees_each_photo_by_itself() -> None:
    torch.manual_seed(0)
    backbone = BuiltInViT(32, 8, 16, 2, 2)
    shown = photos(3, 32)
    assert backbone(shown).shape == (3, 16, 16)
    assert backbone.source is None and backbone.width == 16
    check_each_by_itself(backbone, shown)


def test_the_built_in_one_knows_where_in_the_photo_something_is() -> None:
    torch.manual_seed(0)
    backbone = BuiltInViT(32, 8, 16, 1, 2).double()
    shown = photos(1, 32).double()
    mean, turned = (backbone(x).mean(1) for x in (shown, shown.flip(-1)))
    assert not torch.allclose(mean, turned, rtol=0, atol=1e-3)


def test_attention_is_a_weighted_mean_of_values() -> None:
    torch.manual_seed(0)
    block = Block(8, 2, crosses=True).double()
    tokens, context = torch.randn(2, 3, 8).double(), torch.randn(2, 5, 8).double()
    query = block.query(block.norm(tokens)).reshape(2, 3, 2, 4)
    assert block.context_norm is not None
    key, value = block.key_value(block.context_norm(context)).reshape(2, 5, 2, 2, 4).unbind(2)
    share = (torch.einsum("bqhd,bkhd->bhqk", query, key) / 4**0.5).softmax(-1)
    found = torch.einsum("bhqk,bkhd->bqhd", share, value).reshape(2, 3, 8)
    plain = tokens + block.join(found)
    torch.testing.assert_close(block(tokens, context), plain + block.mlp(plain))


@pytest.mark.parametrize("kind", ["dinov2", "dinov3"])
def test_a_dino_gives_patch_tokens_and_stays_frozen(kind: str, tmp_path: Path) -> None:
    name = save_random(kind, tmp_path / kind)
    backbone = load_backbone(name)
    shown = photos(2, 60).requires_grad_(True)
    tokens = backbone(shown)
    assert tokens.shape == (2, 16, 4 * 16)  # four by four patches, four layers
    assert backbone.width == 64 and backbone.source == name
    assert not tokens.requires_grad
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not backbone.train().training and not backbone.model.training
    check_each_by_itself(backbone, shown.detach())


def test_the_tokens_are_those_of_the_patches(tmp_path: Path) -> None:
    """A change in one corner moves that corner's token most."""
    backbone = load_backbone(save_random("dinov3", tmp_path / "d"))
    shown = photos(1, 64)
    other = shown.clone()
    other[..., :16, :16] = 1 - other[..., :16, :16]
    moved = (backbone(shown) - backbone(other)).square().sum(-1)[0]
    assert int(moved.argmax()) == 0


def test_layers_are_spread_over_the_depth(tmp_path: Path) -> None:
    backbone = load_backbone(save_random("dinov2", tmp_path / "d"))
    assert backbone.layers == [1, 2, 4, 5]
    shallow = Dinov2Model(
        Dinov2Config.from_dict({"patch_size": 14, **SIZES, "num_hidden_layers": 1})
    )
    assert FrozenBackbone(shallow, "x").layers == [1]


def test_what_is_no_backbone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The backbone '.*/none' cannot be loaded: "):
        load_backbone(str(tmp_path / "none"))
    config = BertConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        vocab_size=9,
    )
    BertModel(config).save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match="square patches; its configuration.*'patch_size'"):
        load_backbone(str(tmp_path / "bert"))
