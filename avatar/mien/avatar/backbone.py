"""What turns a photo into tokens: a small vision transformer of our own, or a frozen DINO."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_LAYERS_READ = 4  # of a frozen backbone, spread over its depth
_MLP = 4  # width of the hidden layer over that of the tokens
_RGB_MEAN, _RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as DINO's


class Backbone(nn.Module):
    """From photos to tokens.

    Attributes:
        width: Of the tokens.
        source: Name or path that `load_backbone` takes; None if it learns along and is saved with
            the encoder.
    """

    width: int
    source: str | None = None

    def forward(self, photos: Float[Tensor, "m 3 s s"]) -> Float[Tensor, "m t w"]:
        """Give the tokens of each photo by itself; photos are sRGB, 0 to 1."""
        raise NotImplementedError


class Block(nn.Module):
    """One layer of attention and a perceptron, each added to what came; normalized before.

    Args:
        width: Of the tokens.
        heads: Of the attention.
        crosses: Look at a context's tokens in place of one's own.
    """

    def __init__(self, width: int, heads: int, crosses: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.context_norm = nn.LayerNorm(width) if crosses else None
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.join = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, _MLP * width),
            nn.GELU(),
            nn.Linear(_MLP * width, width),
        )

    def forward(
        self, tokens: Float[Tensor, "b t w"], context: Float[Tensor, "b c w"] | None = None
    ) -> Float[Tensor, "b t w"]:
        """Attend to `context`, or to the tokens themselves in a layer that does not cross."""
        normed = self.norm(tokens)
        seen = normed
        if self.context_norm is not None:
            assert context is not None, "a crossing layer is given a context"
            seen = self.context_norm(context)
        query = self._split(self.query(normed))
        key, value = (self._split(part) for part in self.key_value(seen).chunk(2, -1))
        found = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.join(found.transpose(1, 2).flatten(2))
        mixed: Tensor = tokens + self.mlp(tokens)
        return mixed

    def _split(self, tokens: Float[Tensor, "b t w"]) -> Float[Tensor, "b h t d"]:
        return tokens.reshape(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


class BuiltInViT(Backbone):
    """A small vision transformer that learns along with the encoder.

    Patches become tokens through strided convolutions, which learn sooner than one large step.

    Args:
        photo_side: Of the photos, pixels; a multiple of `patch`.
        patch: Side of what becomes one token; a power of two, 4 or more.
        width: Of the tokens.
        depth: Layers of attention within a photo.
        heads: Of the attention.

    Source:
        Xiao et al. 2021, Early convolutions help transformers see better (arXiv:2106.14881).
    """

    def __init__(self, photo_side: int, patch: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.width = width
        halvings = patch.bit_length() - 1
        widths = [3] + [max(8, width >> (halvings - 1 - i)) for i in range(halvings)]
        self.stem = nn.Sequential(*halvings_of(widths), nn.Conv2d(widths[-1], width, 1))
        side = photo_side // patch
        self.places = nn.Parameter(0.02 * torch.randn(1, side * side, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))

    def forward(self, photos: Float[Tensor, "m 3 s s"]) -> Float[Tensor, "m t w"]:
        """Give the tokens of each photo by itself; photos are sRGB, 0 to 1."""
        tokens: Tensor = self.stem(4.0 * photos - 2.0).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


def halvings_of(widths: Sequence[int]) -> list[nn.Module]:
    """Strided convolutions from each width to the next."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.SiLU()]
    return layers


class FrozenBackbone(Backbone):
    """A vision transformer of `transformers` that never learns, in evaluation always.

    Args:
        model: Gives hidden states of all its layers; patch tokens come last in them.
        source: What it was loaded from.
    """

    def __init__(self, model: nn.Module, source: str) -> None:
        super().__init__()
        config: Any = model.config
        self.model = model.eval().requires_grad_(False)
        self.source, self.patch = source, int(config.patch_size)
        layers = int(config.num_hidden_layers)
        shares = range(1, _LAYERS_READ + 1)
        self.layers = sorted({max(1, round(layers * s / _LAYERS_READ)) for s in shares})
        self.width = len(self.layers) * int(config.hidden_size)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, photos: Float[Tensor, "m 3 s s"]) -> Float[Tensor, "m t w"]:
        """Give the patch tokens of several layers side by side; photos are sRGB, 0 to 1."""
        side = max(1, round(photos.shape[-1] / self.patch))  # patches along a side
        fitted = functional.interpolate(
            photos, (side * self.patch, side * self.patch), mode="bilinear", antialias=True
        )
        mean, std = (photos.new_tensor(x).reshape(3, 1, 1) for x in (_RGB_MEAN, _RGB_STD))
        found = self.model((fitted - mean) / std, output_hidden_states=True).hidden_states
        kept = [found[layer][:, -side * side :] for layer in self.layers]
        return functional.layer_norm(torch.cat(kept, -1), (self.width,))


def load_backbone(name_or_path: str) -> FrozenBackbone:
    """Load a DINOv2, DINOv3 or like vision transformer, frozen.

    Args:
        name_or_path: For `transformers.AutoModel`; weights must be safetensors.

    Raises:
        ValueError: If it cannot be loaded, or is no vision transformer with square patches.
    """
    from transformers import AutoModel

    try:
        model = AutoModel.from_pretrained(name_or_path, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"The backbone {name_or_path!r} cannot be loaded: {_first_line(error)}"
        ) from error
    missing = [
        name
        for name in ("patch_size", "hidden_size", "num_hidden_layers")
        if not isinstance(getattr(model.config, name, None), int)
    ]
    if missing:
        raise ValueError(
            f"The backbone {name_or_path!r} must be a vision transformer with square patches; "
            f"its configuration does not say {missing[0]!r}."
        )
    return FrozenBackbone(model, name_or_path)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
