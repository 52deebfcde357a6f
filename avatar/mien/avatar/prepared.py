"""What an avatar works out once: its person, its materials, and how splats are hidden and lit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.canvas import find_openings
from mien.avatar.detail import DetailLayout
from mien.avatar.placing import Placed, place
from mien.avatar.shading import MaterialTable, Studio, shade
from mien.avatar.splats import Kind, Splats
from mien.avatar.windows import Window
from mien.head import Head
from mien.rotations import rotmat_to_quat

if TYPE_CHECKING:
    from mien.avatar.pose_kernels import CompiledPose

_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is worked out once for an avatar and used at every frame.

    Attributes:
        head: The head that the splats hang on.
        person: The same head with the avatar's identity baked in.
        splats: The painting.
        gaze: Turn of both eyes at rest, added to every motion's, `[6]`.
        gains: Factors on the expression components.
        jaw_gain: Factor on the jaw's turn.
        materials: Of each splat.
        solid: Splats that are not seen from behind.
        eyes: Splats of each eye, and the slit that they are seen through.
        mouth: Splats of the mouth's inside, likewise.
        is_tongue: Which of these are the tongue.
        layouts: Where moving skin lies, by side, for detail.
        kernels: The layout for the CPU kernels, once it is made.
    """

    head: Head
    person: Head
    splats: Splats
    gaze: Tensor
    gains: Tensor
    jaw_gain: float
    materials: MaterialTable
    solid: Tensor
    eyes: tuple[tuple[slice, Window], ...]
    mouth: tuple[slice, Window]
    is_tongue: Tensor
    layouts: dict[int, DetailLayout] = field(default_factory=dict)
    kernels: list[CompiledPose] = field(default_factory=list)

    def compiled(self) -> CompiledPose | None:
        """Give the kernels' layout on a CPU, made on first use; other devices run torch."""
        if self.splats.thickness.device.type != "cpu":
            return None
        if not self.kernels:
            from mien.avatar.pose_kernels import CompiledPose

            self.kernels.append(CompiledPose.of(self.head, self.splats, self.materials))
        return self.kernels[0]

    def place(self, vertices: Tensor, normals: Tensor) -> tuple[Placed, Tensor]:
        """Place the splats; give their rotations as quaternions too."""
        if (compiled := self.compiled()) is not None:
            return compiled.place(vertices, normals)
        placed = place(self.splats, vertices, normals, self.head.faces)
        return placed, rotmat_to_quat(placed.rotmats)

    def shade(self, placed: Placed, to_viewer: Tensor, dimming: Tensor, studio: Studio) -> Tensor:
        """Light the placed splats."""
        if (compiled := self.compiled()) is not None:
            return compiled.shade(placed, to_viewer, dimming, studio)
        return shade(self.splats, placed, self.materials, to_viewer, dimming, studio)

    def detail_layout(self, side: int) -> DetailLayout:
        """Give where moving skin lies on a grid, laid out on first use."""
        if side not in self.layouts:
            self.layouts[side] = DetailLayout.of(self.head, self.person, self.splats, side)
        return self.layouts[side]

    @classmethod
    def of(
        cls, head: Head, shape: Float[Tensor, " s"], splats: Splats, gains: Mapping[str, float]
    ) -> Prepared:
        """Prepare an avatar's parts."""
        factors = torch.tensor([gains.get(name, 1.0) for name in head.expr_names])
        left, right, mouth = find_openings(head)
        eye = splats.span(Kind.EYE)
        in_left = torch.isin(head.faces, head.parts["eye_left"]).all(1)[splats.faces[eye]]
        first_right = eye.start + int(in_left.sum())
        if not bool(in_left[: first_right - eye.start].all()):
            raise ValueError("Splats of the left eye must stand before those of the right eye.")
        on_tongue = torch.isin(head.faces, head.parts["tongue"]).all(1)
        eyes = ((slice(eye.start, first_right), left), (slice(first_right, eye.stop), right))
        person = bake_identity(head, shape)
        return cls(
            head,
            person,
            splats,
            _straight_gaze(head, person, (left, right)).to(splats.thickness),
            factors.to(splats.thickness),
            gains.get("jawOpen", 1.0),
            MaterialTable.of(splats),
            splats.kinds <= Kind.CLOTH,
            eyes,
            (splats.span(Kind.MOUTH), mouth),
            on_tongue[splats.faces[splats.span(Kind.MOUTH)]],
        )

    def conceal(
        self, vertices: Tensor, placed: Placed, to_viewer: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tell which splats are out of sight, and how much darker the rest is."""
        hidden = self.solid & (placed.normals @ to_viewer < -0.25)
        dimming = torch.ones_like(placed.means[:, 0])
        for span, window in self.eyes:
            view = window.look_through(vertices, placed.means[span], to_viewer)
            hidden[span] = ~view.visible(1.2 * _MM) | (view.gap < 0.35 * _MM)
            lid_shadow = 0.42 * torch.exp(-view.below_top.clamp_min(0.0) / (2.0 * _MM))
            rim_shadow = 0.25 * torch.exp(-view.above_bottom.clamp_min(0.0) / (1.0 * _MM))
            side = 0.22 * torch.exp(-view.from_corner.clamp_min(0.0) / (3.0 * _MM))
            dimming[span] = (1 - lid_shadow) * (1 - rim_shadow) * (1 - side)
        span, window = self.mouth
        view = window.look_through(vertices, placed.means[span], to_viewer)
        inside = ~self.is_tongue | (view.behind > 0)  # only the tongue comes out
        hidden[span] = inside & (~view.visible(1.5 * _MM, 4.0 * _MM) | (view.gap < 0.25 * _MM))
        lit = (view.gap + 1.0 * _MM) / (view.gap + 1.0 * _MM + 0.38 * view.behind.clamp_min(0))
        top_shadow = 1 - 0.35 * torch.exp(-view.below_top.clamp_min(0.0) / (3.0 * _MM))
        dimming[span] = torch.where(inside, lit * top_shadow, 1.0)
        return hidden, dimming


def _straight_gaze(head: Head, person: Head, eyes: tuple[Window, Window]) -> Tensor:
    """Turn eyes so that each iris sits in its slit as on the mean head.

    An infant's slits lie wider apart than its eyeballs; without this it would squint.
    """
    turns = []
    for window, part in zip(eyes, ("eye_left", "eye_right"), strict=True):
        aside = []
        for model in (head, person):
            eye = model.v_template[head.parts[part]]
            corners = model.v_template[[int(window.upper[0]), int(window.upper[-1])]]
            radius = (eye - eye.mean(0)).norm(dim=-1).mean()
            aside.append(((corners.mean(0) - eye.mean(0))[0] / radius).clamp(-0.6, 0.6).asin())
        turns += [0.0, float((aside[1] - aside[0]).clamp(-0.25, 0.25)), 0.0]
    return torch.tensor(turns)


def bake_identity(head: Head, shape: Float[Tensor, " s"]) -> Head:
    """Make a head whose template is one person, with expressions only; quicker to pose."""
    person = Head(
        head.identity(shape),
        head.shapedirs[..., head.num_shape :].contiguous(),
        head.posedirs,
        head.J_regressor,
        head.lbs_weights,
        head.faces,
        num_shape=0,
        name=head.name,
        expr_names=head.expr_names,
        parts=head.parts,
    )
    return person.requires_grad_(False).eval()
