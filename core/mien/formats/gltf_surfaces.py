"""A head's mesh cut into surfaces of one material each, with colors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from mien.head import Head

__all__ = [
    "MATERIALS",
    "Material",
    "Surface",
    "cut_surfaces",
    "linear_from_srgb",
    "vertex_normals",
]

Array = NDArray[np.float64]

_PUPIL_DEGREES, _IRIS_DEGREES = 17.0, 34.0  # rings of the default eye lie at 11, 22.5 and 45


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        color: sRGB in 0..1.
        roughness: 0 is a mirror.
    """

    color: tuple[float, float, float]
    roughness: float


MATERIALS: dict[str, Material] = {
    "skin": Material((0.82, 0.62, 0.53), 0.55),
    "sclera": Material((0.93, 0.91, 0.89), 0.15),
    "iris": Material((0.36, 0.25, 0.16), 0.1),
    "pupil": Material((0.02, 0.02, 0.02), 0.1),
    "mouth": Material((0.45, 0.16, 0.16), 0.35),
    "gums": Material((0.70, 0.36, 0.35), 0.3),
    "teeth": Material((0.90, 0.87, 0.80), 0.25),
    "tongue": Material((0.72, 0.36, 0.36), 0.4),
}
_PREFIXES = {
    "eye_": "sclera",
    "mouth_bag": "mouth",
    "gums": "gums",
    "teeth": "teeth",
    "tongue": "tongue",
}


@dataclass(frozen=True, eq=False)
class Surface:
    """The triangles of one material and the corners they use.

    Attributes:
        material: A key of `MATERIALS`.
        vertex_ids: Which vertex of the head each corner is.
        uv_ids: Which texture coordinate of the head each corner has; None without a chart.
        triangles: Of corners.
    """

    material: str
    vertex_ids: Int[NDArray[np.int64], " u"]
    uv_ids: Int[NDArray[np.int64], " u"] | None
    triangles: Int[NDArray[np.int64], "f 3"]


def cut_surfaces(head: Head) -> tuple[Surface, ...]:
    """Cut the mesh by material; a vertex on a seam of the texture chart becomes two corners."""
    faces = head.faces.cpu().numpy()
    uv_faces = head.uv_faces.cpu().numpy() if len(head.uv_faces) else None
    labels = _face_materials(head, faces)
    return tuple(
        _surface(
            name, faces[labels == name], None if uv_faces is None else uv_faces[labels == name]
        )
        for name in MATERIALS
        if (labels == name).any()
    )


def _surface(
    material: str,
    faces: Int[NDArray[np.int64], "f 3"],
    uv_faces: Int[NDArray[np.int64], "f 3"] | None,
) -> Surface:
    uv_corners = faces if uv_faces is None else uv_faces
    pairs = np.stack([faces.ravel(), uv_corners.ravel()], 1)
    corners, triangles = np.unique(pairs, axis=0, return_inverse=True)
    uv_ids = None if uv_faces is None else corners[:, 1]
    return Surface(material, corners[:, 0], uv_ids, triangles.reshape(-1, 3))


def _face_materials(head: Head, faces: Int[NDArray[np.int64], "f 3"]) -> NDArray[np.str_]:
    labels = np.full(len(faces), "skin", dtype="<U8")
    for part, ids in head.parts.items():
        material = next((m for prefix, m in _PREFIXES.items() if part.startswith(prefix)), None)
        if material is None:
            continue
        inside = np.asarray(np.isin(faces, ids.cpu().numpy()).all(1))
        labels[inside] = material
        if material == "sclera":
            _label_iris(head, part, faces, inside, labels)
    return labels


def _label_iris(
    head: Head,
    part: str,
    faces: Int[NDArray[np.int64], "f 3"],
    inside: NDArray[np.bool_],
    labels: NDArray[np.str_],
) -> None:
    """Tell iris and pupil by how far a triangle reaches from the line of gaze."""
    center = head.joint_template[3 if part.endswith("left") else 4].cpu().numpy()
    away = head.v_template.cpu().numpy() - center
    sideways = np.hypot(away[:, 0], away[:, 1])
    reach = np.rad2deg(np.arctan2(sideways, away[:, 2]))[faces].max(1)
    labels[inside & (reach < _IRIS_DEGREES)] = "iris"
    labels[inside & (reach < _PUPIL_DEGREES)] = "pupil"


def vertex_normals(
    vertices: Float[Array, "v 3"], faces: Int[NDArray[np.int64], "f 3"]
) -> Float[Array, "v 3"]:
    """Give unit normals, those of the triangles around weighted by area; +Z for loose vertices."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    flat, count = faces.ravel(), len(vertices)
    summed = np.stack(
        [np.bincount(flat, np.repeat(across[:, axis], 3), count) for axis in range(3)], 1
    )
    lengths = np.linalg.norm(summed, axis=1, keepdims=True)
    is_loose = lengths < 1e-20
    return np.where(is_loose, [0.0, 0.0, 1.0], summed / np.where(is_loose, 1.0, lengths))


def linear_from_srgb(values: NDArray[Any]) -> Array:
    """Undo sRGB's transfer curve: glTF's colors are linear but for its images."""
    values = np.asarray(values, np.float64)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
