"""BLEU-4, ROUGE-L and CIDEr-D of captions against raw references.

References are texts as they were written: lower-cased, punctuation dropped, nothing else. (Scores
against references that went through a tokenizer and back are several times higher; these did not.)
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Words = tuple[str, ...]
_SIGMA = 6.0  # CIDEr-D's penalty of length
_ORDERS = (1, 2, 3, 4)


def words_of(text: str) -> Words:
    """Words in lower case, without punctuation.

    Example:
        >>> words_of("She smiles, doesn't she?")
        ('she', 'smiles', "doesn't", 'she')
    """
    return tuple(re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.lower()))


def _ngrams(words: Words, order: int) -> Counter[Words]:
    return Counter(words[i : i + order] for i in range(len(words) - order + 1))


def bleu_counts(candidate: Words, references: Sequence[Words]) -> Float[ndarray, "10"]:
    """What BLEU-4 needs of one caption; sum over captions and give to :func:`bleu`.

    Returns:
        Matches of 1 to 4 words, n-grams of 1 to 4 words, words, words of the nearest reference.
    """
    matches, totals = [], []
    for order in _ORDERS:
        own = _ngrams(candidate, order)
        most: Counter[Words] = Counter()
        for reference in references:
            most |= _ngrams(reference, order)
        matches.append((own & most).total())
        totals.append(own.total())
    nearest = min((abs(len(r) - len(candidate)), len(r)) for r in references)[1]
    return np.array([*matches, *totals, len(candidate), nearest], np.float64)


def bleu(counts: Float[ndarray, "10"]) -> float:
    """BLEU-4 of a set of captions, 0 to 1, not smoothed.

    Source:
        Papineni et al. 2002, doi:10.3115/1073083.1073135.

    Example:
        >>> bleu(bleu_counts(words_of("a slow nod then a wink"), [words_of("A slow nod.")]))
        0.0
    """
    matches, totals, length, nearest = counts[:4], counts[4:8], counts[8], counts[9]
    if matches.min() <= 0:
        return 0.0
    brevity = min(0.0, 1.0 - float(nearest) / float(length))
    return math.exp(float(np.log(matches / totals).mean()) + brevity)


def rouge_l(candidate: Words, references: Sequence[Words]) -> float:
    """The best F1 of the longest common subsequence with a reference, 0 to 1.

    Source:
        Lin 2004, "ROUGE"; F1 (beta 1) as in Google's rouge-score.

    Example:
        >>> rouge_l(words_of("she nods twice"), [words_of("she slowly nods")])
        0.6666666666666666
    """
    return max(
        2.0 * _common(candidate, r) / (len(candidate) + len(r)) if candidate or r else 0.0
        for r in references
    )


def _common(a: Words, b: Words) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        before = 0
        for i, other in enumerate(b, start=1):
            kept = row[i]
            row[i] = before + 1 if word == other else max(row[i], row[i - 1])
            before = kept
    return row[-1]


def cider_d(
    candidates: Sequence[Words], references: Sequence[Sequence[Words]]
) -> Float[ndarray, " n"]:
    """CIDEr-D of each caption, 0 to 10; rare words count more.

    How rare an n-gram is, is told by the references given here: one "image" a clip.

    Source:
        Vedantam et al. 2015, arXiv:1411.5726, and its public code (coco-caption), which measures
        a text's length for the penalty in pairs of words.

    Raises:
        ValueError: If there is not one non-empty set of references a caption.
    """
    if len(candidates) != len(references) or not all(references):
        raise ValueError(
            f"CIDEr-D wants references for each of {len(candidates)} captions, got "
            f"{len(references)} sets, {sum(not r for r in references)} of them empty."
        )
    seen: Counter[Words] = Counter()
    for group in references:
        seen.update({gram for r in group for order in _ORDERS for gram in _ngrams(r, order)})
    log_clips = math.log(max(1, len(references)))
    rarity = {gram: log_clips - math.log(count) for gram, count in seen.items()}
    return np.array(
        [
            10.0 * float(np.mean([_cider_pair(candidate, r, rarity, log_clips) for r in group]))
            for candidate, group in zip(candidates, references, strict=True)
        ]
    )


def _cider_pair(a: Words, b: Words, rarity: dict[Words, float], most: float) -> float:
    """Mean over the orders of the cosine of two texts, clipped and weighed by length."""
    apart = max(0, len(a) - 1) - max(0, len(b) - 1)
    cosines = []
    for order in _ORDERS:
        first, second = (
            {gram: count * rarity.get(gram, most) for gram, count in _ngrams(x, order).items()}
            for x in (a, b)
        )
        shared = sum(min(v, second[g]) * second[g] for g, v in first.items() if g in second)
        sizes = math.hypot(*first.values(), 0.0) * math.hypot(*second.values(), 0.0)
        cosines.append(shared / sizes if sizes > 0 else 0.0)
    return float(np.mean(cosines)) * math.exp(-(apart**2) / (2.0 * _SIGMA**2))
