"""Faces, and the color of one person's living skin in them, for `mien.avatar.train_detail`."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mien.arkit import CHANNEL_NAMES, EXPR_NAMES, motion_from_curves, other_side
from mien.avatar.avatar import Avatar
from mien.avatar.detail import DetailLayout
from mien.avatar.train_detail import DetailFrames
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.living_skin import LivingPerson
from mien.data_synth.performance import sample_performance
from mien.data_synth.performer import envelope, perform
from mien.data_synth.portraits import drill_of
from mien.motion import Motion

__all__ = ["living_frames", "sample_faces"]

_FPS = 25.0
_MOST_UNITS = 6
_DARK = 0.02  # sRGB that is added before colors are divided


def sample_faces(seed: int, count: int) -> Motion:
    """Draw faces, one a frame, with the head straight.

    Half of them are from drills, which go in turn through the lexicon's entries; every other one
    at its height. A quarter are from performances of several actions at once, and a quarter mix a
    few units at random, as a recorded face may.

    Args:
        seed: Of the faces.
        count: How many.
    """
    rows = [
        row
        for number in range(-(-count // 4))
        for row in (*_drilled(seed, number), _performed(seed, number), _mixed(seed, number))
    ]
    curves = np.stack(rows[:count]).astype(np.float32)
    curves[:, [CHANNEL_NAMES.index(name) for name in ("headYaw", "headPitch", "headRoll")]] = 0.0
    return motion_from_curves(torch.from_numpy(curves), _FPS)


def _drilled(seed: int, number: int) -> Iterator[np.ndarray]:
    drill, rng = drill_of(seed, number)
    curves = perform(drill, rng.getrandbits(31), _FPS)
    there = envelope(drill.actions[0], np.arange(len(curves)) / _FPS)
    yield curves[rng.choice(np.flatnonzero(there >= 0.95 * there.max()).tolist())]
    yield curves[rng.randrange(len(curves))]


def _performed(seed: int, number: int) -> np.ndarray:
    rng = random.Random(f"{seed} {number} performed")
    performance = sample_performance(rng, Lexicon.default())
    curves = perform(performance, rng.getrandbits(31), _FPS)
    return np.asarray(curves[rng.randrange(len(curves))])


def _mixed(seed: int, number: int) -> np.ndarray:
    rng = random.Random(f"{seed} {number} mixed")
    row = np.zeros(len(CHANNEL_NAMES), np.float32)
    for unit in rng.sample(EXPR_NAMES, rng.randint(1, _MOST_UNITS)):
        strength = rng.random()
        row[CHANNEL_NAMES.index(unit)] = strength
        other = other_side(unit)
        if other is not None and rng.random() < 0.7:
            row[CHANNEL_NAMES.index(other)] = strength
    if rng.random() < 0.3:
        row[CHANNEL_NAMES.index("jawOpen")] = rng.random()
    return row


@torch.no_grad()
def living_frames(
    avatar: Avatar, person: LivingPerson, layout: DetailLayout, faces: Motion
) -> DetailFrames:
    """Color a painted person's moving skin in some faces, without and with what lives in it.

    What is wanted at rest is the painting: only how living skin differs from itself at rest is
    put upon it, as a factor.

    Args:
        avatar: The painting.
        person: The same, alive.
        layout: Of the same.
        faces: With straight heads.
    """
    plain_rest, living_rest = _colors(person, layout, Motion.rest(1))
    at_rest = (living_rest + _DARK) / (plain_rest + _DARK)
    plain, wanted = [], []
    for frame in range(faces.num_frames):
        own, living = _colors(person, layout, faces.slice(frame, frame + 1))
        factor = (living + _DARK) / (own + _DARK) / at_rest
        plain.append(own.half())
        wanted.append((own * factor).clamp(0, 1).half())
    return DetailFrames(
        avatar.driven(faces).canonical.float(), torch.stack(plain), torch.stack(wanted)
    )


def _colors(
    person: LivingPerson, layout: DetailLayout, face: Motion
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Of the layout's splats, seen from the front: as painted, and alive."""
    frame = person.pose(person.truth(face))
    front = frame.vertices.new_tensor([0.0, 0.0, 1.0])
    bright = torch.ones(len(frame.quats))  # only eyes and the mouth's inside are dimmed
    painted, living = (
        kernels.shade(frame.placed, front, bright, person.studio)[layout.splats]
        for kernels in (person.kernels, frame.kernels)
    )
    return painted, living
