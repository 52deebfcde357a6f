"""The Frechet distance between two sets of features, sound for few samples too."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def frechet_distance(
    a: Float[ndarray, "n d"], b: Float[ndarray, "m d"], shrink: bool = True
) -> float:
    r"""Distance of the normal distributions of two sets.

    :math:`|\mu_a-\mu_b|^2 + \mathrm{tr}(\Sigma_a + \Sigma_b - 2(\Sigma_a\Sigma_b)^{1/2})`. The
    root is taken of the symmetric :math:`\Sigma_a^{1/2}\Sigma_b\Sigma_a^{1/2}`, which has the
    same trace and neither imaginary parts nor failures on singular covariances.

    Args:
        a: One sample a row, at least two.
        b: The same.
        shrink: Draw covariances towards a ball as far as the samples are too few to know them
            (Ledoit and Wolf); with many samples it changes nothing. Without it covariances are
            those of the public code.

    Source:
        Heusel et al. 2017, arXiv:1706.08500; Dowson and Landau 1982.

    Example:
        >>> a = np.array([[-1.0], [1.0]])
        >>> round(frechet_distance(a, a + 3.0), 6)
        9.0
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            "The Frechet distance wants two sets [n, d] of at least two rows, "
            f"got {a.shape} and {b.shape}."
        )
    a, b = a.astype(np.float64), b.astype(np.float64)
    gap = a.mean(0) - b.mean(0)
    first, second = _covariance(a, shrink), _covariance(b, shrink)
    root = _square_root(first)
    between = np.sqrt(np.clip(np.linalg.eigvalsh(root @ second @ root), 0.0, None)).sum()
    distance = gap @ gap + np.trace(first) + np.trace(second) - 2.0 * between
    return max(0.0, float(distance))  # rounding may leave it a hair below zero


def shrinkage(samples: Float[ndarray, "n d"]) -> float:
    """How far the covariance of samples is drawn towards a ball, 0 to 1.

    Source:
        Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4, Lemma 3.1.
    """
    centered = samples - samples.mean(0)
    count, width = centered.shape
    covariance = centered.T @ centered / count
    apart = ((covariance - np.eye(width) * np.trace(covariance) / width) ** 2).sum()
    if apart <= 0:
        return 0.0
    squares = centered**2
    unknown = ((squares.T @ squares).sum() / count - (covariance**2).sum()) / count
    return float(np.clip(unknown / apart, 0.0, 1.0))


def _covariance(samples: Float[ndarray, "n d"], shrink: bool) -> Float[ndarray, "d d"]:
    covariance = np.atleast_2d(np.cov(samples, rowvar=False))
    if not shrink:
        return covariance
    share, width = shrinkage(samples), len(covariance)
    ball = np.eye(width) * np.trace(covariance) / width
    return np.asarray((1.0 - share) * covariance + share * ball)


def _square_root(symmetric: Float[ndarray, "d d"]) -> Float[ndarray, "d d"]:
    values, vectors = np.linalg.eigh(symmetric)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T)
