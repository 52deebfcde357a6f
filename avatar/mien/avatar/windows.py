"""Windows: what of eyeballs and mouth shows between lids and lips, frame by frame.

Eyeballs and teeth lie a millimetre behind thin skin, and an expression may push them through it.
So they are drawn only where the line of sight passes the opening, and they darken with what
shades them: the upper lid above an eye, the lips before the teeth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.avatar.placing import unit


@dataclass(frozen=True, eq=False)
class Window:
    """A slit in the skin: vertex ids of its rims from the subject's right to left corner."""

    upper: Int[Tensor, " n"]
    lower: Int[Tensor, " m"]

    def look_through(
        self,
        vertices: Float[Tensor, "v 3"],
        points: Float[Tensor, "n 3"],
        to_viewer: Float[Tensor, 3],
    ) -> View:
        """See where lines of sight through `points` cross the slit."""
        right, left = vertices[self.upper[0]], vertices[self.upper[-1]]
        chord = left - right
        across = unit(chord - to_viewer * (chord @ to_viewer))
        upward = torch.linalg.cross(to_viewer, across)
        origin = (right + left) / 2
        frame = torch.stack([across, upward, to_viewer], -1)
        flat = (points - origin) @ frame
        top = (vertices[self.upper] - origin) @ frame
        bottom = (vertices[self.lower] - origin) @ frame
        return View(
            below_top=interpolate(flat[:, 0], top[:, 0], top[:, 1]) - flat[:, 1],
            above_bottom=flat[:, 1] - interpolate(flat[:, 0], bottom[:, 0], bottom[:, 1]),
            from_corner=torch.minimum(flat[:, 0] - top[0, 0], top[-1, 0] - flat[:, 0]),
            behind=interpolate(flat[:, 0], top[:, 0], top[:, 2]) - flat[:, 2],
            gap=(_mean_height(top) - _mean_height(bottom)).clamp_min(0.0),
        )


@dataclass(frozen=True, eq=False)
class View:
    """Points seen through a window, metres in the picture's plane.

    Attributes:
        below_top: Distance under the upper rim; negative is hidden above it.
        above_bottom: Distance over the lower rim; negative is hidden below it.
        from_corner: Distance from the nearer corner; negative is outside.
        behind: Distance behind the upper rim, away from the viewer.
        gap: Mean height of the opening, one number.
    """

    below_top: Float[Tensor, " n"]
    above_bottom: Float[Tensor, " n"]
    from_corner: Float[Tensor, " n"]
    behind: Float[Tensor, " n"]
    gap: Float[Tensor, ""]

    def visible(self, margin: float, below: float | None = None) -> Tensor:
        """Points inside the opening grown by `margin` metres, and by `below` at the lower rim."""
        grown = margin if below is None else below
        inside = torch.minimum(self.below_top, self.from_corner) > -margin
        return inside & (self.above_bottom > -grown)


def interpolate(
    x: Float[Tensor, " n"], knots: Float[Tensor, " k"], values: Float[Tensor, " k"]
) -> Float[Tensor, " n"]:
    """Piecewise linear interpolation; constant outside. Knots are sorted first.

    Example:
        >>> interpolate(torch.tensor([0.5]), torch.tensor([0.0, 1.0]), torch.tensor([2.0, 4.0]))
        tensor([3.])
    """
    order = torch.argsort(knots)
    knots, values = knots[order].contiguous(), values[order]
    right = torch.searchsorted(knots, x.contiguous()).clamp(1, len(knots) - 1)
    left = right - 1
    span = (knots[right] - knots[left]).clamp_min(1e-12)
    share = ((x - knots[left]) / span).clamp(0.0, 1.0)
    return values[left] + share * (values[right] - values[left])


def _mean_height(rim: Tensor) -> Tensor:
    """Mean of height along a rim given as [n, 3] (across, up, toward)."""
    order = torch.argsort(rim[:, 0])
    x, y = rim[order, 0], rim[order, 1]
    return torch.trapezoid(y, x) / (x[-1] - x[0]).clamp_min(1e-9)
