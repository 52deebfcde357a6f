"""What `mien bench` times: one function a part, each importing only that part.

Each gives rows of a median over repeats, with the fastest and the slowest beside it, and says
what lies inside the time. Warm: models are loaded and kernels compiled before the clock starts,
save in `cold_start`.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from mien.avatar import Gaussians
    from mien.camera import Camera

PROMPT = "a shy smile that grows into a laugh, then she looks away"
SPLAT_COUNTS = (20_000, 50_000, 141_000)
SPLAT_SIZES = (256, 512)
CLIP_SECONDS = 4.0

_FRAMES = 24  # frames drawn for one measurement of splatting
_CLIPS = 40  # clips made for one measurement of the corpus
_START_TIMEOUT_S = 600


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What was measured, with sizes.
        unit: Of the three values.
        median: Over the repeats.
        low: Smallest of the repeats.
        high: Largest of the repeats.
        inside: What lies inside the time, and the batch.
    """

    name: str
    unit: str
    median: float
    low: float
    high: float
    inside: str


def timed(call: Callable[[], object], repeats: int) -> list[float]:
    """Gives the seconds of each of `repeats` calls, after one that is not counted."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def rate_row(name: str, unit: str, count: int, seconds: list[float], inside: str) -> Row:
    """Gives `count` over each of `seconds` as a row of rates."""
    rates = [count / s for s in seconds]
    return Row(name, unit, statistics.median(rates), min(rates), max(rates), inside)


def time_row(name: str, seconds: list[float], inside: str) -> Row:
    """Gives `seconds` as a row in milliseconds below a second, in seconds above."""
    unit, scale = ("ms", 1000.0) if statistics.median(seconds) < 1 else ("s", 1.0)
    values = [scale * s for s in seconds]
    return Row(name, unit, statistics.median(values), min(values), max(values), inside)


def splatting(repeats: int) -> Iterator[Row]:
    """Frames a second of the CPU renderer, the time of a frame, and that of a training step."""
    from mien.avatar import render, render_frames
    from mien.avatar.phantom import phantom
    from mien.camera import Camera

    for count in SPLAT_COUNTS:
        gaussians = phantom(count)
        for size in SPLAT_SIZES:
            camera = Camera.portrait(size, size, yaw=0.3)

            def draw_many(gaussians=gaussians, camera=camera) -> None:  # type: ignore[no-untyped-def]
                for _ in render_frames([gaussians] * _FRAMES, camera):
                    pass

            def draw_one(gaussians=gaussians, camera=camera) -> None:  # type: ignore[no-untyped-def]
                render(gaussians, camera)

            name = f"splatting {count // 1000}k Gaussians, {size}x{size}"
            inside = "project, sort, bin, blend to float RGB and alpha; a phantom head"
            many = timed(draw_many, repeats)
            yield rate_row(name, "frames/s", _FRAMES, many, f"{inside}; frame after frame")
            yield time_row(f"{name}, one frame", timed(draw_one, 5 * repeats), inside)
            inside = (
                "check, project, sort, bin, blend, mean square of the image, and its gradient by "
                "centers, rotations, scales, opacities and colors; no optimizer"
            )
            steps = timed(training_step(gaussians, camera), repeats)
            yield time_row(f"{name}, forward and backward", steps, inside)


def training_step(gaussians: "Gaussians", camera: "Camera") -> Callable[[], list["Tensor"]]:
    """Gives a call that draws and differentiates one image; it returns the leaves."""
    import torch

    from mien.avatar import Gaussians, render

    leaves = [getattr(gaussians, f.name).clone().requires_grad_() for f in fields(gaussians)]

    def learn() -> list["Tensor"]:
        for leaf in leaves:
            leaf.grad = None
        torch.autograd.backward(render(Gaussians(*leaves), camera).image.square().mean())
        return leaves

    return learn


def avatar(repeats: int) -> Iterator[Row]:
    """Frames a second of the adult avatar, driven and drawn as `mien animate` does it."""
    from mien.apps.threads import on_one_thread
    from mien.avatar import Avatar, render_frames
    from mien.camera import Camera
    from mien.motion import Motion

    person, camera, motion = Avatar.load("adult"), Camera.portrait(512, 512), Motion.rest(_FRAMES)

    def drive() -> None:
        for _ in on_one_thread(person.drive(motion, camera)):
            pass

    def draw() -> None:
        for _ in render_frames(on_one_thread(person.drive(motion, camera)), camera):
            pass

    name = f"adult avatar, {len(person):,} Gaussians"
    inside = "skinning, placing, shading and detail on one thread; frame after frame"
    yield rate_row(f"{name}, driven", "frames/s", _FRAMES, timed(drive, repeats), inside)
    inside = f"{inside}, drawn at 512x512"
    yield rate_row(f"{name}, driven and drawn", "frames/s", _FRAMES, timed(draw, repeats), inside)


def language(repeats: int) -> Iterator[Row]:
    """Tokens a second of text to motion, the time to the first frame, and captioning."""
    from mien.apps.request import TAKES
    from mien.apps.takes import marks_by
    from mien.llm import MotionLanguageModel
    from mien.tokenizer import MotionTokenizer

    model, tokenizer = MotionLanguageModel.load(), MotionTokenizer.load()

    def first_frame() -> None:
        streamer = tokenizer.streamer()
        for code in model.stream_motion(PROMPT, seconds=CLIP_SECONDS):
            if streamer.push([code]) is not None:
                return

    _, indices = model.generate_motion([PROMPT], seconds=CLIP_SECONDS)[0]
    whole = timed(lambda: model.generate_motion([PROMPT], seconds=CLIP_SECONDS), repeats)
    inside = "word vectors, score and motion tokens of one prompt; batch 1"
    yield rate_row(
        f"text to {CLIP_SECONDS:g} s of motion", "tokens/s", len(indices), whole, inside
    )
    marks = marks_by(tokenizer)
    best = timed(
        lambda: model.generate_motion([PROMPT], CLIP_SECONDS, takes=TAKES, marks=marks), repeats
    )
    inside = f"the same, the best of {TAKES} takes, as `mien animate` has it"
    yield time_row(f"text to {CLIP_SECONDS:g} s of motion, best of {TAKES}", best, inside)
    inside = "word vectors, score, first tokens and their decoding; warm, batch 1"
    yield time_row("text to first frame", timed(first_frame, repeats), inside)
    seconds = timed(lambda: model.describe(indices), repeats)
    inside = "events and caption from tokens; batch 1"
    yield time_row(f"caption of {CLIP_SECONDS:g} s of motion", seconds, inside)


def tokenizing(repeats: int) -> Iterator[Row]:
    """Frames a second of the tokenizer, both ways."""
    from mien.data_synth.lexicon import Lexicon
    from mien.data_synth.performance import sample_performance
    from mien.data_synth.performer import perform_motion
    from mien.tokenizer import MotionTokenizer

    tokenizer = MotionTokenizer.load()
    performance = sample_performance(random.Random(0), Lexicon.default(), 8.0)
    motion = perform_motion(performance, seed=0)
    indices = tokenizer.encode(motion)
    frames = motion.num_frames
    seconds = timed(lambda: tokenizer.encode(motion), repeats)
    yield rate_row("tokenizer, encode", "frames/s", frames, seconds, "one motion of 8 s to tokens")
    seconds = timed(lambda: tokenizer.decode(indices), repeats)
    yield rate_row("tokenizer, decode", "frames/s", frames, seconds, "its tokens to a motion")


def corpus(repeats: int) -> Iterator[Row]:
    """Frames a second at which the corpus is made, on one thread."""
    from mien.data_synth.corpus import make_clip
    from mien.data_synth.lexicon import Lexicon

    lexicon = Lexicon.default()
    frames = 0

    def make_clips() -> None:
        nonlocal frames
        frames = sum(len(make_clip(0, index, lexicon).curves) for index in range(_CLIPS))

    seconds = timed(make_clips, repeats)
    inside = f"performance, texts and curves of {_CLIPS} clips; one process, nothing written"
    yield rate_row("corpus", "frames/s", frames, seconds, inside)


def head(repeats: int) -> Iterator[Row]:
    """Frames a second of the default head's blend skinning."""
    import torch

    from mien.head import Head

    model, frames = Head.default(), 25
    ramp = torch.linspace(0, 1, frames)[:, None]
    expr, jaw = ramp * torch.ones(model.num_expr), ramp * torch.tensor([0.3, 0.0, 0.0])

    def pose() -> None:
        with torch.no_grad():
            model(expr=expr, jaw_pose=jaw)

    inside = f"parameters to {len(model.v_template):,} vertices, all expressions; batch {frames}"
    yield rate_row("head, blend skinning", "frames/s", frames, timed(pose, repeats), inside)


def cold_repeats(repeats: int) -> int:
    """Gives how often the whole command is run: a third as often as its parts."""
    return max(1, repeats // 3)


def cold_start(repeats: int) -> Iterator[Row]:
    """Seconds from the shell to the video: the first run ever, and those after it."""
    inside = "a new process: imports, models, text, tokens, drawing, H.264 at 512x512"
    first, later = [], []
    for _ in range(cold_repeats(repeats)):
        with tempfile.TemporaryDirectory() as folder:
            first.append(_animate(Path(folder)))
            later.append(_animate(Path(folder)))
    name = f"mien animate, {CLIP_SECONDS:g} s of motion"
    yield time_row(f"{name}, first run", first, f"{inside}; kernels are compiled")
    yield time_row(f"{name}, later runs", later, inside)


def _animate(folder: Path) -> float:
    """Gives the seconds of one `mien animate` whose compiled kernels are kept in `folder`."""
    output = folder / "out.mp4"
    command = [sys.executable, "-m", "mien.apps", "animate", PROMPT, "-o", str(output)]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--seconds", f"{CLIP_SECONDS:g}"],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=_START_TIMEOUT_S,
    )
    seconds = time.perf_counter() - start
    if done.returncode or not output.is_file():
        said = done.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise ValueError(f"`mien animate` ended with code {done.returncode} and said: {said[0]}")
    return seconds


PARTS: dict[str, Callable[[int], Iterator[Row]]] = {
    "splatting": splatting,
    "avatar": avatar,
    "language": language,
    "tokenizing": tokenizing,
    "corpus": corpus,
    "head": head,
    "cold-start": cold_start,
}
