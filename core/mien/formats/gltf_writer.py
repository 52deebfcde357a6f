"""Adds a head's pieces to a glTF document: surfaces, morph targets, skin and animation."""

import importlib.metadata
import io
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mien.formats.gltf_document import GltfDocument
from mien.formats.gltf_rig import JointTracks, MorphTarget
from mien.formats.gltf_surfaces import (
    MATERIALS,
    Surface,
    cut_surfaces,
    linear_from_srgb,
    vertex_normals,
)
from mien.head import JOINT_NAMES, Head
from mien.motion import Motion

__all__ = ["RigWriter"]

Array = NDArray[np.float64]

_SMALLEST_OFFSET = 1e-8  # metres
_SMALLEST_TURN = 1e-3  # of a normal


class RigWriter:
    """Adds the pieces of a head to a document, in an order that the pieces allow."""

    def __init__(
        self, head: Head, shape: Float[Tensor, " s"] | None, scale: float, sparse: bool
    ) -> None:
        version = importlib.metadata.version("mien")
        self.document = GltfDocument(f"mien {version}")
        self.head, self.shape, self.scale, self.sparse = head, shape, scale, sparse
        self.faces = head.faces.numpy()
        self.neutral = head.identity(shape).numpy()
        self.animated: list[int] = []  # nodes by joint, in the order of the tracks
        self.mesh_node = -1

    def add_mesh(
        self,
        targets: tuple[MorphTarget, ...],
        colors: NDArray[Any] | None,
        texture: NDArray[np.uint8] | None,
        is_skinned: bool,
    ) -> None:
        """Add the one mesh with all its targets."""
        surfaces = cut_surfaces(self.head)
        painted = colors is not None or texture is not None
        image = None if texture is None else self._add_texture(texture)
        primitives = [
            self._primitive(surface, colors, is_skinned)
            | {"material": self._add_material(surface.material, painted, image)}
            for surface in surfaces
        ]
        self._add_targets(targets, surfaces, primitives)
        mesh = {
            "name": "head",
            "primitives": primitives,
            "weights": [0.0] * len(targets),
            "extras": {"targetNames": [target.name for target in targets]},
        }
        self.document.add("meshes", mesh)

    def add_skin(self, rest: Float[Array, "j 3"]) -> None:
        """Add the joints, and the mesh hung on them."""
        rest, document = rest * self.scale, self.document
        inverse = np.tile(np.eye(4, dtype=np.float32), (len(rest), 1, 1))
        inverse[:, 3, :3] = -rest  # by column
        for joint, (name, parent) in enumerate(zip(JOINT_NAMES, self.head.parents, strict=True)):
            start = rest[parent] if parent >= 0 else np.zeros(3)
            node: dict[str, Any] = {"name": name, "translation": (rest[joint] - start).tolist()}
            self.animated.append(document.add("nodes", node))
            if parent >= 0:
                holder = document.root["nodes"][self.animated[parent]]
                holder.setdefault("children", []).append(self.animated[joint])
        skin = {
            "inverseBindMatrices": document.add_accessor(inverse),
            "joints": self.animated,
            "skeleton": self.animated[0],
        }
        document.add("skins", skin)
        self.mesh_node = document.add("nodes", {"name": "head_mesh", "mesh": 0, "skin": 0})
        self._add_scene([self.animated[0], self.mesh_node])

    def add_rigid_node(self) -> None:
        """Add the mesh as one node that turns."""
        self.mesh_node = self.document.add("nodes", {"name": "head_mesh", "mesh": 0})
        self.animated = [self.mesh_node]
        self._add_scene([self.mesh_node])

    def add_animation(
        self, motion: Motion, weights: Float[Array, "t m"], tracks: JointTracks
    ) -> None:
        """Add the motion: the weights, each joint's turn, and the translations that change."""
        times = (np.arange(motion.num_frames) / motion.fps).astype(np.float32)
        animation = _Animation(self.document, times)
        animation.add(self.mesh_node, "weights", weights.ravel())
        for index, node in enumerate(self.animated):
            animation.add(node, "rotation", tracks.quats[:, index])
            places = tracks.translations[:, index] * self.scale
            rest = self.document.root["nodes"][node].get("translation", [0.0] * 3)
            if np.abs(places - rest).max() > _SMALLEST_OFFSET:
                animation.add(node, "translation", places)
        animation.finish(motion)

    def _add_scene(self, nodes: list[int]) -> None:
        self.document.add("scenes", {"name": "mien", "nodes": nodes})
        self.document.root["scene"] = 0

    def _primitive(
        self, surface: Surface, colors: NDArray[Any] | None, is_skinned: bool
    ) -> dict[str, Any]:
        ids, add = surface.vertex_ids, self.document.add_accessor
        normals = vertex_normals(self.neutral, self.faces)[ids]
        attributes = {
            "POSITION": add(_float32(self.neutral[ids] * self.scale), "vertices", bounds=True),
            "NORMAL": add(_float32(normals), "vertices"),
        }
        if surface.uv_ids is not None:
            uv = self.head.uv.numpy()[surface.uv_ids] * [1, -1] + [0, 1]  # glTF's v points down
            attributes["TEXCOORD_0"] = add(_float32(uv), "vertices")
        if colors is not None:
            linear = np.pad(linear_from_srgb(colors[ids]), ((0, 0), (0, 1)), constant_values=1)
            shades = np.rint(linear * 65535).astype(np.uint16)
            attributes["COLOR_0"] = add(shades, "vertices", normalized=True)
        if is_skinned:
            joints, weights = _four_weights(self.head.lbs_weights.numpy()[ids])
            attributes["JOINTS_0"] = add(joints, "vertices")
            attributes["WEIGHTS_0"] = add(weights, "vertices")
        triangles = surface.triangles.astype(np.uint16 if len(ids) < 2**16 else np.uint32)
        return {"attributes": attributes, "indices": add(triangles.ravel(), "indices")}

    def _add_targets(
        self,
        targets: tuple[MorphTarget, ...],
        surfaces: tuple[Surface, ...],
        primitives: list[dict[str, Any]],
    ) -> None:
        normals = vertex_normals(self.neutral, self.faces)
        for target in targets:
            offsets = np.where(np.abs(target.offsets) < _SMALLEST_OFFSET, 0, target.offsets)
            turned = vertex_normals(self.neutral + offsets, self.faces) - normals
            turned[np.abs(turned).max(1) < _SMALLEST_TURN] = 0
            for surface, primitive in zip(surfaces, primitives, strict=True):
                ids, add = surface.vertex_ids, self.document.add_deltas
                entry = {
                    "POSITION": add(_float32(offsets[ids] * self.scale), self.sparse),
                    "NORMAL": add(_float32(turned[ids]), self.sparse),
                }
                primitive.setdefault("targets", []).append(entry)

    def _add_texture(self, texture: NDArray[np.uint8]) -> int:
        from PIL import Image

        stream = io.BytesIO()
        Image.fromarray(texture).save(stream, "PNG")
        image = self.document.add_image(stream.getvalue(), "image/png", "head")
        sampler = self.document.add("samplers", {"magFilter": 9729, "minFilter": 9987})
        return self.document.add("textures", {"source": image, "sampler": sampler})

    def _add_material(self, name: str, painted: bool, texture: int | None) -> int:
        material = MATERIALS[name]
        color = np.ones(3) if painted else linear_from_srgb(np.array(material.color))
        surface: dict[str, Any] = {
            "baseColorFactor": [*color.tolist(), 1.0],
            "metallicFactor": 0.0,
            "roughnessFactor": material.roughness,
        }
        if texture is not None:
            surface["baseColorTexture"] = {"index": texture}
        entry = {"name": name, "pbrMetallicRoughness": surface, "doubleSided": True}
        return self.document.add("materials", entry)


class _Animation:
    """One animation in the making."""

    def __init__(self, document: GltfDocument, times: Float[NDArray[np.float32], " t"]) -> None:
        self._document = document
        self._times = document.add_accessor(times, bounds=True)
        self._channels: list[dict[str, Any]] = []
        self._samplers: list[dict[str, Any]] = []

    def add(self, node: int, path: str, values: NDArray[Any]) -> None:
        """Drive one property of a node, linearly between frames."""
        output = self._document.add_accessor(_float32(values))
        sampler = {"input": self._times, "output": output, "interpolation": "LINEAR"}
        self._samplers.append(sampler)
        target = {"node": node, "path": path}
        self._channels.append({"sampler": len(self._samplers) - 1, "target": target})

    def finish(self, motion: Motion) -> None:
        """Add it to the document with what the motion says in words."""
        labels = [
            {"start": label.start_s, "end": label.end_s, "text": label.text}
            for label in motion.labels
        ]
        entry = {
            "name": "motion",
            "channels": self._channels,
            "samplers": self._samplers,
            "extras": {"fps": motion.fps, "text": motion.text, "labels": labels},
        }
        self._document.add("animations", entry)


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)


def _four_weights(
    weights: Float[Array, "u j"],
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Keep each vertex's four strongest joints; the rest's share (FLAME only) is dealt out."""
    strongest = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    kept = np.take_along_axis(weights, strongest, 1)
    shares = (kept / kept.sum(1, keepdims=True)).astype(np.float32)
    shares[:, 0] = 1 - shares[:, 1:].sum(1)
    joints = np.where(shares > 0, strongest, 0).astype(np.uint8)
    return joints, shares
