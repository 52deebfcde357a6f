"""Whole files or none: atomic writing, bounded reading, and npz archives without pickle."""

import lzma
import os
import re
import secrets
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from mien.text import one_line

__all__ = ["check_size", "read_npz", "whole_file"]

MAX_FILE_BYTES = 256 * 2**20
MAX_ARRAY_BYTES = 2**30
_MAX_ARRAYS = 10_000
_MAX_NPY_HEADER = 2**16
_NPY_MAGIC = b"\x93NUMPY"
_NPY_HEADER = re.compile(
    r"\{'descr': '(?P<dtype>[<>|=]?[A-Za-z]\d{0,9})', 'fortran_order': (?P<order>True|False), "
    r"'shape': \((?P<shape>[\dL, ]*)\),? ?\}\s*"
)
_NPZ_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, OverflowError, IndexError, KeyError, UnicodeError),
)


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place when the block ends well.

    An error inside the block leaves neither the temporary file nor a changed `path`. The temporary
    name keeps the extension, since libraries choose their format by it.

    Raises:
        OSError: If the folder does not exist or cannot be written, or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"The output must be a file, but {str(path)!r} is a folder.")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {str(path.parent)!r} to write {path.name!r} in."
        )
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"The folder {str(path.parent)!r} cannot be written.")
    temporary = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(6)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_size(path: str | Path, max_bytes: int = MAX_FILE_BYTES) -> int:
    """The size of a file in bytes, known to be readable before anything is read.

    Raises:
        ValueError: If there is no such file, it is not a plain file, or it is above `max_bytes`.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"There is no file {str(path)!r}.")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} must be a file.")
    size = path.stat().st_size
    if size > max_bytes:
        raise ValueError(
            f"{str(path)!r} has {size / 2**20:,.0f} MB; "
            f"at most {max_bytes / 2**20:,.0f} MB are read."
        )
    return size


def read_npz(path: str | Path, max_bytes: int = MAX_ARRAY_BYTES) -> dict[str, NDArray[np.generic]]:
    """The arrays of an npz archive, never unpickling and never allocating more than it holds.

    Args:
        path: An archive as `numpy.savez` or `numpy.savez_compressed` writes it.
        max_bytes: The most bytes all arrays may take together.

    Raises:
        ValueError: If the file is not such an archive, holds objects, or is too large.
    """
    check_size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_entries(path, entries, max_bytes)
            return {
                entry.filename.removesuffix(".npy"): _read_npy(archive, entry) for entry in entries
            }
    except _NPZ_ERRORS as error:
        raise ValueError(
            f"{str(path)!r} is not a readable npz archive ({one_line(error)})."
        ) from error


def _check_entries(path: str | Path, entries: list[zipfile.ZipInfo], max_bytes: int) -> None:
    total = sum(entry.file_size for entry in entries)
    if total > max_bytes:
        raise ValueError(
            f"{str(path)!r} unpacks to {total / 2**20:,.0f} MB; "
            f"at most {max_bytes / 2**20:,.0f} MB are read."
        )
    names = {entry.filename for entry in entries}
    if len(names) < len(entries) or len(entries) > _MAX_ARRAYS:
        raise ValueError(
            f"{str(path)!r} must hold up to {_MAX_ARRAYS:,} arrays of different names, got "
            f"{len(entries):,} with {len(names):,} names."
        )


def _read_npy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[np.generic]:
    name = f"Array {one_line(entry.filename, 80)!r}"
    with archive.open(entry) as stream:
        shape, is_fortran, dtype = _read_npy_header(stream, name)
        data = stream.read()
    count = 1
    for size in shape:
        count *= size
    if count * dtype.itemsize != len(data):
        raise ValueError(
            f"{name} says {one_line(shape)} of {dtype}, which does not fit its {len(data)} bytes."
        )
    order: Literal["C", "F"] = "F" if is_fortran else "C"
    try:
        if not count:
            return np.zeros(shape, dtype)
        return np.ndarray(shape, dtype, bytearray(data), order=order)
    except (ValueError, TypeError) as error:  # too many dimensions
        raise ValueError(f"{name} cannot be read: {one_line(error)}.") from error


def _read_npy_header(
    stream: IO[bytes], name: str
) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, order and number type, read by a plain pattern: numpy's own parser runs Python's."""
    start = stream.read(8)
    version = tuple(start[6:8])
    if start[:6] != _NPY_MAGIC or version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} must be npy of version 1.0 or 2.0, got {one_line(start)}.")
    size = int.from_bytes(stream.read(2 if version == (1, 0) else 4), "little")
    text = stream.read(min(size, _MAX_NPY_HEADER)).decode("latin1")
    match = _NPY_HEADER.fullmatch(text)
    if match is None:
        raise ValueError(f"{name} has a header that is not read: {one_line(text, 80)!r}.")
    if match["dtype"].lstrip("<>|=").startswith("O"):
        raise ValueError(f"{name} holds Python objects; only plain numbers and text are read.")
    fields = match["shape"].replace("L", "").split(",")
    sizes = tuple(int(field[:20]) for field in fields if field.strip())
    try:
        dtype = np.dtype(match["dtype"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is of no known type: {match['dtype']!r}.") from error
    if dtype.kind not in "biufcSU" or not dtype.itemsize and dtype.kind not in "SU":
        raise ValueError(f"{name} must hold numbers or text, got {dtype}.")
    return sizes, match["order"] == "True", dtype
