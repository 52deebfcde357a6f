"""Train a photo encoder and the network that moves faces, together, on pictures of many people.

After FlexAvatar (Peng et al.): a person's maps are made from one to four photos, the network moves
them, and what is drawn is compared with other pictures of the same person. Before that, where the
people's maps are known, the encoder may learn those alone (`mien.avatar.known_maps`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from mien.acceleration import begin_accelerator
from mien.avatar.course import Course
from mien.avatar.encoder_config import EncoderConfig
from mien.avatar.encoder_file import LoadedEncoder, save_encoder
from mien.avatar.known_changes import KnownChanges
from mien.avatar.known_maps import KnownMaps, principal
from mien.avatar.learner import Learner
from mien.avatar.lessons import Lessons
from mien.avatar.people_data import People
from mien.checkpoints import Losses, resume, save_checkpoint

__all__ = ["EncoderConfig", "train_encoder"]

Report = Callable[[int, dict[str, float]], None]

_REPORT_EVERY = 25  # steps
_BETAS = (0.9, 0.99)  # a step sees few people, and there are not many steps
_TOLD = (
    *(
        "map_steps",
        "change_steps",
        "people",
        "map_people",
        "views",
        "most_photos",
        "data",
        "sinks",
        "position_map",
        "balanced",
    ),
    *("mouth_loss", "held_out", "seed", "precision"),
    *("encoder_rate", "head_rate", "unet_rate", "template_rate"),
)


def train_encoder(
    config: EncoderConfig,
    people: People,
    start: Float[Tensor, "14 r r"],
    known: KnownMaps | None = None,
    begin: LoadedEncoder | None = None,
    changes: KnownChanges | None = None,
    stop_after: int | None = None,
    card: dict[str, Any] | None = None,
    report: Report | None = None,
) -> list[float]:
    """Train from the last checkpoint if there is one, and write the encoder to `config.out`.

    Args:
        config: Everything that decides the result, with the people and the start.
        people: With layouts of `config.decoder`.
        start: The mean person's maps; learned along.
        known: The people's maps, for `config.map_steps`; their mean takes the place of `start`,
            and the encoder gets their principal components, unless it goes on from another.
        begin: An encoder to go on from; its mean person takes the place of `start`.
        changes: How the people change as they move, for `config.change_steps`.
        stop_after: Stop early after this many steps in all, as a killed run would.
        card: What else is to be said of the encoder.
        report: Is told the mean terms of the last steps now and then.

    Returns:
        The loss of every step since the beginning.

    Raises:
        ValueError: If several processes run, the people do not suit the configuration, maps are
            to be compared and none are known, or `begin` is of other sizes.
    """
    if config.map_steps and known is None:
        raise ValueError(f"{config.map_steps} steps are to compare maps, but none are known.")
    if config.change_steps and (known is None or changes is None):
        raise ValueError(f"{config.change_steps} steps are to compare changes; none are known.")
    set_seed(config.seed)
    accelerator = begin_accelerator(cpu=config.cpu)
    if accelerator.num_processes > 1:
        raise ValueError(f"Encoders are trained by one process, got {accelerator.num_processes}.")
    lessons = Lessons(
        people, config.data, config.balanced, config.held_out, config.most_photos, config.seed
    )
    components = None
    if config.map_steps and known is not None and begin is None:
        start, components = principal(known, config.size.components, config.decoder)
    learner = Learner(
        config.size,
        config.decoder,
        start,
        config.sinks,
        config.position_map,
        config.precision,
    )
    if components is not None:
        learner.encoder.set_components(components)
    if begin is not None:
        learner.begin_from(begin)
    if config.change_steps:
        learner.begin_moving_anew()
    course = Course(config, people, lessons, known, changes)
    losses = _optimize(config, accelerator, learner, course, stop_after, report)
    learner.settle()
    told = {
        "pictures": len(people.pictures),
        "people": len(people),
        "steps": len(losses),
        "history": _history(begin),
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


def _history(begin: LoadedEncoder | None) -> list[str]:
    """The commands that made the encoder that training began from, the first one first."""
    if begin is None:
        return []
    return [*begin.card.get("history", []), str(begin.card.get("command", "unknown"))]


def _optimize(
    config: EncoderConfig,
    accelerator: Accelerator,
    learner: Learner,
    course: Course,
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
    last = min(course.steps, stop_after or course.steps)
    bar = tqdm(total=course.steps, initial=len(progress.losses), disable=not config.progress)
    recent: dict[str, list[float]] = {}
    for step in range(len(progress.losses), last):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * course.pace(step)
        terms, loss = course.judged(model, step, accelerator.device)
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
    heads = [*learner.encoder.maps.parameters(), *learner.encoder.glance.parameters()]
    of_heads = {id(parameter) for parameter in heads}
    trunk = [p for p in learner.encoder.parameters() if id(p) not in of_heads and p.requires_grad]
    rates = [config.encoder_rate, config.head_rate, config.unet_rate, config.template_rate]
    parts = [trunk, heads, list(learner.unet.parameters()), [learner.template]]
    return rates, [{"params": p, "lr": rate} for p, rate in zip(parts, rates, strict=True)]
