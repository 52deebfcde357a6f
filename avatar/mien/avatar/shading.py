"""Shading: a small studio around the head, evaluated at every splat and every frame.

Three lights and a soft surrounding, wrapped around the terminator and bled into shadows more for
red than for blue, as light that scatters under skin is; a highlight for gloss; the two-lobed
highlight of hair.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.placing import Placed, unit
from mien.avatar.splats import Kind, Splats

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Studio:
    """Lights in the world's frame, linear intensities.

    Attributes:
        key: Direction to the main light, from the viewer's upper left; it casts baked shadows.
        key_color: Its color times strength.
        fill: Direction to the light that opens the shadows.
        fill_color: Its color times strength.
        rim: Direction to the light behind the head.
        rim_color: Its color times strength.
        sky_color: Surrounding light from above.
        ground_color: Surrounding light from below.
    """

    key: Vector = (-0.50, 0.55, 0.85)
    key_color: Vector = (0.95, 0.89, 0.82)
    fill: Vector = (0.85, 0.15, 0.65)
    fill_color: Vector = (0.17, 0.18, 0.20)
    rim: Vector = (0.55, 0.55, -0.65)
    rim_color: Vector = (0.30, 0.31, 0.34)
    sky_color: Vector = (0.30, 0.31, 0.33)
    ground_color: Vector = (0.15, 0.125, 0.115)


@dataclass(frozen=True)
class Material:
    """How a kind of splat answers light.

    Attributes:
        wrap: How far light reaches past the terminator, for red, green and blue.
        bleed: Exponent of the share of light that reaches it, for red, green and blue: light
            that travels under skin fills soft shadows with red.
        sharpness: Exponent of the highlight.
        strength: Strength of the highlight where `gloss` is 1.
        grazing: Extra strength of the highlight seen edge on.
    """

    wrap: Vector
    sharpness: float
    strength: float
    grazing: float
    bleed: Vector = (1.0, 1.0, 1.0)


MATERIALS: dict[Kind, Material] = {
    Kind.SKIN: Material((0.55, 0.34, 0.26), 18.0, 0.20, 0.5, (0.75, 1.10, 1.20)),
    Kind.CLOTH: Material((0.20, 0.20, 0.20), 6.0, 0.05, 0.3),
    Kind.EYE: Material((0.60, 0.52, 0.50), 170.0, 5.0, 0.3),
    Kind.MOUTH: Material((0.60, 0.42, 0.38), 60.0, 0.7, 0.2),
    Kind.HAIR: Material((0.45, 0.42, 0.40), 36.0, 0.85, 0.0),
    Kind.BRISTLE: Material((0.60, 0.60, 0.60), 20.0, 0.02, 0.0),
}


@dataclass(frozen=True, eq=False)
class MaterialTable:
    """`MATERIALS` spread over the splats, [N, .] each, with what light reaches them at rest."""

    wrap: Float[Tensor, "n 3"]
    open_reach: Float[Tensor, "n 3"]
    key_reach: Float[Tensor, "n 3"]
    sharpness: Float[Tensor, " n"]
    strength: Float[Tensor, " n"]
    grazing: Float[Tensor, " n"]
    albedo: Float[Tensor, "n 3"]

    @classmethod
    def of(cls, splats: Splats) -> MaterialTable:
        """Look up every splat's material once; albedo becomes linear, shares of light bleed."""
        like = splats.albedo
        rows = [MATERIALS[kind] for kind in Kind]
        index = splats.kinds.long()
        bleed = like.new_tensor([m.bleed for m in rows])[index]
        return cls(
            like.new_tensor([m.wrap for m in rows])[index],
            splats.occlusion.unsqueeze(-1) ** bleed,
            splats.key_light.unsqueeze(-1) ** bleed,
            like.new_tensor([m.sharpness for m in rows])[index],
            like.new_tensor([m.strength for m in rows])[index] * splats.gloss,
            like.new_tensor([m.grazing for m in rows])[index],
            srgb_to_linear(splats.albedo),
        )


def shade(
    splats: Splats,
    placed: Placed,
    materials: MaterialTable,
    to_viewer: Float[Tensor, 3],
    dimming: Float[Tensor, " n"],
    studio: Studio,
) -> Float[Tensor, "n 3"]:
    """Light placed splats.

    Args:
        splats: What they are made of.
        placed: Where they are and how they face.
        materials: `MaterialTable.of(splats)`.
        to_viewer: Unit direction from the head to the camera.
        dimming: Extra factor on all light, for lid shadows and the inside of the mouth.
        studio: The lights, in the world's frame.

    Returns:
        Display-referred sRGB, 0 to 1.
    """
    hair = splats.span(Kind.HAIR)
    normal = unit(
        placed.normals
        + placed.rotmats[:, :, 0] * splats.bump[:, :1]
        + placed.rotmats[:, :, 1] * splats.bump[:, 1:]
    )
    like = normal
    sky, ground = like.new_tensor(studio.sky_color), like.new_tensor(studio.ground_color)
    diffuse = (ground + (sky - ground) * (normal[:, 1:2] * 0.5 + 0.5)) * materials.open_reach
    highlight = torch.zeros_like(normal)
    lights = ((studio.key, studio.key_color), (studio.fill, studio.fill_color),
              (studio.rim, studio.rim_color))  # fmt: skip
    fresnel = 1.0 + materials.grazing * (1.0 - (normal @ to_viewer).abs()).clamp(0, 1) ** 3 * 4.0
    for index, (direction, color) in enumerate(lights):
        to_light = unit(like.new_tensor(direction))
        tint = like.new_tensor(color)
        reach = materials.key_reach if index == 0 else materials.open_reach
        facing = (normal @ to_light).unsqueeze(-1)
        wrapped = ((facing + materials.wrap) / (1.0 + materials.wrap)).clamp_min(0.0)
        diffuse = diffuse + wrapped * wrapped.sqrt() * tint * reach
        half = unit(to_light + to_viewer)
        lobe = (normal @ half).clamp(0.0, 1.0) ** materials.sharpness
        if hair.stop > hair.start:
            lobe[hair] = _hair_lobe(placed.rotmats[hair, :, 0], half, materials.sharpness[hair])
        highlight = highlight + (lobe * materials.strength * fresnel).unsqueeze(-1) * tint * reach
    if hair.stop > hair.start:  # light crosses the strand before it comes back: it takes its color
        highlight[hair] = highlight[hair] * materials.albedo[hair].sqrt()
    linear = (materials.albedo * diffuse + highlight) * dimming.unsqueeze(-1)
    return linear_to_srgb(_soft_shoulder(linear))


def _hair_lobe(tangent: Tensor, half: Tensor, sharpness: Tensor) -> Tensor:
    """Kajiya and Kay's highlight: bright where the strand lies across the half vector."""
    along = tangent @ half
    return (1.0 - along * along).clamp(0.0, 1.0).sqrt() ** sharpness


def _soft_shoulder(linear: Tensor) -> Tensor:
    """Bend values above 0.7 towards 1 so that highlights keep their color."""
    over = (linear - 0.7).clamp_min(0.0)
    return linear.clamp_max(0.7) + 0.3 * (1.0 - torch.exp(-over / 0.3))


def srgb_to_linear(srgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """IEC 61966-2-1's decoding."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """IEC 61966-2-1's encoding, clamped to 0 to 1."""
    clipped = linear.clamp(0.0, 1.0)
    curved = 1.055 * clipped.clamp_min(1e-8) ** (1.0 / 2.4) - 0.055
    return torch.where(clipped <= 0.0031308, clipped * 12.92, curved)
