"""mien in four calls: text to motion, once or without end, motion to text, motion to pictures.

The commands, the demo and notebooks share them; models are loaded once.

Example:
    >>> from mien import pipeline
    >>> motion = pipeline.animate("she smiles", seconds=2.0)  # doctest: +SKIP
    >>> pipeline.caption(motion).caption  # doctest: +SKIP
    'a smile'
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import UInt8
from numpy import ndarray

from mien.apps.inputs import read_clip
from mien.apps.request import (
    TAKES,
    Device,
    check_device,
    check_fps,
    check_sampling,
    check_seconds,
    check_seed,
    check_size,
    check_takes,
    plain_prompt,
)
from mien.apps.session import FaceSession
from mien.apps.splice import distance, relabel, splice
from mien.apps.takes import marks_by
from mien.apps.threads import on_one_thread, one_thread
from mien.apps.words import check_words
from mien.arkit import curves_from_motion
from mien.motion import Label, Motion

if TYPE_CHECKING:
    from mien.avatar.avatar import Avatar
    from mien.llm import MotionLanguageModel
    from mien.tokenizer import MotionTokenizer

_LOGGER = logging.getLogger(__name__)
TOKEN_FPS = 25.0
_WARM_UP = 25  # frames around one that its decoding hears of
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
    fps: float | None = None,
    *,
    temperature: float = 0.9,
    top_p: float = 0.95,
    takes: int = TAKES,
    device: Device = "cpu",
    keep: Motion | Path | str | None = None,
    between: tuple[float, float] | None = None,
) -> Motion:
    """Make a face do what a text says, all through or in an interval of a clip.

    Args:
        text: What the face does, in English; emoji are read by their names.
        seconds: Length of the motion, 0.2 to 120; chosen from the text where None.
        seed: The same seed gives the same motion.
        fps: Frames a second of the result, 25 or those of the kept clip where None; the model
            itself works at 25.
        temperature: Of sampling; 0 always takes the likeliest.
        top_p: Share of the likelihood that is sampled from.
        takes: Motions to draw, 1 to 16, of which the one is kept that shows best what was asked
            for; 1 gives what a stream gives. A part of a clip is drawn once.
        device: Where the models run.
        keep: A clip to change; all of it outside of `between` stays bit for bit.
        between: Start and end of what is new in the clip, seconds. The clip's own text draws it
            by the plan that is read from the clip.

    Returns:
        A motion of the default head with the text and timed labels.

    Raises:
        ValueError: If an argument is out of its range, or the text cannot be read.
    """
    prompt = _read_prompt(text)
    check_seconds(seconds)
    check_seed(seed)
    check_fps(TOKEN_FPS if fps is None else fps)
    check_sampling(temperature, top_p)
    check_takes(takes)
    check_device(device)
    sampling: dict[str, Any] = {"seed": seed, "temperature": temperature, "top_p": top_p}
    if keep is not None or between is not None:
        clip = read_clip(Path(keep)) if isinstance(keep, Path | str) else keep
        motion = _change(clip, (text, prompt), between, seconds, sampling, device)
        return motion if fps is None or fps == motion.fps else motion.resample(fps)
    model, codes = language_model(device), tokenizer(device)
    with one_thread():
        ((score, indices),) = model.generate_motion(
            [prompt], seconds=seconds, takes=takes, marks=marks_by(codes), **sampling
        )
        motion = codes.decode(indices)
    motion = motion.replace(text=text, labels=_labels(score, motion.seconds))
    return motion if fps is None or fps == motion.fps else motion.resample(fps)


def session(
    text: str,
    seed: int = 0,
    *,
    temperature: float = 0.9,
    top_p: float = 0.95,
    device: Device = "cpu",
) -> FaceSession:
    """Make a face do what a text says and then live on, frame by frame, without end.

    Args:
        text: What the face does first; `say` of the result tells it what to do next.
        seed: The same seed and the same texts at the same frames give the same motion.
        temperature: Of sampling; 0 always takes the likeliest.
        top_p: Share of the likelihood that is sampled from.
        device: Where the models run.

    Returns:
        An iterator of motions of one frame, 25 a second of time, as fast as they are taken.

    Raises:
        ValueError: If an argument is out of its range, or the text cannot be read.

    Example:
        >>> face = session("she smiles")  # doctest: +SKIP
        >>> for frame in face:  # doctest: +SKIP
        ...     face.say("she winks at him")
    """
    check_seed(seed)
    check_sampling(temperature, top_p)
    check_device(device)
    prompt = _read_prompt(text)
    codes = language_model(device).start_session(
        prompt, seed=seed, temperature=temperature, top_p=top_p
    )
    return FaceSession(codes, tokenizer(device).streamer(), _read_prompt)


def caption(clip: Motion | Path | str, *, device: Device = "cpu") -> Caption:
    """Say what the face in a clip does.

    Args:
        clip: A motion of any frame rate, or the path of a file that `read_clip` reads.
        device: Where the models run.

    Raises:
        ValueError: If the file is not a valid clip, or the motion is for another head.
    """
    check_device(device)
    motion = clip if isinstance(clip, Motion) else read_clip(Path(clip))
    steady = motion.resample(TOKEN_FPS)
    curves = curves_from_motion(steady).numpy()
    indices = tokenize(steady, device=device)
    with one_thread():
        found = language_model(device).describe(indices, curves)
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


def check_change(
    clip: Motion | None, between: tuple[float, float] | None, seconds: float | None
) -> None:
    """Refuse a change of a clip that cannot be made.

    Raises:
        ValueError: If there is a clip and no interval or the other way round, a length is asked
            for, or the interval is not inside the clip.
    """
    if clip is None or between is None:
        lacks = "a clip to change" if clip is None else "`between`, what of the clip to change"
        raise ValueError(f"A change wants a clip and two times in it; it lacks {lacks}.")
    if seconds is not None:
        raise ValueError(
            f"A changed clip keeps its length; `seconds` must be None, got {seconds:g}."
        )
    from mien.llm.editing import frames_between

    frames_between(between, max(1, int(clip.seconds * TOKEN_FPS + 0.5)))


def _change(
    clip: Motion | None,
    words: tuple[str, str],
    between: tuple[float, float] | None,
    seconds: float | None,
    sampling: dict[str, Any],
    device: Device,
) -> Motion:
    """A clip with an interval drawn anew; `words` are the text as it came and made plain."""
    check_change(clip, between, seconds)
    assert clip is not None and between is not None, "checked just above"
    text, prompt = words
    is_own = text.split() == clip.text.split()
    indices = tokenize(clip, device=device)

    def misfit(codes: Sequence[int], frame: int) -> float:
        """How far the decoded face is from what it was where the kept codes begin again."""
        low, high = max(0, frame - _WARM_UP), min(frame + _WARM_UP, len(codes))
        both = (tokenizer(device).decode(x[low:high]) for x in (codes, indices))
        return distance(*(x.slice(frame - 1 - low, min(frame + 2, high) - low) for x in both))

    with one_thread():
        edit = language_model(device).regenerate_motion(
            indices, between, None if is_own else prompt, misfit=misfit, **sampling
        )
        made = tokenizer(device).decode(edit.indices)
    start = min(round(between[0] * clip.fps), clip.num_frames - 1)
    stop = min(max(round(between[1] * clip.fps), start + 1), clip.num_frames)
    motion = splice(clip, made, start, stop)
    if is_own:
        return motion
    labels = relabel(clip.labels, _labels(edit.score, clip.seconds), *between)
    return motion.replace(text=f"{clip.text}; {text}" if clip.text else text, labels=labels)


def _read_prompt(text: str) -> str:
    """A prompt made plain, with a warning of words that are read by their parts."""
    prompt = plain_prompt(text)
    unknown = check_words(prompt)
    if unknown:
        _LOGGER.warning(
            "Words that are not known are read by their parts: %s.", ", ".join(unknown)
        )
    return prompt


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
