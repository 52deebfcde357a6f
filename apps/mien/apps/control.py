"""How well motion can be directed: one word changed, a prompt that takes over, times obeyed."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from mien import pipeline
from mien.apps.benchmark.events import Timed, temporal_iou
from mien.apps.request import TAKES
from mien.apps.session import FaceSession
from mien.apps.takes import marks_by
from mien.arkit import curves_from_motion
from mien.data_synth.clip import FPS
from mien.data_synth.evidence import evidence, tracks_from_curves
from mien.data_synth.lexicon import Entry, Lexicon
from mien.head import Head
from mien.motion import Motion

if TYPE_CHECKING:
    from mien.llm import Locality, MotionLanguageModel
    from mien.tokenizer import MotionTokenizer

SECONDS = 6.0  # of the motions whose text is edited
PAIRS = (
    ("she smiles, then nods", "she smiles, then yawns"),
    ("he looks left and frowns", "he looks right and frowns"),
    ("a wink with the left eye, then a grin", "a wink with the right eye, then a grin"),
    ("he is sad, then he laughs", "he is angry, then he laughs"),
    ("raise the brows, then look down", "raise the brows, then look up"),
    ("she gasps and then covers it with a smile", "she gasps and then covers it with a frown"),
    ("puff the cheeks and then blow", "puff the cheeks and then whistle"),
    ("nod while smiling", "nod while frowning"),
    ("he sneers, then shakes his head", "he sneers, then nods his head"),
    ("close the eyes, then open the mouth", "close the eyes, then purse the lips"),
    ("she is surprised, then disgusted", "she is surprised, then amused"),
    ("tilt the head left, then pout", "tilt the head right, then pout"),
)
TURNS = (
    "she smiles",
    "he yawns and closes his eyes",
    "a scream of terror",
    "she looks left and nods",
    "he laughs out loud",
    "a wink with the right eye",
    "she is disgusted",
    "he shakes his head angrily",
)
TIMED = (
    ("smile at {start} s for {length} s", "smile"),
    ("close your eyes at {start} s for {length} s", "close-eyes"),
    ("frown at {start} s for {length} s", "frown"),
    ("look left at {start} s for {length} s", "look-left"),
    ("open the mouth at {start} s for {length} s", "jaw-open"),
    ("raise the brows at {start} s for {length} s", "raise-brows"),
    ("puff the cheeks at {start} s for {length} s", "puff-cheeks"),
    ("pout at {start} s for {length} s", "pout"),
)
SPANS = ((1, 2), (2, 2), (2, 3), (3, 2))  # start and length, seconds


@dataclass(frozen=True)
class TakeOver:
    """How smoothly one prompt gives way to another.

    Attributes:
        step_mm: Largest mean step of the points between frames in the second behind it.
        alone_mm: The same where the prompts begin with a face at rest.
        usual_mm: The 99th percentile of the same where nothing was said for a second.
        turns: How many there were.
    """

    step_mm: float
    alone_mm: float
    usual_mm: float
    turns: int


@dataclass(frozen=True)
class Drift:
    """What a long stream looks like late, beside early.

    Attributes:
        seconds: How long it was.
        size_mm: Root mean square of the points' way from rest, a minute each.
        step_mm: Mean step of the points between frames, a minute each.
        head_degrees: How far from straight the head is in the mean, a minute each.
    """

    seconds: float
    size_mm: tuple[float, ...]
    step_mm: tuple[float, ...]
    head_degrees: tuple[float, ...]


@dataclass(frozen=True)
class Obeyed:
    """Whether actions come when they are asked for.

    Attributes:
        planned: Mean temporal IoU of the plan's event with the time asked for; 0 where it is not
            planned.
        shown: The same of when it is seen on the curves.
        prompts: How many.
    """

    planned: float
    shown: float
    prompts: int


def measure_edits(
    model: "MotionLanguageModel", pairs: Sequence[tuple[str, str]] = PAIRS, seed: int = 0
) -> list["Locality"]:
    """What stays of a motion when a word of its text changes."""
    from mien.llm import measure_locality

    return [measure_locality(model, *pair, SECONDS, seed) for pair in pairs]


def measure_take_overs(
    say: Callable[[str], FaceSession] = pipeline.session, turns: Sequence[str] = TURNS
) -> TakeOver:
    """Let prompts take over from each other in the middle of what they do, every 1.6 s.

    Each prompt also begins alone, with what it does and how fast as with the others.
    """
    face, every = say(turns[0]), 40
    frames: list[Motion] = []
    for turn in (*turns[1:], *turns):
        frames += [next(face) for _ in range(every)]
        face.say(turn)
    frames += [next(face) for _ in range(every)]
    steps = _steps_mm(_points_mm(frames))
    told = [every * (i + 1) - 1 for i in range(len(frames) // every - 1)]
    behind = np.zeros(len(steps), bool)
    for at in told:
        behind[at : at + int(FPS)] = True
    return TakeOver(
        float(max(steps[at : at + int(FPS)].max() for at in told)),
        float(max(_steps_mm(_points_mm(list(islice(say(turn), every)))).max() for turn in turns)),
        float(np.percentile(steps[~behind], 99)),
        len(told),
    )


def measure_drift(
    seconds: float,
    say: Callable[[str], FaceSession] = pipeline.session,
    turns: Sequence[str] = TURNS,
    every_s: float = 20.0,
) -> Drift:
    """Let a face live on, told something every twenty seconds, and compare its minutes."""
    face = say(turns[0])
    frames: list[Motion] = []
    for number in range(round(seconds * FPS)):
        if number and number % round(every_s * FPS) == 0:
            face.say(turns[number // round(every_s * FPS) % len(turns)])
        frames.append(next(face))
    points = _points_mm(frames)
    steps = _steps_mm(points)
    turned = torch.cat([frame.global_pose + frame.neck_pose for frame in frames]).rad2deg()
    minutes = [slice(at, at + round(60 * FPS)) for at in range(0, len(frames), round(60 * FPS))]
    return Drift(
        len(frames) / FPS,
        tuple(float(points[minute].square().sum(-1).mean().sqrt()) for minute in minutes),
        tuple(float(steps[minute].mean()) for minute in minutes),
        tuple(float(turned[minute].mean(0).norm()) for minute in minutes),
    )


def measure_times(
    model: "MotionLanguageModel",
    tokenizer: "MotionTokenizer",
    prompts: Sequence[tuple[str, str]] = TIMED,
    spans: Sequence[tuple[int, int]] = SPANS,
) -> Obeyed:
    """Ask for single actions at a time and for a time."""
    from mien.llm.plan import TICK_S, parse_lines

    lexicon, marks = Lexicon.default(), marks_by(tokenizer)
    planned: list[float] = []
    shown: list[float] = []
    for text, entry in prompts:
        for start, length in spans:
            asked = Timed(entry, start, start + length)
            prompt = text.format(start=start, length=length)
            ((score, codes),) = model.generate_motion([prompt], SECONDS, takes=TAKES, marks=marks)
            plans = [
                Timed(entry, x.start * TICK_S, x.stop * TICK_S)
                for x in parse_lines(score)
                if x.entry == entry
            ]
            planned.append(max((temporal_iou(x, asked) for x in plans), default=0.0))
            curves = curves_from_motion(tokenizer.decode(codes)).numpy()
            seen = seen_at(curves, lexicon[entry])
            shown.append(0.0 if seen is None else temporal_iou(Timed(entry, *seen), asked))
    return Obeyed(statistics.mean(planned), statistics.mean(shown), len(planned))


def seen_at(curves: Float[ndarray, "t 61"], entry: Entry) -> tuple[float, float] | None:
    """From when to when an entry is at least half as clear as at its clearest, seconds."""
    series = evidence(entry, tracks_from_curves(np.asarray(curves, np.float64)), FPS)
    if series.max() <= 0:
        return None
    at = np.flatnonzero(series >= 0.5 * series.max())
    return float(at[0]) / FPS, float(at[-1] + 1) / FPS


def _points_mm(frames: Sequence[Motion]) -> Float[Tensor, "t p 3"]:
    """The face points' way from rest, the head held straight."""
    head = Head.default()
    with torch.no_grad():
        return head.face_points(Motion.concatenate(list(frames))) * (1000.0 * head.ipd)


def _steps_mm(points: Float[Tensor, "t p 3"]) -> Float[ndarray, " t"]:
    """Mean way of the points from frame to frame."""
    steps: ndarray = (points[1:] - points[:-1]).norm(dim=-1).mean(dim=1).numpy()
    return steps
