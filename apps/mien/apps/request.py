"""What may be asked for: prompts and numbers, made plain or refused with a reason."""

import math
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Literal

import tyro

Device = Literal["cpu", "cuda"]
FlameFile = Annotated[Path | None, tyro.conf.arg(metavar="FLAME.pkl")]

MAX_WORDS, MAX_LETTERS = 100, 500  # MiniLM reads 510 word pieces, at most one a letter
MIN_SECONDS, MAX_SECONDS = 0.2, 120.0
MIN_FPS, MAX_FPS = 1.0, 240.0
MIN_SIZE, MAX_SIZE = 64, 2048
MAX_SEED = 2**32 - 1
TAKES, MAX_TAKES = 4, 16
_JOINERS = {"\u200d", "\ufe0e", "\ufe0f"}  # glue between the parts of one emoji


def plain_prompt(text: str) -> str:
    """A prompt as the language model reads it: one line, each emoji replaced by its name.

    Args:
        text: What the face should do, in English.

    Raises:
        ValueError: If it says nothing, is longer than :data:`MAX_WORDS` words and punctuation
            marks or :data:`MAX_LETTERS` letters, or is in another script or no text at all.

    Example:
        >>> plain_prompt("she sees it 😉")
        'she sees it winking face'
    """
    if any("\ud800" <= c <= "\udfff" for c in text):  # how Python passes bytes that are no text
        raise ValueError(f"The prompt must be UTF-8 text, got {_shorten(text)}.")
    plain = " ".join("".join(_spell(c) for c in text).split())
    if not any(c.isalpha() for c in plain):
        raise ValueError(f"The prompt must say in words what the face does, got {_shorten(text)}.")
    num_words, num_letters = len(re.findall(r"\w+|[^\w\s]", plain)), len(plain.replace(" ", ""))
    if num_words > MAX_WORDS or num_letters > MAX_LETTERS:
        raise ValueError(
            f"The prompt may have up to {MAX_WORDS} words and {MAX_LETTERS} letters, "
            f"got {num_words} and {num_letters}; shorten it."
        )
    letters = [c for c in plain if c.isalpha()]
    foreign = [c for c in letters if not unicodedata.name(c, "").startswith("LATIN")]
    if 2 * len(foreign) > len(letters):
        raise ValueError(
            f"The prompt must be in English, got {len(foreign)} of {len(letters)} letters in "
            f"another script: {_shorten(text)}."
        )
    if not re.search(r"[^\W\d_]{2}", plain):
        raise ValueError(f"The prompt must say in words what the face does, got {_shorten(text)}.")
    return plain


def check_seconds(seconds: float | None) -> None:
    """Refuse a length that no motion can have; None leaves the choice to the model."""
    if seconds is not None and not MIN_SECONDS <= seconds <= MAX_SECONDS:  # NaN fails too
        raise ValueError(
            f"`seconds` must be from {MIN_SECONDS:g} to {MAX_SECONDS:g}, got {seconds:g}."
        )


def check_fps(fps: float) -> None:
    """Refuse a frame rate that players and files cannot hold."""
    if not MIN_FPS <= fps <= MAX_FPS:
        raise ValueError(f"`fps` must be from {MIN_FPS:g} to {MAX_FPS:g}, got {fps:g}.")


def check_size(size: int) -> None:
    """Refuse a picture size that H.264 cannot hold (it wants even sides) or no screen shows."""
    if not MIN_SIZE <= size <= MAX_SIZE or size % 2:
        raise ValueError(
            f"`size` must be an even number from {MIN_SIZE} to {MAX_SIZE} pixels, got {size}."
        )


def check_seed(seed: int) -> None:
    """Refuse a seed that some random generator would."""
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"`seed` must be from 0 to {MAX_SEED}, got {seed}.")


def check_workers(workers: int) -> None:
    """Refuse a number of processes that nobody can mean."""
    if not 1 <= workers <= 1024:
        raise ValueError(f"`workers` must be from 1 to 1024, got {workers}.")


def check_sampling(temperature: float, top_p: float) -> None:
    """Refuse settings that leave nothing to sample from."""
    if not (0 <= temperature <= 5 and math.isfinite(temperature)):
        raise ValueError(f"`temperature` must be from 0 to 5, got {temperature:g}.")
    if not 0 < top_p <= 1:
        raise ValueError(f"`top_p` must be above 0 and at most 1, got {top_p:g}.")


def check_takes(takes: int) -> None:
    """Refuse fewer motions than one, or more than are worth their time."""
    if not 1 <= takes <= MAX_TAKES:
        raise ValueError(f"`takes` must be from 1 to {MAX_TAKES}, got {takes}.")


def check_avatar(avatar: str) -> None:
    """Refuse an avatar without a name, which as a path would be the current folder."""
    if not avatar.strip():
        raise ValueError(
            f"`avatar` must be a name from `mien avatar list` or a folder, got {avatar!r}."
        )


def check_device(device: Device) -> None:
    """Refuse CUDA where there is none."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ValueError("`device` is cuda, but torch sees no CUDA device; use cpu.")


def _spell(character: str) -> str:
    """The character itself, or a symbol's Unicode name as words."""
    name = unicodedata.name(character, "")
    if character in _JOINERS or name.startswith("EMOJI MODIFIER"):
        return ""
    category = unicodedata.category(character)
    if category == "So":
        return f" {name.lower()} "
    return " " if category in {"Cc", "Cf", "Cs", "Co", "Cn"} else character


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
