"""Choosing the next token with a seed."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How freely the model chooses.

    Attributes:
        temperature: Of the motion; 0 takes the likeliest code.
        top_p: Smallest share of probability to choose the motion from, in (0, 1].
        plan_temperature: Of the plan.
        plan_top_p: Of the plan.
        guidance: How far to move from the motion that comes without a plan to the one that comes
            with it, and beyond (above 1); 1 reads the motion once and is quicker.
    """

    temperature: float = 0.9
    top_p: float = 0.95
    plan_temperature: float = 0.5
    plan_top_p: float = 0.9
    guidance: float = 2.0

    def __post_init__(self) -> None:
        for name in ("temperature", "plan_temperature"):
            value = getattr(self, name)
            if not 0 <= value <= 10:
                raise ValueError(f"`{name}` must be from 0 to 10, got {value}.")
        if not 1 <= self.guidance <= 10:
            raise ValueError(f"`guidance` must be from 1 to 10, got {self.guidance}.")
        for name in ("top_p", "plan_top_p"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ValueError(f"`{name}` must be above 0 and at most 1, got {value}.")


class Chooser:
    """Gumbel-max sampling: the noise of a step depends on seed and step, not on the logits.

    So two prompts that want nearly the same thing choose nearly the same tokens under one seed.

    Args:
        seed: Of the noise.
        size: Number of ids that there is noise for; the same number is drawn at every step.
    """

    def __init__(self, seed: int, size: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._size = size

    def choose(
        self,
        logits: Float[Tensor, " k"],
        places: Int[Tensor, " k"],
        temperature: float,
        top_p: float,
    ) -> int:
        """Choose an index into `logits`, whose entries take the noise at `places`."""
        noise = torch.rand(self._size, generator=self._generator)
        if temperature == 0:
            return int(logits.argmax())
        scores = torch.log_softmax(logits / temperature, dim=-1)
        scores = _keep_top(scores, top_p)
        gumbel = -torch.log(-torch.log(noise.clamp(1e-9, 1 - 1e-7)))
        return int((scores + gumbel[places]).argmax())


def _keep_top(scores: Tensor, top_p: float) -> Tensor:
    """Set to minus infinity all but the likeliest that together hold `top_p`."""
    if top_p >= 1:
        return scores
    values, order = scores.sort(descending=True)
    probabilities = values.exp()
    before = probabilities.cumsum(0) - probabilities
    return scores.index_fill(0, order[before >= top_p], -torch.inf)
