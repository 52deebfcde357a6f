"""Decode tokens as they come, one frame at a time, with a bounded delay."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from mien.motion import Motion
from mien.rotations import rotmat_to_rotvec
from mien.tokenizer.features import HeadFrames
from mien.tokenizer.part_codec import PartCodec
from mien.tokenizer.parts import PartState
from mien.tokenizer.vqvae import Codec


class Emphasis:
    """Gives back a part of what coding smooths away: adds each unit's acceleration to it.

    Of frames x it gives x[t] + share (x[t] - 2 x[t-1] + x[t-2]), the first frame standing before
    itself: nothing where a face rests or moves evenly, more of where a movement begins and ends.
    It looks at the past alone and delays nothing. Units stay at 0 or above.

    Args:
        share: Of the acceleration.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._before: tuple[HeadFrames, HeadFrames] | None = None

    def __call__(self, frame: HeadFrames) -> HeadFrames:
        """Take the next frame; give it changed."""
        if not self._share:
            return frame
        last, earlier = self._before or (frame, frame)
        self._before = frame, last
        expr, jaw = (
            now + self._share * (now - 2.0 * one + two)
            for now, one, two in (
                (frame.expr, last.expr, earlier.expr),
                (frame.jaw_pose, last.jaw_pose, earlier.jaw_pose),
            )
        )
        return frame._replace(expr=expr.clamp_min(0.0), jaw_pose=jaw)


class TokenStreamer:
    """Turns tokens into motion as they come; a token's frames follow within `look_ahead` tokens.

    Each frame is computed by itself with the same operations on the same shapes, however the
    tokens are cut into chunks, so any chunking gives the same bits as decoding all at once.
    """

    def __init__(self, codec: Codec | PartCodec, fps: float, emphasis: float = 0.0) -> None:
        self.look_ahead = codec.delay
        self._emphasis = Emphasis(emphasis)
        self._codec = codec
        self._fps = fps
        self._histories: list[Tensor] | None = None
        self._last: Tensor | None = None
        self._state: PartState | None = None
        self._pending = 0  # frames the decoder owes: at most those that it looks ahead
        self._finished = False

    @torch.no_grad()
    def push(
        self, indices: Int[Tensor, " s *q"] | Sequence[int] | Sequence[Sequence[int]]
    ) -> Motion | None:
        """Take the next tokens; give the frames that are ready, or None.

        Raises:
            ValueError: If the stream is finished, an index is outside the codebook, or tokens of
                several indices are not `[s, q]`.
        """
        if self._finished:
            raise ValueError("This stream is finished; make a new one with `streamer()`.")
        shape = self._codec.quantizer.index_shape
        tokens = torch.as_tensor(indices, dtype=torch.long)
        if not tokens.numel():
            return None
        tokens = tokens if shape else tokens.reshape(-1)
        self._codec.quantizer.check(tokens)
        frames = [frame for token in tokens.reshape(-1, *shape) for frame in self._advance(token)]
        return motion_of(frames, self._fps) if frames else None

    @torch.no_grad()
    def finish(self) -> Motion | None:
        """End the stream as if the last token repeated; give the frames still owed, or None."""
        self._finished = True
        if self._last is None:
            return None
        owed = self._pending
        ahead = self._codec.decoder.right
        hidden = [self._step(self._last) for _ in range(ahead)]
        frames = [self._read(frame) for frame in hidden[ahead - owed :]]
        return motion_of(frames, self._fps) if frames else None

    def _advance(self, token: Int[Tensor, " *q"]) -> list[HeadFrames]:
        """Take a token; give the frames that are ready now."""
        embedded, self._state = self._codec.embed_token(token, self._state)  # type: ignore[arg-type]
        if self._histories is None:
            self._histories = self._codec.decoder.start(embedded[:1])
        frames = []
        for self._last in torch.split(embedded, 1):
            hidden = self._step(self._last)
            if self._pending < self._codec.decoder.right:
                self._pending += 1
            else:
                frames.append(self._read(hidden))
        return frames

    def _step(self, embedded: Tensor) -> Tensor:
        if self._histories is None:
            raise RuntimeError("The stream has not started.")
        hidden, self._histories = self._codec.decoder.step(self._histories, embedded)
        return hidden

    def _read(self, hidden: Tensor) -> HeadFrames:
        return self._emphasis(self._codec.read_frames(self._codec.to_frame(hidden))[0])


def motion_of(frames: Sequence[HeadFrames], fps: float) -> Motion:
    """Join pieces of frames [n, ...] into a motion that moves the head by its neck."""
    expr = torch.cat([piece.expr for piece in frames])
    neck = torch.cat([rotmat_to_rotvec(piece.rotation) for piece in frames])
    return Motion(
        fps=fps,
        expr=expr,
        jaw_pose=torch.cat([piece.jaw_pose for piece in frames]),
        eye_pose=torch.cat([piece.eye_pose for piece in frames]),
        neck_pose=neck,
        global_pose=torch.zeros_like(neck),
        translation=torch.zeros_like(neck),
    )
