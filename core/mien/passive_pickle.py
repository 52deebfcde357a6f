"""Pickles read as plain data: arrays come out, and nothing in the file can run.

A pickle is a program that may call whatever it names. Here every name is looked up in a short
table of our own; its entries make passive objects that only keep what they were given. Neither
numpy's, scipy's nor chumpy's own classes are ever called, and chumpy need not exist. Names outside
the table, persistent ids and extension codes are refused before or at the moment they appear.

All entries are classes, not functions: a pickle can write attributes onto a function it named.
"""

import io
import pickle
import pickletools
import re
import struct
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_passive", "to_array"]

MAX_OPCODES = 5_000_000
MAX_SPARSE_CELLS = 2**26
_NUMBER_SPEC = re.compile(r"[<>=|]?[biuf](?:1|2|4|8)")
_CHUMPY_MODULE = re.compile(r"chumpy(\.[A-Za-z_]+)*")
_REFUSED_OPCODES = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "INST", "OBJ"}
_LOAD_ERRORS = (
    *(pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError),
    *(TypeError, ValueError, OverflowError, MemoryError, RecursionError, struct.error),
)


class _Passive:
    """Keeps the arguments and the state that a pickle gives it, and does nothing with them."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> "_Passive":
        made = object.__new__(cls)
        made.args = args
        made.state = None
        return made

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Passive):
    """`numpy.ndarray`: state is (version, shape, dtype, is_fortran, data)."""


class _Buffer(_Passive):
    """`numpy._core.numeric._frombuffer`: args are (data, dtype, shape, order)."""


class _Dtype(_Passive):
    """`numpy.dtype`: args begin with a spec such as 'f8', state[1] is the byte order."""


class _Scalar(_Passive):
    """A number of numpy's: args are (dtype, data)."""


class _Compressed(_Passive):
    """A sparse matrix by columns or rows; see `_by_rows` for which."""


class _ByColumn(_Compressed):
    pass


class _ByRow(_Compressed):
    pass


class _Coordinates(_Passive):
    """A sparse matrix as row, column and value."""


class _Chumpy(_Passive):
    """`chumpy.ch.Ch`: state['x'] is the array."""


class _ChumpySelect(_Passive):
    """`chumpy.reordering.Select`: entries `idxs` of the array `a`, in a preferred shape."""


class _OtherChumpy(_Passive):
    """Any other class of chumpy's: kept, so that files with more than arrays load, never read."""


class _Base(_Passive):
    """`object`, which is only ever named as a base."""


class _ReconstructArray(_Passive):
    """`numpy.core.multiarray._reconstruct`."""

    def __new__(cls, kind: Any, shape: Any, code: Any) -> Any:
        if kind is not _Array:
            raise ValueError("numpy's _reconstruct may make plain arrays only")
        return _Array()


class _ReconstructObject(_Passive):
    """`copyreg._reconstructor`."""

    def __new__(cls, kind: Any, base: Any, state: Any) -> Any:
        is_passive = isinstance(kind, type) and issubclass(kind, _Passive)
        if not is_passive or base is not _Base or state is not None:
            raise ValueError("copyreg's _reconstructor may make arrays only")
        return kind()


class _Encode(_Passive):
    """`_codecs.encode`, by which Python 3 writes bytes under protocol 2."""

    def __new__(cls, text: Any, encoding: Any) -> Any:
        if not isinstance(text, str) or encoding != "latin1":
            raise ValueError("_codecs.encode may make bytes from latin1 text only")
        return text.encode("latin1")


class _Bytes(_Passive):
    """`bytes`, by which Python 3 writes empty ones under protocol 2."""

    def __new__(cls) -> Any:
        return b""


def _table() -> dict[tuple[str, str], type[_Passive]]:
    """All names that a pickle may use, and what stands for them here."""
    table: dict[tuple[str, str], type[_Passive]] = {
        ("_codecs", "encode"): _Encode,
        ("chumpy.ch", "Ch"): _Chumpy,
        ("chumpy.reordering", "Select"): _ChumpySelect,
        ("numpy", "dtype"): _Dtype,
        ("numpy", "ndarray"): _Array,
    }
    for module in ("numpy.core", "numpy._core"):
        table[module + ".multiarray", "_reconstruct"] = _ReconstructArray
        table[module + ".multiarray", "scalar"] = _Scalar
        table[module + ".numeric", "_frombuffer"] = _Buffer
    for module in ("copy_reg", "copyreg"):
        table[module, "_reconstructor"] = _ReconstructObject
    for module in ("__builtin__", "builtins"):
        table[module, "object"] = _Base
        table[module, "bytes"] = _Bytes
        table[module, "set"] = table[module, "frozenset"] = _OtherChumpy
    kinds = {"csc": _ByColumn, "csr": _ByRow, "coo": _Coordinates}
    for name, kind in kinds.items():
        for module in (f"scipy.sparse.{name}", f"scipy.sparse._{name}"):
            table[module, f"{name}_matrix"] = table[module, f"{name}_array"] = kind
    return table


_TABLE = _table()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _TABLE.get((module, name))
        if found is None and _CHUMPY_MODULE.fullmatch(module) and name.isidentifier():
            found = _OtherChumpy
        if found is None:
            raise pickle.UnpicklingError(
                f"it asks for {module[:60]}.{name[:60]}, but only arrays of numpy, scipy.sparse "
                "and chumpy are read; nothing in it was run"
            )
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")


def load_passive(data: bytes) -> Any:
    """The object a pickle describes, with passive objects in place of arrays (see `to_array`).

    Args:
        data: A pickle of any protocol, of Python 2 (text as latin1) or 3.

    Raises:
        ValueError: If it names anything but array classes, or is not a pickle. Nothing has run.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in strings
            _check_opcodes(data)
            return _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except _LOAD_ERRORS as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"The pickle is refused: {text[:300]}.") from error


def _check_opcodes(data: bytes) -> None:
    """Refuse, before anything is built, sizes that lie and opcodes that arrays do not need."""
    try:
        for count, (opcode, argument, _position) in enumerate(pickletools.genops(data)):
            if count > MAX_OPCODES:
                raise ValueError(f"more than {MAX_OPCODES:,} steps")
            if opcode.name in _REFUSED_OPCODES:
                raise ValueError(f"opcode {opcode.name} is not needed for arrays")
            if opcode.name.endswith("PUT") and int(argument or 0) > len(data):
                raise ValueError(f"memo entry {argument} in {len(data)} bytes")
    except _LOAD_ERRORS as error:
        raise ValueError(f"The pickle is refused: {str(error)[:200]}.") from error


def to_array(value: Any) -> NDArray[Any]:
    """The array that a passive object holds: dense numbers, whatever wrapped them.

    Raises:
        ValueError: If it is not an array of numbers, or does not hold together.
    """
    if isinstance(value, _Chumpy):
        return to_array(_item(value, "x"))
    if isinstance(value, _ChumpySelect):
        indices = to_array(_item(value, "idxs")).ravel()
        chosen: NDArray[Any] = to_array(_item(value, "a")).ravel()[indices]
        return chosen.reshape(_selected_shape(value))
    if isinstance(value, _Compressed):
        return _from_compressed(value)
    if isinstance(value, _Coordinates):
        return _from_coordinates(value)
    if isinstance(value, _Scalar) and len(value.args) == 2:
        return _from_bytes((), value.args[0], value.args[1], False)
    if isinstance(value, _Array) and isinstance(value.state, tuple) and len(value.state) == 5:
        _version, shape, dtype, is_fortran, data = value.state
        return _from_bytes(shape, dtype, data, bool(is_fortran))
    if isinstance(value, _Buffer) and len(value.args) == 4:
        data, dtype, shape, order = value.args
        return _from_bytes(shape, dtype, data, order == "F")
    if isinstance(value, int | float):
        return np.asarray(value)
    raise ValueError(f"an array of numbers is wanted, got {type(value).__name__.strip('_')}")


def _item(value: _Passive, key: str) -> Any:
    state = value.state
    if not isinstance(state, dict) or key not in state:
        raise ValueError(f"a {type(value).__name__.strip('_')} without {key!r}")
    return state[key]


def _selected_shape(value: _Passive) -> tuple[int, ...]:
    shape = value.state.get("preferred_shape")
    return (-1,) if shape is None else _shape(shape)


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, tuple | list) else (shape,)
    plain = tuple(int(to_array(size)) if isinstance(size, _Passive) else size for size in sizes)
    if len(plain) > 8 or not all(isinstance(size, int) and size >= 0 for size in plain):
        raise ValueError(f"{str(shape)[:60]} is not the shape of an array")
    return plain


def _from_bytes(shape: Any, dtype: Any, data: Any, is_fortran: bool) -> NDArray[Any]:
    sizes, number = _shape(shape), _number(dtype)
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(data, bytes | bytearray):
        raise ValueError(f"array data must be bytes, got {type(data).__name__}")
    count = 1
    for size in sizes:
        count *= size
    if count * number.itemsize != len(data):
        raise ValueError(f"{sizes} of {number} does not fit {len(data)} bytes")
    flat = np.frombuffer(data, number).astype(number.newbyteorder("="))
    array: NDArray[Any] = flat.reshape(sizes, order="F" if is_fortran else "C")
    return array


def _number(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, _Dtype) or not dtype.args:
        raise ValueError("an array without a number type")
    spec, state = dtype.args[0], dtype.state
    if not isinstance(spec, str) or _NUMBER_SPEC.fullmatch(spec) is None:
        raise ValueError(f"arrays must hold numbers, got {str(spec)[:20]!r}")
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
    if not isinstance(order, str) or order not in ("<", ">", "=", "|"):
        raise ValueError(f"{order!r} is not a byte order")
    try:
        return np.dtype(order + spec.lstrip("<>=|") if order != "|" else spec)
    except TypeError as error:
        raise ValueError(f"{spec!r} is not a number type") from error


def _sparse_shape(value: _Passive) -> tuple[int, int]:
    state = value.state if isinstance(value.state, dict) else {}
    shape = _shape(state.get("_shape", state.get("shape", ())))
    if len(shape) != 2 or shape[0] * shape[1] > MAX_SPARSE_CELLS:
        raise ValueError(f"{shape} is not the shape of a sparse matrix that is read")
    return shape[0], shape[1]


def _from_compressed(value: _Compressed) -> NDArray[Any]:
    rows, columns = _sparse_shape(value)
    major, minor = (columns, rows) if isinstance(value, _ByColumn) else (rows, columns)
    starts, inner = to_array(_item(value, "indptr")), to_array(_item(value, "indices"))
    numbers = to_array(_item(value, "data"))
    if starts.shape != (major + 1,) or starts[0] != 0 or np.any(np.diff(starts) < 0):
        raise ValueError("a sparse matrix whose indptr does not hold together")
    counts = np.diff(starts).astype(np.int64)
    if int(counts.sum()) != len(numbers):
        raise ValueError("a sparse matrix whose indptr does not hold together")
    outer = np.repeat(np.arange(major), counts)
    dense = _scatter(major, minor, outer, inner, numbers)
    return dense.T.copy() if isinstance(value, _ByColumn) else dense


def _from_coordinates(value: _Coordinates) -> NDArray[Any]:
    rows, columns = _sparse_shape(value)
    if isinstance(value.state, dict) and "coords" in value.state:
        pair = value.state["coords"]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError("a sparse matrix needs two coordinates")
        row, column = (to_array(each) for each in pair)
    else:
        row, column = to_array(_item(value, "row")), to_array(_item(value, "col"))
    return _scatter(rows, columns, row, column, to_array(_item(value, "data")))


def _scatter(
    rows: int, columns: int, row: NDArray[Any], column: NDArray[Any], numbers: NDArray[Any]
) -> NDArray[Any]:
    dense = np.zeros((rows, columns))
    for index, size in ((row, rows), (column, columns)):
        is_plain = index.dtype.kind in "iu" and index.shape == numbers.shape and index.ndim == 1
        if not is_plain or (len(index) and not 0 <= int(index.min()) <= int(index.max()) < size):
            raise ValueError("a sparse matrix whose indices lie outside it")
    np.add.at(dense, (row.astype(np.int64), column.astype(np.int64)), numbers)
    return dense
