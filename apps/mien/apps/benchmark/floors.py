"""Systems that know nothing: what any figure must beat, and what bounds it from above."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.apps.benchmark.sentences import Words, sentence_vectors
from mien.data_synth.clip import FPS, Clip


def fit_length(curves: Float[ndarray, "t 61"], frames: int) -> Float[ndarray, "frames 61"]:
    """Cut a clip, or hold its last frame.

    Example:
        >>> fit_length(np.array([[1.0], [2.0]]), 3)[:, 0].tolist()
        [1.0, 2.0, 2.0]
    """
    return curves[np.minimum(np.arange(frames), len(curves) - 1)]


def frames_in(seconds: float) -> int:
    """Frames of so many seconds; at least one."""
    return max(1, round(seconds * FPS))


class NearestNeighbor:
    """Gives the motion of the training clip whose text is most like the prompt, by MiniLM.

    Args:
        clips: Of the train split.
        encoder: Gives word vectors.
        texts_per_clip: How many of each clip's texts are searched.
    """

    def __init__(self, clips: Sequence[Clip], encoder: Words, texts_per_clip: int = 1) -> None:
        check_trained_on(clips)
        self._encoder = encoder
        self._curves = [clip.curves for clip in clips for _ in clip.texts[:texts_per_clip]]
        texts = [text for clip in clips for text in clip.texts[:texts_per_clip]]
        self._vectors = sentence_vectors(texts, encoder)

    def __call__(
        self, texts: Sequence[str], seconds: Sequence[float], seed: int
    ) -> list[Float[ndarray, "t 61"]]:
        """The nearest clip for each text, whatever the seed: its multimodality is 0."""
        likeness = sentence_vectors(texts, self._encoder) @ self._vectors.T
        chosen = likeness.argmax(axis=1)
        return [
            fit_length(self._curves[i], frames_in(s)) for i, s in zip(chosen, seconds, strict=True)
        ]


class RandomClip:
    """Gives the motion of any training clip, whatever the text."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        check_trained_on(clips)
        self._curves = [clip.curves for clip in clips]

    def __call__(
        self, texts: Sequence[str], seconds: Sequence[float], seed: int
    ) -> list[Float[ndarray, "t 61"]]:
        """A clip for each text, drawn by the seed."""
        chosen = np.random.default_rng(seed).integers(len(self._curves), size=len(texts))
        return [
            fit_length(self._curves[i], frames_in(s)) for i, s in zip(chosen, seconds, strict=True)
        ]


def check_trained_on(clips: Sequence[Clip]) -> None:
    """Refuse an empty set, and clips that are not for training."""
    others = sorted({clip.split for clip in clips} - {"train"})
    if not clips or others:
        raise ValueError(
            f"Wanted clips of the train split alone, got {len(clips)} clips"
            + (f", some of {', '.join(others)}." if others else ".")
        )
