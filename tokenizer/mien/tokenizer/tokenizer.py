"""The tokenizer: motion <-> integers, one a frame as shipped."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mien.motion import Motion
from mien.tokenizer.config import (
    FORMAT_VERSION,
    TokenizerConfig,
    build_codec,
    config_from_json,
    config_to_json,
)
from mien.tokenizer.features import FaceSpace, HeadFrames, Kind, feature_size, motion_features
from mien.tokenizer.streaming import TokenStreamer, motion_of
from mien.tokenizer.vqvae import Reconstruction

_SHIPPED = Path(__file__).parent / "weights"


class MotionTokenizer(nn.Module):
    """Turns motion into integers, one a frame at 25 fps, and integers into motion.

    Trained otherwise, a token may stand for 2 or 4 frames, or be a row of several integers (those
    of a chain of codebooks): tokens are `[s]` or `[s, q]`, and `require_one_token_a_frame`
    refuses both where neither will do.

    Args:
        config: Sizes.
        space: The face points of the head (default: the shipped head).

    Example:
        >>> from mien.motion import Motion
        >>> tokenizer = MotionTokenizer.load()
        >>> indices = tokenizer.encode(Motion.rest(50))
        >>> tokenizer.decode(indices).num_frames
        50
    """

    def __init__(self, config: TokenizerConfig, space: FaceSpace | None = None) -> None:
        super().__init__()
        self.config = config
        self.space = space or FaceSpace.default()
        self.codec = build_codec(config, self.space)
        self.card: dict[str, Any] = {}

    @property
    def kind(self) -> Kind:
        """What is quantized: "geometry" or "coefficients"."""
        return self.config.kind

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.config.fps

    @property
    def frames_per_token(self) -> int:
        """Frames that a token stands for."""
        return self.config.frames_per_token

    @property
    def codebook_size(self) -> int:
        """How many different integers there are, in each place of a token that has several."""
        return self.codec.quantizer.num_indices

    @property
    def index_shape(self) -> tuple[int, ...]:
        """Shape of a token: () for an integer, (q,) for those of a chain of q codebooks."""
        return self.codec.quantizer.index_shape

    @property
    def bits_per_second(self) -> float:
        """What the tokens of a second can tell, bits."""
        tokens = self.fps / self.frames_per_token * math.prod(self.index_shape)
        return tokens * math.log2(self.codebook_size)

    @property
    def encoder_look_ahead(self) -> int:
        """Frames after a token's first frame that it depends on."""
        return self.codec.look_ahead

    @property
    def look_ahead(self) -> int:
        """Tokens after a token that its decoded frames depend on: the delay of a stream."""
        return self.codec.delay

    def require_one_token_a_frame(self) -> None:
        """Refuse a tokenizer whose motion is not one integer a frame, as a language model needs.

        Raises:
            ValueError: If a token stands for several frames or is several integers.
        """
        integers = math.prod(self.index_shape)
        if integers > 1 or self.frames_per_token > 1:
            raise ValueError(
                "Wanted a tokenizer with one token of one integer a frame, got one whose token is "
                f"{integers} integers for {self.frames_per_token} frames; train it with "
                "--quantizer vq or fsq and --frames-per-token 1."
            )

    def forward(self, features: Float[Tensor, "b t f"], quantize: bool = True) -> Reconstruction:
        """Code and decode features (training); without `quantize` the latents pass unchanged."""
        out: Reconstruction = self.codec(features, quantize)
        return out

    @torch.no_grad()
    def encode(self, motion: Motion | Float[Tensor, "*b t f"]) -> Int[Tensor, "*tokens"]:
        """Give the tokens of a motion (resampled to `fps`) or of features at `fps`.

        The head's rotation is global_pose and neck_pose together; identity and translation
        are not coded. Where a token stands for several frames, the last frame is held until
        the last token is full.

        Returns:
            `[..., s]` with a token for each `frames_per_token` frames; `[..., s, q]` for a chain.

        Raises:
            ValueError: If the features have the wrong width.
        """
        was_training = self.training
        self.eval()
        features = self.features(motion) if isinstance(motion, Motion) else motion
        wanted = feature_size(self.kind, self.space.num_points, self.space.num_expr) + 6
        if features.shape[-1] != wanted:
            raise ValueError(f"Features must be [..., T, {wanted}], got {tuple(features.shape)}.")
        batch = features.reshape(-1, *features.shape[-2:])
        indices = self.codec.tokens(batch)
        self.train(was_training)
        return indices.reshape(*features.shape[:-2], *indices.shape[1:])

    @torch.no_grad()
    def features(self, motion: Motion) -> Float[Tensor, "t f"]:
        """Give the features of a motion at the tokenizer's frame rate."""
        if motion.fps != self.fps:
            motion = motion.resample(self.fps)
        return motion_features(motion, self.space, self.kind)

    def decode(
        self,
        indices: Int[Tensor, " s *q"] | Sequence[int] | Sequence[Sequence[int]],
        fps: float = 25.0,
        num_frames: int | None = None,
    ) -> Motion:
        """Give the motion of tokens, resampled to `fps`.

        Bit for bit what a stream of the same tokens gives.

        Args:
            indices: What `encode` gave.
            fps: Frames a second of the result.
            num_frames: Frames that were encoded, to cut off those that `encode` held; all are
                kept if None.

        Raises:
            ValueError: If there is no token, or one outside the codebook, or fewer frames than
                `num_frames`.
        """
        motions = list(self.stream([indices]))
        if not motions:
            raise ValueError("`indices` must hold at least one token, got none.")
        motion = motions[0] if len(motions) == 1 else Motion.concatenate(motions)
        if num_frames is not None:
            motion = _cut(motion, num_frames)
        return motion if fps == self.fps else motion.resample(fps)

    @torch.no_grad()
    def preview(self, indices: Int[Tensor, "n s *q"]) -> list[Motion]:
        """Give the motions of equally many tokens each, all at once.

        Many times as fast as `decode` and nearly the same: rounded otherwise, and without the
        emphasis of quick changes.

        Raises:
            ValueError: If there is no token, or one outside the codebook.
        """
        tokens = torch.as_tensor(indices, dtype=torch.long)
        if not tokens.numel():
            raise ValueError("`indices` must hold at least one token, got none.")
        self.codec.quantizer.check(tokens)
        frames = self.codec.decode(tokens)
        return [motion_of([HeadFrames(*each)], self.fps) for each in zip(*frames, strict=True)]

    def streamer(self) -> TokenStreamer:
        """Start decoding tokens as they come."""
        return TokenStreamer(self.codec, self.fps, self.config.emphasis)

    def stream(
        self, chunks: Iterable[Int[Tensor, " _ *q"] | Sequence[int] | Sequence[Sequence[int]]]
    ) -> Iterator[Motion]:
        """Give the motion of chunks of tokens as they come, the frames still owed at the end."""
        streamer = self.streamer()
        for chunk in chunks:
            motion = streamer.push(chunk)
            if motion is not None:
                yield motion
        motion = streamer.finish()
        if motion is not None:
            yield motion

    def save(self, folder: str | Path, card: Mapping[str, Any] | None = None) -> None:
        """Write `model.safetensors`, `config.json` and, if there is one, `card.json`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.contiguous() for name, value in self.codec.state_dict().items()}
        save_file(state, folder / "model.safetensors")
        config: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "num_points": self.space.num_points,
            "num_expr": self.space.num_expr,
            "tokenizer": config_to_json(self.config),
        }
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        card = self.card if card is None else card
        if card:
            (folder / "card.json").write_text(json.dumps(dict(card), indent=1) + "\n")

    @staticmethod
    def load(
        folder: str | Path | None = None, space: FaceSpace | None = None
    ) -> "MotionTokenizer":
        """Read a saved tokenizer; None is the shipped one. It comes in evaluation mode.

        Raises:
            FileNotFoundError: If the folder is no saved tokenizer.
            ValueError: If the format's version or the head's sizes differ.
        """
        folder = _SHIPPED if folder is None else Path(folder)
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(f"No tokenizer in {folder}: config.json is missing.")
        config = json.loads((folder / "config.json").read_text())
        if config.get("format_version") != FORMAT_VERSION:
            raise ValueError(
                f"Wanted a tokenizer of format {FORMAT_VERSION}, "
                f"got {config.get('format_version')!r} in {folder}; train it again."
            )
        tokenizer = MotionTokenizer(config_from_json(config["tokenizer"]), space)
        _check_sizes(config, tokenizer.space, folder)
        tokenizer.codec.load_state_dict(load_file(folder / "model.safetensors"))
        if (folder / "card.json").is_file():
            tokenizer.card = json.loads((folder / "card.json").read_text())
        return tokenizer.eval()


def _cut(motion: Motion, num_frames: int) -> Motion:
    if not 1 <= num_frames <= motion.num_frames:
        raise ValueError(
            f"`num_frames` must be from 1 to the tokens' {motion.num_frames}, got {num_frames}."
        )
    return motion if num_frames == motion.num_frames else motion.slice(0, num_frames)


def _check_sizes(config: Mapping[str, Any], space: FaceSpace, folder: Path) -> None:
    wanted = (space.num_points, space.num_expr)
    came = (config.get("num_points"), config.get("num_expr"))
    if wanted != came:
        raise ValueError(
            f"The head has (points, expressions) = {wanted}, the tokenizer in {folder} was "
            f"trained for {came}; train a tokenizer for this head."
        )
