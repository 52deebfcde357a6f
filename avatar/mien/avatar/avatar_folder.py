"""An avatar's folder, written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from mien.avatar.avatar import Avatar
from mien.avatar.avatar_file import SUFFIX

_CARD = "card.json"


def check_avatar_folder(folder: str | Path) -> Path:
    """Refuse a path where an avatar cannot be written, before any work is done.

    Raises:
        ValueError: If the name does not end in `.avatar`, or something else than an avatar is
            there, or the folder around it is missing or cannot be written.
    """
    path = Path(folder)
    if path.suffix != SUFFIX or not path.stem:
        raise ValueError(f"An avatar's folder ends in {SUFFIX}, got {path.name!r}.")
    if path.is_symlink() or (path.exists() and not (path / _CARD).is_file()):
        raise ValueError(f"{str(path)!r} is there and is no avatar; it is not replaced.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {str(path.parent)!r} to write {path.name!r} in.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"The folder {str(path.parent)!r} cannot be written.")
    return path


def save_whole(avatar: Avatar, folder: str | Path) -> None:
    """Write an avatar's folder beside its place, then put it there; an earlier avatar is replaced.

    Raises:
        ValueError: As `check_avatar_folder`.
        OSError: If the system cannot write it; then nothing is left.
    """
    path = check_avatar_folder(folder)
    beside = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(6)}{SUFFIX}")
    before = beside.with_suffix(".before")
    try:
        avatar.save(beside)
        if path.exists():
            os.replace(path, before)
        os.replace(beside, path)
    except BaseException:
        if before.exists() and not path.exists():
            os.replace(before, path)
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)
