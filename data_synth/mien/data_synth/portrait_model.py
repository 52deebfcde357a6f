"""A sitter ready to pose: the painting with own hair and tints, creases and cast light."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.avatar.bristles import paint_bristles
from mien.avatar.canvas import MM, Canvas
from mien.avatar.eyes import paint_eyes
from mien.avatar.gaussians import Gaussians
from mien.avatar.hair import hidden_ears, paint_hair
from mien.avatar.look import Look
from mien.avatar.mouth import paint_mouth
from mien.avatar.pigment import skin_color
from mien.avatar.placing import Placed, place, unit, vertex_normals
from mien.avatar.pose_kernels import CompiledPose
from mien.avatar.prepared import Prepared
from mien.avatar.regions import lip_mask
from mien.avatar.shading import MATERIALS, linear_to_srgb, srgb_to_linear
from mien.avatar.skin import paint_skin
from mien.avatar.splats import Kind, Splats
from mien.camera import Camera
from mien.data_synth.cast_light import Lamp, lit_share
from mien.data_synth.creases import CreaseField, crease_depth
from mien.data_synth.portrait_people import Sitter
from mien.head import Head
from mien.motion import Motion

__all__ = ["PosedSitter", "SessionPaint", "SitterModel"]

Array = np.ndarray

_BLOOD_ABSORBS = np.array([0.14, 1.10, 0.92], np.float32)  # as `mien.avatar.pigment` has it
_PALING = 0.30  # blood that a doubling of the skin's area spreads out
_CREASE_SHADE = 0.7  # light that a millimetre of depth keeps out, as an exponent
_LEAST_KEY = 0.10  # of the main light that comes back from around a shadow
_MAIN_PARTS = ("skin", "eye_left", "eye_right")


@dataclass(frozen=True, eq=False)
class SessionPaint:
    """What is painted once for all people of a session.

    Attributes:
        head: The default head.
        canvas: Its mean adult.
        look: What was painted.
        fineness: See `mien.avatar.paint`.
        skin: Painted with `look`.
        mouth: Likewise.
        bristles: Likewise.
        creases: Over the skin's and the cloth's splats.
        axes: Of the same splats on the canvas, `[N, 2, 3]`.
        lips: Which of these lie on the lips, 0 to 1.
        solid: Triangles that cast shadows.
    """

    head: Head
    canvas: Canvas
    look: Look
    fineness: float
    skin: Splats
    mouth: Splats
    bristles: Splats
    creases: CreaseField
    axes: Float[Array, "n 2 3"]
    lips: Float[Array, " n"]
    solid: Array

    @classmethod
    def of(cls, head: Head, look: Look, fineness: float) -> SessionPaint:
        """Paint; seconds of work."""
        canvas = Canvas.of(head)
        hair = canvas.carried(paint_hair(canvas, look, fineness))
        skin = paint_skin(canvas, look, fineness, hidden_ears(canvas, look), hair)
        template = head.v_template
        placed = place(skin, template, vertex_normals(template, head.faces), head.faces)
        points = placed.means.numpy().astype(np.float64) / MM
        solid = np.zeros(len(canvas.faces), bool)
        for part in _MAIN_PARTS:
            solid |= canvas.parts[part]
        return cls(
            head,
            canvas,
            look,
            fineness,
            skin,
            paint_mouth(canvas, look, fineness),
            paint_bristles(canvas, look, fineness),
            CreaseField.over(points, look.seed),
            placed.rotmats[:, :, :2].transpose(1, 2).numpy(),
            lip_mask(points).astype(np.float32),
            np.ascontiguousarray(canvas.faces[solid]),
        )


@dataclass(frozen=True, eq=False)
class SitterModel:
    """One person, ready.

    Attributes:
        paint: The session's.
        sitter: Who.
        state: As `mien.avatar` prepares it.
        kernels: The layout for its kernels.
        depth: How deep creases fold.
        own: Where the splats of the session's skin stand among all.
        rest_areas: Of the skin splats' triangles at rest, metres squared.
    """

    paint: SessionPaint
    sitter: Sitter
    state: Prepared
    kernels: CompiledPose
    depth: float
    own: Int[Array, " n"]
    rest_areas: Float[Array, " n"]

    @classmethod
    def of(cls, paint: SessionPaint, sitter: Sitter) -> SitterModel:
        """Give a session's painting to a person: hair and eyes anew, the rest tinted."""
        look, shape = sitter.look, sitter.identity.shape
        person = paint.canvas.reshaped(paint.head, shape)
        parts = [
            _tint_skin(paint.skin, paint.look, look),
            paint_eyes(paint.canvas, look, paint.fineness),
            paint.mouth,
            _tint_plain(paint.bristles, paint.look.brow_color, look.brow_color),
            paint_hair(person, look, paint.fineness),
        ]
        splats, own = Splats.concatenate(parts), _places_of_first(parts)
        state = Prepared.of(paint.head, shape, splats, sitter.identity.gains)
        kernels = CompiledPose.of(paint.head, splats, state.materials)
        faces = kernels.ids[own]
        rest = _areas(person.vertices * MM, faces)
        return cls(paint, sitter, state, kernels, crease_depth(sitter.traits["age"]), own, rest)

    def truth(self, motion: Motion) -> Motion:
        """What this face does of a motion, gains and straight gaze applied, with its identity."""
        return motion.replace(
            expr=motion.expr * self.state.gains[: motion.num_expr],
            jaw_pose=motion.jaw_pose * self.state.jaw_gain,
            eye_pose=motion.eye_pose + self.state.gaze,
            shape=self.sitter.identity.shape,
        )

    @torch.no_grad()
    def pose(self, truth: Motion) -> PosedSitter:
        """Do all that the views of one instant share."""
        vertices: Tensor = self.state.person(
            None, truth.expr, truth.global_pose, truth.neck_pose, truth.jaw_pose,
            truth.eye_pose, truth.translation,
        )[0]  # fmt: skip
        normals = vertex_normals(vertices, self.paint.head.faces)
        placed, quats = self.kernels.place(vertices, normals)
        height, slope = self.paint.creases.fold(truth.expr[0].numpy(), self.depth)
        bump, albedo, *rest, open_reach, key_reach = self.kernels.paints
        own = self.own
        bump, albedo, open_reach, key_reach = (
            a.copy() for a in (bump, albedo, open_reach, key_reach)
        )
        bump[own] -= np.einsum("nij,nj->ni", self.paint.axes, slope)
        shaded = np.exp(_CREASE_SHADE * np.minimum(height, 0.0))[:, None]
        open_reach[own] *= shaded
        albedo[own] *= self._blood(vertices.numpy(), height)
        key_reach[own] = self._key(vertices.numpy(), placed) * shaded
        kernels = dataclasses.replace(
            self.kernels, paints=(bump, albedo, *rest, open_reach, key_reach)
        )
        return PosedSitter(self, vertices, placed, quats, kernels)

    def _blood(self, vertices: Array, height: Array) -> Array:
        """Stretched skin pales and pressed skin reddens; so does the floor of a crease."""
        areas = _areas(vertices, self.kernels.ids[self.own])
        stretch = np.log2(np.clip(areas / self.rest_areas, 0.5, 2.0))
        cloth = self.paint.skin.kinds.numpy() == int(Kind.CLOTH)
        more = -_PALING * stretch * (0.5 + 0.7 * self.paint.lips) - 0.12 * np.minimum(height, 0.0)
        more = np.where(cloth, 0.0, more)
        return np.exp(-more[:, None] * _BLOOD_ABSORBS).astype(np.float32)

    def _key(self, vertices: Array, placed: Placed) -> Array:
        """Reach of the main light on skin and cloth, bled as light under skin is."""
        hair = self.state.splats.span(Kind.HAIR)
        lit = lit_share(
            Lamp(self.sitter.studio.key),
            vertices,
            self.paint.solid,
            placed.means.numpy()[self.own],
            placed.normals.numpy()[self.own],
            placed.means[hair].numpy(),
        )
        reach = (_LEAST_KEY + (1 - _LEAST_KEY) * lit)[:, None]
        bleeds = np.array([MATERIALS[kind].bleed for kind in Kind], np.float32)
        return np.asarray(reach ** bleeds[self.paint.skin.kinds.numpy()], np.float32)


@dataclass(frozen=True, eq=False)
class PosedSitter:
    """One instant, before any camera.

    Attributes:
        model: Who.
        vertices: Posed, metres.
        placed: Splats on them.
        quats: Their rotations.
        kernels: The layout with this instant's paints.
    """

    model: SitterModel
    vertices: Float[Tensor, "v 3"]
    placed: Placed
    quats: Float[Tensor, "n 4"]
    kernels: CompiledPose

    @torch.no_grad()
    def seen_from(self, camera: Camera) -> Gaussians:
        """Hide and light what this camera sees."""
        state = self.model.state
        eye = -camera.viewmat[:3, :3].T @ camera.viewmat[:3, 3]
        to_viewer = unit(eye - self.vertices.mean(0))
        hidden, dimming = state.conceal(self.vertices, self.placed, to_viewer)
        colors = self.kernels.shade(self.placed, to_viewer, dimming, self.model.sitter.studio)
        opacities = torch.where(hidden, 0.0, state.splats.opacity)
        return Gaussians(self.placed.means, self.quats, self.placed.scales, opacities, colors)


def _places_of_first(parts: list[Splats]) -> Array:
    """Where the first part's splats stand once all are sorted by kind."""
    order = torch.argsort(torch.cat([part.kinds for part in parts]), stable=True)
    return (order < len(parts[0])).nonzero()[:, 0].numpy()


def _areas(vertices: Array, faces: Array) -> Array:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    doubled = np.linalg.norm(np.cross(b - a, c - a), axis=-1)
    return np.asarray(np.maximum(doubled, 1e-12))


def _tint_skin(skin: Splats, old: Look, new: Look) -> Splats:
    """Change skin by the pigments' ratio, and cloth by its dyes'."""
    first, second = (
        srgb_to_linear(torch.from_numpy(skin_color(np.array([k.melanin]), np.array([k.blood]))))
        for k in (old, new)
    )
    albedo = linear_to_srgb(srgb_to_linear(skin.albedo) * (second / first).float())
    dye = torch.tensor(new.cloth_color) / torch.tensor(old.cloth_color)
    is_cloth = (skin.kinds == int(Kind.CLOTH))[:, None]
    albedo = torch.where(is_cloth, (skin.albedo * dye).clamp(0, 1), albedo.clamp(0, 1))
    return _with(skin, albedo)


def _tint_plain(splats: Splats, old: Any, new: Any) -> Splats:
    ratio = torch.tensor(new) / torch.tensor(old)
    return _with(splats, (splats.albedo * ratio).clamp(0, 1))


def _with(splats: Splats, albedo: Tensor) -> Splats:
    return Splats(**(dict(vars(splats)) | {"albedo": albedo}))
