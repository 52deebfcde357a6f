"""The geometric VQ-VAE: features -> tokens -> head parameters."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mien.rotations import rot6d_to_rotmat
from mien.tokenizer.features import HeadFrames
from mien.tokenizer.layers import TemporalStack
from mien.tokenizer.quantizer import Quantizer, QuantizerConfig

# Typical sizes of the outputs, so that the last layer starts near them: a strong action moves a
# coefficient by 0.5, the jaw by 0.2 rad, the eyes by 0.2 rad, the head by 0.2 rad.
_EXPR_SCALE, _JAW_SCALE, _EYE_SCALE, _ROTATION_SCALE = 0.5, 0.2, 0.2, 0.2
_ROTATION_GAIN = 3.0  # head rotation beside the face's features, whose spread is about one


class Reconstruction(NamedTuple):
    """What a forward pass gives."""

    frames: HeadFrames
    raw_expr: Float[Tensor, "b t e"]  # before the clamp to 0..1
    indices: Int[Tensor, "b s *q"]
    commitment_loss: Float[Tensor, ""]


class FrameDecoder(nn.Module, ABC):
    """The half that every codec shares: embedded tokens -> head parameters.

    Args:
        token_width: Width of what is known of a token.
        num_expr: Expression coefficients that come out.
        width: Channels.
        ahead: Dilations of the blocks that look ahead; they sum to the delay of a stream.
        back: Dilations of the causal blocks.
        frames_per_token: Frames that a token stands for.
    """

    def __init__(
        self,
        token_width: int,
        num_expr: int,
        width: int,
        ahead: Sequence[int],
        back: Sequence[int],
        frames_per_token: int = 1,
    ) -> None:
        super().__init__()
        self.num_expr = num_expr
        self.frames_per_token = frames_per_token
        self.from_code = nn.Linear(token_width, width * frames_per_token)
        self.decoder = TemporalStack(width, ahead, back)
        self.to_frame = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, num_expr + 15))

    @property
    def delay(self) -> int:
        """Tokens after a token that its frames depend on."""
        return -(-self.decoder.right // self.frames_per_token)

    def read_frames(self, raw: Float[Tensor, "*b r"]) -> tuple[HeadFrames, Float[Tensor, "*b e"]]:
        """Turn the decoder's output into head parameters; give the unclamped expression too.

        The clamp of the expression to 0..1 passes gradients unchanged.
        """
        expr, jaw, eyes, rot6d = torch.split(raw, [self.num_expr, 3, 6, 6], dim=-1)
        expr = expr * _EXPR_SCALE
        bounded = expr + (expr.clamp(0.0, 1.0) - expr).detach()
        identity = raw.new_tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
        rotation = rot6d_to_rotmat(identity + rot6d * _ROTATION_SCALE)
        return HeadFrames(bounded, jaw * _JAW_SCALE, eyes * _EYE_SCALE, rotation), expr

    def unfold(self, known: Float[Tensor, "*b s k"]) -> Float[Tensor, "*b t c"]:
        """Give what the decoder sees: each token's knowledge, spread over its frames."""
        frames: Tensor = self.from_code(known)
        num_frames = known.shape[-2] * self.frames_per_token
        return frames.reshape(*known.shape[:-2], num_frames, -1)

    def decode(self, indices: Int[Tensor, "b s *q"]) -> HeadFrames:
        """Decode whole sequences in parallel (training, evaluation)."""
        hidden = self.decoder(self.embed_tokens(indices))
        return self.read_frames(self.to_frame(hidden))[0]

    @abstractmethod
    def embed_tokens(self, indices: Int[Tensor, "b s *q"]) -> Float[Tensor, "b t c"]:
        """Give what the decoder sees of whole sequences of tokens."""


class Codec(FrameDecoder):
    """Encoder, quantizer and decoder over frames.

    Args:
        num_features: Features of a frame before the six of the head's rotation.
        num_expr: Expression coefficients the decoder gives.
        basis_size: Principal components kept of the features.
        encoder_width: Channels of the encoder.
        decoder_width: Channels of the decoder.
        encoder_ahead: Dilations of the encoder's symmetric blocks; they sum to its look-ahead.
        encoder_back: Dilations of its causal blocks.
        decoder_ahead: The same for the decoder.
        decoder_back: The same for the decoder.
        quantizer: Which quantizer.
        frames_per_token: Frames that share a token: a strided convolution joins them behind the
            encoder, its transpose spreads them again before the decoder.
    """

    def __init__(
        self,
        num_features: int,
        num_expr: int,
        basis_size: int,
        encoder_width: int,
        decoder_width: int,
        encoder_ahead: Sequence[int],
        encoder_back: Sequence[int],
        decoder_ahead: Sequence[int],
        decoder_back: Sequence[int],
        quantizer: QuantizerConfig,
        frames_per_token: int = 1,
    ) -> None:
        super().__init__(
            quantizer.dim, num_expr, decoder_width, decoder_ahead, decoder_back, frames_per_token
        )
        self.feature_mean: Tensor
        self.feature_basis: Tensor
        self.register_buffer("feature_mean", torch.zeros(num_features))
        self.register_buffer("feature_basis", torch.zeros(num_features, basis_size))
        self.embed = nn.Linear(basis_size + 6, encoder_width)
        self.encoder = TemporalStack(encoder_width, encoder_ahead, encoder_back)
        joined = encoder_width * frames_per_token
        self.to_code = nn.Sequential(nn.LayerNorm(joined), nn.Linear(joined, quantizer.dim))
        # Latents of unit spread: the encoder cannot shrink onto few codes.
        self.code_norm = nn.BatchNorm1d(quantizer.dim, affine=False)
        self.quantizer = Quantizer(quantizer)

    @property
    def look_ahead(self) -> int:
        """Frames after a token's first frame that it depends on."""
        return self.encoder.right + self.frames_per_token - 1

    def tokens(self, features: Float[Tensor, "b t f"]) -> Int[Tensor, "b s *q"]:
        """Give the token of each frame, or of each group of frames; the last group is held."""
        indices: Tensor = self.quantizer(self.latents(features))[1]
        return indices

    def embed_tokens(self, indices: Int[Tensor, "b s *q"]) -> Float[Tensor, "b t c"]:
        """Give what the decoder sees of whole sequences of tokens."""
        return self.unfold(self.quantizer.lookup(indices))

    def embed_token(
        self, token: Int[Tensor, " *q"], state: None
    ) -> tuple[Float[Tensor, "n c"], None]:
        """Give what the decoder sees of one more token of a stream; there is no state."""
        return self.unfold(self.quantizer.lookup(token[None].to(self.feature_mean.device))), state

    def encoding_half(self) -> nn.ModuleList:
        """Give the modules that decide the tokens."""
        return nn.ModuleList(
            [self.embed, self.encoder, self.to_code, self.code_norm, self.quantizer]
        )

    @torch.no_grad()
    def fit_normalization(self, features: Float[Tensor, "n f"]) -> None:
        """Set mean and basis to the principal components of sample features.

        Components are scaled by the root of their deviation: half way between the plain ones
        (small movements vanish) and white ones (noise shouts).
        """
        face = features[:, :-6].double()
        mean = face.mean(0)
        values, vectors = torch.linalg.eigh((face - mean).T @ (face - mean) / len(face))
        size = min(self.feature_basis.shape[1], len(values))
        values, vectors = values.flip(0)[:size].clamp_min(1e-12), vectors.flip(1)[:, :size]
        scale = 2.0 / (values[0].sqrt() * values.sqrt()).sqrt()
        self.feature_mean.copy_(mean)
        self.feature_basis.zero_()
        self.feature_basis[:, :size] = (vectors * scale).to(self.feature_basis)

    def latents(self, features: Float[Tensor, "b t f"]) -> Float[Tensor, "b s d"]:
        """Encode features into vectors that are not yet quantized, one a token."""
        features = hold_to_multiple(features, self.frames_per_token)
        face = (features[..., :-6] - self.feature_mean) @ self.feature_basis
        identity = features.new_tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
        rotation = (features[..., -6:] - identity) * _ROTATION_GAIN
        hidden = self.encoder(self.embed(torch.cat([face, rotation], dim=-1)))
        joined = hidden.reshape(len(hidden), -1, self.frames_per_token * hidden.shape[-1])
        latents: Tensor = self.code_norm(self.to_code(joined).flatten(0, 1))
        return latents.reshape(*joined.shape[:2], -1)

    def forward(self, features: Float[Tensor, "b t f"], quantize: bool = True) -> Reconstruction:
        """Code and decode; without `quantize` the latents pass unchanged and indices are 0."""
        latents = self.latents(features)
        shape = (*latents.shape[:2], *self.quantizer.index_shape)
        indices = latents.new_zeros(shape, dtype=torch.long)
        loss = latents.new_zeros(())
        if quantize:
            latents, indices, loss = self.quantizer(latents)
        raw = self.to_frame(self.decoder(self.unfold(latents)))[:, : features.shape[1]]
        frames, raw_expr = self.read_frames(raw)
        return Reconstruction(frames, raw_expr, indices, loss)


def hold_to_multiple(features: Float[Tensor, "b t f"], of: int) -> Float[Tensor, "b r f"]:
    """Hold the last frame until the number of frames is a multiple of `of`."""
    missing = -features.shape[1] % of
    return (
        torch.cat([features, features[:, -1:].expand(-1, missing, -1)], 1) if missing else features
    )
