"""Whole files or none: atomic writing, bounded reading, and npz archives without pickle."""

import os
import secrets
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

__all__ = ["check_size", "read_npz", "whole_file"]

MAX_FILE_BYTES = 256 * 2**20
MAX_ARRAY_BYTES = 2**30


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
            total = sum(entry.file_size for entry in entries)
            if total > max_bytes:
                raise ValueError(
                    f"{str(path)!r} unpacks to {total / 2**20:,.0f} MB; "
                    f"at most {max_bytes / 2**20:,.0f} MB are read."
                )
            return {
                entry.filename.removesuffix(".npy"): _read_npy(archive, entry) for entry in entries
            }
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{str(path)!r} is not a readable npz archive ({error}).") from error


def _read_npy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[np.generic]:
    with archive.open(entry) as stream:
        version = npy_format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(
                f"Array {entry.filename!r} has npy version {version}; 1.0 or 2.0 is read."
            )
        read_header = (
            npy_format.read_array_header_1_0
            if version == (1, 0)
            else npy_format.read_array_header_2_0
        )
        shape, is_fortran, dtype = read_header(stream)
        if dtype.hasobject:
            raise ValueError(
                f"Array {entry.filename!r} holds Python objects; "
                "only plain numbers and text are read."
            )
        data = stream.read()
    count = 1
    for size in shape:
        count *= size
    if count * dtype.itemsize != len(data):
        raise ValueError(
            f"Array {entry.filename!r} says {shape} of {dtype}, which does not fit its "
            f"{len(data)} bytes."
        )
    order: Literal["C", "F"] = "F" if is_fortran else "C"
    return (
        np.ndarray(shape, dtype, bytearray(data), order=order) if count else np.zeros(shape, dtype)
    )
