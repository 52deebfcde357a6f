"""Train a photo encoder and the network that moves faces, together, on pictures of many people.

After FlexAvatar (Peng et al.): a person's maps are made from one to four photos, the network moves
them, and what is drawn is compared with other pictures of the same person.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from mien.acceleration import Precision, begin_accelerator
from mien.avatar.encoder import EncoderSize
from mien.avatar.encoder_file import save_encoder
from mien.avatar.encoder_size import small as small_encoder
from mien.avatar.learner import Learner
from mien.avatar.lesson_losses import LEAST_WINDOW, judge
from mien.avatar.lessons import DataKind, Lesson, Lessons
from mien.avatar.losses import LossWeights, shape_terms, weighted
from mien.avatar.people_data import People
from mien.avatar.sizes import DecoderSize, small
from mien.checkpoints import Losses, resume, save_checkpoint

__all__ = ["EncoderConfig", "train_encoder"]

Report = Callable[[int, dict[str, float]], None]

_REPORT_EVERY = 25  # steps
_BETAS = (0.9, 0.99)  # a step sees few people, and there are not many steps
_TOLD = (
    *("people", "views", "most_photos", "data", "sinks", "position_map", "balanced"),
    *("mouth_loss", "held_out", "seed", "precision"),
    *("encoder_rate", "head_rate", "unet_rate", "template_rate"),
)


@dataclass(frozen=True)
class EncoderConfig:
    """How an encoder is trained.

    Attributes:
        out: Folder of the encoder and its checkpoints.
        size: Of the encoder.
        decoder: Of the maps that it makes.
        loss: Weights of the terms. All but the absolute difference are taken on windows.
        steps: Optimizer steps.
        people: People a step.
        views: Pictures of a person at one instant that are drawn in a step, where there are many.
        most_photos: Photos that the encoder is shown at once: 1 to this many.
        window: Side of the window that a step judges a picture's structure in, pixels.
        encoder_rate: Learning rate of the encoder's attention at its highest; at rates that suit
            convolutions its tokens grow until they say one thing about a person.
        head_rate: Of the convolutions that make maps of what was gathered.
        unet_rate: Of the network that moves faces.
        template_rate: Of the mean person.
        warmup: Steps in which the rates rise.
        data: People seen by one camera, by many, or both.
        sinks: Tell the encoder which of both a person is.
        position_map: Show the network the driven head.
        balanced: See `mien.avatar.lessons.Lessons`.
        mouth_loss: Judge the mouth by itself as well.
        held_out: Expressions that are never shown.
        precision: Of the networks.
        checkpoint_every: Steps between checkpoints; 0 for none.
        seed: Of networks and order.
        resume: Continue from the newest checkpoint in `out`, if there is one.
        progress: Show a progress bar.
        cpu: Stay on the CPU even where there is a GPU.
    """

    out: Path = Path("runs/encoder")
    size: EncoderSize = field(default_factory=small_encoder)
    decoder: DecoderSize = field(default_factory=small)
    loss: LossWeights = field(default_factory=LossWeights)
    steps: int = 2000
    people: int = 4
    views: int = 2
    most_photos: int = 4
    window: int = 64
    encoder_rate: float = 2e-4
    head_rate: float = 1e-3
    unet_rate: float = 1e-3
    template_rate: float = 5e-3
    warmup: int = 30
    data: DataKind = "both"
    sinks: bool = True
    position_map: bool = True
    balanced: bool = True
    mouth_loss: bool = True
    held_out: tuple[str, ...] = ()
    precision: Precision = "fp32"
    checkpoint_every: int = 200
    seed: int = 0
    resume: bool = True
    progress: bool = True
    cpu: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "people", "views", "most_photos", "warmup"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be 1 or more, got {getattr(self, name)}.")
        if self.window < LEAST_WINDOW:
            raise ValueError(f"`window` must be {LEAST_WINDOW} or more, got {self.window}.")
        for name in ("encoder_rate", "head_rate", "unet_rate", "template_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)}.")


def train_encoder(
    config: EncoderConfig,
    people: People,
    start: Float[Tensor, "14 r r"],
    stop_after: int | None = None,
    card: dict[str, Any] | None = None,
    report: Report | None = None,
) -> list[float]:
    """Train from the last checkpoint if there is one, and write the encoder to `config.out`.

    Args:
        config: Everything that decides the result, with the people and the start.
        people: With layouts of `config.decoder`.
        start: The mean person's maps; learned along.
        stop_after: Stop early after this many steps in all, as a killed run would.
        card: What else is to be said of the encoder.
        report: Is told the mean terms of the last steps now and then.

    Returns:
        The loss of every step since the beginning.

    Raises:
        ValueError: If several processes run, or the people do not suit the configuration.
    """
    set_seed(config.seed)
    accelerator = begin_accelerator(cpu=config.cpu)
    if accelerator.num_processes > 1:
        raise ValueError(f"Encoders are trained by one process, got {accelerator.num_processes}.")
    lessons = Lessons(
        people, config.data, config.balanced, config.held_out, config.most_photos, config.seed
    )
    learner = Learner(
        config.size,
        config.decoder,
        start,
        config.sinks,
        config.position_map,
        config.precision,
    )
    losses = _optimize(config, accelerator, learner, people, lessons, stop_after, report)
    learner.settle()
    told = {
        "pictures": len(people.pictures),
        "people": len(people),
        "steps": len(losses),
        "config": {name: value for name, value in asdict(config).items() if name in _TOLD},
    }
    save_encoder(
        config.out,
        learner.encoder.cpu().eval(),
        learner.unet.cpu().eval(),
        config.decoder,
        told | (card or {}),
    )
    return losses


def _optimize(
    config: EncoderConfig,
    accelerator: Accelerator,
    learner: Learner,
    people: People,
    lessons: Lessons,
    stop_after: int | None,
    report: Report | None,
) -> list[float]:
    rates, groups = _groups(config, learner)
    adam = torch.optim.Adam(groups, betas=_BETAS, fused=True)
    model, optimizer = accelerator.prepare(learner, adam)
    progress = Losses()
    accelerator.register_for_checkpointing(progress)
    if config.resume:
        resume(accelerator, config.out)
    last = min(config.steps, stop_after or config.steps)
    bar = tqdm(total=config.steps, initial=len(progress.losses), disable=not config.progress)
    recent: dict[str, list[float]] = {}
    for step in range(len(progress.losses), last):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * _pace(config, step)
        terms = _terms(config, model, people, lessons, step, accelerator.device)
        loss = weighted(terms, config.loss)
        optimizer.zero_grad()
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(model.parameters(), 1.0)
        if bool(torch.isfinite(norm)):  # one bad batch must not spoil the weights
            optimizer.step()
        progress.losses.append(float(loss.detach()))
        bar.update()
        for name, value in {**terms, "norm": norm}.items():
            recent.setdefault(name, []).append(float(value.detach()))
        if report is not None and (step + 1) % _REPORT_EVERY == 0:
            report(step + 1, {name: sum(v) / len(v) for name, v in recent.items()})
            recent = {}
        if config.checkpoint_every and (step + 1) % config.checkpoint_every == 0:
            save_checkpoint(accelerator, config.out, step + 1)
    bar.close()
    return progress.losses


def _groups(config: EncoderConfig, learner: Learner) -> tuple[list[float], list[dict[str, Any]]]:
    """What learns at which rate."""
    heads = list(learner.encoder.maps.parameters())
    of_heads = {id(parameter) for parameter in heads}
    trunk = [p for p in learner.encoder.parameters() if id(p) not in of_heads and p.requires_grad]
    rates = [config.encoder_rate, config.head_rate, config.unet_rate, config.template_rate]
    parts = [trunk, heads, list(learner.unet.parameters()), [learner.template]]
    return rates, [{"params": p, "lr": rate} for p, rate in zip(parts, rates, strict=True)]


def _pace(config: EncoderConfig, step: int) -> float:
    """Rises in a line, then falls by half a cosine to a twentieth."""
    rise = min(1.0, (step + 1) / config.warmup)
    return rise * (0.05 + 0.475 * (1.0 + math.cos(math.pi * step / config.steps)))


def _terms(
    config: EncoderConfig,
    model: Any,
    people: People,
    lessons: Lessons,
    step: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """The mean terms of a step's pictures."""
    rng = np.random.default_rng([config.seed, 3, step])
    batch = lessons.of_step(step, config.people, config.views)
    decoded = model(
        torch.stack([_photos(config, people, lesson, rng) for lesson in batch]).to(device),
        [lesson.person.sink for lesson in batch],
        [lesson.person.layout.to(device) for lesson in batch],
        [lesson.person.driven(lesson.frame).to(device) for lesson in batch],
    )
    red, green, blue = rng.random(3).tolist()
    found: dict[str, list[Tensor]] = {}
    for lesson, own in zip(batch, decoded, strict=True):
        terms = judge(
            people, lesson, own, (red, green, blue), rng, config.window, config.mouth_loss
        )
        for name, values in {**terms, **shape_terms(own)}.items():
            found.setdefault(name, []).append(values)
    return {name: torch.cat(values).mean() for name, values in found.items()}


def _photos(
    config: EncoderConfig, people: People, lesson: Lesson, rng: np.random.Generator
) -> Tensor:
    """The lesson's crops, each shifted a little, as landmarks in real photos are."""
    side = config.size.photo_side
    room = people.photos.shape[-1] - side
    shift = rng.integers(0, room + 1, (len(lesson.photos), 2))
    return people.crops(lesson.photos, side, shift)
