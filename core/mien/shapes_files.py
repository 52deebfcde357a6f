"""Heads as files of shapes: a folder of OBJ meshes, or ICT-FaceKit packed as npz."""

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

__all__ = ["ShapesFile", "read_ict_npz", "read_obj_folder"]

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

MAX_VERTICES = 200_000
_ICT_KEYS = ("neutral", "faces", "expression_names", "expression_deltas", "landmarks68")
_ICT_VERTICES = 26719
_ICT_PARTS = {  # vertex ranges, from ICT-FaceKit's README: face, head and neck; the eyeballs
    "skin": (0, 11248),
    "eye_left": (21451, 23021),
    "eye_right": (23021, 24591),
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
    arrays: dict[str, NDArray[Any]] = dict(read_npz(path))
    missing = [key for key in _ICT_KEYS if key not in arrays]
    if missing:
        raise ValueError(f"{str(path)!r} is not ICT-FaceKit as npz: it lacks {missing}.")
    neutral, names = arrays["neutral"], arrays["expression_names"].tolist()
    wanted = {
        "neutral": (_ICT_VERTICES, 3),
        "faces": (len(arrays["faces"]), 4),
        "expression_deltas": (len(names), _ICT_VERTICES, 3),
        "landmarks68": (68,),
    }
    for key, shape in wanted.items():
        if arrays[key].shape != shape:
            raise ValueError(
                f"`{key}` of ICT-FaceKit must be {list(shape)}, got {list(arrays[key].shape)}."
            )
    return ShapesFile(
        neutral=neutral.astype(np.float64),
        faces=_triangles(arrays["faces"].astype(np.int64)),
        deltas=dict(zip(names, arrays["expression_deltas"].astype(np.float64), strict=True)),
        landmarks=dict(enumerate(arrays["landmarks68"].tolist())),
        parts={part: np.arange(*span) for part, span in _ICT_PARTS.items()},
        unit_m=0.01,
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


def _triangles(faces: Ids) -> Ids:
    """Cut quads in two; triangles have -1 in the fourth place."""
    quads = faces[faces[:, 3] >= 0]
    return np.concatenate([faces[:, :3], quads[:, [0, 2, 3]]])
