"""Clips that commands read: which formats there are, and what to say of the others."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.head import Head
    from mien.motion import Motion

MIN_FRAMES = 2  # a single picture does not move
_ANGLES = (-7.0, 7.0, "angles in radians")  # a turn and a little
REACH = {  # lowest, highest, what is wanted; units as in `mien.arkit`
    "expr": (-1.0, 2.0, "units from 0 to 1"),
    **dict.fromkeys(("jaw_pose", "neck_pose", "global_pose", "eye_pose"), _ANGLES),
    "translation": (-100.0, 100.0, "metres"),
}
VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
READABLE = {
    ".csv": "Live Link Face",
    ".gesichter": "recording of the Live Link Face stream",
    ".npz": "Motion",
    ".safetensors": "Motion",
    ".curves.json": "ARKit curves",
    ".flame.npz": "FLAME parameters",
    **dict.fromkeys(VIDEOS, "video"),
}
COMPOUND = (".flame.npz", ".curves.json", ".curves.png")


def extension(path: Path) -> str:
    """The lower-case extension that decides a file's format: `.flame.npz` is one."""
    name = path.name.lower()
    return next((kind for kind in COMPOUND if name.endswith(kind)), Path(name).suffix)


def check_input(path: Path, kinds: Collection[str] = tuple(READABLE)) -> None:
    """Refuse what cannot be read, before anything heavy is loaded.

    Args:
        path: What the user gave.
        kinds: Extensions that the command reads.

    Raises:
        ValueError: If the file is missing, no file, empty, or of a format that is not read.
    """
    check_file(path)
    kind = extension(path)
    if kind not in kinds:
        known = ", ".join(f"{k} ({READABLE[k]})" if k in READABLE else k for k in kinds)
        why = f"got {kind or 'no extension'}"
        raise ValueError(f"{path}: wanted one of {known}; {why}.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty.")


def check_file(path: Path) -> None:
    """Refuse a path where there is no file, with a ValueError."""
    if not path.exists():
        raise ValueError(f"{path}: there is no such file.")
    if not path.is_file():
        raise ValueError(f"{path}: wanted a file, got a folder or a device.")


def read_clip(path: Path, flame: "Head | None" = None, *, has_head: bool = False) -> "Motion":
    """The motion in a file, at the file's own frame rate.

    Args:
        path: What the user gave.
        flame: The model that FLAME parameters are for.
        has_head: Whether the command has `--head`, to say so where `flame` is missing.

    Raises:
        ValueError: If the file is not a whole, valid clip of its format, is for another head, or
            has a single frame.
    """
    check_input(path)
    from mien.arkit import EXPR_NAMES
    from mien.formats import read_motion
    from mien.formats.curves_json import read_curves_json
    from mien.formats.flame_params import holds_flame_params, read_flame_params

    kind = extension(path)
    if kind in VIDEOS:
        from mien.apps.track import track_video

        motion = track_video(path)
    elif kind == ".curves.json":
        motion = read_curves_json(path)
    elif kind == ".flame.npz" or (kind == ".npz" and holds_flame_params(path)):
        if flame is None:
            option = "--head FLAME2023.pkl"
            advice = option if has_head else f"mien convert {path.name} MOTION.npz {option}, first"
            raise ValueError(f"{path}: FLAME parameters need the model they are for: {advice}.")
        motion = read_flame_params(path, flame)
    else:
        motion = read_motion(path)
    if motion.head != "mien" or motion.num_expr != len(EXPR_NAMES):
        raise ValueError(
            f"{path}: wanted a motion of the default head with {len(EXPR_NAMES)} expression "
            f"components, got one of {motion.head!r} with {motion.num_expr}."
        )
    if motion.num_frames < MIN_FRAMES:
        raise ValueError(f"{path}: wanted at least {MIN_FRAMES} frames, got {motion.num_frames}.")
    _check_reach(path, motion)
    return motion


def _check_reach(path: Path, motion: "Motion") -> None:
    """Refuse numbers that no face reaches: percentages, degrees, millimetres."""
    for track, (low, high, wanted) in REACH.items():
        values = getattr(motion, track)
        strays = values[(values < low) | (values > high)]
        if len(strays):
            raise ValueError(f"{path}: wanted {wanted}, got {float(strays[0]):g} in `{track}`.")


def load_flame(path: Path | None) -> "Head | None":
    """The FLAME model that a user named.

    Raises:
        ValueError: If the file is not there or holds no FLAME head with known face points.
    """
    if path is None:
        return None
    check_file(path)
    from mien.head import Head

    head = Head.load(path)
    if head.points is None:
        raise ValueError(
            f"{path}: wanted a head of FLAME's 5023 vertices, got {head.num_vertices}."
        )
    return head
