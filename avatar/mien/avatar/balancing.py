"""Data distribution adjustment: see rare expressions as often as common ones.

Most frames of a recording are neutral or on their way. After FlexAvatar (Peng et al., section
3.2) some anchor expressions are picked that lie far from all others, the frames most like each
are retrieved from every person, and a few are drawn at random.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.motion import Motion

NUM_ANCHORS = 20
NUM_RANDOM = 6
_JAW_RAD = 0.35  # a wide open jaw and a gaze far aside count as much as a whole component
_GAZE_RAD = 0.4


def expression_vectors(motion: Motion) -> Float[Tensor, "t d"]:
    """What a face does in each frame, wherever the head is: expression, jaw and gaze."""
    return torch.cat([motion.expr, motion.jaw_pose / _JAW_RAD, motion.eye_pose / _GAZE_RAD], -1)


def farthest_points(vectors: Float[Tensor, "n d"], count: int) -> Int[Tensor, " k"]:
    """Pick vectors that lie far from each other, the strongest first.

    Each next one is the farthest from all before it. Fewer come back if fewer are distinct.

    Raises:
        ValueError: If there is no vector, or `count` is below 1.
    """
    if not len(vectors) or count < 1:
        raise ValueError(
            f"Anchors are picked from 1 vector or more, 1 or more of them; got {len(vectors)} "
            f"vectors and a count of {count}."
        )
    picked = [int(vectors.norm(dim=-1).argmax())]
    nearest = (vectors - vectors[picked[0]]).norm(dim=-1)
    while len(picked) < count and float(nearest.max()) > 0:
        picked.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (vectors - vectors[picked[-1]]).norm(dim=-1))
    return torch.tensor(picked)


def retrieve(vectors: Float[Tensor, "n d"], anchors: Float[Tensor, "k d"]) -> Int[Tensor, " k"]:
    """Find the vector most like each anchor by the cosine between them; a neutral face has 0."""
    wanted, have = (torch.nn.functional.normalize(x, dim=-1, eps=1e-8) for x in (anchors, vectors))
    return (wanted @ have.T).argmax(-1)


def balanced_frames(
    people: Mapping[str, Float[Tensor, "n d"]],
    num_anchors: int = NUM_ANCHORS,
    num_random: int = NUM_RANDOM,
    seed: int = 0,
) -> dict[str, list[int]]:
    """Choose the frames of each person to learn from.

    Args:
        people: Expression vectors of every frame of each person, all of one width.
        num_anchors: Expressions far from all others, over all people.
        num_random: Frames of each person drawn besides; all the rest if there are fewer.
        seed: Of these.

    Returns:
        Numbers of frames, ascending, each once.

    Raises:
        ValueError: If there is nobody, or somebody has no frame.
    """
    empty = sorted(name for name, vectors in people.items() if not len(vectors))
    if not people or empty:
        who = f"{empty} without any" if empty else "nobody"
        raise ValueError(f"Frames are chosen from people who have some, got {who}.")
    pooled = torch.cat(list(people.values()))
    anchors = pooled[farthest_points(pooled, num_anchors)]
    rng = np.random.default_rng(seed)
    chosen = {}
    for name, vectors in people.items():
        alike = set(retrieve(vectors, anchors).tolist())
        rest = np.array(sorted(set(range(len(vectors))) - alike), dtype=np.int64)
        drawn = rng.choice(rest, min(num_random, len(rest)), replace=False)
        chosen[name] = sorted(alike | set(drawn.tolist()))
    return chosen
