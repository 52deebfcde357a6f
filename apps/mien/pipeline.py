"""mien in three calls: text to motion, motion to text, motion to pictures.

The commands, the demo and notebooks share them; models are loaded once.

Example:
    >>> from mien import pipeline
    >>> motion = pipeline.animate("she smiles", seconds=2.0)  # doctest: +SKIP
    >>> pipeline.caption(motion).caption  # doctest: +SKIP
    'a smile'
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import UInt8
from numpy import ndarray

from mien.apps.inputs import read_clip
from mien.apps.request import (
    Device,
    check_device,
    check_fps,
    check_sampling,
    check_seconds,
    check_seed,
    check_size,
    plain_prompt,
)
from mien.apps.threads import on_one_thread, one_thread
from mien.apps.words import check_words
from mien.motion import Label, Motion

if TYPE_CHECKING:
    from mien.avatar.avatar import Avatar
    from mien.llm import MotionLanguageModel
    from mien.tokenizer import MotionTokenizer

_LOGGER = logging.getLogger(__name__)
TOKEN_FPS = 25.0
BACKGROUND = (0.93, 0.92, 0.90)


@dataclass(frozen=True)
class Event:
    """Something the face does.

    Attributes:
        start: When it begins, seconds.
        end: When it is over, seconds.
        text: What it is.
    """

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Caption:
    """What a motion shows.

    Attributes:
        caption: One description of the whole.
        events: Its parts in order of their start.
    """

    caption: str
    events: tuple[Event, ...]


def animate(
    text: str,
    seconds: float | None = None,
    seed: int = 0,
    fps: float = TOKEN_FPS,
    *,
    temperature: float = 0.9,
    top_p: float = 0.95,
    device: Device = "cpu",
) -> Motion:
    """Make a face do what a text says.

    Args:
        text: What the face does, in English; emoji are read by their names.
        seconds: Length of the motion, 0.2 to 120; chosen from the text where None.
        seed: The same seed gives the same motion.
        fps: Frames a second of the result; the model itself works at 25.
        temperature: Of sampling; 0 always takes the likeliest.
        top_p: Share of the likelihood that is sampled from.
        device: Where the models run.

    Returns:
        A motion of the default head with the text and timed labels.

    Raises:
        ValueError: If an argument is out of its range, or the text cannot be read.
    """
    prompt = plain_prompt(text)
    unknown = check_words(prompt)
    check_seconds(seconds)
    check_seed(seed)
    check_fps(fps)
    check_sampling(temperature, top_p)
    check_device(device)
    if unknown:
        _LOGGER.warning(
            "Words that are not known are read by their parts: %s.", ", ".join(unknown)
        )
    model = language_model(device)
    with one_thread():
        made = model.generate_motion(
            [prompt], seconds=seconds, seed=seed, temperature=temperature, top_p=top_p
        )
        score, indices = made[0]
        motion = tokenizer(device).decode(indices)
    motion = motion.replace(text=text, labels=_labels(score, motion.seconds))
    return motion if fps == motion.fps else motion.resample(fps)


def caption(clip: Motion | Path | str, *, device: Device = "cpu") -> Caption:
    """Say what the face in a clip does.

    Args:
        clip: A motion of any frame rate, or the path of a file that `read_clip` reads.
        device: Where the models run.

    Raises:
        ValueError: If the file is not a valid clip.
    """
    check_device(device)
    motion = clip if isinstance(clip, Motion) else read_clip(Path(clip))
    indices = tokenize(motion, device=device)
    with one_thread():
        found = language_model(device).describe(indices)
    events = (
        Event(e.start_s, min(e.end_s, motion.seconds), e.text)
        for e in found.events
        if e.start_s < motion.seconds
    )
    return Caption(found.caption, tuple(events))


def tokenize(motion: Motion, *, device: Device = "cpu") -> torch.Tensor:
    """A motion as tokens, one a frame at 25 frames a second."""
    with one_thread():
        return tokenizer(device).encode(motion)


def render(
    motion: Motion,
    avatar: str | Path = "adult",
    size: int = 512,
    *,
    yaw: float = 0.0,
    pitch: float = 0.0,
    background: tuple[float, float, float] = BACKGROUND,
    device: Device = "cpu",
) -> Iterator[UInt8[ndarray, "h w 3"]]:
    """Draw a motion on an avatar, frame by frame.

    Args:
        motion: What the face does.
        avatar: The name of a shipped avatar, or a folder.
        size: Width and height, pixels.
        yaw: Of the camera around the head, radians; positive sees more of the subject's left.
        pitch: Of the camera, radians.
        background: sRGB, 0 to 1.
        device: Where frames are drawn.

    Yields:
        sRGB pictures, one a frame of the motion.

    Raises:
        ValueError: If an argument is out of its range, or there is no such avatar.
    """
    check_size(size)
    check_device(device)
    return _frames(motion, load_avatar(str(avatar)), size, (yaw, pitch), background, device)


@lru_cache(maxsize=2)
def tokenizer(device: Device = "cpu") -> "MotionTokenizer":
    """The shipped tokenizer, loaded once."""
    from mien.tokenizer import MotionTokenizer

    return MotionTokenizer.load().to(device).eval()


@lru_cache(maxsize=2)
def language_model(device: Device = "cpu") -> "MotionLanguageModel":
    """The shipped language model, loaded once."""
    from mien.llm import MotionLanguageModel

    return MotionLanguageModel.load()


@lru_cache(maxsize=4)
def load_avatar(name: str) -> "Avatar":
    """An avatar by the name it is shipped under or its folder, loaded once."""
    from mien.avatar.avatar import Avatar

    return Avatar.load(name)


def _labels(score: str, seconds: float) -> tuple[Label, ...]:
    """The timed events of a score, cut to the motion's length."""
    from mien.llm.model import event_text
    from mien.llm.plan import TICK_S, parse_lines

    return tuple(
        Label(line.start * TICK_S, min(line.stop * TICK_S, seconds), event_text(line))
        for line in parse_lines(score)
        if line.start * TICK_S < seconds
    )


def _frames(
    motion: Motion,
    avatar: "Avatar",
    size: int,
    angles: tuple[float, float],
    background: tuple[float, float, float],
    device: Device,
) -> Iterator[UInt8[ndarray, "h w 3"]]:
    from mien.avatar import render_frames
    from mien.camera import Camera

    yaw, pitch = angles
    camera = Camera.portrait(size, size, yaw=yaw, pitch=pitch)
    driven = (g.to(device) for g in on_one_thread(avatar.drive(motion, camera)))
    for drawn in render_frames(driven, camera, background):
        yield (drawn.image.clamp(0, 1) * 255).round().byte().cpu().numpy()
