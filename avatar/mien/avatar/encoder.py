"""`PhotoEncoder`: from photos of a person to the person's maps.

After FlexAvatar (Peng et al.): tokens of every photo meet in self-attention over all of them; head
queries, which lie on the texture, gather from them by cross-attention; convolutions make maps of
what was gathered. It wants no camera and no expression, takes any number of photos, and does not
mind their order. Bias sinks are those of the other FlexAvatar (Kirschstein et al.,
arXiv:2512.15599): a token for people who were learned from one view, and one for those seen from
many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.avatar.backbone import Backbone, Block, BuiltInViT, halvings_of
from mien.avatar.encoder_size import ENCODER_SIZES, EncoderSize
from mien.avatar.known_maps import NUM_KNOWN, component_side, spread_known
from mien.avatar.sizes import DecoderSize
from mien.avatar.static_maps import NUM_ATTRIBUTES, StaticMaps, by_name

__all__ = ["ENCODER_SIZES", "Encoded", "EncoderSize", "PhotoEncoder", "Sink", "person_maps"]

Sink = Literal["one", "many"]
_NARROWEST = 24  # channels of maps at the full side, at the least
_QUIET = 0.02  # standard deviation of sinks: what photos say shall outweigh them
_GLANCE_WIDTHS, _GLANCE_SIDE, _GLANCE_HIDDEN = (16, 32, 64, 96, 96), 4, 192
_LOUD = 0.5  # of queries: as loud as what they gather, so that places of the face are told apart


@dataclass(frozen=True, eq=False)
class Encoded:
    """The maps of B people.

    Attributes:
        attributes: In the order of `static_maps.WIDTHS`, before activation.
        features: What the network that moves the face may know of each.
    """

    attributes: Float[Tensor, "b 14 r r"]
    features: Float[Tensor, "b f r r"]

    def __len__(self) -> int:
        return len(self.attributes)

    def person(self, i: int) -> tuple[Float[Tensor, "14 r r"], Float[Tensor, "f r r"]]:
        """Attributes and features of one of them."""
        return self.attributes[i], self.features[i]


def person_maps(
    attributes: Float[Tensor, "14 r r"],
    features: Float[Tensor, "f r r"],
    start: Float[Tensor, "14 r r"] | None = None,
) -> StaticMaps:
    """Copy one person's maps into `StaticMaps`, which no longer hang on the encoder.

    Args:
        attributes: As in `Encoded`.
        features: As in `Encoded`.
        start: What drift is measured from, as `PhotoEncoder.template`; None takes `attributes`.
    """
    named = {name: part.clone() for name, part in by_name(attributes.detach()).items()}
    maps = StaticMaps(**named, features=features.detach().clone())
    if start is not None:
        maps.start_position = start[:3].detach().clone()
    return maps


class PhotoEncoder(nn.Module):
    """From photos to maps; before any learning, the template whoever is shown.

    Args:
        size: Of the encoder.
        decoder: Whose maps are made; its resolution is `size.query_side` doubled some times.
        backbone: Makes tokens of photos, and keeps the weights it comes with; None builds one that
            learns along.
        sinks: Have a bias sink for each kind of data; without, `sink` changes nothing.

    Raises:
        ValueError: If the queries cannot be doubled to the decoder's resolution, or its network is
            coarser than its maps.
    """

    template: Tensor
    components: Tensor

    def __init__(
        self,
        size: EncoderSize,
        decoder: DecoderSize,
        backbone: Backbone | None = None,
        sinks: bool = True,
    ) -> None:
        super().__init__()
        self.size, self.decoder = size, decoder
        width, heads, depth = size.width, size.heads, size.depth
        self.backbone = backbone or BuiltInViT(size.photo_side, size.patch, width, depth, heads)
        self.entry = nn.Linear(self.backbone.width, width)
        self.sinks = (
            nn.Parameter(_QUIET * torch.randn(len(get_args(Sink)), width)) if sinks else None
        )
        self.fusing = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.queries = nn.Parameter(torch.randn(size.query_side**2, width))
        self.gathering = nn.ModuleList(Block(width, heads, crosses=True) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.maps = MapHeads(width, _doublings(size, decoder), decoder.features)
        blank = torch.zeros(decoder.features, decoder.resolution, decoder.resolution)
        plain = StaticMaps.plain(decoder.resolution, blank).attributes().detach()
        self.register_buffer("template", plain)
        self.glance = Glance(size.components)
        side = component_side(decoder)
        self.register_buffer("components", torch.zeros(size.components, NUM_KNOWN, side, side))
        self._awaken(builds_backbone=backbone is None)

    @torch.no_grad()
    def _awaken(self, builds_backbone: bool) -> None:
        """Begin with weights that keep photos apart.

        With torch's own beginning, biases outweigh what photos say: after all layers, what differs
        from person to person is a fortieth of what does not, and training drowns it altogether.
        """
        nn.init.normal_(self.queries, std=_LOUD)
        given = set() if builds_backbone else set(self.backbone.modules())
        for module in self.modules():
            if isinstance(module, nn.Linear) and module not in given:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        _awaken_stem(self.glance.stem)
        if builds_backbone:
            _awaken_stem(cast(BuiltInViT, self.backbone).stem)

    @torch.no_grad()
    def set_template(self, attributes: Float[Tensor, "14 r r"]) -> None:
        """Set the maps that the network's output is added to, as a mean person's.

        Raises:
            ValueError: If they are of another size, or not finite.
        """
        if attributes.shape != self.template.shape:
            raise ValueError(
                f"The template must be {list(self.template.shape)}, got {list(attributes.shape)}."
            )
        if not bool(torch.isfinite(attributes).all()):
            raise ValueError("The template must be finite, got NaN or infinity.")
        self.template.copy_(attributes)

    @torch.no_grad()
    def set_components(self, components: Float[Tensor, "k 7 h h"]) -> None:
        """Set the ways in which people's known maps differ, as `known_maps.principal` gives them.

        Raises:
            ValueError: If they are of another size.
        """
        if components.shape != self.components.shape:
            raise ValueError(
                f"Components must be {list(self.components.shape)}, got {list(components.shape)}."
            )
        self.components.copy_(components)

    def forward(
        self, photos: Float[Tensor, "b n 3 s s"], sink: Sink | Sequence[Sink] = "many"
    ) -> Encoded:
        """Encode B people.

        Args:
            photos: Square face crops, sRGB, 0 to 1: the same number, 1 or more, of each person.
            sink: Which data each person is of; at inference "many".

        Raises:
            ValueError: If there is no photo, its side is another, or a sink is unknown.
        """
        self._check(photos)
        tokens = self._tokens(photos, sink)
        for block in self.fusing:
            tokens = block(tokens)
        queries = self.queries.expand(len(photos), -1, -1)
        for block in self.gathering:
            queries = block(queries, tokens)
        side = self.size.query_side
        grid = self.norm(queries).transpose(1, 2).reshape(len(photos), -1, side, side)
        changes, features = self.maps(grid)
        return Encoded(self.template + self._common(photos) + changes, features)

    def _common(self, photos: Float[Tensor, "b n 3 s s"]) -> Float[Tensor, "b 14 r r"]:
        """What the components make of a person."""
        side = self.decoder.resolution
        mixed = torch.einsum("bk,kcij->bcij", self.glance(photos), self.components)
        return spread_known(nn.functional.interpolate(mixed, (side, side), mode="bilinear"))

    def _check(self, photos: Tensor) -> None:
        side = self.size.photo_side
        if photos.ndim != 5 or photos.shape[1] < 1 or photos.shape[2:] != (3, side, side):
            raise ValueError(
                f"`photos` must be [B, N, 3, {side}, {side}] with N at least 1, "
                f"got {list(photos.shape)}."
            )

    def _tokens(
        self, photos: Float[Tensor, "b n 3 s s"], sink: Sink | Sequence[Sink]
    ) -> Float[Tensor, "b t w"]:
        """Tokens of all photos of each person, and the person's sink."""
        people = len(photos)
        found = self.entry(self.backbone(photos.flatten(0, 1)))
        tokens: Tensor = found.reshape(people, -1, self.size.width)
        kinds = _sink_ids(sink, people)
        if self.sinks is None:
            return tokens
        return torch.cat([tokens, self.sinks[kinds].unsqueeze(1)], 1)


class Glance(nn.Module):
    """From photos of a person to some numbers, the mean over the photos.

    Args:
        count: How many numbers.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        stem = halvings_of((3, *_GLANCE_WIDTHS))
        self.stem = nn.Sequential(*stem, nn.AdaptiveAvgPool2d(_GLANCE_SIDE), nn.Flatten())
        self.join = nn.Sequential(
            nn.Linear(_GLANCE_WIDTHS[-1] * _GLANCE_SIDE**2, _GLANCE_HIDDEN),
            nn.SiLU(),
            nn.Linear(_GLANCE_HIDDEN, count),
        )

    def forward(self, photos: Float[Tensor, "b n 3 s s"]) -> Float[Tensor, "b k"]:
        """Give the numbers of each person."""
        seen: Tensor = self.join(self.stem(4.0 * photos.flatten(0, 1) - 2.0))
        return torch.unflatten(seen, 0, photos.shape[:2]).mean(1)


class MapHeads(nn.Module):
    """From gathered queries to maps: doubled by convolutions, and read at every side.

    What is read at a smaller side is enlarged and added, so that tones, which are the same far and
    wide, do not have to pass all layers. Attributes are read as zeros at first. The features
    are not: the network that looks at them gives zeros until it has learned something.

    Args:
        width: Of the queries.
        doublings: How often the side is doubled.
        features: Channels of the identity features.

    Source:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN
        (arXiv:1912.04958), section 4.1, for the sum over sides.
    """

    def __init__(self, width: int, doublings: int, features: int) -> None:
        super().__init__()
        widths = [max(_NARROWEST, width >> (level + 1)) for level in range(doublings + 1)]
        self.entry = _convolve(width, widths[0])
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, 4 * after, 1), nn.PixelShuffle(2), _convolve(after, after)
            )
            for before, after in zip(widths, widths[1:], strict=False)
        )
        read = [width, *widths]  # the queries themselves, then every side
        self.readers = nn.ModuleList(nn.Conv2d(w, NUM_ATTRIBUTES + features, 1) for w in read)
        with torch.no_grad():
            for parameter in self.readers.parameters():
                parameter[:NUM_ATTRIBUTES] = 0.0

    def forward(
        self, grid: Float[Tensor, "b w q q"]
    ) -> tuple[Float[Tensor, "b 14 r r"], Float[Tensor, "b f r r"]]:
        """Give attributes and features."""
        maps = self.entry(grid)
        made = self.readers[0](grid) + self.readers[1](maps)
        for level, reader in zip(self.levels, self.readers[2:], strict=True):
            maps = level(maps)
            larger = nn.functional.interpolate(made, scale_factor=2.0, mode="bilinear")
            made = larger + reader(maps)
        return made[:, :NUM_ATTRIBUTES], made[:, NUM_ATTRIBUTES:]


def _awaken_stem(stem: nn.Sequential) -> None:
    for layer in stem:
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None, "the stem's layers have biases"
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)


def _convolve(before: int, after: int) -> nn.Sequential:
    """One group alone: more would wash out how one person's tone differs from another's."""
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(1, after), nn.SiLU())


def _doublings(size: EncoderSize, decoder: DecoderSize) -> int:
    if decoder.coarser != 1:
        raise ValueError(
            f"An encoder makes maps as fine as its network's, got the decoder {decoder.name!r}, "
            f"whose network is {decoder.coarser} times coarser."
        )
    times, rest = divmod(decoder.resolution, size.query_side)
    if rest or times < 1 or times & (times - 1):
        raise ValueError(
            f"The decoder {decoder.name!r} has a resolution of {decoder.resolution}, which is not "
            f"the encoder {size.name!r}'s query side of {size.query_side} doubled some times."
        )
    return times.bit_length() - 1


def _sink_ids(sink: Sink | Sequence[Sink], people: int) -> list[int]:
    """The number of each person's sink."""
    named = [sink] * people if isinstance(sink, str) else list(sink)
    known = get_args(Sink)
    if len(named) != people or any(name not in known for name in named):
        raise ValueError(
            f"`sink` must be 'one' or 'many', or one of them for each of {people} people, "
            f"got {sink!r}."
        )
    return [known.index(name) for name in named]
