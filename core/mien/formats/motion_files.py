"""Reading and writing a motion in the format that a file's extension names."""

from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from mien.formats.live_link import read_live_link, write_live_link
from mien.formats.llv import read_llv
from mien.motion import Motion
from mien.text import one_line

__all__ = ["READ_SUFFIXES", "WRITE_SUFFIXES", "read_motion", "write_motion"]

_READERS: dict[str, Callable[[str | Path], Motion]] = {
    ".csv": read_live_link,
    ".gesichter": read_llv,
    ".npz": Motion.load,
    ".safetensors": Motion.load,
}
_WRITERS: dict[str, Callable[[Motion, str | Path], None]] = {
    ".csv": write_live_link,
    ".npz": Motion.save,
    ".safetensors": Motion.save,
}
READ_SUFFIXES: tuple[str, ...] = tuple(_READERS)
WRITE_SUFFIXES: tuple[str, ...] = tuple(_WRITERS)


def read_motion(path: str | Path) -> Motion:
    """The motion in a `.csv` (Live Link Face), `.gesichter` (LLV), `.npz` or `.safetensors` file.

    Raises:
        ValueError: If the extension is another, or the file is not of its format.
    """
    reader = _READERS.get(Path(path).suffix.lower())
    if reader is None:
        raise ValueError(
            f"A motion is read from a file that ends in {', '.join(READ_SUFFIXES)}; "
            f"got {str(path)!r}."
        )
    return reader(path)


def write_motion(motion: Motion, path: str | Path) -> None:
    """Write a motion as `.csv` (Live Link Face), `.npz` or `.safetensors`; the whole file or none.

    Raises:
        ValueError: If the extension is another, or the format cannot hold this motion.
        OSError: If the file cannot be written.
    """
    writer = _WRITERS.get(Path(path).suffix.lower())
    if writer is None:
        raise ValueError(
            f"A motion is written to a file that ends in {', '.join(WRITE_SUFFIXES)}; "
            f"got {str(path)!r}."
        )
    try:
        writer(motion, path)
    except SafetensorError as error:  # all that safetensors says of a full disk
        raise OSError(f"{str(path)!r} cannot be written: {one_line(error)}.") from error
