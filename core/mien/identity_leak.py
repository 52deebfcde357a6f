"""How much of who moves is left in a motion, measured.

The same performance is played by several people; what is compared has no size, only points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mien.arkit import motion_from_curves
from mien.fit import fit
from mien.head import Head
from mien.identity import semantic
from mien.motion import Motion
from mien.retarget import retarget
from mien.roundtrips import random_curves

__all__ = ["Leak", "format_people", "through_identity"]

_MOST_FRAMES = 25


@dataclass(frozen=True)
class Leak:
    """How much of who moves is left when several people play one performance.

    Each is the largest distance of any face point from where the mean person has it, in percent of
    the interpupillary distance.

    Attributes:
        points: Of the performance's face points.
        retargeted: Of those on another head, after `retarget`.
        scanned: Of people's own points, as scans show them: a longer jaw's end travels farther.
        fitted: Of the performance that `fit` finds from such scans with the person's shape.
    """

    points: float
    retargeted: float
    scanned: float
    fitted: float


def through_identity(
    motion: Motion,
    shapes: Sequence[Float[Tensor, " s"]],
    head: Head | None = None,
    other: Head | None = None,
) -> Leak:
    """Let each person play the performance, and compare with the mean person.

    Args:
        motion: Of the head.
        shapes: The people.
        head: Theirs; the default head if None.
        other: Where `retarget` takes it; the same head if None.
    """
    head = head or Head.default()
    other = other or head
    with torch.no_grad():
        wanted = head.face_points(motion.replace(shape=None))
        elsewhere = other.face_points(retarget(motion.replace(shape=None), head, other).motion)
        apart = []
        for shape in shapes:
            played = motion.replace(shape=shape)
            scan = head.face_points(played, own=True)
            found = fit(head, scan, fps=motion.fps, shape=shape).motion
            there = other.face_points(retarget(played, head, other).motion)
            pairs = (
                (head.face_points(played), wanted),
                (there, elsewhere),
                (scan, wanted),
                (head.face_points(found), wanted),
            )
            apart.append([float((a - b).norm(dim=-1).max()) for a, b in pairs])
    return Leak(*(100 * max(column) for column in zip(*apart, strict=True)))


def format_people(num_frames: int = _MOST_FRAMES, seed: int = 0) -> str:
    """One line: how far five people, infant to old, differ in one performance's points.

    Args:
        num_frames: At most so many, and at most a second's.
        seed: Of the performance: units, jaw and gaze.
    """
    people = [
        semantic(age=0.0),
        semantic(age=1 / 3),
        semantic(gender=0.0, seed=1),
        semantic(gender=1.0, seed=2),
        semantic(age=1.0, seed=3),
    ]
    motion = motion_from_curves(random_curves(min(num_frames, _MOST_FRAMES), seed), 25.0)
    leak = through_identity(motion, [person.shape for person in people])
    return (
        f"one performance by {len(people)} people, in percent of the distance between the eyes: "
        f"its points differ by {leak.points:.3f}, after `retarget` by {leak.retargeted:.3f}; "
        f"scans of the people differ by {leak.scanned:.1f}, what `fit` finds from these by "
        f"{leak.fitted:.3f}"
    )
