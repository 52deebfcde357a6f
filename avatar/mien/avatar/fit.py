"""Fit learned avatars to posed pictures: their maps, and one network that they share."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from tqdm import tqdm

from mien.acceleration import begin_accelerator
from mien.avatar.avatar import Avatar
from mien.avatar.driving import Driven
from mien.avatar.learned import Decoded, LearnedHead, make_unet
from mien.avatar.losses import LossWeights, picture_terms, shape_terms, weighted
from mien.avatar.perceptual import Perceptual, PerceptualKind, make_perceptual
from mien.avatar.pictures import PosedPicture
from mien.avatar.posed_view import PosedView
from mien.avatar.render import Color, render_cameras
from mien.avatar.sizes import DecoderSize, small
from mien.avatar.starts import start_from
from mien.avatar.unet import UNet
from mien.checkpoints import Losses, resume, save_checkpoint
from mien.pacing import half_cosine


@dataclass(frozen=True)
class FitConfig:
    """How avatars are fitted.

    Attributes:
        out: Folder of the checkpoints.
        size: Of the avatars.
        loss: Weights of the terms.
        perceptual: Which perceptual difference.
        steps: Optimizer steps.
        pictures: Pictures a step.
        learning_rate: Of the network at the beginning. The paper's 3e-5 is for an encoder trained
            along with it on 2,150 people; a few people need more.
        map_rate: Of the maps at the beginning.
        background: Behind pictures and drawings, sRGB; None takes another color at each step, so
            that nothing half transparent can pass for it.
        checkpoint_every: Steps between checkpoints; 0 for none.
        seed: Of the network, the features, and the order of pictures.
        resume: Continue from the newest checkpoint in `out`, if there is one.
        progress: Show a progress bar.
        cpu: Stay on the CPU even where there is a GPU.
    """

    out: Path = Path("runs/avatar")
    size: DecoderSize = field(default_factory=small)
    loss: LossWeights = field(default_factory=LossWeights)
    perceptual: PerceptualKind = "steerable"
    steps: int = 2000
    pictures: int = 2
    learning_rate: float = 1e-3
    map_rate: float = 1e-2
    background: Color | None = None
    checkpoint_every: int = 200
    seed: int = 0
    resume: bool = True
    progress: bool = True
    cpu: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or self.pictures < 1 or self.checkpoint_every < 0:
            raise ValueError(
                "`steps` and `pictures` must be 1 or more and `checkpoint_every` not negative, "
                f"got {self.steps}, {self.pictures} and {self.checkpoint_every}."
            )
        if not (self.learning_rate > 0 and self.map_rate > 0):
            raise ValueError(
                "`learning_rate` and `map_rate` must be above 0, got "
                f"{self.learning_rate} and {self.map_rate}."
            )


@dataclass(frozen=True)
class Fitted:
    """What a fit gives.

    Attributes:
        avatars: Learned ones, by identity.
        losses: Of every step since the beginning.
    """

    avatars: dict[str, Avatar]
    losses: list[float]


@dataclass(frozen=True, eq=False)
class _Lesson:
    """A prepared picture, and the number of whom it shows."""

    person: int
    view: PosedView


class _People(nn.Module):
    """Several learned heads with one network."""

    def __init__(self, heads: Sequence[LearnedHead]) -> None:
        super().__init__()
        self.unet = heads[0].unet
        self.maps = nn.ModuleList(head.maps for head in heads)
        self.layouts = nn.ModuleList(head.layout for head in heads)
        self._heads = tuple(heads)  # of the same parts, so not registered twice

    def forward(self, person: int, driven: Driven) -> Decoded:
        decoded: Decoded = self._heads[person](driven)
        return decoded


def fit(
    config: FitConfig,
    starts: Mapping[str, Avatar],
    pictures: Iterable[PosedPicture],
    stop_after: int | None = None,
) -> Fitted:
    """Fit avatars to pictures of them, from the last checkpoint if there is one; one process.

    Args:
        config: Everything that decides the result, with starts and pictures.
        starts: A painted or learned avatar for each identity in the pictures. Learned ones go on
            from their maps, and from the network of the first; the identity is the avatar's, not
            the motions'.
        pictures: All of them are held in memory.
        stop_after: Stop early after this many steps in all, as a killed run would.

    Raises:
        ValueError: If there are no pictures, or one is of somebody without a start, or a learned
            start is of another size, or several processes run.
    """
    set_seed(config.seed)
    accelerator = begin_accelerator(cpu=config.cpu)
    if accelerator.num_processes > 1:
        raise ValueError(f"Avatars are fitted by one process, got {accelerator.num_processes}.")
    lessons = _prepare_lessons(starts, pictures)
    avatars = _begin(config, starts)
    people = _People([_head_of(avatar) for avatar in avatars.values()])
    losses = _optimize(config, accelerator, people, lessons, stop_after)
    return Fitted({name: _finish(a, config, len(lessons)) for name, a in avatars.items()}, losses)


def _prepare_lessons(
    starts: Mapping[str, Avatar], pictures: Iterable[PosedPicture]
) -> list[_Lesson]:
    numbers = {name: number for number, name in enumerate(starts)}
    lessons = []
    for picture in pictures:
        if picture.identity not in numbers:
            raise ValueError(
                f"A picture is of {picture.identity!r}, who has no start; starts are for "
                f"{sorted(numbers)}."
            )
        avatar = starts[picture.identity]
        lessons.append(_Lesson(numbers[picture.identity], PosedView.of(picture, avatar)))
    if not lessons:
        raise ValueError("Avatars are fitted to one picture or more, got none.")
    return lessons


def _begin(config: FitConfig, starts: Mapping[str, Avatar]) -> dict[str, Avatar]:
    """Give every start a learned head; all share one network."""
    learned = [avatar.learned for avatar in starts.values() if avatar.learned is not None]
    wrong = [head.size for head in learned if head.size != config.size]
    if wrong:
        raise ValueError(f"A start is of the size {wrong[0]}, but {config.size} was asked for.")
    unet = make_unet(config.size)
    if learned:
        unet.load_state_dict(learned[0].unet.state_dict())
    return {
        name: _begin_one(config, avatar, config.seed + number, unet)
        for number, (name, avatar) in enumerate(starts.items())
    }


def _begin_one(config: FitConfig, avatar: Avatar, seed: int, unet: UNet) -> Avatar:
    if avatar.learned is None:
        return start_from(avatar, config.size, seed, unet)
    own = copy.deepcopy(avatar.learned).requires_grad_(True)
    learned = LearnedHead(config.size, own.layout, own.maps, unet)
    return dataclasses.replace(avatar, learned=learned)


def _head_of(avatar: Avatar) -> LearnedHead:
    assert avatar.learned is not None, "every avatar was given a learned head"
    return avatar.learned


def _finish(avatar: Avatar, config: FitConfig, count: int) -> Avatar:
    learned = _head_of(avatar).to("cpu").eval().requires_grad_(False)
    made_by = f"fitted to {count} pictures, {config.steps} steps, seed {config.seed}"
    return dataclasses.replace(avatar, learned=learned, made_by=made_by)


def _optimize(
    config: FitConfig,
    accelerator: Accelerator,
    people: _People,
    lessons: list[_Lesson],
    stop_after: int | None,
) -> list[float]:
    perceptual = make_perceptual(config.perceptual)
    rates = (config.learning_rate, config.map_rate)
    groups = [
        {"params": list(part.parameters()), "lr": rate}
        for part, rate in zip((people.unet, people.maps), rates, strict=True)
    ]
    model, optimizer = accelerator.prepare(people, torch.optim.Adam(groups))
    progress = Losses()
    accelerator.register_for_checkpointing(progress)
    if config.resume:
        resume(accelerator, config.out)
    last = min(config.steps, stop_after or config.steps)
    bar = tqdm(total=config.steps, initial=len(progress.losses), disable=not config.progress)
    for step in range(len(progress.losses), last):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * half_cosine(step / config.steps, least=0.1)
        drawn = _draw(config, lessons, step)
        batch = [_Lesson(at.person, at.view.to(accelerator.device)) for at in drawn]
        loss = _loss(config, model, batch, perceptual, _background(config, step))
        optimizer.zero_grad()
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(model.parameters(), 1.0)
        if bool(torch.isfinite(norm)):  # one bad batch must not spoil the weights
            optimizer.step()
        progress.losses.append(float(loss.detach()))
        bar.update()
        if config.checkpoint_every and (step + 1) % config.checkpoint_every == 0:
            save_checkpoint(accelerator, config.out, step + 1)
    bar.close()
    return progress.losses


def _draw(config: FitConfig, lessons: list[_Lesson], step: int) -> Iterator[_Lesson]:
    """The pictures of a step: every one once an epoch, in an order of its own."""
    for place in range(step * config.pictures, (step + 1) * config.pictures):
        epoch, within = divmod(place, len(lessons))
        order = np.random.default_rng([config.seed, epoch]).permutation(len(lessons))
        yield lessons[int(order[within])]


def _background(config: FitConfig, step: int) -> Color:
    if config.background is not None:
        return config.background
    red, green, blue = np.random.default_rng([config.seed, 1, step]).random(3)
    return float(red), float(green), float(blue)


def _loss(
    config: FitConfig,
    model: Any,
    batch: list[_Lesson],
    perceptual: Perceptual,
    background: Color,
) -> Tensor:
    """Mean loss of some pictures; frames of one person are decoded together."""
    found = []
    for person in sorted({lesson.person for lesson in batch}):
        own = [lesson for lesson in batch if lesson.person == person]
        decoded = model(person, Driven.concatenate([lesson.view.driven for lesson in own]))
        shapes = weighted(shape_terms(decoded), config.loss)
        for frame, lesson in enumerate(own):
            terms = _judge(decoded, frame, lesson.view, perceptual, background)
            found.append(weighted(terms, config.loss)[0] + shapes[frame])
    return torch.stack(found).mean()


def _judge(
    decoded: Decoded, frame: int, view: PosedView, perceptual: Perceptual, background: Color
) -> dict[str, Tensor]:
    drawn = render_cameras(decoded.gaussians(frame), [view.camera], background).image
    mask = view.mask.unsqueeze(-1)
    wanted = view.image * mask + view.image.new_tensor(background) * (1 - mask)
    return picture_terms(drawn, wanted[None], view.mouth[None], perceptual)
