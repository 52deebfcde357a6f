"""Curves for training and evaluation: from arrays or from a corpus folder of Parquet shards."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from mien.arkit import CHANNEL_NAMES, motion_from_curves
from mien.tokenizer.augment import Curves
from mien.tokenizer.features import HeadFrames, frames_of

_CHANNELS = len(CHANNEL_NAMES)


def frames_from_curves(curves: Curves, fps: float = 25.0) -> HeadFrames:
    """Give the head parameters of curves `[..., T, 61]`."""
    flat = torch.from_numpy(np.ascontiguousarray(curves.reshape(-1, _CHANNELS), dtype=np.float32))
    frames = frames_of(motion_from_curves(flat, fps))
    return HeadFrames(*(x.reshape(*curves.shape[:-1], *x.shape[1:]) for x in frames))


def as_clips(arrays: Iterable[ArrayLike]) -> list[Curves]:
    """Check curves `[T, 61]` and keep them as float16 to spare memory.

    Raises:
        ValueError: If there is none, one has the wrong shape, or a value is not finite.
    """
    clips = []
    for index, array in enumerate(arrays):
        clip = np.asarray(array)
        if clip.ndim != 2 or clip.shape[1] != _CHANNELS or len(clip) == 0:
            raise ValueError(f"Clip {index} must be [T, {_CHANNELS}], got {clip.shape}.")
        if not np.isfinite(clip).all():
            raise ValueError(f"Clip {index} holds values that are not finite; repair or drop it.")
        clips.append(clip.astype(np.float16))
    if not clips:
        raise ValueError("Wanted at least one clip of curves, got none.")
    return clips


def read_corpus(folder: str | Path, split: str, most: int | None = None) -> list[Curves]:
    """Read the curves of one split ("train", "val", "test") from Parquet shards.

    Args:
        folder: What `mien synth` made.
        split: Which.
        most: So many clips at most; all if None.

    Raises:
        FileNotFoundError: If the folder has no shard.
        ValueError: If the split is empty.
    """
    from datasets import Dataset

    files = sorted(str(path) for path in Path(folder).rglob("*.parquet"))
    if not files:
        raise FileNotFoundError(
            f"No Parquet shard under {folder}; make a corpus with `mien synth`."
        )
    rows = Dataset.from_parquet(files, columns=["split", "curves"])
    wanted = [i for i, name in enumerate(rows["split"]) if name == split][:most]
    found = (row["curves"] for row in rows.select(wanted))
    return as_clips(np.frombuffer(x, np.float16).reshape(-1, _CHANNELS) for x in found)


def corpus_hash(clips: Sequence[Curves]) -> str:
    """Give the SHA-256 of all curves in order."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(np.ascontiguousarray(clip, dtype=np.float16).tobytes())
    return digest.hexdigest()
