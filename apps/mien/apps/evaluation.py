"""What `mien eval` measures: one function a claim, each judged by rules and never by a model.

Beside each figure stand its ceiling, the same judge on the truth itself, and its floor, the judge
on the truth of another clip: a judge that cannot tell them apart would say nothing.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from mien import pipeline
from mien.apps.progress import track
from mien.apps.reporting import markdown_table
from mien.apps.request import Device
from mien.apps.trials import BATCH, Prompt, Trial, batched, generate_curves, try_prompts
from mien.arkit import CHANNEL_NAMES, EXPR_NAMES, curves_from_motion, motion_from_curves
from mien.data_synth.clip import FPS, Clip, clip_rng, make_clip, split_of
from mien.data_synth.judge import expectations_of, judge_caption, judge_motion
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import sample_performance
from mien.data_synth.phrases import Split
from mien.motion import Motion

if TYPE_CHECKING:
    from mien.llm import MotionLanguageModel
    from mien.tokenizer import MotionTokenizer

MARKS = ("emotion", "action", "intensity")


@dataclass(frozen=True)
class Report:
    """All figures.

    Attributes:
        clips: Held-out performances.
        seeds: Tries of each free prompt.
        seed: Of the performances.
        tokenizer: Figures on the held-out performances.
        units_kept: Units that keep at least half their height through the tokens when they move
            alone, share; and the mean height kept.
        take: Figures on the real take; None where there was none.
        motion_score: Text to motion, held-out in held-out wording: mean score 0 to 1 of the model,
            ceiling and floor.
        motion_passed: The same, share of clips with everything seen in order.
        known_score: Text to motion, held-out performances in the wording of the training split.
        known_passed: The same, share of clips with everything seen in order.
        free_passed: Share of tries of free prompts in which all was seen, in order.
        free_by_seed: The same for each seed.
        free_chance: The same for motions made for other prompts.
        caption_marks: Motion to text: marks 1 to 5 of the model, ceiling and floor by name.
        trials: Each try of a free prompt.
    """

    clips: int
    seeds: int
    seed: int
    tokenizer: dict[str, float]
    units_kept: tuple[float, float]
    take: dict[str, float] | None
    motion_score: tuple[float, float, float]
    motion_passed: tuple[float, float, float]
    known_score: tuple[float, float, float]
    known_passed: tuple[float, float, float]
    free_passed: float
    free_by_seed: tuple[float, ...]
    free_chance: float
    caption_marks: dict[str, tuple[float, float, float]]
    trials: tuple[Trial, ...]

    def as_markdown(self) -> str:
        """The figures as a table."""
        rows = [*_tokenizer_rows(self.tokenizer, f"{self.clips} held-out performances")]
        if self.take is not None:
            rows += _tokenizer_rows(self.take, "the real take")
        held_out = f"{self.clips} held-out performances"
        half, mean = self.units_kept
        rows.append(
            (
                "tokenizer: units that keep half their height, moved alone",
                "each expression unit",
                f"{half:.0%}",
                f"mean height kept {mean:.0%}",
            )
        )
        for wording, score, passed in (
            ("held-out", self.motion_score, self.motion_passed),
            ("known", self.known_score, self.known_passed),
        ):
            on, seen = f"{held_out} in {wording} wording", "all seen, right side, right order"
            rows += [
                (f"text to motion: {seen}", on, *_with_bounds("{:.1%}", passed)),
                ("text to motion: mean score, 0 to 1", on, *_with_bounds("{:.3f}", score)),
            ]
        rows += [
            (
                "text to motion: all seen, in order",
                f"{len(self.trials) // self.seeds} prompts in free wording, {self.seeds} seeds",
                f"{self.free_passed:.1%}",
                "by seed "
                + ", ".join(f"{share:.1%}" for share in self.free_by_seed)
                + f"; another prompt's motion {self.free_chance:.1%}",
            ),
        ]
        for name, marks in self.caption_marks.items():
            what = f"motion to text: {name}, 1 to 5"
            rows.append((what, held_out, *_with_bounds("{:.2f}", marks)))
        return markdown_table(("what", "on", "figure", "beside it"), rows)


def evaluate(
    num_clips: int,
    seeds: int,
    seed: int,
    prompts: Sequence[Prompt],
    take: Motion | None,
    device: Device = "cpu",
) -> Report:
    """Measure everything.

    Args:
        num_clips: Held-out performances.
        seeds: Tries of each free prompt.
        seed: Of the performances.
        prompts: In free wording.
        take: A real recording, or None.
        device: Where models run.
    """
    tokenizer, model = pipeline.tokenizer(device), pipeline.language_model(device)
    clips = list(track(held_out_clips(num_clips, seed), num_clips, "performing", "clip"))
    motions = [motion_from_curves(clip.curves, FPS) for clip in clips]
    motion_score, motion_passed = judge_motions(clips, model, tokenizer)
    known = list(held_out_clips(num_clips, seed, "val"))
    known_score, known_passed = judge_motions(known, model, tokenizer)
    trials = try_prompts(prompts, seeds, model, tokenizer)
    by_seed = [np.mean([t.passed for t in trials if t.seed == s]) for s in range(seeds)]
    return Report(
        clips=num_clips,
        seeds=seeds,
        seed=seed,
        tokenizer=measure_tokenizer(tokenizer, motions),
        units_kept=measure_units(tokenizer),
        take=None if take is None else measure_tokenizer(tokenizer, [take]),
        motion_score=motion_score,
        motion_passed=motion_passed,
        known_score=known_score,
        known_passed=known_passed,
        free_passed=float(np.mean([trial.passed for trial in trials])),
        free_by_seed=tuple(float(share) for share in by_seed),
        free_chance=float(np.mean([trial.chance for trial in trials])),
        caption_marks=judge_captions(clips, motions, model, tokenizer),
        trials=tuple(trials),
    )


def measure_tokenizer(tokenizer: "MotionTokenizer", motions: Sequence[Motion]) -> dict[str, float]:
    """What coding and decoding costs."""
    from mien.tokenizer.metrics import evaluate as measure

    return {name: float(value) for name, value in measure(tokenizer, motions).as_dict().items()}


def measure_units(tokenizer: "MotionTokenizer", height: float = 0.6) -> tuple[float, float]:
    """Move each expression unit alone and see how much of it comes back.

    A unit rises in a third of a second, stays a second, and falls. Closing an open mouth shows
    nothing alone, so `mouthClose` is left out.

    Returns:
        Share of units that keep at least half their height, and the mean height kept.
    """
    names = [name for name in EXPR_NAMES if name != "mouthClose"]
    frames = np.arange(55)
    shape = np.clip((frames - 8) / 8, 0, 1) * np.clip((50 - frames) / 8, 0, 1)
    kept = []
    for name in names:
        curves = np.zeros((len(frames), len(CHANNEL_NAMES)), np.float32)
        column = CHANNEL_NAMES.index(name)
        curves[:, column] = height * shape
        motion = tokenizer.decode(tokenizer.encode(motion_from_curves(curves, FPS)))
        kept.append(float(curves_from_motion(motion)[24:38, column].mean()) / height)
    return float(np.mean([share >= 0.5 for share in kept])), float(np.mean(kept))


def held_out_clips(count: int, seed: int, split: Split = "test") -> Iterator[Clip]:
    """Clips of performers that no corpus trains on; those of "test" in held-out wording too."""
    lexicon = Lexicon.default()
    numbers = itertools.count()
    wanted = (
        i for i in numbers if split_of(sample_performance(clip_rng(seed, i), lexicon)) == split
    )
    return (make_clip(seed, i, lexicon) for i in itertools.islice(wanted, count))


def judge_motions(
    clips: Sequence[Clip], model: "MotionLanguageModel", tokenizer: "MotionTokenizer"
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Scores and passes of generated motion, of the performed and of another clip's."""
    asked = [(clip.texts[0], clip.performance.seconds) for clip in clips]
    made: list[ndarray] = []
    for part in track(batched(asked), -(-len(asked) // BATCH), "text to motion", "batch"):
        texts, seconds = zip(*part, strict=True)
        made += generate_curves(model, tokenizer, texts, 0, seconds)
    truth = [clip.curves for clip in clips]
    columns = [
        [
            judge_motion(curves, FPS, expectations_of(clip.performance))
            for curves, clip in zip(source, clips, strict=True)
        ]
        for source in (made, truth, truth[1:] + truth[:1])
    ]
    scores = _means([[marks.score for marks in column] for column in columns])
    return scores, _means([[marks.passed for marks in column] for column in columns])


def judge_captions(
    clips: Sequence[Clip],
    motions: Sequence[Motion],
    model: "MotionLanguageModel",
    tokenizer: "MotionTokenizer",
) -> dict[str, tuple[float, float, float]]:
    """Marks 1 to 5 of the model's captions, of the writer's and of another clip's."""
    found: list[str] = []
    shown = list(zip(motions, clips, strict=True))
    for part in track(batched(shown), -(-len(shown) // BATCH), "motion to text", "batch"):
        tokens = [tokenizer.encode(motion) for motion, _ in part]
        curves = [clip.curves for _, clip in part]
        found += [description.caption for description in model.describe_batch(tokens, curves)]
    truth = [clip.caption for clip in clips]
    columns = [
        [
            judge_caption(caption, clip.performance, Lexicon.default())
            for caption, clip in zip(source, clips, strict=True)
        ]
        for source in (found, truth, truth[1:] + truth[:1])
    ]
    return {
        name: _means([[getattr(marks, name) for marks in column] for column in columns])
        for name in MARKS
    }


def _means(columns: Sequence[Sequence[float | None]]) -> tuple[float, float, float]:
    """Means for the model, the truth and another clip's truth; None marks do not count."""
    kept = ([mark for mark in column if mark is not None] for column in columns)
    model, truth, swapped = (float(np.mean(column)) if column else math.nan for column in kept)
    return model, truth, swapped


def _with_bounds(form: str, values: tuple[float, float, float]) -> tuple[str, str]:
    figure, ceiling, floor = (form.format(value) for value in values)
    return figure, f"truth {ceiling}, another clip's {floor}"


def _tokenizer_rows(figures: dict[str, float], on: str) -> list[tuple[str, str, str, str]]:
    still = f"coding nothing {figures['still_mm']:.2f} mm"
    lids = f"lids {figures['lids_mm']:.2f} mm, head {figures['rotation_deg']:.2f} degrees"
    used = f"perplexity {figures['perplexity']:.0f}, {figures['frames']:.0f} frames"
    speed = f"decode {figures['decode_fps']:.0f} frames/s, streamed"
    return [
        ("tokenizer: mean point error", on, f"{figures['mean_mm']:.2f} mm", still),
        ("tokenizer: lips", on, f"{figures['lips_mm']:.2f} mm", lids),
        ("tokenizer: jerk ratio", on, f"{figures['jerk_ratio']:.2f}", "1 is the truth's"),
        ("tokenizer: codebook use", on, f"{figures['code_use']:.1%}", used),
        ("tokenizer: encode", on, f"{figures['encode_fps']:.0f} frames/s", speed),
    ]
