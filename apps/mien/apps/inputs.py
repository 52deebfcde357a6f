"""Clips that commands read: which formats there are, and what to say of the others."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.motion import Motion

READABLE = {
    ".csv": "Live Link Face",
    ".gesichter": "recording of the Live Link Face stream",
    ".npz": "Motion",
    ".safetensors": "Motion",
}
LATER = {
    ".flame.npz": "FLAME parameters",
    ".mp4": "video",
    ".mov": "video",
    ".avi": "video",
    ".mkv": "video",
    ".webm": "video",
}


def extension(path: Path) -> str:
    """The lower-case extension that decides a file's format: `.flame.npz` is one."""
    name = path.name.lower()
    return ".flame.npz" if name.endswith(".flame.npz") else Path(name).suffix


def check_input(path: Path) -> None:
    """Refuse what cannot be read, before anything heavy is loaded.

    Raises:
        ValueError: If the file is missing, no file, empty, or of a format that is not read.
    """
    if not path.exists():
        raise ValueError(f"{path}: there is no such file.")
    if not path.is_file():
        raise ValueError(f"{path}: wanted a file, got a folder or a device.")
    kind = extension(path)
    if kind not in READABLE:
        known = ", ".join(f"{k} ({v})" for k, v in READABLE.items())
        why = (
            f"{LATER[kind]} is not read yet" if kind in LATER else f"got {kind or 'no extension'}"
        )
        raise ValueError(f"{path}: wanted one of {known}; {why}.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty.")


def read_clip(path: Path) -> "Motion":
    """The motion in a file, at the file's own frame rate.

    Raises:
        ValueError: If the file is not a whole, valid clip of its format.
    """
    check_input(path)
    from mien.formats import read_motion

    return read_motion(path)
