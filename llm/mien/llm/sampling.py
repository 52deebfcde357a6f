"""Choosing the next token with a seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How freely the model chooses.

    Attributes:
        temperature: Of the motion; 0 takes the likeliest code.
        top_p: Smallest share of probability to choose the motion from, in (0, 1].
        plan_temperature: Of what the plan says: actions, their sides, how many.
        pace_temperature: Of how the plan says to do it: strength and times.
        plan_top_p: Of the plan.
        naming: How far the sentence as a whole, beside the words one by one, decides what is done;
            0 leaves it to the words.
        guidance: How far to move from the motion that comes without a plan to the one that comes
            with it, and beyond (above 1); 1 reads the motion once and is quicker.
    """

    temperature: float = 0.9
    top_p: float = 0.95
    plan_temperature: float = 0.1
    pace_temperature: float = 0.6
    plan_top_p: float = 0.9
    naming: float = 3.0
    guidance: float = 2.0

    def __post_init__(self) -> None:
        for name in ("temperature", "plan_temperature", "pace_temperature"):
            value = getattr(self, name)
            if not 0 <= value <= 10:
                raise ValueError(f"`{name}` must be from 0 to 10, got {value}.")
        if not 1 <= self.guidance <= 10:
            raise ValueError(f"`guidance` must be from 1 to 10, got {self.guidance}.")
        for name in ("top_p", "plan_top_p"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ValueError(f"`{name}` must be above 0 and at most 1, got {value}.")

    @property
    def is_guided(self) -> bool:
        """Whether the motion is also read without its plan."""
        return self.guidance != 1.0

    @property
    def rows(self) -> int:
        """Rows that a motion is read in: one more without its plan where it is guided."""
        return 2 if self.is_guided else 1


class Chooser:
    """Gumbel-max sampling: the noise of a choice depends on the seed and on its place alone.

    So two prompts that want nearly the same thing choose nearly the same tokens under one seed,
    whatever was chosen before.

    Args:
        seed: Of the noise.
        size: Number of ids that there is noise for.
    """

    def __init__(self, seed: int, size: int) -> None:
        self._generator = torch.Generator()
        self._seed = seed
        self._size = size

    def choose(
        self,
        logits: Float[Tensor, " k"],
        places: Int[Tensor, " k"],
        temperature: float,
        top_p: float,
        at: Sequence[int],
    ) -> int:
        """Choose an index into `logits`, whose entries take the noise at `places`.

        Args:
            logits: Scores of what may be chosen.
            places: Which of the noise each takes.
            temperature: 0 takes the likeliest.
            top_p: Share of probability to choose from.
            at: Which choice this is; the same numbers give the same noise.
        """
        if temperature == 0:
            return int(logits.argmax())
        self._generator.manual_seed(_mixed((self._seed, *at)))
        noise = torch.rand(self._size, generator=self._generator)
        scores = torch.log_softmax(logits / temperature, dim=-1)
        scores = _keep_top(scores, top_p)
        gumbel = -torch.log(-torch.log(noise.clamp(1e-9, 1 - 1e-7)))
        return int((scores + gumbel[places]).argmax())


def _mixed(numbers: Sequence[int]) -> int:
    """One seed of 32 bits for several numbers, the same on every machine."""
    text = ",".join(str(number) for number in numbers)
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "little")


def _keep_top(scores: Tensor, top_p: float) -> Tensor:
    """Set to minus infinity all but the likeliest that together hold `top_p`."""
    if top_p >= 1:
        return scores
    values, order = scores.sort(descending=True)
    probabilities = values.exp()
    before = probabilities.cumsum(0) - probabilities
    return scores.index_fill(0, order[before >= top_p], -torch.inf)
