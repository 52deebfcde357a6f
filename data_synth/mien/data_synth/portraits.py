"""Portraits: pictures of sampled people, to train avatars on.

A picture is a function of (seed, index): any worker can make any. What pictures have in common is
worked out once, by session, person and instant, when they are drawn in order.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from mien.arkit import motion_from_curves
from mien.avatar.pictures import PosedPicture
from mien.avatar.render import render_cameras
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import Performance, sample_drill
from mien.data_synth.performer import envelope, perform
from mien.data_synth.phrases import Split
from mien.data_synth.portrait_model import SessionPaint, SitterModel
from mien.data_synth.portrait_people import (
    Session,
    Subset,
    sample_session,
    sample_sitter,
)
from mien.data_synth.portrait_views import backdrop, sample_cameras
from mien.head import Head
from mien.motion import Motion

__all__ = [
    "Place",
    "Portrait",
    "PortraitConfig",
    "draw_portrait",
    "draw_session",
    "drill_of",
    "instant",
    "paint_sitters",
]

_FPS = 25.0
REST = "rest"  # the first instant of every person


@dataclass(frozen=True, eq=False)
class Portrait(PosedPicture):
    """A drawn picture with what is known of it.

    Attributes:
        index: Which picture of the collection.
        split: Of its person.
        subset: Whether the person is seen by one camera or by many at each instant.
        expression: The lexicon's entry, or "rest".
        instant: Which instant of the person; pictures of one instant differ by camera alone.
    """

    index: int
    split: Split
    subset: Subset
    expression: str
    instant: int


class Place(NamedTuple):
    """Where a picture stands in its collection."""

    session: int
    person: int
    instant: int
    view: int


@dataclass(frozen=True)
class PortraitConfig:
    """What a collection of portraits holds.

    Attributes:
        seed: Of the whole collection.
        num_sessions: How many sessions; each is one shard, all its people are of one split.
        many_view_people: People of a session who are seen by many cameras.
        one_view_people: Those seen by one.
        views: Cameras at each instant of the former.
        instants: Instants of the former, rest among them.
        one_view_instants: Instants of the latter.
        size: Width and height, pixels.
        fineness: Splats a millimetre, see `mien.avatar.paint`.
    """

    seed: int = 0
    num_sessions: int = 10
    many_view_people: int = 6
    one_view_people: int = 3
    views: int = 8
    instants: int = 12
    one_view_instants: int = 24
    size: int = 256
    fineness: float = 0.42

    def __post_init__(self) -> None:
        """Refuse counts that make no collection."""
        for name in ("num_sessions", "views", "instants", "one_view_instants"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if min(self.many_view_people, self.one_view_people) < 0 or not self.num_people:
            raise ValueError(
                "A session must hold people, got "
                f"{self.many_view_people} of many views and {self.one_view_people} of one."
            )
        if not 16 <= self.size <= 1024:
            raise ValueError(f"`size` must be 16 to 1024 pixels, got {self.size}.")
        if not 0.1 <= self.fineness <= 2.0:
            raise ValueError(f"`fineness` must lie in [0.1, 2], got {self.fineness}.")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"`seed` must be from 0 on, below 2^63, got {self.seed}.")

    @property
    def num_people(self) -> int:
        """People of a session."""
        return self.many_view_people + self.one_view_people

    @property
    def session_instants(self) -> int:
        """Instants of a session."""
        return (
            self.many_view_people * self.instants + self.one_view_people * self.one_view_instants
        )

    @property
    def session_pictures(self) -> int:
        """Pictures of a session."""
        return (
            self.many_view_people * self.instants * self.views
            + self.one_view_people * self.one_view_instants
        )

    @property
    def num_pictures(self) -> int:
        """Pictures of the collection."""
        return self.num_sessions * self.session_pictures

    def subset(self, person: int) -> Subset:
        """How many cameras see a person."""
        return "many_view" if person < self.many_view_people else "one_view"

    def place(self, index: int) -> Place:
        """Where a picture stands.

        Raises:
            ValueError: If there is no such picture.
        """
        if not 0 <= index < self.num_pictures:
            raise ValueError(f"A picture must be 0 to {self.num_pictures - 1}, got {index}.")
        session, rest = divmod(index, self.session_pictures)
        each = self.instants * self.views
        if rest < self.many_view_people * each:
            person, rest = divmod(rest, each)
            return Place(session, person, *divmod(rest, self.views))
        person, at = divmod(rest - self.many_view_people * each, self.one_view_instants)
        return Place(session, self.many_view_people + person, at, 0)

    def index_of(self, at: Place) -> int:
        """Undo `place`."""
        each = self.instants * self.views
        many = min(at.person, self.many_view_people)
        index = at.session * self.session_pictures + many * each
        if at.person < self.many_view_people:
            return index + at.instant * self.views + at.view
        return index + (at.person - many) * self.one_view_instants + at.instant

    def acts_before(self, session: int, person: int) -> int:
        """Instants with an expression that stand before a person's first in the collection."""
        many = min(person, self.many_view_people)
        own = many * (self.instants - 1) + (person - many) * (self.one_view_instants - 1)
        return session * (self.session_instants - self.num_people) + own


def draw_session(config: PortraitConfig, number: int) -> Iterator[Portrait]:
    """Draw all pictures of a session, in order."""
    session, paint = _prepare(config, number)
    for person in range(config.num_people):
        model = _model(config, session, paint, person)
        many = config.subset(person) == "many_view"
        for at in range(config.instants if many else config.one_view_instants):
            yield from _draw(config, session, model, person, at)


def draw_portrait(config: PortraitConfig, index: int) -> Portrait:
    """Draw one picture; the same as in its session, with the work of seconds before it."""
    at = config.place(index)
    session, paint = _prepare(config, at.session)
    model = _model(config, session, paint, at.person)
    return _draw(config, session, model, at.person, at.instant)[at.view]


def paint_sitters(
    config: PortraitConfig, session: int, people: Sequence[int]
) -> Iterator[SitterModel]:
    """Paint some people of a session, as its pictures show them."""
    drawn, paint = _prepare(config, session)
    for person in people:
        yield _model(config, drawn, paint, person)


def instant(config: PortraitConfig, session: int, person: int, at: int, style: int) -> Motion:
    """What a person is asked to do at an instant, one frame; its text names the entry.

    All instants of a collection go in turn through the lexicon's entries on all their sides, in
    an order that is drawn anew each time round. It is a frame of the performance at its height.
    """
    if at == 0:
        return Motion.rest(1).replace(text=REST)
    act = config.acts_before(session, person) + at - 1
    drill, rng = drill_of(config.seed, act)
    performance = dataclasses.replace(drill, style_seed=style)
    curves = perform(performance, rng.getrandbits(31), _FPS)
    there = envelope(drill.actions[0], np.arange(len(curves)) / _FPS)
    frame = rng.choice(np.flatnonzero(there >= 0.95 * there.max()).tolist())
    motion = motion_from_curves(torch.from_numpy(curves[frame : frame + 1]), _FPS)
    return motion.replace(text=drill.actions[0].entry)


def drill_of(seed: int, act: int) -> tuple[Performance, random.Random]:
    """The performance of an act's number, and the chance that is left."""
    lexicon = Lexicon.default()
    number = sum(len(entry.sides) for entry in lexicon.entries.values())
    turn, place = divmod(act, number)
    order = np.random.default_rng([seed, turn, 0x0DE5]).permutation(number)
    rng = random.Random(f"{seed} {act}")
    return sample_drill(rng, lexicon, int(order[place])), rng


def _prepare(config: PortraitConfig, number: int) -> tuple[Session, SessionPaint]:
    if not 0 <= number < config.num_sessions:
        raise ValueError(f"A session must be 0 to {config.num_sessions - 1}, got {number}.")
    session = sample_session(config.seed, number)
    return session, SessionPaint.of(_head(), session.look, config.fineness)


def _model(
    config: PortraitConfig, session: Session, paint: SessionPaint, person: int
) -> SitterModel:
    subset = config.subset(person)
    return SitterModel.of(paint, sample_sitter(config.seed, session, person, subset))


def _draw(
    config: PortraitConfig, session: Session, model: SitterModel, person: int, at: int
) -> list[Portrait]:
    """Draw all views of one instant."""
    sitter, where = model.sitter, (config.seed, session.number, person, at)
    asked = instant(config, session.number, person, at, sitter.style_seed)
    truth = model.living.truth(asked)
    posed = model.living.pose(truth)
    cameras = sample_cameras(where, sitter.subset, config.views, config.size, sitter.identity)
    first = config.index_of(Place(session.number, person, at, 0))
    pictures = []
    for view, camera in enumerate(cameras):
        drawn = render_cameras(posed.seen_from(camera), [camera], num_threads=1)
        mask = drawn.alpha[0].clamp(0, 1)
        behind = backdrop((*where, view), config.size)
        image = (drawn.image[0] + (1 - mask)[..., None] * behind).clamp(0, 1)
        pictures.append(
            Portrait(
                image,
                mask,
                camera,
                truth,
                sitter.name,
                index=first + view,
                split=session.split,
                subset=sitter.subset,
                expression=asked.text,
                instant=at,
            )
        )
    return pictures


@cache
def _head() -> Head:
    return Head.default()
