"""How the tools around FLAME name and shape their parameters, and which of them a file follows.

Layouts, each read off the code that writes or reads it:

- `gaussian_avatars`: `flame_param.npz` of github.com/ShenhanQian/GaussianAvatars
  (scene/flame_gaussian_model.py) and github.com/ShenhanQian/VHAP (vhap/export_as_nerf_dataset.py):
  expr, rotation, neck_pose, jaw_pose, eyes_pose, translation by frame, one shape, offsets.
- `deca`: the code dictionary of github.com/yfeng95/DECA (decalib/deca.py), which EMOCA
  (github.com/radekd91/emoca) keeps: exp, pose (3 of the whole head, then 3 of the jaw), shape.
- `smirk`: the outputs of github.com/georgeretsi/smirk (src/smirk_encoder.py): expression_params,
  pose_params, jaw_params, eyelid_params, shape_params.
- `pixel3dmm`: the `flame` part of a frame of github.com/SimonGiebenhain/pixel3dmm
  (src/pixel3dmm/tracking/tracker.py), from which github.com/tobias-kirschstein/flexavatar makes
  its expression codes: exp, jaw, neck, eyes, R, t, eyelids, shape. Turns are the first two ROWS
  of their matrices (pytorch3d's order), and R turns about the origin, not the root joint.
- `plain`: any dictionary of such tracks by the usual names, turns as rotation vectors.

`ALIASES` are further names of these: a layout is often known by another tool that keeps it.

All of them look along +Z with Y up at rest, in metres and radians, the left eye first. That the
first eyelid is the subject's left one too is taken from its name, `l_eyelid`.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

__all__ = [
    "ALIASES",
    "EXPRESSION_NAMES",
    "LAYOUTS",
    "FlameTracks",
    "find_layout",
    "tracks_from_arrays",
]

Array = NDArray[np.float64]
Found = Mapping[str, NDArray[np.generic]]

ALIASES = {"vhap": "gaussian_avatars", "emoca": "deca", "flexavatar": "pixel3dmm"}
MAX_COMPONENTS = 1000
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FlameTracks:
    """FLAME parameters as a file holds them, `[T, ...]`; None where it has none.

    Attributes:
        layout: Which layout it was.
        expr: `[T, E]`.
        turns: `rotation`, `neck`, `jaw` (`[T, 3]`, or `[T, 6]` as rows) and `eyes` (twice that).
        translation: Metres, `[T, 3]`.
        shape: One person's, `[S]`.
        eyelids: How far the left and the right eye are closed beyond `expr`, 0 to 1, `[T, 2]`.
        fps: If the file says it.
    """

    layout: str
    expr: Float[Array, "t e"]
    turns: dict[str, Array]
    translation: Float[Array, "t 3"] | None = None
    shape: Float[Array, " s"] | None = None
    eyelids: Float[Array, "t 2"] | None = None
    fps: float | None = None


@dataclass(frozen=True)
class Layout:
    """What a layout calls each track, and how wide it is.

    Attributes:
        names: The track's possible names; the first is the one written.
        widths: Columns by track; 0 is any number.
        required: Tracks without which it is another layout.
    """

    names: dict[str, tuple[str, ...]]
    widths: dict[str, int]
    required: frozenset[str] = field(default_factory=frozenset)

    def find(self, keys: set[str]) -> dict[str, list[str]]:
        """Which of the keys name each track."""
        return {
            track: [name for name in names if name in keys] for track, names in self.names.items()
        }

    def fits(self, arrays: Found) -> bool:
        """Whether all required tracks are there and as wide as they should be."""
        found = self.find(set(arrays))
        return all(
            any(self._has_width(track, arrays[name]) for name in found[track])
            for track in self.required
        )

    def _has_width(self, track: str, array: NDArray[np.generic]) -> bool:
        width = self.widths.get(track, 0)
        return array.ndim >= 1 and (width == 0 or array.shape[-1] == width)


def _layout(required: str, widths: dict[str, int], **names: str) -> Layout:
    split = {track: tuple(text.split()) for track, text in names.items()}
    return Layout(split, {"translation": 3, "eyelids": 2} | widths, frozenset(required.split()))


_ROTVECS = {"rotation": 3, "neck": 3, "jaw": 3, "eyes": 6, "pose": 6}
_ROWS = {"rotation": 6, "neck": 6, "jaw": 6, "eyes": 12}
LAYOUTS: dict[str, Layout] = {
    "gaussian_avatars": _layout(
        "expr rotation neck jaw eyes translation",
        _ROTVECS,
        expr="expr",
        rotation="rotation",
        neck="neck_pose",
        jaw="jaw_pose",
        eyes="eyes_pose",
        translation="translation",
        shape="shape",
    ),
    "deca": _layout(
        "expr pose", _ROTVECS, expr="exp expcode", pose="pose posecode", shape="shape shapecode"
    ),
    "smirk": _layout(
        "expr jaw",
        _ROTVECS,
        expr="expression_params",
        rotation="pose_params",
        neck="neck_pose_params",
        jaw="jaw_params",
        eyes="eye_pose_params",
        shape="shape_params",
        eyelids="eyelid_params",
    ),
    "pixel3dmm": _layout(
        "expr jaw",
        _ROWS,
        expr="exp",
        rotation="R",
        neck="neck",
        jaw="jaw",
        eyes="eyes",
        translation="t",
        shape="shape",
        eyelids="eyelids",
    ),
}
_PLAIN = _layout(
    "expr",
    _ROTVECS,
    expr="expression expr exp expressions expression_params",
    rotation="rotation global_pose global_orient global_rot",
    neck="neck_pose neck",
    jaw="jaw_pose jaw",
    eyes="eyes_pose eye_pose eyes",
    pose="pose",
    translation="translation transl trans",
    shape="shape betas shape_params",
    eyelids="eyelids eyelid_params",
)
EXPRESSION_NAMES = frozenset(
    name for layout in (*LAYOUTS.values(), _PLAIN) for name in layout.names["expr"]
)
"""What any layout calls the expression."""


def find_layout(arrays: Found, name: str | None = None) -> str:
    """Which layout some arrays follow.

    Args:
        arrays: By name.
        name: The one they are said to follow, or its alias; found out if None.

    Raises:
        ValueError: If they fit none, or more than one of the tools' layouts.
    """
    if name is not None:
        name = ALIASES.get(name, name)
        known = [*LAYOUTS, "plain"]
        if name not in known:
            raise ValueError(f"a layout is one of {', '.join(known)}, got {name!r}")
        if not _by_name(name).fits(arrays):
            raise ValueError(f"it does not fit the layout {name!r}: {_describe(arrays)}")
        return name
    fitting = [each for each, layout in LAYOUTS.items() if layout.fits(arrays)]
    if len(fitting) > 1:
        raise ValueError(
            f"it fits the layouts {' and '.join(fitting)}; say which, or take out one's arrays"
        )
    if not fitting and not _PLAIN.fits(arrays):
        raise ValueError(
            "it has no expression that is known by name, such as `expr` (GaussianAvatars), `exp` "
            f"(DECA, Pixel3DMM) or `expression_params` (SMIRK): {_describe(arrays)}"
        )
    return fitting[0] if fitting else "plain"


def tracks_from_arrays(arrays: Found, name: str | None = None) -> FlameTracks:
    """The tracks in some arrays.

    Args:
        arrays: As read from a file.
        name: Of the layout; found out if None.

    Raises:
        ValueError: If they fit no layout or several, hold something else than finite numbers, or
            differ in length.
    """
    name = find_layout(arrays, name)
    layout = _by_name(name)
    picked = {}
    for track, keys in layout.find(set(arrays)).items():
        if len(keys) > 1:
            raise ValueError(f"it names its {track} more than once: {', '.join(keys)}")
        if keys:
            picked[track] = (keys[0], _numbers(keys[0], arrays[keys[0]]))
    key, expr = picked.pop("expr")
    expr = _by_frame(key, expr, None, 0)
    if expr.shape[1] > MAX_COMPONENTS:
        raise ValueError(f"`{key}` has {expr.shape[1]} components, at most {MAX_COMPONENTS}")
    shape = picked.pop("shape", None)
    tracks = {
        track: _by_frame(key, array, len(expr), layout.widths[track])
        for track, (key, array) in picked.items()
    }
    if "pose" in tracks:
        if tracks.keys() & {"rotation", "jaw"}:
            raise ValueError("it has `pose` and also the turns that are in it")
        pose = tracks.pop("pose")
        tracks["rotation"], tracks["jaw"] = pose[:, :3], pose[:, 3:]
    return FlameTracks(
        name,
        expr,
        {turn: tracks[turn] for turn in ("rotation", "neck", "jaw", "eyes") if turn in tracks},
        tracks.get("translation"),
        None if shape is None else _one_person(*shape),
        tracks.get("eyelids"),
        _fps(arrays),
    )


def _by_name(name: str) -> Layout:
    return _PLAIN if name == "plain" else LAYOUTS[name]


def _describe(arrays: Found) -> str:
    parts = [f"{key[:30]} {list(array.shape)}" for key, array in sorted(arrays.items())[:8]]
    return "it has " + (", ".join(parts) or "nothing") + (", ..." if len(arrays) > 8 else "")


def _numbers(key: str, array: NDArray[np.generic]) -> Array:
    if array.dtype.kind not in "iuf":
        raise ValueError(f"`{key}` must hold numbers, got {array.dtype}")
    numbers: Array = np.asarray(array, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"`{key}` must be finite")
    if np.abs(numbers).max(initial=0.0) > 1e6:
        raise ValueError(f"`{key}` has values up to {np.abs(numbers).max():.3g}")
    return numbers


def _by_frame(key: str, array: Array, num_frames: int | None, width: int) -> Array:
    """One row a frame; a single row may lack its frame axis, and frames may be stacked singly."""
    wanted = f"[{num_frames or 'T'}, {width or 'E'}]"
    came = list(array.shape)
    if array.ndim == 3 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1 and num_frames in (None, 1):
        array = array[None]
    is_good = (
        array.ndim == 2 and min(array.shape) > 0 and array.shape[1] in (width or array.shape[1],)
    )
    if not is_good or len(array) != (num_frames or len(array)):
        raise ValueError(f"`{key}` must be {wanted}, got {came}")
    return array


def _one_person(key: str, array: Array) -> Array:
    """A person's shape; where it was estimated anew in every frame, the mean."""
    if not 1 <= array.ndim <= 3 or not array.size or array.shape[-1] > MAX_COMPONENTS:
        raise ValueError(f"`{key}` must be [S] or [T, S], got {list(array.shape)}")
    rows = array.reshape(-1, array.shape[-1])
    if len(rows) > 1 and np.ptp(rows, axis=0).max() > 1e-3:
        _LOGGER.warning("`%s` changes from frame to frame; the mean is taken.", key)
    return np.asarray(rows.mean(0))


def _fps(arrays: Found) -> float | None:
    value: Any = arrays.get("fps")
    if value is None:
        return None
    rate = _numbers("fps", value)
    if rate.size != 1:
        raise ValueError(f"`fps` must be one number, got {list(rate.shape)}")
    return float(rate.reshape(()))
