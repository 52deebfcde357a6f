"""From prompts to shards: make a video, look for its face, keep what is good, track it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.arkit import curves_from_motion
from mien.data_synth.caption import write_caption
from mien.data_synth.clip import FPS, Clip, clip_rng
from mien.data_synth.judge import expectations_of, judge_motion
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import GRID_S
from mien.data_synth.score import format_score
from mien.data_synth.shards import ShardSet, pack, write_whole
from mien.data_synth.video_route.prompts import VideoPrompt, make_prompt
from mien.data_synth.video_route.quality import Check, Limits, check_video
from mien.data_synth.video_route.text_to_video import TextToVideo, Video
from mien.data_synth.writer import write_events
from mien.tracking import FaceLandmarker, follow, track_sightings

__all__ = ["Scorer", "Take", "VideoConfig", "make_take", "motion_agreement", "write_video_corpus"]

FORMAT = 1
_FRAMES = round(GRID_S * FPS)  # clips end on the grid of scores

Curves = Float[ndarray, "t 61"]
Scorer = Callable[[Video, VideoPrompt, Curves], float]
Landmarkers = Callable[[], AbstractContextManager[FaceLandmarker]]


@dataclass(frozen=True)
class VideoConfig:
    """What a corpus of made videos holds.

    Attributes:
        seed: Of prompts and videos.
        num_prompts: How many prompts; those of which no try is good enough give no clip.
        clips_per_shard: Prompts of one Parquet file.
        seconds: Length of a video.
        tries: Videos of one prompt, at most.
        limits: What a video must reach.
    """

    seed: int = 0
    num_prompts: int = 1024
    clips_per_shard: int = 32
    seconds: float = 5.0
    tries: int = 2
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse counts that make no corpus."""
        for name in ("num_prompts", "clips_per_shard", "tries"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if not 1 <= self.seconds <= 20:
            raise ValueError(f"`seconds` must be from 1 to 20, got {self.seconds}.")


@dataclass(frozen=True, eq=False)
class Take:
    """One try at one prompt.

    Attributes:
        clip: What was made of it; None where a check failed.
        checks: What was looked at.
    """

    clip: Clip | None
    checks: tuple[Check, ...]


def write_video_corpus(
    folder: Path,
    config: VideoConfig,
    models: Sequence[TextToVideo],
    landmarkers: Landmarkers,
    scorer: Scorer | None = None,
) -> Iterator[tuple[int, int]]:
    """Write the shards that are missing and the manifest; yield (shards done, shards in all).

    The shards are those of `mien synth`: the prompt is the text, the curves are tracked. Beside
    each shard lies `takes-NNNNN.json`: every try and how it was judged. A killed run goes on at
    the shard it was at.

    Args:
        folder: Where shards go.
        config: What is made.
        models: Prompts go to them in turn, so that no one model's manner is all there is.
        landmarkers: Give a new landmarker for each video.
        scorer: Says how well a video agrees with its prompt, 0 to 1; nothing is asked without.

    Raises:
        ValueError: If there is no model, or the folder holds another corpus.
    """
    if not models:
        raise ValueError("`models` must hold at least one text-to-video model, got none.")
    total = -(-config.num_prompts // config.clips_per_shard)
    shards = ShardSet(folder, _identity(config, models, scorer), total)
    missing = shards.claim()
    done = total - len(missing)
    yield done, total
    for shard in missing:
        first = shard * config.clips_per_shard
        last = min(first + config.clips_per_shard, config.num_prompts)
        clips: list[Clip] = []
        notes: list[dict[str, Any]] = []
        for index in range(first, last):
            model = models[index % len(models)]
            for attempt, take in enumerate(_takes(config, index, model, landmarkers, scorer)):
                notes.append(_note(index, attempt, model, take))
                clips += [take.clip] if take.clip else []
        write_whole(folder / f"takes-{shard:05d}.json", json.dumps(notes, indent=1).encode())
        shards.place(shard, pack(clips))
        done += 1
        yield done, total
    shards.finish()


def _takes(
    config: VideoConfig,
    index: int,
    model: TextToVideo,
    landmarkers: Landmarkers,
    scorer: Scorer | None,
) -> Iterator[Take]:
    """Try until a take is good, or often enough."""
    prompt = make_prompt(config.seed, index)
    for attempt in range(config.tries):
        video = model.make(prompt.text, config.seconds, _seed(config.seed, index, attempt))
        take = make_take(video, prompt, landmarkers, config.limits, scorer)
        yield take
        if take.clip:
            return


def make_take(
    video: Video,
    prompt: VideoPrompt,
    landmarkers: Landmarkers,
    limits: Limits | None = None,
    scorer: Scorer | None = None,
) -> Take:
    """Look at a video and, where it is good, track it.

    The clip's actions are those that were asked for, as if done throughout: when the model did
    them is not known. Its curves are what the face was seen to do.
    """
    limits = limits or Limits()
    with landmarkers() as landmarker:
        sightings = follow(video.frames, video.fps, landmarker)
    checks = check_video(video, sightings, limits)
    if not all(check.passed for check in checks):
        return Take(None, checks)
    motion = track_sightings(sightings, video.fps).motion.resample(FPS)
    curves = np.asarray(curves_from_motion(motion), np.float32)
    curves = curves[: max(_FRAMES, len(curves) // _FRAMES * _FRAMES)]
    if scorer is not None:
        value = scorer(video, prompt, curves)
        checks += (Check.at_least("prompt agreement", value, limits.agreement),)
    return Take(_clip(prompt, curves) if checks[-1].passed else None, checks)


def motion_agreement(video: Video, prompt: VideoPrompt, curves: Curves) -> float:
    """A scorer without a model: does the tracked face show what was asked for? 0 to 1."""
    expected = expectations_of(prompt.performance(len(curves) / FPS))
    return judge_motion(curves, FPS, expected).score


def _clip(prompt: VideoPrompt, curves: Curves) -> Clip:
    lexicon = Lexicon.default()
    performance = prompt.performance(round(len(curves) / FPS, 2))
    caption = write_caption(performance, clip_rng(prompt.style_seed, prompt.index), lexicon)
    return Clip(
        index=prompt.index,
        split=prompt.split,
        texts=(prompt.text,),
        caption=caption,
        score=format_score(performance),
        events=tuple(write_events(performance, lexicon)),
        performance=performance,
        curves=curves,
    )


def _seed(seed: int, index: int, attempt: int) -> int:
    digest = hashlib.blake2b(f"mien video {seed} {index} {attempt}".encode(), digest_size=4)
    return int.from_bytes(digest.digest(), "little")


def _note(index: int, attempt: int, model: TextToVideo, take: Take) -> dict[str, Any]:
    checks = {c.question: [round(c.value, 4), c.limit, c.passed] for c in take.checks}
    return {
        "index": index,
        "try": attempt,
        "model": model.name,
        "kept": take.clip is not None,
        "checks": checks,
    }


def _identity(
    config: VideoConfig, models: Sequence[TextToVideo], scorer: Scorer | None
) -> dict[str, Any]:
    scored_by = getattr(scorer, "__name__", type(scorer).__name__) if scorer else ""
    return {
        "format": FORMAT,
        "recipe": "text-to-video",
        "models": [model.name for model in models],
        "scorer": scored_by,
        **asdict(config),
    }
