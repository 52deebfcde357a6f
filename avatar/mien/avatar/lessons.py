"""Which people, photos and pictures each step of an encoder's training takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from mien.avatar.balancing import NUM_ANCHORS, NUM_RANDOM, farthest_points, retrieve
from mien.avatar.encoder import Sink
from mien.avatar.people_data import People, Person

__all__ = ["DataKind", "Lesson", "Lessons"]

DataKind = Literal["one", "many", "both"]


@dataclass(frozen=True, eq=False)
class Lesson:
    """One person at one instant.

    Attributes:
        person: Who.
        frame: The instant.
        views: Pictures of it that are to be drawn.
        photos: Other pictures of the person, which the encoder is shown.
    """

    person: Person
    frame: int
    views: list[int]
    photos: list[int]


class Lessons:
    """Draws lessons, the same for the same seed and step.

    Args:
        people: To learn from.
        data: Only people seen by one camera at each instant, by many, or both kinds in turn.
        balanced: Take rare expressions as often as common ones: after the anchors of
            `mien.avatar.balancing`, each drawn as often as the other, and the frame of a person
            that is most like the one drawn. Otherwise every frame is as likely.
        held_out: Expressions that are never shown.
        most_photos: That the encoder is shown at once.
        seed: Of everything that is drawn.

    Raises:
        ValueError: If there is nobody of the kind, or somebody has too few pictures.
    """

    def __init__(
        self,
        people: People,
        data: DataKind = "both",
        balanced: bool = True,
        held_out: Sequence[str] = (),
        most_photos: int = 4,
        seed: int = 0,
    ) -> None:
        kinds: tuple[Sink, ...] = get_args(Sink) if data == "both" else (data,)
        self.people, self.seed, self.most_photos = people, seed, most_photos
        hidden = set(held_out)
        self.shown = [expression not in hidden for expression in people.expressions]
        self.kinds = [[p for p in people.everyone if p.sink == kind] for kind in kinds]
        for kind, found in zip(kinds, self.kinds, strict=True):
            if not found:
                raise ValueError(f"There is nobody seen by {kind} camera(s) to learn from.")
        for person in (p for found in self.kinds for p in found):
            if len(self.pictures(person)) < 2:
                raise ValueError(
                    f"{person.name!r} has {len(self.pictures(person))} picture(s) to learn "
                    "from; 2 or more are wanted."
                )
        self.shares = self._shares(balanced)

    def of_step(self, step: int, count: int, views: int) -> list[Lesson]:
        """Lessons of `count` people, all with as many photos."""
        rng = np.random.default_rng([self.seed, 1, step])
        chosen = [self._person(step * count + slot) for slot in range(count)]
        photos = int(rng.integers(1, self.most_photos + 1))
        drawn = [self._look(person, views, rng) for person in chosen]
        most = min(len(others) for _, _, others in drawn)
        return [
            Lesson(
                person,
                frame,
                seen,
                rng.choice(np.array(others), min(photos, most), replace=False).tolist(),
            )
            for person, (frame, seen, others) in zip(chosen, drawn, strict=True)
        ]

    def _person(self, place: int) -> Person:
        """Everybody of a kind comes once before anybody comes again."""
        turn, kind = divmod(place, len(self.kinds))
        own = self.kinds[kind]
        epoch, within = divmod(turn, len(own))
        order = np.random.default_rng([self.seed, 2, kind, epoch]).permutation(len(own))
        return own[int(order[within])]

    def _look(
        self, person: Person, views: int, rng: np.random.Generator
    ) -> tuple[int, list[int], list[int]]:
        """An instant, some of its pictures, and all others that may be shown."""
        frames = [frame for frame in person.frames if self.shown[frame]]
        share = self.shares[frames]
        frame = int(rng.choice(np.array(frames), p=share / share.sum()))
        at_once = person.views(frame)
        allowed = self.pictures(person)
        count = min(views, len(at_once), len(allowed) - 1)
        seen = rng.choice(np.array(at_once), count, replace=False).tolist()
        return frame, seen, sorted(set(allowed) - set(seen))

    def instants(self, step: int, count: int, known: int) -> list[Lesson]:
        """Lessons without views, at any of the collection's first instants, all with one photo.

        Args:
            step: Which.
            count: How many lessons.
            known: How many instants there are to choose from.
        """
        rng = np.random.default_rng([self.seed, 4, step])
        chosen: list[Lesson] = []
        people = [p for found in self.kinds for p in found if p.frames[-1] < known]
        if not people:
            raise ValueError(f"Nobody's instants are all among the first {known}.")
        for number in rng.choice(len(people), count):
            person = people[number]
            frame = int(rng.choice([f for f in person.frames if self.shown[f]]))
            photo = int(rng.choice(self.pictures(person)))
            chosen.append(Lesson(person, frame, [], [photo]))
        return chosen

    def pictures(self, person: Person) -> list[int]:
        """Pictures of a person that may be shown."""
        return [n for n in person.pictures if self.shown[self.people.frame_of[n]]]

    def _shares(self, balanced: bool) -> Float[np.ndarray, " t"]:
        """How often each frame of a person is taken, relative to the person's others."""
        shares = np.ones(len(self.people.expressions))
        if not balanced:
            return shares
        vectors = self.people.expression_vectors()
        everyone = [p for found in self.kinds for p in found]
        pool = [frame for p in everyone for frame in p.frames if self.shown[frame]]
        anchors = vectors[pool][farthest_points(vectors[pool], NUM_ANCHORS)]
        for person in everyone:
            frames = [frame for frame in person.frames if self.shown[frame]]
            hits = np.bincount(retrieve(vectors[frames], anchors).numpy(), minlength=len(frames))
            shares[frames] = hits * len(frames) / len(anchors) * NUM_ANCHORS + NUM_RANDOM
        return shares
