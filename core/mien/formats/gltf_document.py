"""A glTF 2.0 document in the making, and the binary file (`.glb`) that holds it.

Numbers of one kind lie side by side in one buffer view, so that a rig with sixty morph targets
needs a handful of views.

Source:
    The glTF 2.0 specification, Khronos Group, sections 3.6 (binary data) and 4 (GLB).
"""

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from mien.files import whole_file

__all__ = ["GltfDocument"]

Lane = Literal["vertices", "indices", "plain", "image"]

_MAGIC, _VERSION = 0x46546C67, 2
_JSON_CHUNK, _BIN_CHUNK = 0x4E4F534A, 0x004E4942
_MAX_BYTES = 2**32 - 1  # a GLB's length is a 32-bit number
_TARGETS = {"vertices": 34962, "indices": 34963}
_COMPONENTS = {"f4": 5126, "u4": 5125, "u2": 5123, "u1": 5121}
_TYPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


@dataclass
class _View:
    lane: Lane
    stride: int
    data: bytearray = field(default_factory=bytearray)

    def append(self, data: bytes) -> int:
        """Add bytes at the next multiple of four and give their offset."""
        self.data += b"\0" * (-len(self.data) % 4)
        offset = len(self.data)
        self.data += data
        return offset


class GltfDocument:
    """JSON properties that grow, and the bytes they point to.

    Attributes:
        root: The document's JSON, but for buffers and buffer views.
    """

    def __init__(self, generator: str) -> None:
        self.root: dict[str, Any] = {"asset": {"version": "2.0", "generator": generator}}
        self._views: list[_View] = []
        self._zeros: dict[tuple[int, ...], int] = {}

    def add(self, kind: str, entry: dict[str, Any]) -> int:
        """Append to a top-level array such as "nodes"; gives the index there."""
        entries: list[dict[str, Any]] = self.root.setdefault(kind, [])
        entries.append(entry)
        return len(entries) - 1

    def add_accessor(
        self,
        array: NDArray[Any],
        lane: Lane = "plain",
        *,
        bounds: bool = False,
        normalized: bool = False,
    ) -> int:
        """Store an array, one element a row.

        Args:
            array: Of float32, uint32, uint16 or uint8; `[N]`, `[N, 2..4]` or `[N, 4, 4]`
                (matrices by column, as glTF has them).
            lane: What the numbers serve as.
            bounds: Also say least and greatest, which times and positions must.
            normalized: Whether integers stand for 0..1.
        """
        stride = array.dtype.itemsize * int(np.prod(array.shape[1:]))
        view, offset = self._store(np.ascontiguousarray(array).tobytes(), lane, stride)
        entry = _accessor(array, bounds) | {"bufferView": view, "byteOffset": offset}
        if normalized:
            entry["normalized"] = True
        return self.add("accessors", entry)

    def add_deltas(self, deltas: Float[NDArray[np.float32], "n 3"], sparse: bool = True) -> int:
        """Store a morph target's offsets, leaving out rows of zeros where that saves space."""
        ids = np.flatnonzero(deltas.any(1))
        if not len(ids):
            return self._zero_deltas(deltas)
        index_bytes = 2 if len(deltas) <= 2**16 else 4
        if not sparse or len(ids) * (12 + index_bytes) >= deltas.nbytes:
            return self.add_accessor(deltas, "vertices", bounds=True)
        return self._add_sparse(deltas, ids.astype(f"u{index_bytes}"))

    def add_image(self, data: bytes, mime_type: str, name: str) -> int:
        """Store an encoded image, PNG or JPEG."""
        view, _ = self._store(data, "image", 0)
        return self.add("images", {"bufferView": view, "mimeType": mime_type, "name": name})

    def save(self, path: str | Path) -> None:
        """Write the whole file or none.

        Raises:
            ValueError: If it would be larger than the format's 4 GB.
            OSError: If the file cannot be written.
        """
        binary, views = bytearray(), []
        for view in self._views:
            binary += b"\0" * (-len(binary) % 4)
            views.append(_view_entry(view, len(binary)))
            binary += view.data
        binary += b"\0" * (-len(binary) % 4)
        document = self.root | {"bufferViews": views, "buffers": [{"byteLength": len(binary)}]}
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + len(binary)
        if total > _MAX_BYTES:
            raise ValueError(
                f"A GLB holds at most 4 GB, but this needs {total / 2**30:.1f} GB; slice it."
            )
        with whole_file(path) as temporary, temporary.open("wb") as stream:
            stream.write(struct.pack("<III", _MAGIC, _VERSION, total))
            stream.write(struct.pack("<II", len(text), _JSON_CHUNK) + text)
            stream.write(struct.pack("<II", len(binary), _BIN_CHUNK))
            stream.write(binary)

    def _add_sparse(
        self, deltas: Float[NDArray[np.float32], "n 3"], ids: Int[NDArray[Any], " m"]
    ) -> int:
        ids_view, ids_offset = self._store(ids.tobytes(), "plain", ids.dtype.itemsize)
        view, offset = self._store(deltas[ids].tobytes(), "plain", 12)
        entry = _accessor(deltas, bounds=True)
        entry["sparse"] = {
            "count": len(ids),
            "indices": {
                "bufferView": ids_view,
                "byteOffset": ids_offset,
                "componentType": _COMPONENTS[ids.dtype.str[1:]],
            },
            "values": {"bufferView": view, "byteOffset": offset},
        }
        return self.add("accessors", entry)

    def _zero_deltas(self, deltas: Float[NDArray[np.float32], "n 3"]) -> int:
        """Give the one accessor of all targets without effect, as some loaders want data there."""
        if deltas.shape not in self._zeros:
            self._zeros[deltas.shape] = self.add_accessor(deltas, "vertices", bounds=True)
        return self._zeros[deltas.shape]

    def _store(self, data: bytes, lane: Lane, stride: int) -> tuple[int, int]:
        for index, view in enumerate(self._views):
            if (view.lane, view.stride) == (lane, stride) and lane != "image":
                return index, view.append(data)
        self._views.append(_View(lane, stride, bytearray(data)))
        return len(self._views) - 1, 0


def _accessor(array: NDArray[Any], bounds: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "componentType": _COMPONENTS[array.dtype.str[1:]],
        "count": len(array),
        "type": _TYPES[array.shape[1:]],
    }
    if bounds:
        entry["min"] = np.atleast_1d(array.min(0)).tolist()
        entry["max"] = np.atleast_1d(array.max(0)).tolist()
    return entry


def _view_entry(view: _View, offset: int) -> dict[str, Any]:
    entry = {"buffer": 0, "byteOffset": offset, "byteLength": len(view.data)}
    if view.lane in _TARGETS:
        entry["target"] = _TARGETS[view.lane]
    if view.lane == "vertices":
        entry["byteStride"] = view.stride
    return entry
