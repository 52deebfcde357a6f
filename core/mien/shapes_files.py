"""Heads as files of shapes: a folder of OBJ meshes, ICT-FaceKit packed as npz, GNM Head."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from mien.files import check_size, read_npz
from mien.head import Head
from mien.shapes_head import head_from_shapes
from mien.text import one_line

__all__ = ["ShapesFile", "read_gnm_npz", "read_ict_npz", "read_obj_folder"]

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

MAX_VERTICES = 200_000
_KINDS = {"numbers": "fiu", "whole numbers": "iu", "names": "U"}
_ICT = {  # what each array holds, and in how many dimensions
    "neutral": ("numbers", 2),
    "faces": ("whole numbers", 2),
    "expression_names": ("names", 1),
    "expression_deltas": ("numbers", 3),
    "landmarks68": ("whole numbers", 1),
}
_ICT_VERTICES = 26719
_ICT_PARTS = {  # vertex ranges, from ICT-FaceKit's README: face, head and neck; the eyeballs
    "skin": (0, 11248),
    "eye_left": (21451, 23021),
    "eye_right": (23021, 24591),
}
_GNM = {
    "template_vertex_positions": ("numbers", 2),
    "triangles": ("whole numbers", 2),
    "expression_basis": ("numbers", 3),
    "vertex_groups": ("numbers", 2),
    "vertex_group_names": ("names", 1),
}
_GNM_PARTS = {  # our name by theirs
    "skin": "skin",
    "left_eye": "eye_left",
    "right_eye": "eye_right",
    "tongue": "tongue",
}


@dataclass(frozen=True, eq=False)
class ShapesFile:
    """What a head of shapes is made of.

    Attributes:
        neutral: In the file's unit.
        faces: Triangles.
        deltas: What each shape adds, by name.
        landmarks: Vertex ids by iBUG number, if known.
        parts: Vertex ids by part, as far as known.
        unit_m: Metres in a unit.
    """

    neutral: Float[Array, "v 3"]
    faces: Int[Ids, "f 3"]
    deltas: Mapping[str, Float[Array, "v 3"]]
    landmarks: Mapping[int, int] | None
    parts: Mapping[str, Int[Ids, " n"]]
    unit_m: float

    def head(self, name: str) -> Head:
        """Build the head."""
        return head_from_shapes(
            self.neutral,
            self.faces,
            self.deltas,
            self.landmarks,
            parts=self.parts,
            unit_m=self.unit_m,
            name=name,
        )


def read_ict_npz(path: str | Path) -> ShapesFile:
    """Read ICT-FaceKit's neutral and expressions, packed in one npz of centimetres.

    Args:
        path: Holds `neutral [26719,3]`, `faces [F,4]` (-1 in the fourth place of triangles),
            `expression_names [E]`, `expression_deltas [E,26719,3]` and `landmarks68 [68]`.

    Raises:
        ValueError: If it holds anything else.
    """
    arrays = _read_arrays(path, "ICT-FaceKit", _ICT)
    neutral, names = arrays["neutral"], arrays["expression_names"].tolist()
    wanted = {
        "neutral": (_ICT_VERTICES, 3),
        "faces": (len(arrays["faces"]), 4),
        "expression_deltas": (len(names), _ICT_VERTICES, 3),
        "landmarks68": (68,),
    }
    _check_shapes("ICT-FaceKit", arrays, wanted)
    if len(set(names)) < len(names):
        raise ValueError("`expression_names` of ICT-FaceKit must differ from each other.")
    return ShapesFile(
        neutral=neutral.astype(np.float64),
        faces=_triangles(arrays["faces"].astype(np.int64)),
        deltas=dict(zip(names, arrays["expression_deltas"].astype(np.float64), strict=True)),
        landmarks=dict(enumerate(arrays["landmarks68"].tolist())),
        parts={part: np.arange(*span) for part, span in _ICT_PARTS.items()},
        unit_m=0.01,
    )


def read_gnm_npz(
    path: str | Path, landmarks: Mapping[int, int] | None = None, num_expr: int | None = None
) -> ShapesFile:
    """Read the mesh and the expressions of Google's GNM Head (`gnm_head.npz`), in metres.

    Its expressions are principal components of either sign: they are called `expr_0` and on, as
    FLAME's are, so that `fit` bounds them as such. Its people and its joints are left out.

    Args:
        path: Holds `template_vertex_positions [V,3]`, `triangles [T,3]`, `expression_basis
            [E,V,3]`, `vertex_groups [G,V]` and `vertex_group_names [G]`, among others.
        landmarks: Vertex ids by iBUG number, as `head_from_shapes` takes them; the file has none.
        num_expr: How many expressions to take; all if None.

    Raises:
        ValueError: If it holds anything else, or has not that many expressions.

    Source:
        The layout is that of github.com/google/GNM, gnm/shape/gnm_numpy.py, version 3.
    """
    arrays = _read_arrays(path, "GNM Head", _GNM)
    basis, groups = arrays["expression_basis"], arrays["vertex_groups"]
    count, names = len(arrays["template_vertex_positions"]), arrays["vertex_group_names"].tolist()
    wanted = {
        "template_vertex_positions": (count, 3),
        "triangles": (len(arrays["triangles"]), 3),
        "expression_basis": (len(basis), count, 3),
        "vertex_groups": (len(names), count),
    }
    _check_shapes("GNM Head", arrays, wanted)
    use = len(basis) if num_expr is None else num_expr
    if not 1 <= use <= len(basis):
        raise ValueError(f"`num_expr` must be 1 to {len(basis)}, got {use}.")
    parts = {
        ours: np.flatnonzero(groups[names.index(theirs)] > 0)
        for theirs, ours in _GNM_PARTS.items()
        if theirs in names
    }
    return ShapesFile(
        neutral=arrays["template_vertex_positions"].astype(np.float64),
        faces=arrays["triangles"].astype(np.int64),
        deltas={f"expr_{i}": basis[i].astype(np.float64) for i in range(use)},
        landmarks=landmarks,
        parts=parts,
        unit_m=1.0,
    )


def read_obj_folder(
    folder: str | Path,
    neutral: str = "neutral",
    *,
    unit_m: float = 1.0,
    landmarks: Mapping[int, int] | None = None,
    parts: Mapping[str, Int[Ids, " n"]] | None = None,
) -> ShapesFile:
    """Read a folder of OBJ meshes: a neutral, and one mesh a shape, named by its file.

    Args:
        folder: All its `.obj` files must have the neutral's vertices, in one order.
        neutral: The neutral's file without `.obj`.
        unit_m: Metres in a unit of the files.
        landmarks: As `head_from_shapes` takes them.
        parts: As `head_from_shapes` takes them.

    Raises:
        ValueError: If a file is missing, is no such mesh, or has other vertices.
    """
    folder = Path(folder)
    vertices, faces = _read_obj(folder / f"{neutral}.obj")
    deltas = {}
    for path in sorted(folder.glob("*.obj")):
        if path.stem == neutral:
            continue
        shape, _ = _read_obj(path)
        if shape.shape != vertices.shape:
            raise ValueError(
                f"{path.name} must have the neutral's {len(vertices)} vertices, got {len(shape)}."
            )
        deltas[path.stem] = shape - vertices
    return ShapesFile(vertices, faces, deltas, landmarks, parts or {}, unit_m)


def _read_obj(path: Path) -> tuple[Array, Ids]:
    """Vertices and triangles of one OBJ file."""
    check_size(path)
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            kind, *fields = line.split() or [""]
            if kind == "v":
                vertices.append([float(field) for field in fields[:3]])
            elif kind == "f":
                corners = [int(field.split("/")[0]) for field in fields]
                corners = [c - 1 if c > 0 else len(vertices) + c for c in corners]
                faces += [
                    [corners[0], *pair] for pair in zip(corners[1:], corners[2:], strict=False)
                ]
            if len(vertices) > MAX_VERTICES:
                raise ValueError(f"at most {MAX_VERTICES:,} vertices are read")
        return np.array(vertices).reshape(-1, 3), np.array(faces, dtype=np.int64).reshape(-1, 3)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path.name} is not an OBJ mesh: {one_line(error)}.") from error


def _read_arrays(
    path: str | Path, whose: str, wanted: Mapping[str, tuple[str, int]]
) -> dict[str, NDArray[Any]]:
    """The wanted arrays of an npz; each holds what it should, in as many dimensions."""
    arrays: dict[str, NDArray[Any]] = dict(read_npz(path))
    missing = [key for key in wanted if key not in arrays]
    if missing:
        raise ValueError(f"{str(path)!r} is not {whose} as npz: it lacks {missing}.")
    for key, (what, ndim) in wanted.items():
        array = arrays[key]
        if array.dtype.kind not in _KINDS[what] or array.ndim != ndim:
            raise ValueError(
                f"`{key}` of {whose} must hold {what} in {ndim} dimensions, got {array.dtype} in "
                f"{array.ndim}."
            )
    return {key: arrays[key] for key in wanted}


def _check_shapes(
    whose: str, arrays: Mapping[str, NDArray[Any]], wanted: Mapping[str, tuple[int, ...]]
) -> None:
    for key, shape in wanted.items():
        if arrays[key].shape != shape:
            raise ValueError(
                f"`{key}` of {whose} must be {list(shape)}, got {list(arrays[key].shape)}."
            )


def _triangles(faces: Ids) -> Ids:
    """Cut quads in two; triangles have -1 in the fourth place."""
    quads = faces[faces[:, 3] >= 0]
    return np.concatenate([faces[:, :3], quads[:, [0, 2, 3]]])
