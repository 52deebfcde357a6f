"""What a step of training sees: windows of curves, as head parameters."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from mien.tokenizer.augment import Curves, sample_batch
from mien.tokenizer.data import frames_from_curves
from mien.tokenizer.features import HeadFrames

if TYPE_CHECKING:
    from mien.tokenizer.train import TrainTokenizerConfig


class Batches:
    """Batches as a function of (seed, step): a resumed run sees what it would have seen.

    Args:
        clips: Curves to cut windows from.
        config: Sizes, disturbances and seed.
        device: Where the batches go.
    """

    def __init__(
        self, clips: Sequence[Curves], config: "TrainTokenizerConfig", device: torch.device
    ) -> None:
        self._clips, self._config, self._device = clips, config, device

    def stream(self, first: int, stop: int) -> Iterator[HeadFrames]:
        """Draw the batches of steps in order, each while the one before is learned from."""
        with ThreadPoolExecutor(1) as worker:
            ahead = worker.submit(self.draw, first)
            for step in range(first, stop):
                batch = ahead.result()
                ahead = worker.submit(self.draw, min(step + 1, stop - 1))
                yield batch

    def draw(self, step: int, stream: int = 0) -> HeadFrames:
        """Draw the batch of a step; each stream has its own."""
        config = self._config
        rng = np.random.default_rng([config.seed, stream, step])
        curves = sample_batch(rng, self._clips, config.windows, config.frames, config.augment)
        return HeadFrames(*(x.to(self._device) for x in frames_from_curves(curves)))
