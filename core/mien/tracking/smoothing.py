"""Smoothing of tracked motion that takes jitter out and leaves blinks and lip closures in.

A One-Euro filter: slow movement is smoothed, quick movement passes. Run forward and backward over
the whole clip, averaged, it has no lag; run forward only it is causal.

Source:
    Casiez, Roussel and Vogel 2012, "1 Euro filter", doi:10.1145/2207676.2208639.
"""

import math
from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["OneEuro", "Smoothing", "smooth"]

Smoothing = Literal["zero-phase", "causal", "none"]


@dataclass(frozen=True)
class OneEuro:
    """A filter's settings.

    Attributes:
        cutoff_hz: Below this, still signals pass.
        speed_hz: How much the cutoff rises for a speed of one unit a second.
        slope_hz: Cutoff of the speed itself.
    """

    cutoff_hz: float = 2.0
    speed_hz: float = 4.0
    slope_hz: float = 3.0

    def run(self, signal: Float[Tensor, "t c"], fps: float) -> Float[Tensor, "t c"]:
        """Filter forward in time, each column by itself."""
        smoothed, value = [signal[0]], signal[0]
        speed = torch.zeros_like(value)
        for sample in signal[1:]:
            raw = (sample - value) * fps
            speed = speed + _share(torch.full_like(raw, self.slope_hz), fps) * (raw - speed)
            cutoff = self.cutoff_hz + self.speed_hz * speed.abs()
            value = value + _share(cutoff, fps) * (sample - value)
            smoothed.append(value)
        return torch.stack(smoothed)


def smooth(
    signal: Float[Tensor, "t c"],
    fps: float,
    kind: Smoothing = "zero-phase",
    filter_: OneEuro | None = None,
) -> Float[Tensor, "t c"]:
    """Filter the columns of a signal.

    Args:
        signal: Evenly sampled.
        fps: Samples a second.
        kind: Both ways in time, forward only, or not at all.
        filter_: Its settings.
    """
    settings = filter_ or OneEuro()
    if kind == "none":
        return signal
    if kind == "causal":
        return settings.run(signal, fps)
    if kind == "zero-phase":
        backward = settings.run(signal.flip(0), fps).flip(0)
        return (settings.run(signal, fps) + backward) / 2
    assert_never(kind)


def _share(cutoff_hz: Tensor, fps: float) -> Tensor:
    """How much of a step a low pass takes in one sample."""
    rate = 2 * math.pi * cutoff_hz / fps
    return rate / (1 + rate)
