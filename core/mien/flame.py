"""FLAME model files, `.pkl` and `.npz`, to plain arrays.

The licensed download is a Python 2 pickle of chumpy and scipy objects. It is read by
`mien.passive_pickle`, which runs nothing of what a file asks to run and needs neither library.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.files import check_size, read_npz
from mien.passive_pickle import load_passive, to_array

__all__ = ["read_flame"]

MAX_FILE_BYTES = 512 * 2**20
MAX_VERTICES = 200_000
MAX_COMPONENTS = 2_000
PARENTS = (-1, 0, 1, 1, 1)
_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights", "f")
_NUM_POSE_FEATURES = 36
_ONE_TOLERANCE = 1e-2


def read_flame(path: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays of a FLAME model (2017 to 2023 Open, or another head in the same format).

    Args:
        path: `.pkl` as downloaded, or `.npz` with the same names.

    Returns:
        `v_template [V,3]` metres, `shapedirs [V,3,C]`, `posedirs [V,3,36]`, `J_regressor [5,V]`
        dense, `kintree_table [2,5]`, `parents [5]`, `weights [V,5]`, all float64 or int64, and
        `f [F,3]`.

    Raises:
        ValueError: If the file is not such a model, or asks for anything but arrays.
    """
    path = Path(path)
    check_size(path, MAX_FILE_BYTES)
    suffix = path.suffix.lower()
    if suffix not in (".pkl", ".npz"):
        raise ValueError(f"A FLAME model is a .pkl or .npz file, got {str(path)!r}.")
    try:
        found = _from_pickle(path.read_bytes()) if suffix == ".pkl" else _from_npz(path)
        return _checked(found)
    except (ValueError, OverflowError, zlib.error) as error:
        raise ValueError(f"{str(path)!r} is not a FLAME model: {error}") from error


def _from_npz(path: Path) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = dict(read_npz(path))
    _require(arrays)
    return {key: arrays[key] for key in _KEYS}


def _from_pickle(data: bytes) -> dict[str, NDArray[Any]]:
    content = load_passive(data)
    if not isinstance(content, dict):
        raise ValueError(f"it must hold a dictionary, got {type(content).__name__}.")
    named = {
        key.decode("latin1") if isinstance(key, bytes) else key: value
        for key, value in content.items()
    }
    _require(named)
    arrays = {}
    for key in _KEYS:
        try:
            arrays[key] = to_array(named[key])
        except (ValueError, IndexError) as error:
            raise ValueError(f"`{key}`: {error}.") from error
    return arrays


def _require(named: dict[Any, Any]) -> None:
    missing = [key for key in _KEYS if key not in named]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}.")


def _checked(found: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays as float64 and int64, known to hold together."""
    for key, array in found.items():
        if array.dtype.kind not in "iuf":
            raise ValueError(f"`{key}` must hold numbers, got {array.dtype}.")
        if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
            raise ValueError(f"`{key}` must be finite.")
    count, components, num_joints = _sizes(found)
    _check_shape(found, "v_template", (count, 3))
    _check_shape(found, "shapedirs", (count, 3, components))
    _check_shape(found, "posedirs", (count, 3, _NUM_POSE_FEATURES))
    _check_shape(found, "J_regressor", (num_joints, count))
    _check_shape(found, "weights", (count, num_joints))
    _check_shape(found, "kintree_table", (2, num_joints))
    _check_shape(found, "f", (len(found["f"]), 3))
    integers = {key: _integers(key, found[key]) for key in ("kintree_table", "f")}
    parents = _parents(integers["kintree_table"])
    _check_rows_sum_to_one("weights", found["weights"])
    faces = integers["f"]
    if not len(faces) or faces.min() < 0 or faces.max() >= count:
        raise ValueError(f"`f` must name vertices 0 to {count - 1}.")
    floats = {key: found[key].astype(np.float64) for key in _KEYS if key not in integers}
    return {**floats, **integers, "parents": parents}


def _sizes(found: dict[str, NDArray[Any]]) -> tuple[int, int, int]:
    shape = found["shapedirs"].shape
    if len(shape) != 3 or not 0 < shape[0] <= MAX_VERTICES or not 0 < shape[2] <= MAX_COMPONENTS:
        raise ValueError(
            f"`shapedirs` must be [V, 3, C] with up to {MAX_VERTICES:,} vertices and "
            f"{MAX_COMPONENTS:,} components, got {list(shape)}."
        )
    return shape[0], shape[2], len(PARENTS)


def _check_shape(found: dict[str, NDArray[Any]], key: str, wanted: tuple[int, ...]) -> None:
    came = found[key].shape
    if came != wanted:
        raise ValueError(f"`{key}` must be {list(wanted)}, got {list(came)}.")


def _integers(key: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype.kind == "f" and np.any(array != np.rint(array)):
        raise ValueError(f"`{key}` must hold whole numbers.")
    whole: NDArray[np.int64] = array.astype(np.int64)
    return whole


def _parents(kintree_table: NDArray[np.int64]) -> NDArray[np.int64]:
    """The parent of each joint; the root's is any number, 2**32 - 1 in FLAME's own files."""
    parents: NDArray[np.int64] = kintree_table[0].copy()
    parents[0] = -1
    if tuple(parents.tolist()) != PARENTS:
        raise ValueError(
            f"the joints must hang together as FLAME's, parents {list(PARENTS)}, "
            f"got {parents.tolist()}."
        )
    return parents


def _check_rows_sum_to_one(key: str, array: NDArray[Any]) -> None:
    error = np.abs(array.sum(axis=1) - 1).max()
    if error > _ONE_TOLERANCE:
        raise ValueError(f"rows of `{key}` must sum to one, one is off by {error:.2g}.")
