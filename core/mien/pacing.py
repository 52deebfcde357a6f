"""How learning rates fall, in all training loops."""

import math

__all__ = ["half_cosine"]


def half_cosine(done: float, least: float = 0.0) -> float:
    """The share of the highest rate that is left: 1 at first, then half a cosine down.

    Args:
        done: Share of the way, 0 to 1.
        least: What is left at the end.

    Example:
        >>> half_cosine(0.0), round(half_cosine(0.5, least=0.1), 6), half_cosine(1.0, least=0.1)
        (1.0, 0.55, 0.1)
    """
    return least + (1.0 - least) * 0.5 * (1.0 + math.cos(math.pi * done))
