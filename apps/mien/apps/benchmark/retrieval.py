"""Metrics of text-to-motion generation in the space of a text-motion evaluator.

The measures of Guo et al. 2022 (HumanML3D, doi:10.1109/CVPR52688.2022.00509), as in T2M-GPT. All
are pure functions of embeddings; row i of the texts belongs to row i of the motions.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

POOL = 32
DIVERSITY_PAIRS = 300
MULTIMODALITY_PAIRS = 10


def r_precision(
    texts: Float[ndarray, "n d"], motions: Float[ndarray, "n d"], pool: int = POOL, top: int = 3
) -> tuple[float, ...]:
    """How often a text finds its own motion among the nearest of a pool.

    Rows are cut into pools in the order they come; what is left over does not count. A motion as
    near as the right one counts as nearer, so that motions that are all alike score nothing.

    Returns:
        R-precision at 1, 2, ... `top`.

    Raises:
        ValueError: If shapes differ or there is no full pool.

    Example:
        >>> r_precision(np.eye(4), np.eye(4), pool=4)
        (1.0, 1.0, 1.0)
    """
    _check_pairs(texts, motions)
    if len(texts) < pool:
        raise ValueError(f"R-precision wants at least one pool of {pool} clips, got {len(texts)}.")
    ranks = np.concatenate(
        [
            _ranks(distances(texts[at : at + pool], motions[at : at + pool]))
            for at in range(0, len(texts) - pool + 1, pool)
        ]
    )
    return tuple(float(np.mean(ranks < k)) for k in range(1, top + 1))


def distances(a: Float[ndarray, "n d"], b: Float[ndarray, "m d"]) -> Float[ndarray, "n m"]:
    """Euclidean distances of all rows."""
    return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=-1))


def _ranks(distance: Float[ndarray, "n n"]) -> ndarray:
    """How many others are as near as the right one, or nearer."""
    own = np.diagonal(distance)[:, None]
    return np.asarray((distance <= own).sum(1) - 1)


def mm_dist(texts: Float[ndarray, "n d"], motions: Float[ndarray, "n d"]) -> float:
    """Mean distance of a text from its own motion.

    Example:
        >>> mm_dist(np.zeros((2, 2)), np.array([[3.0, 4.0], [0.0, 1.0]]))
        3.0
    """
    _check_pairs(texts, motions)
    return float(np.linalg.norm(texts - motions, axis=-1).mean())


def diversity(
    motions: Float[ndarray, "n d"], rng: np.random.Generator, pairs: int = DIVERSITY_PAIRS
) -> float:
    """Mean distance of random pairs of motions; no motion is in two pairs.

    HumanML3D's code draws both sides of the pairs apart, so that a motion may meet itself.

    Args:
        motions: At least two.
        rng: Draws the pairs.
        pairs: At most; fewer where there are not twice as many motions.
    """
    if len(motions) < 2:
        raise ValueError(f"Diversity wants at least two motions, got {len(motions)}.")
    count = min(pairs, len(motions) // 2)
    rows = rng.permutation(len(motions))[: 2 * count].reshape(2, count)
    return float(np.linalg.norm(motions[rows[0]] - motions[rows[1]], axis=-1).mean())


def multimodality(
    motions: Float[ndarray, "n g d"], rng: np.random.Generator, pairs: int = MULTIMODALITY_PAIRS
) -> float:
    """Mean distance of pairs of motions that were made for the same text.

    Where HumanML3D's code may pair a motion with itself, pairs here are of different motions, and
    no motion is in two pairs.

    Args:
        motions: For each text `g` generations, at least two.
        rng: Draws the pairs, for each text anew.
        pairs: A text, at most; fewer where there are not twice as many generations.
    """
    generations = motions.shape[1]
    if generations < 2:
        raise ValueError(f"Multimodality wants at least two motions a text, got {generations}.")
    count = min(pairs, generations // 2)
    found = []
    for row in motions:
        drawn = rng.permutation(generations)[: 2 * count].reshape(2, count)
        found.append(np.linalg.norm(row[drawn[0]] - row[drawn[1]], axis=-1).mean())
    return float(np.mean(found))


def _check_pairs(texts: ndarray, motions: ndarray) -> None:
    if texts.shape != motions.shape:
        raise ValueError(
            f"Texts and motions must pair up row by row, got {texts.shape} and {motions.shape}."
        )
