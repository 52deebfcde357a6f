"""`LearnedHead`: a person as maps over the texture, and a network that changes them by the frame.

After FlexAvatar (Peng et al.): static attribute maps, plus what a UNet makes of the driven head's
position map and the person's identity features inside the region that moves, are read at points
of the texture, carried by the driven surface and skinned with it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.avatar.driving import Driven
from mien.avatar.gaussians import Gaussians
from mien.avatar.quick_unet import AsDrawn, versions
from mien.avatar.sizes import DecoderSize
from mien.avatar.skinning import skin_gaussians
from mien.avatar.static_maps import NUM_ATTRIBUTES, WIDTHS, StaticMaps
from mien.avatar.unet import UNet
from mien.avatar.uv_layout import UVLayout
from mien.rotations import quat_multiply

DRIVING_CHANNELS = 6  # where the surface is, and how far from neutral
_CM = 1e-2
_DM = 1e-1
_MOVE = 2e-3  # how far skin goes in an expression, about
_MOST_LOG_SCALE = 3.0


@dataclass(frozen=True, eq=False)
class Appearance:
    """What maps say of N Gaussians in B frames, wherever the mesh carries them.

    Attributes:
        scales: Standard deviations, metres.
        opacities: 0 to 1.
        colors: sRGB, 0 to 1.
        drift: How far the centers are from where training began, at rest, centimetres.
        growth: How much larger the standard deviations are than at the beginning, centimetres.
    """

    scales: Float[Tensor, "b n 3"]
    opacities: Float[Tensor, "b n"]
    colors: Float[Tensor, "b n 3"]
    drift: Float[Tensor, "b n 3"]
    growth: Float[Tensor, "b n 3"]


@dataclass(frozen=True, eq=False)
class Decoded(Appearance):
    """A learned head's Gaussians in B frames, with what regularizers look at.

    Attributes:
        means: Posed centers, metres.
        quats: World from Gaussian, wxyz.
    """

    means: Float[Tensor, "b n 3"]
    quats: Float[Tensor, "b n 4"]

    def __len__(self) -> int:
        return len(self.means)

    def gaussians(self, frame: int) -> Gaussians:
        """The Gaussians of one frame."""
        names = ("means", "quats", "scales", "opacities", "colors")
        return Gaussians(*(getattr(self, name)[frame] for name in names))


@dataclass(frozen=True, eq=False)
class _Unposed(Appearance):
    """Gaussians before the mesh carries them; `position` in centimetres."""

    position: Float[Tensor, "b n 3"]
    quats: Float[Tensor, "b n 4"]


class DrawnUpon(Protocol):
    """A person's layout of the texture: what a network's view of the driven head needs."""

    @property
    def neutral(self) -> Float[Tensor, "v 3"]:
        """The person's mesh at rest, metres."""
        ...

    def draw(self, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, "b 3 s s"]:
        """Write a mesh's surface onto the texture."""
        ...


def driving_maps(
    layout: DrawnUpon, canonical: Float[Tensor, "b v 3"]
) -> tuple[Float[Tensor, "b 3 s s"], Float[Tensor, "b 3 s s"]]:
    """What a network sees of a driven mesh: where it is, and how far from neutral."""
    shown, moved = layout.draw(canonical), layout.draw(canonical - layout.neutral)
    return shown / _DM, moved / _MOVE


def make_unet(size: DecoderSize) -> UNet:
    """Build the network of a size."""
    return UNet(size.features + DRIVING_CHANNELS, NUM_ATTRIBUTES, size.widths)


class LearnedHead(nn.Module):
    """A person's maps, the network, and where both lie on the mesh.

    Args:
        size: What the parts were built for.
        layout: Of the person's head.
        maps: Of the person.
        unet: May be shared between people.

    Raises:
        ValueError: If the maps are of another size.
    """

    def __init__(self, size: DecoderSize, layout: UVLayout, maps: StaticMaps, unet: UNet) -> None:
        super().__init__()
        features = (size.features, size.network_side, size.network_side)
        if maps.resolution != size.resolution or maps.features.shape != features:
            raise ValueError(
                f"Maps of the size {size.name!r} must have a side of {size.resolution} and "
                f"features {list(features)}, got {maps.resolution} and "
                f"{list(maps.features.shape)}."
            )
        self.size, self.layout, self.maps, self.unet = size, layout, maps, unet
        self._as_drawn = AsDrawn()
        self._still: tuple[object, _Unposed] | None = None

    def __len__(self) -> int:
        return self.layout.num_gaussians

    def forward(self, driven: Driven) -> Decoded:
        """Decode frames, differentiably.

        Where no gradients are wanted on a CPU, a network that has learned nothing is not run, and
        others run as `mien.avatar.quick_unet` has it.
        """
        unposed = self._still_unposed() or self._unposed(self.attributes(driven))
        means, quats = skin_gaussians(
            self.layout.surface(driven.rest) + unposed.position * _CM,
            unposed.quats,
            driven.rotmats,
            driven.offsets,
            self.layout.lbs_weights,
        )
        shown = {field.name: getattr(unposed, field.name) for field in fields(Appearance)}
        for name, value in shown.items():
            shown[name] = value.expand(len(driven), *value.shape[1:])
        return Decoded(means=means, quats=quats, **shown)

    def attributes(self, driven: Driven) -> Float[Tensor, "b 14 r r"]:
        """Static maps, changed where the face moves."""
        features = self.maps.features.expand(len(driven), -1, -1, -1)
        seen = torch.cat([features, *driving_maps(self.layout, driven.canonical)], 1)
        deltas = self._as_drawn(self.unet, seen) if self._is_drawing else self.unet(seen)
        if self.size.coarser > 1:
            side = (self.size.resolution, self.size.resolution)
            deltas = nn.functional.interpolate(deltas, side, mode="bilinear")
        changed: Tensor = self.maps.attributes() + self.layout.dynamic * deltas
        return changed

    @property
    def _is_drawing(self) -> bool:
        """Whether pictures are drawn on a CPU; training may put a stand-in for the network."""
        on_cpu = self.maps.start_position.device.type == "cpu"
        return on_cpu and not torch.is_grad_enabled() and isinstance(self.unet, UNet)

    def _still_unposed(self) -> _Unposed | None:
        """What all frames share, kept, where the network has learned nothing."""
        if not self._is_drawing or not self.unet.is_silent:
            return None
        now = versions(self.maps)
        if self._still is None or self._still[0] != now:
            self._still = now, self._unposed(self.maps.attributes()[None])
        return self._still[1]

    def _unposed(self, attributes: Float[Tensor, "b 14 r r"]) -> _Unposed:
        values = self.layout.read(attributes)
        start = self.layout.read(self.maps.start_position[None])
        position, opacity, scale, color, rotation = torch.split(values, list(WIDTHS.values()), -1)
        growth = scale.clamp(-_MOST_LOG_SCALE, _MOST_LOG_SCALE).exp()
        turn = nn.functional.normalize(rotation, dim=-1)
        return _Unposed(
            self.layout.base_scales * growth,
            opacity.squeeze(-1).sigmoid(),
            color.sigmoid(),
            position - start,
            self.layout.base_scales * (growth - 1.0) / _CM,
            position,
            quat_multiply(self.layout.base_quats, turn),
        )
