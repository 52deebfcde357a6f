"""`StaticMaps`: what one person looks like whatever the face does, as maps over the texture."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

WIDTHS = {"position": 3, "opacity": 1, "scale": 3, "color": 3, "rotation": 4}
NUM_ATTRIBUTES = sum(WIDTHS.values())


def by_name(attributes: Float[Tensor, "*b 14 r r"]) -> dict[str, Tensor]:
    """Attribute maps apart, by their names in `WIDTHS`."""
    return dict(zip(WIDTHS, torch.split(attributes, list(WIDTHS.values()), -3), strict=True))


class StaticMaps(nn.Module):
    """One person's attribute maps, before activation, and identity features; all are learned.

    Args:
        position: From the surface to the center, along the rest head's axes, centimetres.
        opacity: Before a sigmoid.
        scale: Added to the logarithm of the standard deviations of `UVLayout`.
        color: sRGB before a sigmoid.
        rotation: Quaternion wxyz of any length but zero, after the rotation of `UVLayout`.
        features: What the network may know of the person; may be coarser than the maps.

    Raises:
        ValueError: If attribute maps are not square, of one side, or have other channels.
    """

    start_position: Tensor

    def __init__(
        self,
        position: Float[Tensor, "3 r r"],
        opacity: Float[Tensor, "1 r r"],
        scale: Float[Tensor, "3 r r"],
        color: Float[Tensor, "3 r r"],
        rotation: Float[Tensor, "4 r r"],
        features: Float[Tensor, "f r r"],
    ) -> None:
        super().__init__()
        self.position = nn.Parameter(position)
        self.opacity = nn.Parameter(opacity)
        self.scale = nn.Parameter(scale)
        self.color = nn.Parameter(color)
        self.rotation = nn.Parameter(rotation)
        self.features = nn.Parameter(features)
        side = position.shape[-1]
        for name, width in WIDTHS.items():
            came = tuple(getattr(self, name).shape)
            if came != (width, side, side):
                raise ValueError(f"`{name}` must be {[width, side, side]}, got {list(came)}.")
        self.register_buffer("start_position", position.detach().clone())

    @property
    def resolution(self) -> int:
        """Side of the maps."""
        return int(self.start_position.shape[-1])

    def attributes(self) -> Float[Tensor, "14 r r"]:
        """All attribute maps, in the order of `WIDTHS`."""
        return torch.cat([getattr(self, name) for name in WIDTHS])

    @classmethod
    def plain(cls, resolution: int, features: Float[Tensor, "f r r"]) -> StaticMaps:
        """Half covering, grey, on the surface: what maps are before they are read or painted."""
        side = (resolution, resolution)
        rotation = torch.zeros(4, *side)
        rotation[0] = 1.0
        position, opacity, scale, color = (torch.zeros(width, *side) for width in (3, 1, 3, 3))
        return cls(position, opacity, scale, color, rotation, features)
