"""A UNet over the texture: four levels down, four up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class UNet(nn.Module):
    """From maps to maps of the same side; gives zeros until it has learned something.

    Nothing in it mixes the maps of a batch.

    Args:
        channels_in: Of the input.
        channels_out: Of the output.
        widths: Channels at the full side and after each halving.
    """

    def __init__(self, channels_in: int, channels_out: int, widths: Sequence[int]) -> None:
        super().__init__()
        pairs = list(zip(widths, widths[1:], strict=False))
        self.entry = _block(channels_in, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.SiLU(), _block(b, b)) for a, b in pairs
        )
        self.up = nn.ModuleList(_block(a + b, a) for a, b in reversed(pairs))
        self.exit = nn.Conv2d(widths[0], channels_out, 1)
        for parameter in self.exit.parameters():
            nn.init.zeros_(parameter)

    @property
    def is_silent(self) -> bool:
        """Whether it gives zeros whatever it sees, as before any learning."""
        return not any(bool(parameter.any()) for parameter in self.exit.parameters())

    def forward(self, maps: Float[Tensor, "b c r r"]) -> Float[Tensor, "b d r r"]:
        """Decode maps whose side is a multiple of `2 ** len(self.down)`."""
        kept = [self.entry(maps)]
        for level in self.down:
            kept.append(level(kept[-1]))
        features = kept.pop()
        for level in self.up:
            larger = nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = level(torch.cat([kept.pop(), larger], 1))
        decoded: Tensor = self.exit(features)
        return decoded


def lay_channels_last(network: nn.Module) -> None:
    """Lay out the weights of convolutions as CPUs read them fastest."""
    to: Any = network.to  # torch's own types leave `memory_format` out
    to(memory_format=torch.channels_last)


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1),
        nn.GroupNorm(_groups(channels_out), channels_out),
        nn.SiLU(),
        nn.Conv2d(channels_out, channels_out, 3, padding=1),
        nn.GroupNorm(_groups(channels_out), channels_out),
        nn.SiLU(),
    )


def _groups(channels: int) -> int:
    return next(groups for groups in (8, 4, 2, 1) if channels % groups == 0)
