"""FLAME parameter files: motion taken from FLAME's tools, and given to them.

See `mien.formats.flame_layouts` for the layouts and where they come from. A file says nothing of
the model itself, so all functions take the FLAME head (`Head.load("FLAME2023.pkl")`).
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mien.arkit import EXPR_NAMES
from mien.files import read_npz, whole_file
from mien.fit import FitResult
from mien.formats.flame_layouts import EXPRESSION_NAMES, FlameTracks, tracks_from_arrays
from mien.head import Head
from mien.motion import Motion
from mien.retarget import points_of, retarget, retarget_points, with_fewer_components
from mien.rotations import (
    rot6d_to_rotmat,
    rotmat_to_rot6d,
    rotmat_to_rotvec,
    rotvec_to_rotmat,
)

__all__ = [
    "FlameTake",
    "WriteLayout",
    "fit_flame_params",
    "holds_flame_params",
    "load_flame_params",
    "read_flame_params",
    "write_flame_params",
]

WriteLayout = Literal["gaussian_avatars", "deca", "smirk", "pixel3dmm"]
MAX_BYTES = 256 * 2**20
DEFAULT_FPS = 25.0
_LONGEST_REASON = 500  # letters: names in a file may be of any length
_NUM_EXPR = {"deca": 50, "smirk": 50}
_BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")


@dataclass(frozen=True, eq=False)
class FlameTake:
    """What a file of FLAME parameters holds.

    Attributes:
        motion: Of the FLAME head.
        eyelids: How far the left and right eye are closed beyond that, 0 to 1, or None: SMIRK and
            Pixel3DMM close lids by directions that are no part of FLAME.
        layout: Whose file it is.
    """

    motion: Motion
    eyelids: Float[Tensor, "t 2"] | None
    layout: str


def holds_flame_params(path: str | Path) -> bool:
    """Whether an `.npz` holds FLAME parameters rather than a `Motion`, by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return False
    return "header" not in names and bool(names & EXPRESSION_NAMES)


def load_flame_params(
    path: str | Path, head: Head, *, fps: float | None = None, layout: str | None = None
) -> FlameTake:
    """The FLAME parameters in an `.npz`, as a motion of the FLAME head.

    Args:
        path: An archive of arrays; never unpickled.
        head: The FLAME model that they are for.
        fps: Frames a second; what the file says if None, else 25. Most tools do not store it.
        layout: One of `LAYOUTS` or `plain`; found out by keys and shapes if None.

    Raises:
        ValueError: If the file is not of a known layout, is ambiguous, damaged or too large, or
            has more components than the head. The message is one line.
    """
    try:
        tracks = tracks_from_arrays(read_npz(path, MAX_BYTES), layout)
        return _take(tracks, head, fps)
    except (ValueError, OverflowError, zlib.error) as error:
        text = " ".join(str(error).split())[:_LONGEST_REASON].rstrip(".")
        named = (
            text
            if str(path) in text
            else f"{str(path)!r} cannot be read as FLAME parameters: {text}"
        )
        raise ValueError(f"{named}.") from error


def read_flame_params(
    path: str | Path, head: Head, *, fps: float | None = None, layout: str | None = None
) -> Motion:
    """The motion in a file of FLAME parameters, for the default head; see `load_flame_params`."""
    return fit_flame_params(path, head, fps=fps, layout=layout).motion


def fit_flame_params(
    path: str | Path,
    head: Head,
    target: Head | None = None,
    *,
    fps: float | None = None,
    layout: str | None = None,
) -> FitResult:
    """As `read_flame_params`, with errors, and for any head.

    Lids that the file closes beyond FLAME's expression are closed by as much of the default
    head's blink.

    Args:
        path: See `load_flame_params`.
        head: The FLAME model.
        target: Whose motion it becomes; the default head's if None.
        fps: See `load_flame_params`.
        layout: See `load_flame_params`.

    Raises:
        ValueError: As `load_flame_params`, or if a head carries no face points.
    """
    take = load_flame_params(path, head, fps=fps, layout=layout)
    points = points_of(take.motion, head)
    if take.eyelids is not None:
        points = points + _closed_lids(take.eyelids).to(points)
    return retarget_points(take.motion, points, head, target or Head.default())


def write_flame_params(
    path: str | Path,
    motion: Motion,
    head: Head,
    *,
    layout: WriteLayout = "gaussian_avatars",
    num_expr: int | None = None,
    shape: Float[Tensor, " s"] | None = None,
) -> FitResult | None:
    """Write a motion as FLAME parameters; the whole file or none.

    Args:
        path: `.npz`.
        motion: Of the default head, which is retargeted, or of this FLAME head.
        head: The FLAME model to write for.
        layout: Whose names and shapes.
        num_expr: How many expression components to fit; if None, 50 for DECA and SMIRK, as they
            have, else all. A FLAME motion keeps its own.
        shape: Who the FLAME head is; the mean if None. A FLAME motion keeps its own.

    Returns:
        What the retargeting found, with its errors; None if there was none to do.

    Raises:
        ValueError: If the motion is of another head, or the layout is none of those known.
        OSError: If the file cannot be written.
    """
    if Path(path).suffix.lower() != ".npz":
        raise ValueError(f"FLAME parameters are written to an .npz file, got {str(path)!r}.")
    if layout not in _WRITERS:
        raise ValueError(f"The layout must be one of {', '.join(_WRITERS)}, got {layout!r}.")
    result = None
    if motion.head != head.name:
        count = min(_NUM_EXPR.get(layout, head.num_expr), head.num_expr)
        use = with_fewer_components(head, count if num_expr is None else num_expr)
        result = retarget(motion, _default_for(motion), use, shape=shape)
        motion = result.motion
    arrays = _WRITERS[layout](motion, head)
    with whole_file(path) as temporary:
        plain = {key: _float32(value) for key, value in arrays.items()}
        np.savez_compressed(temporary, fps=np.float64(motion.fps), **plain)  # type: ignore[arg-type]
    return result


def _take(tracks: FlameTracks, head: Head, fps: float | None) -> FlameTake:
    """The tracks as a motion of the head."""
    like = head.v_template
    num_frames, num_expr = tracks.expr.shape
    _check_count("expression", num_expr, head.num_expr)
    if tracks.shape is not None:
        _check_count("shape", len(tracks.shape), head.num_shape)
    shape = None if tracks.shape is None else _tensor(tracks.shape, like)
    turns = {name: _tensor(turn, like) for name, turn in tracks.turns.items()}
    is_rows = tracks.layout == "pixel3dmm"
    if is_rows:
        turns = {name: _rotvecs_from_rows(turn) for name, turn in turns.items()}
    still = like.new_zeros(num_frames, 3)
    expr = _tensor(tracks.expr, like)
    shift = still if tracks.translation is None else _tensor(tracks.translation, like)
    rotation = turns.get("rotation", still)
    if is_rows:
        shift = shift + _root_shift(rotation, head, shape, expr)
    motion = Motion(
        fps=fps or tracks.fps or DEFAULT_FPS,
        expr=expr,
        jaw_pose=turns.get("jaw", still),
        neck_pose=turns.get("neck", still),
        global_pose=rotation,
        eye_pose=turns.get("eyes", still.repeat(1, 2)),
        translation=shift,
        shape=shape,
        head=head.name,
    )
    eyelids = None if tracks.eyelids is None else _tensor(tracks.eyelids, like).clamp(0, 1)
    return FlameTake(motion, eyelids, tracks.layout)


def _check_count(what: str, came: int, most: int) -> None:
    if came > most:
        raise ValueError(f"it has {came} {what} components, but the head has {most}")


def _closed_lids(eyelids: Tensor) -> Tensor:
    """How far the face points move when the default head blinks that much, `[T, K, 3]`."""
    head = Head.default()
    rest = Motion.rest(len(eyelids), head.num_expr)
    expr = rest.expr.clone()
    for column, name in enumerate(_BLINKS):
        expr[:, EXPR_NAMES.index(name)] = eyelids[:, column].to(expr)
    return points_of(rest.replace(expr=expr), head)


def _root_shift(rotation: Tensor, head: Head, shape: Tensor | None, expr: Tensor) -> Tensor:
    """How far a turn about the origin takes the root joint, `[T, 3]`."""
    root = head.joints(shape, expr)[:, 0]
    return (rotvec_to_rotmat(rotation) @ root[..., None])[..., 0] - root


def _rotvecs_from_rows(rows: Tensor) -> Tensor:
    """Rotation vectors of matrices given by their first two rows, `[T, 6 J]` to `[T, 3 J]`."""
    rows = rows.reshape(len(rows), -1, 6)
    if bool((torch.linalg.cross(rows[..., :3], rows[..., 3:]).norm(dim=-1) < 1e-6).any()):
        raise ValueError("a turn's two rows are zero or parallel")
    return rotmat_to_rotvec(rot6d_to_rotmat(rows).mT).flatten(1)


def _rows_from_rotvecs(rotvecs: Tensor) -> Tensor:
    rotmats = rotvec_to_rotmat(rotvecs.reshape(len(rotvecs), -1, 3))
    return rotmat_to_rot6d(rotmats.mT).flatten(1)


def _default_for(motion: Motion) -> Head:
    head = Head.default()
    if motion.head != head.name:
        raise ValueError(
            f"The motion is of the head {motion.head!r}; it must be of {head.name!r} or of the "
            "FLAME head itself."
        )
    return head


def _gaussian_avatars(motion: Motion, head: Head) -> dict[str, Tensor]:
    still = motion.expr.new_zeros(motion.num_frames, 1, 3)
    return {
        "expr": motion.expr,
        "rotation": motion.global_pose,
        "neck_pose": motion.neck_pose,
        "jaw_pose": motion.jaw_pose,
        "eyes_pose": motion.eye_pose,
        "translation": motion.translation,
        "shape": _shape(motion, head),
        "static_offset": motion.expr.new_zeros(1, head.num_vertices, 3),
        "dynamic_offset": still,  # GaussianAvatars asks for one; it adds to every vertex
    }


def _deca(motion: Motion, head: Head) -> dict[str, Tensor]:
    """DECA knows no neck, gaze nor place: the skull's turn becomes that of everything."""
    turn = rotmat_to_rotvec(motion.head_rotmat())
    return {
        "exp": motion.expr,
        "pose": torch.cat([turn, motion.jaw_pose], 1),
        "shape": _shape(motion, head).expand(motion.num_frames, -1),
    }


def _smirk(motion: Motion, head: Head) -> dict[str, Tensor]:
    return {
        "expression_params": motion.expr,
        "pose_params": motion.global_pose,
        "neck_pose_params": motion.neck_pose,
        "jaw_params": motion.jaw_pose,
        "eye_pose_params": motion.eye_pose,
        "eyelid_params": motion.expr.new_zeros(motion.num_frames, 2),
        "shape_params": _shape(motion, head).expand(motion.num_frames, -1),
    }


def _pixel3dmm(motion: Motion, head: Head) -> dict[str, Tensor]:
    shift = _root_shift(motion.global_pose, head, motion.shape, motion.expr)
    return {
        "exp": motion.expr,
        "jaw": _rows_from_rotvecs(motion.jaw_pose),
        "neck": _rows_from_rotvecs(motion.neck_pose),
        "eyes": _rows_from_rotvecs(motion.eye_pose),
        "eyelids": motion.expr.new_zeros(motion.num_frames, 2),
        "R": _rows_from_rotvecs(motion.global_pose),
        "t": motion.translation - shift,
        "shape": _shape(motion, head)[None],
    }


_WRITERS = {
    "gaussian_avatars": _gaussian_avatars,
    "deca": _deca,
    "smirk": _smirk,
    "pixel3dmm": _pixel3dmm,
}


def _shape(motion: Motion, head: Head) -> Tensor:
    return motion.expr.new_zeros(head.num_shape) if motion.shape is None else motion.shape


def _tensor(array: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(array).to(like)


def _float32(track: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(track.detach().cpu().numpy(), dtype=np.float32)
