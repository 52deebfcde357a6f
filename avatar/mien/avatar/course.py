"""What each step of an encoder's training compares: what is known of people, then drawings."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.encoder import Sink
from mien.avatar.encoder_config import EncoderConfig
from mien.avatar.known_changes import KnownChanges, change_terms
from mien.avatar.known_maps import COLORS, KnownMaps, map_terms
from mien.avatar.learner import Learner
from mien.avatar.lesson_losses import judge
from mien.avatar.lessons import Lesson, Lessons
from mien.avatar.losses import shape_terms, weighted
from mien.avatar.people_data import People
from mien.avatar.uv_layout import surface_mask
from mien.pacing import half_cosine

__all__ = ["Course"]

Terms = dict[str, Tensor]
Part = Literal["maps", "changes", "pictures"]
_MAP_WEIGHTS = {"position": 0.3, "opacity": 0.3, "color": 1.0, "others": 0.1}
_CHANGE_WEIGHTS = {"change": 1.0, "others": 0.05}


class Course:
    """The steps of a training, one after another.

    Args:
        config: Of the training.
        people: To learn from.
        lessons: Who and what each step takes.
        known: The people's maps; needed where `config` has steps that compare maps or changes.
        changes: How they change; needed where it has steps that compare changes.
    """

    def __init__(
        self,
        config: EncoderConfig,
        people: People,
        lessons: Lessons,
        known: KnownMaps | None,
        changes: KnownChanges | None = None,
    ) -> None:
        self.config, self.people, self.lessons = config, people, lessons
        self.known, self.changes = known, changes
        self.on_surface = surface_mask(people.head, config.decoder.resolution)

    @property
    def steps(self) -> int:
        """Of all parts."""
        return self.config.map_steps + self.config.change_steps + self.config.steps

    def part_of(self, step: int) -> tuple[Part, int, int]:
        """Which part a step is of, its number in it, and how many steps that has."""
        parts: tuple[tuple[Part, int], ...] = (
            ("maps", self.config.map_steps),
            ("changes", self.config.change_steps),
        )
        for part, count in parts:
            if step < count:
                return part, step, count
            step -= count
        return "pictures", step, self.config.steps

    def pace(self, step: int) -> float:
        """Share of the highest rates: in each part it rises, then falls to a twentieth."""
        _, at, count = self.part_of(step)
        rise = min(1.0, (at + 1) / self.config.warmup)
        return rise * half_cosine(at / count, least=0.05)

    def judged(
        self, learner: Learner, step: int, device: torch.device
    ) -> tuple[Terms, Float[Tensor, ""]]:
        """The mean terms of a step, and its loss."""
        rng = np.random.default_rng([self.config.seed, 3, step])
        part, _, _ = self.part_of(step)
        if part == "maps":
            terms = self._map_terms(learner, step, rng, device)
            return terms, _sum(terms, _MAP_WEIGHTS)
        if part == "changes":
            terms = self._change_terms(learner, step, rng, device)
            return terms, _sum(terms, _CHANGE_WEIGHTS)
        terms = self._picture_terms(learner, step, rng, device)
        return terms, weighted(terms, self.config.loss)

    def _map_terms(
        self, learner: Learner, step: int, rng: np.random.Generator, device: torch.device
    ) -> Terms:
        assert self.known is not None, "whoever trains has checked it"
        batch = self.lessons.of_step(step, self.config.map_people, 1)
        sinks: list[Sink] = [lesson.person.sink for lesson in batch]
        encoded = learner.encode(self._photos(batch, rng, device), sinks)
        known = self.known.of([lesson.person.number for lesson in batch]).to(device)
        template = learner.encoder.template
        terms = map_terms(encoded.attributes, known, template, self.on_surface.to(device))
        return {name: values.mean() for name, values in terms.items()}

    def _change_terms(
        self, learner: Learner, step: int, rng: np.random.Generator, device: torch.device
    ) -> Terms:
        assert self.known is not None and self.changes is not None, "whoever trains has checked it"
        batch = self.lessons.instants(step, self.config.map_people, len(self.changes))
        deltas = learner.changes(
            self._photos(batch, rng, device),
            [lesson.person.sink for lesson in batch],
            [lesson.person.layout.to(device) for lesson in batch],
            [lesson.person.driven(lesson.frame).to(device) for lesson in batch],
        )
        known = self.known.of([lesson.person.number for lesson in batch]).to(device)
        changes = self.changes.of([lesson.frame for lesson in batch]).to(device)
        found: dict[str, list[Tensor]] = {}
        for lesson, made, maps, change in zip(batch, deltas, known, changes, strict=True):
            moving = lesson.person.layout.dynamic.to(device).bool()
            for name, value in change_terms(made, maps[COLORS], change, moving).items():
                found.setdefault(name, []).append(value)
        return {name: torch.stack(values).mean() for name, values in found.items()}

    def _picture_terms(
        self, learner: Learner, step: int, rng: np.random.Generator, device: torch.device
    ) -> Terms:
        config = self.config
        batch = self.lessons.of_step(step, config.people, config.views)
        decoded = learner(
            self._photos(batch, rng, device),
            [lesson.person.sink for lesson in batch],
            [lesson.person.layout.to(device) for lesson in batch],
            [lesson.person.driven(lesson.frame).to(device) for lesson in batch],
        )
        red, green, blue = rng.random(3).tolist()
        found: dict[str, list[Tensor]] = {}
        for lesson, own in zip(batch, decoded, strict=True):
            terms = judge(
                self.people,
                lesson,
                own,
                (red, green, blue),
                rng,
                config.window,
                config.mouth_loss,
            )
            for name, values in {**terms, **shape_terms(own)}.items():
                found.setdefault(name, []).append(values)
        return {name: torch.cat(values).mean() for name, values in found.items()}

    def _photos(
        self, batch: list[Lesson], rng: np.random.Generator, device: torch.device
    ) -> Float[Tensor, "b n 3 s s"]:
        """The lessons' crops, each shifted a little, as landmarks in real photos are."""
        side = self.config.size.photo_side
        room = self.people.photos.shape[-1] - side
        stacks = []
        for lesson in batch:
            shift = rng.integers(0, room + 1, (len(lesson.photos), 2))
            stacks.append(self.people.crops(lesson.photos, side, shift))
        return torch.stack(stacks).to(device)


def _sum(terms: Terms, weights: dict[str, float]) -> Float[Tensor, ""]:
    return torch.stack([weights[name] * value for name, value in terms.items()]).sum()
