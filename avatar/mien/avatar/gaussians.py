"""A set of 3D Gaussians: the one thing that an avatar hands to a renderer."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

_WIDTHS = {"means": (3,), "quats": (4,), "scales": (3,), "opacities": (), "colors": (3,)}


@dataclass(frozen=True, eq=False)
class Gaussians:
    """N Gaussians in the head frame, all values after activation.

    Attributes:
        means: Centers, metres.
        quats: Rotations world from Gaussian, wxyz; any non-zero length, renderers normalize.
        scales: Standard deviations along the Gaussian's own axes, metres, not negative.
        opacities: Peak opacity, 0 to 1.
        colors: Display-referred sRGB, 0 to 1.

    Raises:
        ValueError: If the shapes, dtypes or devices disagree, or a value is out of its range.

    Example:
        >>> dot = Gaussians(torch.zeros(1, 3), torch.eye(1, 4), torch.ones(1, 3), torch.ones(1),
        ...                 torch.ones(1, 3))
        >>> len(Gaussians.concatenate([dot, dot]))
        2
    """

    means: Float[Tensor, "n 3"]
    quats: Float[Tensor, "n 4"]
    scales: Float[Tensor, "n 3"]
    opacities: Float[Tensor, " n"]
    colors: Float[Tensor, "n 3"]

    def __post_init__(self) -> None:
        self._check_layout()
        self._check_values()

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def device(self) -> torch.device:
        """Where all five tensors live."""
        return self.means.device

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """Gives the same Gaussians on another device or in another floating dtype."""
        return type(self)(*(getattr(self, f.name).to(device, dtype) for f in fields(self)))

    def subset(self, ids: Tensor) -> Self:
        """Gives the Gaussians that `ids` names: indices `[M]` in any order, or a mask `[N]`."""
        return type(self)(*(getattr(self, f.name)[ids] for f in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Gives all Gaussians of `parts` (at least one), in order."""
        if not parts:
            raise ValueError("`parts` must hold at least one Gaussians, got an empty sequence.")
        names = [f.name for f in fields(cls)]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def _check_layout(self) -> None:
        count, first = self.means.shape[0] if self.means.ndim else 0, self.means
        for name, width in _WIDTHS.items():
            value = getattr(self, name)
            if tuple(value.shape) != (count, *width):
                want = ", ".join(["N", *map(str, width)])
                raise ValueError(
                    f"`{name}` must be [{want}] with N = {count} as in `means`, "
                    f"got {tuple(value.shape)}."
                )
            if value.dtype != first.dtype or not value.dtype.is_floating_point:
                raise ValueError(
                    f"`{name}` must be floating point like `means` ({first.dtype}), "
                    f"got {value.dtype}; convert it with `.to(...)`."
                )
            if value.device != first.device:
                raise ValueError(
                    f"`{name}` must be on {first.device} as `means` is, got {value.device}."
                )

    def _check_values(self) -> None:
        """Refuses what no renderer can draw; one pass a tensor, a NaN fails every comparison."""
        if not len(self):
            return
        for name, low, high in (("scales", 0.0, 1e6), ("opacities", 0.0, 1.0)):
            value = getattr(self, name).detach()
            least, most = (float(v) for v in torch.aminmax(value))
            if not (least >= low and most <= high):
                raise ValueError(
                    f"`{name}` must lie in [{low:g}, {high:g}], got {least:g} to {most:g}."
                )
        for name in ("means", "quats", "colors"):
            if not bool(torch.isfinite(getattr(self, name).detach().sum())):
                raise ValueError(f"`{name}` must be finite, got NaN or infinity.")
