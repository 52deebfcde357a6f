"""Whether a test clip could have been learned by heart: what two splits share."""

from collections.abc import Sequence
from dataclasses import dataclass

from mien.apps.benchmark.text_scores import words_of
from mien.data_synth.clip import Clip

_SHOWN = 5
_SHORT = 3  # words; "a wink" is bound to be asked for twice


@dataclass(frozen=True)
class Leakage:
    """What the test split shares with the train split.

    Attributes:
        train: Training clips looked at.
        test: Test clips looked at.
        performers: Performers of both; must be 0.
        motions: Test clips whose curves are a training clip's, value for value; must be 0.
        texts: Test texts that are a training text word for word, share.
        long_texts: The same of texts of more than three words, share.
        scores: Test clips whose actions and times are a training clip's, share; short clips of
            one action may well be.
        examples: Some of the shared texts of more than three words.
    """

    train: int
    test: int
    performers: int
    motions: int
    texts: float
    long_texts: float
    scores: float
    examples: tuple[str, ...]

    def as_markdown(self) -> str:
        """One line for a report."""
        return (
            f"Leakage ({self.train} training against {self.test} test clips): "
            f"{self.performers} performers in both, {self.motions} motions in both, "
            f"{self.texts:.1%} of test texts in training word for word "
            f"({self.long_texts:.1%} of those over {_SHORT} words), "
            f"{self.scores:.1%} of test scores."
        )


def check_leakage(train: Sequence[Clip], test: Sequence[Clip]) -> Leakage:
    """Compare two splits.

    Raises:
        ValueError: If one of them is empty.
    """
    if not train or not test:
        raise ValueError(f"Wanted clips of both splits, got {len(train)} and {len(test)}.")
    known = {words_of(text) for clip in train for text in clip.texts}
    asked = [text for clip in test for text in clip.texts]
    shared = [text for text in asked if words_of(text) in known]
    long = [text for text in asked if len(words_of(text)) > _SHORT]
    long_shared = [text for text in shared if len(words_of(text)) > _SHORT]
    performers = {clip.performance.style_seed for clip in train}
    motions = {clip.curves.tobytes() for clip in train}
    scores = {clip.score for clip in train}
    return Leakage(
        train=len(train),
        test=len(test),
        performers=len(performers & {clip.performance.style_seed for clip in test}),
        motions=sum(clip.curves.tobytes() in motions for clip in test),
        texts=len(shared) / len(asked),
        long_texts=len(long_shared) / len(long) if long else 0.0,
        scores=sum(clip.score in scores for clip in test) / len(test),
        examples=tuple(dict.fromkeys(long_shared))[:_SHOWN],
    )
