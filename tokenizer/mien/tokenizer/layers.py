"""Temporal convolution blocks with a parallel form and an exact frame-by-frame form.

A block looks `left` frames back and `right` frames ahead. The parallel form maps `[B, T, C]` to
`[B, T - left - right, C]` (nothing is padded inside). The step form takes one frame at a time and
keeps the last `left + right` inputs; it delays its output by `right` frames.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class TemporalBlock(nn.Module):
    """Residual block: a dilated three-tap convolution in time, GELU, a linear layer.

    Args:
        width: Channels C.
        dilation: Distance between the taps, frames.
        causal: Taps at (-2d, -d, 0) instead of (-d, 0, d).
    """

    def __init__(self, width: int, dilation: int, causal: bool) -> None:
        super().__init__()
        self.dilation = dilation
        self.left = 2 * dilation if causal else dilation
        self.right = 0 if causal else dilation
        self.norm = nn.LayerNorm(width)
        self.taps = nn.Linear(3 * width, 2 * width)
        self.mix = nn.Linear(2 * width, width)

    def forward(self, x: Float[Tensor, "b t c"]) -> Float[Tensor, "b s c"]:
        """Map a padded sequence to the frames that see a whole window."""
        d = self.dilation
        frames = x.shape[1] - 2 * d
        normed = self.norm(x)
        window = torch.cat([normed[:, i * d : i * d + frames] for i in range(3)], dim=-1)
        return x[:, self.left : self.left + frames] + self._update(window)

    def step(
        self, history: Float[Tensor, "n c"], frame: Float[Tensor, "1 c"]
    ) -> tuple[Float[Tensor, "1 c"], Float[Tensor, "n c"]]:
        """Take the newest frame; give the frame `right` frames earlier and the new history."""
        buffer = torch.cat([history, frame], dim=0)
        taps = buffer[:: self.dilation]  # exactly three rows: len(buffer) == 2 * dilation + 1
        window = self.norm(taps).reshape(1, -1)
        output = buffer[self.left : self.left + 1] + self._update(window)
        return output, buffer[1:]

    def _update(self, window: Tensor) -> Tensor:
        update: Tensor = self.mix(functional.gelu(self.taps(window)))
        return update


class TemporalStack(nn.Module):
    """A chain of temporal blocks: symmetric ones first, then causal ones.

    Args:
        width: Channels C.
        ahead: Dilations of the blocks that look ahead; their sum is the look-ahead in frames.
        back: Dilations of the causal blocks.
    """

    def __init__(self, width: int, ahead: Sequence[int], back: Sequence[int]) -> None:
        super().__init__()
        blocks = [TemporalBlock(width, d, causal=False) for d in ahead]
        blocks += [TemporalBlock(width, d, causal=True) for d in back]
        self.blocks = nn.ModuleList(blocks)
        self.left = sum(block.left for block in blocks)
        self.right = sum(block.right for block in blocks)

    def forward(self, x: Float[Tensor, "b t c"]) -> Float[Tensor, "b t c"]:
        """Map a sequence to a sequence of the same number of frames; edges repeat."""
        first = x[:, :1].expand(-1, self.left, -1)
        last = x[:, -1:].expand(-1, self.right, -1)
        x = torch.cat([first, x, last], dim=1)
        for block in self.blocks:
            x = block(x)
        return x

    def start(self, frame: Float[Tensor, "1 c"]) -> list[Float[Tensor, "_ c"]]:
        """Histories of all blocks after an endless past that repeats `frame`."""
        histories = []
        for block in self._typed_blocks():
            history = frame.expand(block.left + block.right, -1).contiguous()
            histories.append(history)
            frame, _ = block.step(history, frame)
        return histories

    def step(
        self, histories: list[Float[Tensor, "_ c"]], frame: Float[Tensor, "1 c"]
    ) -> tuple[Float[Tensor, "1 c"], list[Float[Tensor, "_ c"]]]:
        """Take the newest frame; give the frame `self.right` frames earlier, new histories."""
        updated = []
        for block, history in zip(self._typed_blocks(), histories, strict=True):
            frame, history = block.step(history, frame)
            updated.append(history)
        return frame, updated

    def _typed_blocks(self) -> list[TemporalBlock]:
        return [block for block in self.blocks if isinstance(block, TemporalBlock)]
