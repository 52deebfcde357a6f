"""A clip as Gaussians: one splat PLY a frame, in a folder."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mien.apps.outputs import check_writable
from mien.apps.progress import say, track
from mien.apps.refusal import refusing
from mien.motion import Motion

MAX_FRAMES = 10_000


def splat_folder(output: Path) -> Path:
    """The folder that `NAME.ply` stands for: `NAME`, which must not hold anything yet.

    Raises:
        ValueError: If there is such a folder with files in it, or a file of that name, or no
            folder to make it in.

    Example:
        >>> splat_folder(Path("smile.ply"))
        PosixPath('smile')
    """
    folder = output.with_suffix("")
    if not folder.name or output.suffix.lower() != ".ply":
        raise ValueError(f"{output}: wanted NAME.ply, for a folder NAME of one PLY a frame.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: wanted a new or empty folder for the frames.")
    check_writable(output)
    return folder


def write_splat_frames(motion: Motion, output: Path, avatar_name: str = "adult") -> Path:
    """Write the avatar's Gaussians in every frame of a motion; the whole folder or none.

    Args:
        motion: Of the default head; its frame rate says when each file is shown.
        output: `NAME.ply`; the files are `NAME/00000.ply` and so on.
        avatar_name: A name from `mien avatar list`, or a folder.

    Returns:
        The folder.

    Raises:
        ValueError: If the motion is too long or for another head, the folder is in use, or there
            is no such avatar.
        Refusal: If the system cannot write (a full disk).
    """
    from mien import pipeline
    from mien.avatar.ply import write_ply

    if motion.num_frames > MAX_FRAMES:
        raise ValueError(
            f"At most {MAX_FRAMES} frames are written as splats, got {motion.num_frames}; cut or "
            "resample the clip."
        )
    folder = splat_folder(output)
    avatar = pipeline.load_avatar(avatar_name)
    with refusing(kinds=(OSError,)), _whole_folder(folder) as temporary:
        frames = track(avatar.drive(motion), motion.num_frames, "writing splats")
        for index, gaussians in enumerate(frames):
            write_ply(temporary / f"{index:05}.ply", gaussians)
    say(f"wrote {motion.num_frames} frames at {motion.fps:g} fps into {folder}")
    return folder


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends well."""
    temporary = folder.with_name(f".{folder.name[:100]}.{secrets.token_hex(6)}")
    temporary.mkdir()
    try:
        yield temporary
        if folder.exists():
            folder.rmdir()  # empty, or this is refused
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
