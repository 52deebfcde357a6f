"""The 61 ARKit curves as JSON, which any program reads.

One object: `format` ("mien-curves"), `version` (1), `fps`, `names` (the columns), `frames` (one
list of numbers a frame), `text`, and `labels` (objects of `start`, `end`, `text`; seconds). Units
are in 0..1; angles are radians in the signs of `mien.arkit`. Columns may come in any order and
spelling, and angles may be absent.
"""

import json
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from mien.arkit import (
    ARKIT_NAMES,
    CHANNEL_NAMES,
    canonical_name,
    curves_from_motion,
    find_out_of_range,
    motion_from_curves,
)
from mien.files import check_size, whole_file
from mien.motion import MAX_FPS, Label, Motion
from mien.text import one_line, shown

__all__ = ["read_curves_json", "write_curves_json"]

FORMAT, VERSION = "mien-curves", 1
MAX_BYTES = 64 * 2**20  # parsed JSON takes several times its size
MAX_LABELS = 10_000
_DECIMALS = 7  # below float32's step at 1, so that curves come back as they were


def write_curves_json(motion: Motion, path: str | Path) -> None:
    """Write a motion of the default head as JSON; the whole file or none.

    Raises:
        ValueError: If the motion is for another head (see `mien.arkit.curves_from_motion`).
        OSError: If the file cannot be written.
    """
    curves = curves_from_motion(motion).detach().cpu().double().numpy().round(_DECIMALS) + 0.0
    frames = ",\n".join(json.dumps(row) for row in curves.tolist())
    card = {
        "format": FORMAT,
        "version": VERSION,
        "fps": motion.fps,
        "text": motion.text,
        "labels": [
            {"start": label.start_s, "end": label.end_s, "text": label.text}
            for label in motion.labels
        ],
        "names": list(CHANNEL_NAMES),
    }
    head = json.dumps(card, indent=1).removesuffix("\n}")
    with whole_file(path) as temporary:
        temporary.write_text(f'{head},\n "frames": [\n{frames}\n]\n}}\n', encoding="utf-8")


def read_curves_json(path: str | Path) -> Motion:
    """Give the motion in such a JSON, for the default head.

    Args:
        path: The file; at most 64 MB.

    Raises:
        ValueError: If it is not such a file. The message says where.
    """
    check_size(path, MAX_BYTES)
    try:
        card = json.loads(Path(path).read_bytes(), parse_constant=_refuse_constant)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is not JSON ({one_line(error)}).") from error
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {one_line(error)}") from error
    try:
        return _parse(card)
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {one_line(error)}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"All numbers must be finite, got {name}.")


def _parse(card: Any) -> Motion:
    if not isinstance(card, dict) or card.get("format", FORMAT) != FORMAT or "frames" not in card:
        raise ValueError(
            "Curves are an object with `fps`, `names` and `frames`; got another kind of JSON."
        )
    if card.get("version", VERSION) != VERSION:
        raise ValueError(f"Version {VERSION} of the curves is read, got {shown(card['version'])}.")
    fps = card.get("fps")
    if not _is_number(fps) or not 0 < fps <= MAX_FPS:
        raise ValueError(f"`fps` must be above 0 and at most {MAX_FPS:g}, got {shown(fps)}.")
    text = card.get("text", "")
    if not isinstance(text, str):
        raise ValueError(f"`text` must be text, got {shown(text)}.")
    columns = _read_names(card.get("names"))
    curves = _read_frames(card["frames"], columns)
    labels = _read_labels(card.get("labels", []))
    return motion_from_curves(torch.from_numpy(curves), float(fps), text=text, labels=labels)


def _read_names(names: Any) -> list[int]:
    """Give the channel of each column."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"`names` must be a list of channel names, got {shown(names)}.")
    known = [canonical_name(name) for name in names[: len(CHANNEL_NAMES)]]
    if len(set(known)) < len(names):
        raise ValueError(
            f"`names` must be different channels, at most {len(CHANNEL_NAMES)}, got {len(names)}."
        )
    missing = [name for name in ARKIT_NAMES if name not in known]
    if missing:
        raise ValueError(f"`names` lacks {len(missing)} of the 52 units, such as {missing[0]!r}.")
    return [CHANNEL_NAMES.index(name) for name in known]


def _read_frames(frames: Any, columns: list[int]) -> Float[NDArray[np.float32], "t 61"]:
    if not isinstance(frames, list) or not frames:
        raise ValueError(f"`frames` must be a list of at least one frame, got {shown(frames)}.")
    curves = np.zeros((len(frames), len(CHANNEL_NAMES)), np.float32)
    for number, frame in enumerate(frames):
        if not isinstance(frame, list) or len(frame) != len(columns):
            raise ValueError(f"Frame {number} must be {len(columns)} numbers, got {shown(frame)}.")
        for value in frame:
            if not _is_number(value):
                raise ValueError(f"Frame {number} must hold numbers, got {shown(value)}.")
        curves[number, columns] = np.clip(np.array(frame, np.float64), -1e9, 1e9)
    found = find_out_of_range(torch.from_numpy(curves))
    if found is not None:
        number, column, rule = found
        raise ValueError(
            f"{rule}, got {curves[number, column]:g} for {CHANNEL_NAMES[column]} "
            f"in frame {number}."
        )
    return curves


def _read_labels(labels: Any) -> tuple[Label, ...]:
    if not isinstance(labels, list) or len(labels) > MAX_LABELS:
        raise ValueError(f"`labels` must be a list, of at most {MAX_LABELS}, got {shown(labels)}.")
    return tuple(_read_label(label) for label in labels)


def _read_label(label: Any) -> Label:
    if (
        not isinstance(label, dict)
        or not _is_number(label.get("start"))
        or not _is_number(label.get("end"))
        or not isinstance(label.get("text"), str)
    ):
        raise ValueError(
            f"A label must have `start` and `end` in seconds and `text`, got {shown(label)}."
        )
    return Label(float(label["start"]), float(label["end"]), label["text"])


def _is_number(value: Any) -> TypeGuard[float]:
    """Whether a parsed value is a number that a float can hold; booleans are not numbers here."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300
