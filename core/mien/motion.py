"""`Motion`: what a head does over time, as parameters of a head model, frame by frame."""

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mien.files import check_size, read_npz, whole_file
from mien.rotations import quat_slerp, quat_to_rotvec, rotvec_to_quat, rotvec_to_rotmat
from mien.text import one_line

__all__ = ["Label", "Motion"]

FORMAT_VERSION = 1
MAX_FPS = 1000.0
MAX_FRAMES = 10_000_000
_WIDTHS = {"jaw_pose": 3, "neck_pose": 3, "global_pose": 3, "eye_pose": 6, "translation": 3}
_POSES = ("jaw_pose", "neck_pose", "global_pose", "eye_pose")
_TRACKS = ("expr", *_WIDTHS)


@dataclass(frozen=True)
class Label:
    """What happens between two times.

    Attributes:
        start_s: From here, seconds, not negative.
        end_s: To here, seconds, not before `start_s`.
        text: In words.
    """

    start_s: float
    end_s: float
    text: str

    def __post_init__(self) -> None:
        if not 0 <= self.start_s <= self.end_s < math.inf:
            raise ValueError(
                f"A label must have 0 <= start_s <= end_s, got {self.start_s} and {self.end_s}."
            )

    def shifted(self, seconds: float) -> "Label":
        """The same label later by `seconds`."""
        return Label(self.start_s + seconds, self.end_s + seconds, self.text)


@dataclass(frozen=True, eq=False)
class Motion:
    """A head's parameters over time; checked when made and not changed after.

    Poses are axis-angle in radians in the head frame: Y up, +Z where the face looks, +X the
    subject's left. Frame `i` is at `i / fps` seconds.

    Attributes:
        fps: Frames a second, above 0 and at most 1000.
        expr: Expression components, `[T, E]`.
        jaw_pose: The jaw's turn, `[T, 3]`; +x opens.
        neck_pose: The head's turn at the neck, `[T, 3]`.
        global_pose: The turn of everything, `[T, 3]`.
        eye_pose: Left eye's turn, then right eye's, `[T, 6]`.
        translation: Of everything, metres, `[T, 3]`.
        shape: Identity, `[S]`, or None for the head's mean.
        head: Name of the head model that the parameters are for.
        text: The whole motion in words.
        labels: Parts of it in words, with times.

    Example:
        >>> motion = Motion.rest(50)
        >>> motion.num_frames, motion.seconds, motion.resample(60.0).num_frames
        (50, 2.0, 120)
    """

    fps: float
    expr: Float[Tensor, "t e"]
    jaw_pose: Float[Tensor, "t 3"]
    neck_pose: Float[Tensor, "t 3"]
    global_pose: Float[Tensor, "t 3"]
    eye_pose: Float[Tensor, "t 6"]
    translation: Float[Tensor, "t 3"]
    shape: Float[Tensor, " s"] | None = None
    head: str = "mien"
    text: str = ""
    labels: tuple[Label, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.fps <= MAX_FPS:
            raise ValueError(f"`fps` must be above 0 and at most {MAX_FPS:g}, got {self.fps}.")
        if self.expr.ndim != 2 or self.expr.shape[0] < 1:
            raise ValueError(
                f"`expr` must be [T, E] with at least one frame, got {tuple(self.expr.shape)}."
            )
        for name, width in _WIDTHS.items():
            self._check_track(name, (self.num_frames, width))
        self._check_track("expr", tuple(self.expr.shape))
        if self.shape is not None and self.shape.ndim != 1:
            raise ValueError(f"`shape` must be [S], got {tuple(self.shape.shape)}.")
        if self.shape is not None:
            self._check_track("shape", tuple(self.shape.shape))
        object.__setattr__(self, "fps", float(self.fps))
        object.__setattr__(self, "labels", tuple(self.labels))

    def _check_track(self, name: str, wanted: tuple[int, ...]) -> None:
        track: Tensor = getattr(self, name)
        if tuple(track.shape) != wanted:
            raise ValueError(f"`{name}` must be {list(wanted)}, got {list(track.shape)}.")
        if not track.is_floating_point():
            raise ValueError(f"`{name}` must be of a floating type, got {track.dtype}.")
        finite = torch.isfinite(track)
        if not bool(finite.all()):
            where = (~finite).nonzero()[0].tolist()
            raise ValueError(f"`{name}` must be finite, got {track[tuple(where)]} at {where}.")

    @property
    def num_frames(self) -> int:
        """How many frames there are, T."""
        return int(self.expr.shape[0])

    @property
    def num_expr(self) -> int:
        """How many expression components there are, E."""
        return int(self.expr.shape[1])

    @property
    def seconds(self) -> float:
        """How long it lasts: frames over `fps`."""
        return self.num_frames / self.fps

    @classmethod
    def rest(cls, num_frames: int, num_expr: int = 43, fps: float = 25.0) -> "Motion":
        """A neutral face that does not move."""
        tracks: dict[str, Any] = {
            name: torch.zeros(num_frames, width) for name, width in _WIDTHS.items()
        }
        return cls(fps=fps, expr=torch.zeros(num_frames, num_expr), **tracks)

    def replace(self, **changes: Any) -> "Motion":
        """A copy with some attributes changed; it is checked again."""
        return dataclasses.replace(self, **changes)

    def to(
        self, device: Tensor | torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "Motion":
        """A copy on another device or of another floating type; both at once like a tensor."""
        if isinstance(device, Tensor):
            dtype = dtype or device.dtype
            device = device.device
        moved = {name: getattr(self, name).to(device=device, dtype=dtype) for name in _TRACKS}
        shape = None if self.shape is None else self.shape.to(device=device, dtype=dtype)
        return self.replace(**moved, shape=shape)

    def head_rotmat(self) -> Float[Tensor, "t 3 3"]:
        """World from head: the rotation of the skull, `R(global) @ R(neck)`, in each frame."""
        return rotvec_to_rotmat(self.global_pose) @ rotvec_to_rotmat(self.neck_pose)

    def resample(self, fps: float) -> "Motion":
        """The same motion at another frame rate.

        Rotations go by slerp, all else linearly. Its duration is kept to the nearest whole frame;
        times past the last frame hold it.

        Raises:
            ValueError: If `fps` is out of range, or the result has more than ten million frames.
        """
        if not 0 < fps <= MAX_FPS:
            raise ValueError(f"`fps` must be above 0 and at most {MAX_FPS:g}, got {fps}.")
        num_frames = max(1, math.floor(self.seconds * fps + 0.5))
        if num_frames > MAX_FRAMES:
            raise ValueError(
                f"At {fps} fps this has {num_frames:,} frames; {MAX_FRAMES:,} at most."
            )
        if fps == self.fps:
            return self
        times = torch.arange(num_frames, dtype=torch.float64) * (self.fps / fps)
        return self.sample(times.to(self.expr.device)).replace(fps=float(fps))

    def sample(self, frames: Float[Tensor, " n"]) -> "Motion":
        """The motion at fractional frame numbers, which are clamped to the first and last frame.

        The result has one frame for each number and keeps `fps`, text and labels.
        """
        frames = frames.clamp(0, self.num_frames - 1)
        start = frames.floor().long().clamp(max=max(self.num_frames - 2, 0))
        stop = (start + 1).clamp(max=self.num_frames - 1)
        fraction = (frames - start).to(self.expr.dtype)[:, None]
        changes: dict[str, Tensor] = {}
        for name in _TRACKS:
            track: Tensor = getattr(self, name)
            if name in _POSES:
                changes[name] = _slerp(track[start], track[stop], fraction)
            else:
                changes[name] = torch.lerp(track[start], track[stop], fraction)
        return self.replace(**changes)

    def slice(self, start_frame: int, stop_frame: int) -> "Motion":
        """Frames from `start_frame` up to but not including `stop_frame`; labels are cut to fit.

        Raises:
            ValueError: Unless `0 <= start_frame < stop_frame <= num_frames`.
        """
        if not 0 <= start_frame < stop_frame <= self.num_frames:
            raise ValueError(
                f"A slice must have 0 <= start < stop <= {self.num_frames}, "
                f"got {start_frame} and {stop_frame}."
            )
        start_s, end_s = start_frame / self.fps, stop_frame / self.fps
        labels = tuple(
            Label(
                max(label.start_s, start_s) - start_s,
                min(label.end_s, end_s) - start_s,
                label.text,
            )
            for label in self.labels
            if label.start_s < end_s and label.end_s > start_s
        )
        cut = {name: getattr(self, name)[start_frame:stop_frame] for name in _TRACKS}
        return self.replace(**cut, labels=labels)

    @staticmethod
    def concatenate(motions: "Sequence[Motion]") -> "Motion":
        """One motion after the other; labels are moved along, texts are joined.

        Raises:
            ValueError: If there is none, or they differ in fps, head, width or identity.
        """
        if not motions:
            raise ValueError("There must be at least one motion to concatenate, got none.")
        first = motions[0]
        for index, motion in enumerate(motions[1:], 1):
            _check_same_kind(first, motion, index)
        joined = {
            name: torch.cat([getattr(motion, name) for motion in motions]) for name in _TRACKS
        }
        labels: list[Label] = []
        num_frames = 0
        for motion in motions:
            labels += [label.shifted(num_frames / first.fps) for label in motion.labels]
            num_frames += motion.num_frames
        text = " ".join(motion.text for motion in motions if motion.text)
        return first.replace(**joined, labels=tuple(labels), text=text)

    def save(self, path: str | Path) -> None:
        """Write to `.npz` or `.safetensors`; the whole file or none, and no pickle.

        Raises:
            ValueError: If the extension is another.
            OSError: If the file cannot be written.
        """
        arrays = {name: _to_array(getattr(self, name)) for name in _TRACKS}
        if self.shape is not None:
            arrays["shape"] = _to_array(self.shape)
        header = json.dumps(self._header(), ensure_ascii=False)
        suffix = _suffix(path)
        with whole_file(path) as temporary:
            if suffix == ".npz":
                np.savez_compressed(temporary, header=np.asarray(header), **arrays)  # type: ignore[arg-type]
            else:
                from safetensors.numpy import save_file

                save_file(arrays, temporary, metadata={"motion": header})

    def _header(self) -> dict[str, Any]:
        labels = [[label.start_s, label.end_s, label.text] for label in self.labels]
        return {
            "format": "mien motion",
            "format_version": FORMAT_VERSION,
            "fps": self.fps,
            "head": self.head,
            "text": self.text,
            "labels": labels,
        }

    @classmethod
    def load(cls, path: str | Path) -> "Motion":
        """Read what `save` wrote; never unpickles, never reads more than a bounded size.

        Raises:
            ValueError: If the file is missing, too large, or not a motion.
        """
        arrays, header = _read_npz(path) if _suffix(path) == ".npz" else _read_safetensors(path)
        try:
            fields = json.loads(header)
            if not isinstance(fields, dict) or fields.get("format") != "mien motion":
                raise ValueError("its header names another format")
            if fields["format_version"] != FORMAT_VERSION:
                raise ValueError(
                    f"format version {fields['format_version']!r}, not {FORMAT_VERSION}"
                )
            labels = tuple(Label(float(a), float(b), str(text)) for a, b, text in fields["labels"])
            tracks = {name: _to_tensor(arrays[name]) for name in _TRACKS}
            if "shape" in arrays:
                tracks["shape"] = _to_tensor(arrays["shape"])
            plain = {"head": str(fields["head"]), "text": str(fields["text"])}
            return cls(fps=float(fields["fps"]), labels=labels, **plain, **tracks)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"{str(path)!r} is not a motion: {_describe(error)}.") from error


def _describe(error: Exception) -> str:
    text = one_line(error).rstrip(".")
    return f"{text} is missing" if isinstance(error, KeyError) else text


def _slerp(start: Tensor, stop: Tensor, fraction: Tensor) -> Tensor:
    """Interpolate rotation vectors `[N, 3 J]`, each joint by itself."""
    shape = start.shape
    start_quat = rotvec_to_quat(start.reshape(len(start), -1, 3))
    stop_quat = rotvec_to_quat(stop.reshape(len(stop), -1, 3))
    between = quat_to_rotvec(quat_slerp(start_quat, stop_quat, fraction[:, None]))
    return between.reshape(shape)


def _check_same_kind(first: Motion, other: Motion, index: int) -> None:
    for name in ("fps", "head", "num_expr"):
        wanted, came = getattr(first, name), getattr(other, name)
        if wanted != came:
            raise ValueError(
                f"All motions must have the same {name}: motion 0 has {wanted!r}, "
                f"motion {index} has {came!r}."
            )
    both_none = first.shape is None and other.shape is None
    if not both_none and (
        first.shape is None or other.shape is None or not torch.equal(first.shape, other.shape)
    ):
        raise ValueError(f"Motions 0 and {index} are of different identities (`shape`).")


def _suffix(path: str | Path) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in (".npz", ".safetensors"):
        raise ValueError(f"A motion file must end in .npz or .safetensors, got {str(path)!r}.")
    return suffix


def _to_array(track: Tensor) -> NDArray[np.floating[Any]]:
    array: NDArray[np.floating[Any]] = track.detach().cpu().contiguous().numpy()
    return array


def _to_tensor(array: NDArray[np.generic]) -> Tensor:
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise ValueError(f"arrays must be floating numbers, got {array.dtype}")
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("=")))


def _read_npz(path: str | Path) -> tuple[dict[str, NDArray[np.generic]], str]:
    arrays = read_npz(path)
    header = arrays.pop("header", None)
    if header is None or header.dtype.kind != "U" or header.shape != ():
        raise ValueError(
            f"{str(path)!r} is not a motion: it has no `header`, only {sorted(arrays)[:8]}."
        )
    return arrays, str(header)


def _read_safetensors(path: str | Path) -> tuple[dict[str, NDArray[np.generic]], str]:
    from safetensors import SafetensorError, safe_open

    check_size(path)
    try:
        with safe_open(str(path), framework="np") as file:
            header = (file.metadata() or {}).get("motion")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError) as error:  # numpy has no such numbers
        raise ValueError(
            f"{str(path)!r} is not a safetensors file ({one_line(error)})."
        ) from error
    if header is None:
        raise ValueError(f"{str(path)!r} is not a motion: its metadata has no `motion`.")
    return arrays, header
