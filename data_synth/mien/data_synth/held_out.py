"""Texts that belong to one split alone: what val or test says, training never reads."""

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mien.data_synth.clip import NUM_TEXTS, Clip, clip_rng, split_of
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import Performance, sample_performance
from mien.data_synth.phrases import Split
from mien.data_synth.writer import write

__all__ = ["HeldOut", "clips_for_hours", "hold_out", "text_key"]

_TRIES = 200


@dataclass(frozen=True)
class HeldOut:
    """The texts of the smaller splits of a corpus, as keys.

    Attributes:
        test: Of test clips.
        val: Of val clips, none of which is among `test`.
    """

    test: frozenset[int]
    val: frozenset[int]

    def keep_apart(self, clip: Clip, seed: int) -> Clip:
        """The clip with other texts in place of those that belong to another split."""
        if clip.split == "test":
            return clip
        taken = (self.test,) if clip.split == "val" else (self.test, self.val)
        texts = _free(clip.texts, clip.performance, clip.split, (seed, clip.index), taken)
        return clip if texts == clip.texts else replace(clip, texts=texts)


def text_key(text: str) -> int:
    """The same number for texts that differ in case, spaces or marks at their ends alone.

    Example:
        >>> text_key("Smile!") == text_key(" smile"), text_key("smile") == text_key("smiles")
        (True, False)
    """
    plain = " ".join(text.casefold().split()).strip(" .!?:;,")
    return int.from_bytes(hashlib.blake2b(plain.encode(), digest_size=8).digest(), "little")


def hold_out(seed: int, num_clips: int) -> HeldOut:
    """Find what the val and test clips of a corpus say, without their motion."""
    lexicon = Lexicon.default()
    test: set[int] = set()
    val: list[tuple[int, Performance, tuple[str, ...]]] = []
    for index, performance, rng in _performances(seed, num_clips, lexicon):
        split = split_of(performance)
        if split == "train":
            continue
        rng.getrandbits(31)  # the motion's seed, drawn before the texts
        texts = tuple(write(performance, rng, lexicon, split) for _ in range(NUM_TEXTS))
        if split == "test":
            test.update(map(text_key, texts))
        else:
            val.append((index, performance, texts))
    taken = frozenset(test)
    kept = (_free(texts, p, "val", (seed, index), (taken,)) for index, p, texts in val)
    return HeldOut(taken, frozenset(text_key(text) for texts in kept for text in texts))


def clips_for_hours(seed: int, hours: float) -> int:
    """The fewest clips of a seed that last so many hours together."""
    wanted, total, index = hours * 3600, 0.0, 0
    lexicon = Lexicon.default()
    while total < wanted:
        total += sample_performance(clip_rng(seed, index), lexicon).seconds
        index += 1
    return max(1, index)


def _performances(
    seed: int, num_clips: int, lexicon: Lexicon
) -> Iterator[tuple[int, Performance, random.Random]]:
    for index in range(num_clips):
        rng = clip_rng(seed, index)
        yield index, sample_performance(rng, lexicon), rng


def _free(
    texts: Iterable[str],
    performance: Performance,
    split: Split,
    origin: tuple[int, int],
    taken: tuple[frozenset[int], ...],
) -> tuple[str, ...]:
    """As many texts, those that are taken written anew.

    Raises:
        ValueError: If a performance can hardly be said in words that are not taken.
    """
    rng = random.Random(f"mien spare text {origin[0]} {origin[1]}")
    kept = []
    for text in texts:
        for _ in range(_TRIES):
            if not any(text_key(text) in keys for keys in taken):
                break
            text = write(performance, rng, Lexicon.default(), split)
        else:
            raise ValueError(
                f"Clip {origin[1]} wants a text that no other split has, got none in {_TRIES} "
                "tries; give its entries more phrases."
            )
        kept.append(text)
    return tuple(kept)
