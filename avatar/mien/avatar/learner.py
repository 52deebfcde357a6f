"""What an encoder's training learns: the encoder, the network that moves faces, a mean person."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.acceleration import Precision
from mien.avatar.avatar import Avatar
from mien.avatar.driving import Driven
from mien.avatar.encoder import Encoded, EncoderSize, PhotoEncoder, Sink
from mien.avatar.encoder_file import LoadedEncoder
from mien.avatar.learned import DRIVING_CHANNELS, Decoded, LearnedHead, make_unet
from mien.avatar.sizes import DecoderSize
from mien.avatar.starts import learned_layout, read_painting
from mien.avatar.static_maps import StaticMaps
from mien.avatar.unet import UNet, lay_channels_last
from mien.avatar.uv_layout import UVLayout

__all__ = ["GivenMaps", "Learner", "mean_start"]


class GivenMaps(StaticMaps):
    """Maps that another network made: gradients pass through them, and none is a parameter.

    Args:
        attributes: In the order of `static_maps.WIDTHS`.
        features: Of the person.
        start: What drift is measured from.
    """

    def __init__(
        self,
        attributes: Float[Tensor, "14 r r"],
        features: Float[Tensor, "f r r"],
        start: Float[Tensor, "3 r r"],
    ) -> None:
        nn.Module.__init__(self)
        self.given, self.start_position = attributes, start
        self.features = cast(nn.Parameter, features)

    def attributes(self) -> Float[Tensor, "14 r r"]:
        """All attribute maps."""
        return self.given


def mean_start(avatars: Sequence[Avatar], size: DecoderSize) -> Float[Tensor, "14 r r"]:
    """The mean of painted people, read onto maps: whom training begins from."""
    blank = torch.zeros(size.features, size.resolution, size.resolution)
    read = [read_painting(a, learned_layout(a, size), blank).attributes() for a in avatars]
    return torch.stack(read).mean(0).detach()


class Learner(nn.Module):
    """All that is learned.

    Args:
        size: Of the encoder.
        decoder: Of the maps.
        start: The mean person's maps, from which changes are learned.
        sinks: Tell the encoder which data a person is of.
        position_map: Show the network the driven head.
        precision: Of both networks.
    """

    def __init__(
        self,
        size: EncoderSize,
        decoder: DecoderSize,
        start: Float[Tensor, "14 r r"],
        sinks: bool = True,
        position_map: bool = True,
        precision: Precision = "fp32",
    ) -> None:
        super().__init__()
        self.size, self.precision, self.position_map = decoder, precision, position_map
        self.encoder = PhotoEncoder(size, decoder, sinks=sinks)
        self.encoder.set_template(start)
        lay_channels_last(self.encoder.maps)  # a quarter less time a step
        self.unet = make_unet(decoder)
        self.template = nn.Parameter(torch.zeros_like(start))
        if not position_map:
            _blind(self.unet)

    def forward(
        self,
        photos: Float[Tensor, "b n 3 s s"],
        sinks: Sequence[Sink],
        layouts: Sequence[UVLayout],
        driven: Sequence[Driven],
    ) -> list[Decoded]:
        """Decode each person at one instant."""
        encoded = self.encode(photos, sinks)
        start = (self.encoder.template + self.template)[:3]  # drift says nothing of the mean
        found = []
        for row, (layout, frame) in enumerate(zip(layouts, driven, strict=True)):
            maps = GivenMaps(*encoded.person(row), start)
            head = LearnedHead(self.size, layout, maps, cast(UNet, self._move))
            found.append(head(frame))
        return found

    def changes(
        self,
        photos: Float[Tensor, "b n 3 s s"],
        sinks: Sequence[Sink],
        layouts: Sequence[UVLayout],
        driven: Sequence[Driven],
    ) -> list[Float[Tensor, "14 r r"]]:
        """What the network adds to each person's maps at one instant; only it gets gradients."""
        with torch.no_grad():
            encoded = self.encode(photos, sinks)
        blank = torch.zeros_like(encoded.attributes[0])
        found = []
        for features, layout, frame in zip(encoded.features, layouts, driven, strict=True):
            maps = GivenMaps(blank, features, blank[:3])
            head = LearnedHead(self.size, layout, maps, cast(UNet, self._move))
            found.append(head.attributes(frame)[0])
        return found

    def encode(self, photos: Float[Tensor, "b n 3 s s"], sinks: Sequence[Sink]) -> Encoded:
        """Make the maps of each person, on the mean person as learned so far."""
        with self._autocast(photos.device):
            encoded: Encoded = self.encoder(photos, sinks)
        return Encoded(encoded.attributes.float() + self.template, encoded.features.float())

    def _move(self, maps: Tensor) -> Tensor:
        with self._autocast(maps.device):
            moved: Tensor = self.unet(maps)
        return moved.float()

    def _autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        enabled = self.precision == "bf16"
        return torch.autocast(device.type, torch.bfloat16, enabled=enabled)

    def begin_from(self, loaded: LoadedEncoder) -> None:
        """Take the weights of an encoder, and its mean person, to learn on.

        Its sinks are taken where both have them.

        Raises:
            ValueError: If it is of other sizes, or has another backbone.
        """
        ours = (self.encoder.size, self.size, self.encoder.backbone.source)
        theirs = (loaded.encoder.size, loaded.decoder, loaded.encoder.backbone.source)
        if ours != theirs:
            raise ValueError(f"The encoder to begin from must be of {ours}, got {theirs}.")
        own = self.encoder.state_dict()
        weights = {k: v for k, v in loaded.encoder.state_dict().items() if k in own}
        self.encoder.load_state_dict(own | weights)
        self.unet.load_state_dict(loaded.unet.state_dict())
        if not self.position_map:
            _forget_driving(self.unet)

    @torch.no_grad()
    def begin_moving_anew(self) -> None:
        """Forget what the network that moves faces has learned."""
        self.unet.load_state_dict(make_unet(self.size).state_dict())
        if not self.position_map:
            _forget_driving(self.unet)

    @torch.no_grad()
    def settle(self) -> None:
        """Give the encoder the mean person as learned."""
        self.encoder.set_template(self.encoder.template + self.template)
        self.template.zero_()


def _blind(unet: UNet) -> None:
    """Keep a network from seeing the driven head: its weights there are zero and stay so."""
    hook: Any = _entry_weight(unet).register_hook
    hook(lambda gradient: gradient * _unseeing(gradient))
    _forget_driving(unet)


@torch.no_grad()
def _forget_driving(unet: UNet) -> None:
    weight = _entry_weight(unet)
    weight.mul_(_unseeing(weight))


def _entry_weight(unet: UNet) -> Tensor:
    return cast(nn.Conv2d, unet.entry[0]).weight


def _unseeing(weight: Tensor) -> Tensor:
    """1 where the first layer looks at the person, 0 where at the driven head."""
    seen = torch.ones_like(weight)
    seen[:, -DRIVING_CHANNELS:] = 0
    return seen
