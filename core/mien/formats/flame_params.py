"""FLAME parameter files: motion taken from FLAME's tools, and given to them.

See `mien.formats.flame_layouts` for the layouts and where they come from. A file says nothing of
the model itself, so all functions take the FLAME head (`Head.load("FLAME2023.pkl")`).
"""

import zipfile
import zlib
from dataclasses import dataclass, replace
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
from mien.formats.flame_layouts import (
    ALIASES,
    EXPRESSION_NAMES,
    FlameTracks,
    tracks_from_arrays,
)
from mien.formats.flame_writers import EYELIDS, WRITERS, root_shift
from mien.head import Head
from mien.motion import Motion
from mien.retarget import points_of, retarget, retarget_points, with_fewer_components
from mien.rotations import rot6d_to_rotmat, rotmat_to_rotvec

__all__ = [
    "FlameTake",
    "WriteLayout",
    "copy_flame_params",
    "fit_flame_params",
    "holds_flame_params",
    "load_flame_params",
    "read_flame_params",
    "write_flame_params",
]

WriteLayout = Literal[
    "gaussian_avatars", "vhap", "deca", "emoca", "smirk", "pixel3dmm", "flexavatar", "plain"
]
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
        layout: As `write_flame_params` has it; found out by keys and shapes if None.

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
    eyelids: Float[Tensor, "t 2"] | None = None,
) -> FitResult | None:
    """Write a motion as FLAME parameters; the whole file or none.

    Args:
        path: `.npz`.
        motion: Of the default head, which is retargeted, or of this FLAME head.
        head: The FLAME model to write for.
        layout: Whose names and shapes: `gaussian_avatars` (or `vhap`), `deca` (`emoca`), `smirk`,
            `pixel3dmm` (`flexavatar`), or `plain`, a dictionary of rotation vectors.
        num_expr: How many expression components to fit; if None, 50 for DECA and SMIRK, as they
            have, else all. A FLAME motion keeps its own.
        shape: Who the FLAME head is; the mean if None. A FLAME motion keeps its own.
        eyelids: How far the left and right eye are closed beyond the motion, 0 to 1, for the
            layouts that have such a track: SMIRK's, Pixel3DMM's and `plain`.

    Returns:
        What the retargeting found, with its errors; None if there was none to do.

    Raises:
        ValueError: If the motion is of another head, or the layout is none of those known or
            has no place for `eyelids`.
        OSError: If the file cannot be written.
    """
    if Path(path).suffix.lower() != ".npz":
        raise ValueError(f"FLAME parameters are written to an .npz file, got {str(path)!r}.")
    kind = ALIASES.get(layout, layout)
    if kind not in WRITERS:
        raise ValueError(f"The layout must be one of {', '.join(WRITERS)}, got {layout!r}.")
    if eyelids is not None and kind not in EYELIDS:
        raise ValueError(f"The layout {layout!r} has no eyelids, only {', '.join(EYELIDS)} have.")
    result = None
    if motion.head != head.name:
        count = min(_NUM_EXPR.get(kind, head.num_expr), head.num_expr)
        use = with_fewer_components(head, count if num_expr is None else num_expr)
        result = retarget(motion, _default_for(motion), use, shape=shape)
        motion = result.motion
    arrays = WRITERS[kind](motion, head)
    if eyelids is not None:
        arrays[EYELIDS[kind]] = eyelids
    with whole_file(path) as temporary:
        plain = {key: _float32(value) for key, value in arrays.items()}
        np.savez_compressed(temporary, fps=np.float64(motion.fps), **plain)  # type: ignore[arg-type]
    return result


def copy_flame_params(
    path: str | Path,
    target: str | Path,
    head: Head,
    *,
    layout: WriteLayout = "gaussian_avatars",
    fps: float | None = None,
) -> None:
    """Write a file of FLAME parameters in another layout; its own is found out.

    Parameters stay as they are, but where lids are closed beyond FLAME's expression and the other
    layout has no place for that: there the expression is fitted anew, so that blinks stay.

    Args:
        path: See `load_flame_params`.
        target: `.npz`; the whole file or none.
        head: The FLAME model that both are for.
        layout: See `write_flame_params`.
        fps: Frames a second of what is written; those of the file if None.

    Raises:
        ValueError: As `load_flame_params` and `write_flame_params` do.
        OSError: If the file cannot be written.
    """
    take = load_flame_params(path, head)
    take = take if fps is None else _resampled(take, fps)
    motion, eyelids = take.motion, take.eyelids
    if eyelids is not None and ALIASES.get(layout, layout) not in EYELIDS:
        if bool(eyelids.any()):
            points = points_of(motion, head) + _closed_lids(eyelids).to(motion.expr)
            fitted = retarget_points(motion, points, head, head, shape=motion.shape)
            motion = fitted.motion.replace(
                neck_pose=motion.neck_pose,
                global_pose=motion.global_pose,
                translation=motion.translation,
            )
        eyelids = None
    write_flame_params(target, motion, head, layout=layout, eyelids=eyelids)


def _resampled(take: FlameTake, fps: float) -> FlameTake:
    """The same at another frame rate; eyelids go along with the expression."""
    motion, eyelids = take.motion, take.eyelids
    if eyelids is None:
        return replace(take, motion=motion.resample(fps))
    joined = motion.replace(expr=torch.cat([motion.expr, eyelids], 1)).resample(fps)
    motion = joined.replace(expr=joined.expr[:, : motion.num_expr])
    return replace(take, motion=motion, eyelids=joined.expr[:, motion.num_expr :])


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
        shift = shift + root_shift(rotation, head, shape, expr)
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


def _rotvecs_from_rows(rows: Tensor) -> Tensor:
    """Rotation vectors of matrices given by their first two rows, `[T, 6 J]` to `[T, 3 J]`."""
    rows = rows.reshape(len(rows), -1, 6)
    if bool((torch.linalg.cross(rows[..., :3], rows[..., 3:]).norm(dim=-1) < 1e-6).any()):
        raise ValueError("a turn's two rows are zero or parallel")
    return rotmat_to_rotvec(rot6d_to_rotmat(rows).mT).flatten(1)


def _default_for(motion: Motion) -> Head:
    head = Head.default()
    if motion.head != head.name:
        raise ValueError(
            f"The motion is of the head {motion.head!r}; it must be of {head.name!r} or of the "
            "FLAME head itself."
        )
    return head


def _tensor(array: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(array).to(like)


def _float32(track: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(track.detach().cpu().numpy(), dtype=np.float32)
