"""A painted person whose skin answers to the face: creases, blood, and light that is cast anew.

The painting itself has the lines of age and the shadows of a face at rest, whatever it does.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.canvas import MM, Canvas
from mien.avatar.gaussians import Gaussians
from mien.avatar.placing import Placed, place, unit, vertex_normals
from mien.avatar.pose_kernels import CompiledPose
from mien.avatar.prepared import Prepared
from mien.avatar.regions import lip_mask
from mien.avatar.shading import MATERIALS, Studio
from mien.avatar.splats import Kind, Splats
from mien.camera import Camera
from mien.data_synth.cast_light import Lamp, lit_share
from mien.data_synth.creases import CreaseField, crease_depth
from mien.head import Head
from mien.motion import Motion

__all__ = ["LivingFrame", "LivingPerson", "SkinFolds"]

Array = np.ndarray

_BLOOD_ABSORBS = np.array([0.14, 1.10, 0.92], np.float32)  # as `mien.avatar.pigment` has it
_PALING = 0.30  # blood that a doubling of the skin's area spreads out
_FLUSH = 0.12  # blood that a millimetre of a crease's depth presses together
_CREASE_SHADE = 0.7  # light that a millimetre of depth keeps out, as an exponent
_CREASE_TILT = 0.7  # of a crease's slope that turns the skin's normal: flesh is soft
_LEAST_KEY = 0.10  # of the main light that comes back from around a shadow
_MAIN_PARTS = ("skin", "eye_left", "eye_right")
_BLEEDS = np.array([MATERIALS[kind].bleed for kind in Kind], np.float32)


@dataclass(frozen=True, eq=False)
class SkinFolds:
    """What the skin and the cloth of one painting are, before they are anybody's.

    Attributes:
        creases: Over their splats.
        axes: Of the same splats on the canvas, `[N, 2, 3]`.
        lips: Which of these lie on the lips, 0 to 1.
        cloth: Which of these are no skin.
        bleeds: Powers that shares of light are raised to, by color.
        solid: Triangles of the head that cast shadows.
    """

    creases: CreaseField
    axes: Float[Array, "n 2 3"]
    lips: Float[Array, " n"]
    cloth: Bool[Array, " n"]
    bleeds: Float[Array, "n 3"]
    solid: Int[Array, "f 3"]

    @classmethod
    def of(cls, head: Head, canvas: Canvas, skin: Splats, seed: int) -> SkinFolds:
        """Fold painted skin, as it lies on the mean adult; another seed, other lines."""
        template = head.v_template
        placed = place(skin, template, vertex_normals(template, head.faces), head.faces)
        points = placed.means.numpy().astype(np.float64) / MM
        solid = np.zeros(len(canvas.faces), bool)
        for part in _MAIN_PARTS:
            solid |= canvas.parts[part]
        kinds = skin.kinds.numpy()
        return cls(
            CreaseField.over(points, seed),
            placed.rotmats[:, :, :2].transpose(1, 2).numpy(),
            lip_mask(points).astype(np.float32),
            kinds == int(Kind.CLOTH),
            _BLEEDS[kinds],
            np.ascontiguousarray(canvas.faces[solid]),
        )


@dataclass(frozen=True, eq=False)
class LivingPerson:
    """One person, ready to pose.

    Attributes:
        shape: Identity coefficients.
        state: As `mien.avatar` prepares it.
        kernels: The layout for its kernels.
        folds: Of the skin.
        own: Where the folded splats stand among all.
        depth: How deep creases fold.
        studio: The lights.
        rest_areas: Of the triangles under them at rest, metres squared, twice.
    """

    shape: Float[Tensor, " s"]
    state: Prepared
    kernels: CompiledPose
    folds: SkinFolds
    own: Int[Array, " n"]
    depth: float
    studio: Studio
    rest_areas: Float[Array, " n"]

    @classmethod
    def of(
        cls,
        shape: Float[Tensor, " s"],
        state: Prepared,
        folds: SkinFolds,
        own: Int[Array, " n"],
        age: float,
        studio: Studio,
    ) -> LivingPerson:
        """Give a painted person, of an age of `mien.identity.semantic`, the folds of its skin."""
        kernels = CompiledPose.of(state.head, state.splats, state.materials)
        areas = _areas(state.person.v_template.numpy(), kernels.ids[own])
        return cls(shape, state, kernels, folds, own, crease_depth(age), studio, areas)

    @classmethod
    def of_avatar(cls, avatar: Avatar, age: float) -> LivingPerson:
        """Bring a painted avatar to life; `age` as in `mien.identity.semantic`."""
        head, splats = avatar.head, avatar.splats
        own = (splats.kinds <= int(Kind.CLOTH)).nonzero()[:, 0]
        skin = Splats(**{name: value[own] for name, value in vars(splats).items()})
        folds = SkinFolds.of(head, Canvas.of(head), skin, avatar.look.seed)
        state = Prepared.of(head, avatar.shape, splats, avatar.gains)
        return cls.of(avatar.shape, state, folds, own.numpy(), age, avatar.studio)

    def truth(self, motion: Motion) -> Motion:
        """What this face does of a motion, gains and straight gaze applied, with its identity."""
        return motion.replace(
            expr=motion.expr * self.state.gains[: motion.num_expr],
            jaw_pose=motion.jaw_pose * self.state.jaw_gain,
            eye_pose=motion.eye_pose + self.state.gaze,
            shape=self.shape,
        )

    @torch.no_grad()
    def pose(self, truth: Motion) -> LivingFrame:
        """Do all that the views of one instant share."""
        vertices: Tensor = self.state.person(
            None, truth.expr, truth.global_pose, truth.neck_pose, truth.jaw_pose,
            truth.eye_pose, truth.translation,
        )[0]  # fmt: skip
        normals = vertex_normals(vertices, self.state.head.faces)
        placed, quats = self.kernels.place(vertices, normals)
        height, slope = self.folds.creases.fold(truth.expr[0].numpy(), self.depth)
        bump, albedo, *rest, open_reach, key_reach = self.kernels.paints
        own = self.own
        bump, albedo, open_reach, key_reach = (
            a.copy() for a in (bump, albedo, open_reach, key_reach)
        )
        bump[own] -= _CREASE_TILT * np.einsum("nij,nj->ni", self.folds.axes, slope)
        shaded = np.exp(_CREASE_SHADE * np.minimum(height, 0.0))[:, None] ** self.folds.bleeds
        open_reach[own] *= shaded
        albedo[own] *= self._blood(vertices.numpy(), height)
        key_reach[own] = self._key(vertices.numpy(), placed) * shaded
        kernels = dataclasses.replace(
            self.kernels, paints=(bump, albedo, *rest, open_reach, key_reach)
        )
        return LivingFrame(self, vertices, placed, quats, kernels)

    def _blood(self, vertices: Array, height: Array) -> Array:
        """Stretched skin pales and pressed skin reddens; so does the floor of a crease."""
        areas = _areas(vertices, self.kernels.ids[self.own])
        stretch = np.log2(np.clip(areas / self.rest_areas, 0.5, 2.0))
        more = -_PALING * stretch * (0.5 + 0.7 * self.folds.lips) - _FLUSH * np.minimum(
            height, 0.0
        )
        more = np.where(self.folds.cloth, 0.0, more)
        return np.exp(-more[:, None] * _BLOOD_ABSORBS).astype(np.float32)

    def _key(self, vertices: Array, placed: Placed) -> Array:
        """Reach of the main light on skin and cloth, bled as light under skin is."""
        hair = self.state.splats.span(Kind.HAIR)
        lit = lit_share(
            Lamp(self.studio.key),
            vertices,
            self.folds.solid,
            placed.means.numpy()[self.own],
            placed.normals.numpy()[self.own],
            placed.means[hair].numpy(),
        )
        reach = (_LEAST_KEY + (1 - _LEAST_KEY) * lit)[:, None]
        return np.asarray(reach**self.folds.bleeds, np.float32)


@dataclass(frozen=True, eq=False)
class LivingFrame:
    """One instant, before any camera.

    Attributes:
        person: Who.
        vertices: Posed, metres.
        placed: Splats on them.
        quats: Their rotations.
        kernels: The layout with this instant's paints.
    """

    person: LivingPerson
    vertices: Float[Tensor, "v 3"]
    placed: Placed
    quats: Float[Tensor, "n 4"]
    kernels: CompiledPose

    @torch.no_grad()
    def seen_from(self, camera: Camera) -> Gaussians:
        """Hide and light what this camera sees."""
        state = self.person.state
        eye = -camera.viewmat[:3, :3].T @ camera.viewmat[:3, 3]
        to_viewer = unit(eye - self.vertices.mean(0))
        hidden, dimming = state.conceal(self.vertices, self.placed, to_viewer)
        colors = self.kernels.shade(self.placed, to_viewer, dimming, self.person.studio)
        opacities = torch.where(hidden, 0.0, state.splats.opacity)
        return Gaussians(self.placed.means, self.quats, self.placed.scales, opacities, colors)


def _areas(vertices: Array, faces: Array) -> Array:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    doubled = np.linalg.norm(np.cross(b - a, c - a), axis=-1)
    return np.asarray(np.maximum(doubled, 1e-12))
