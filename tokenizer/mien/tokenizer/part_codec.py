"""The shipped codec: parts of the face in codebooks of their own, and a learned decoder."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mien.tokenizer.parts import Held, Part, PartQuantizer, PartState
from mien.tokenizer.vqvae import FrameDecoder, Reconstruction

_DEGREES_MM = 0.4  # what a degree of head rotation is worth beside a millimetre of the face
_EQUALIZE = 0.3  # 0 leaves components in proportion, 1 whitens them


class PartCodec(FrameDecoder):
    """Principal components of each part -> tokens -> head parameters.

    The encoding half is statistics alone (components and k-means), fixed before the decoder
    learns, so tokens never drift while it trains; it looks no frame ahead.

    Args:
        columns: Columns of the features that belong to each part.
        num_features: Features of a frame with the six of the head's rotation.
        millimetres: What a feature of one is worth, over the root of the number of points.
        num_expr: Expression coefficients the decoder gives.
        width: Channels of the decoder.
        ahead: Dilations of its symmetric blocks.
        back: Dilations of its causal blocks.
        parts: The parts.
    """

    look_ahead = 0

    def __init__(
        self,
        columns: Sequence[Tensor],
        num_features: int,
        millimetres: float,
        num_expr: int,
        width: int,
        ahead: Sequence[int],
        back: Sequence[int],
        parts: Sequence[Part],
    ) -> None:
        dims = sum(part.dim for part in parts)
        super().__init__(dims + len(parts), num_expr, width, ahead, back)
        self.columns = list(columns)
        self.millimetres = millimetres
        self.quantizer = PartQuantizer(parts)
        self.feature_mean: Tensor
        self.feature_basis: Tensor
        self.spread: Tensor
        self.register_buffer("feature_mean", torch.zeros(num_features))
        self.register_buffer("feature_basis", torch.zeros(num_features, dims))
        self.register_buffer("spread", torch.ones(dims))

    @property
    def num_parts(self) -> int:
        """How many parts there are."""
        return len(self.columns)

    def encoding_half(self) -> nn.ModuleList:
        """Give the modules that decide the tokens."""
        return nn.ModuleList([self.quantizer])

    @torch.no_grad()
    def fit_codes(self, features: Float[Tensor, "n f"], neutral: Float[Tensor, " f"]) -> None:
        """Set components and codebooks from sample features and those of a neutral face."""
        self.feature_mean.copy_(neutral)
        centered = (features - neutral).double()
        self.feature_basis.zero_()
        column = 0
        for part, columns in zip(self.quantizer.parts, self.columns, strict=True):
            rows = centered[:, columns]
            values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
            is_head = bool((columns >= len(neutral) - 6).any())
            scale = torch.pi / 180 if is_head else 1.0
            top = vectors.flip(1)[:, : part.dim] * (
                _DEGREES_MM / scale if is_head else self.millimetres
            )
            stop = column + top.shape[1]
            self.feature_basis[columns, column:stop] = top.to(self.feature_basis)
            column += part.dim
        self.feature_basis *= self._equalization(self.latents(features))
        latents = self.latents(features)
        self.spread.copy_(latents.square().mean(0).sqrt().clamp_min(1e-3))
        self.quantizer.fit(latents, self.latents(neutral))

    @torch.no_grad()
    def move_codes(self, features: Float[Tensor, "n f"]) -> None:
        """Move the codes to sample features; components stay, and what each code means."""
        self.quantizer.move(self.latents(features), self.latents(self.feature_mean))

    def _equalization(self, latents: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
        """Give factors that raise the weak components of each part towards its first.

        By energy alone a wide jaw outweighs every lip, and no code is spent on a lowered corner.
        """
        sizes = latents.square().mean(0).sqrt().clamp_min(1e-4)
        parts = torch.split(sizes, [part.dim for part in self.quantizer.parts])
        return torch.cat([(part / part[0]).pow(-_EQUALIZE) for part in parts])

    def latents(self, features: Float[Tensor, "*b f"]) -> Float[Tensor, "*b d"]:
        """Give the components of features, part after part.

        The first of each part is in millimetres (root of the weighted mean square over all
        points); weaker ones are raised.
        """
        return (features - self.feature_mean) @ self.feature_basis

    def tokens(self, features: Float[Tensor, "b t f"]) -> Int[Tensor, "b t"]:
        """Give the token of each frame."""
        indices: Tensor = self.quantizer(self.latents(features))
        return indices

    def forward(self, features: Float[Tensor, "b t f"], quantize: bool = True) -> Reconstruction:
        """Code and decode; without `quantize` the decoder sees every part fresh and exact."""
        if quantize:
            indices = self.tokens(features)
            held = self.quantizer.hold(indices)
        else:
            latents = self.latents(features)
            fresh = latents.new_ones(*latents.shape[:-1], len(self.columns))
            indices = latents.new_zeros(latents.shape[:-1], dtype=torch.long)
            held = Held(latents, fresh)
        frames, raw_expr = self.read_frames(self.to_frame(self.decoder(self._embed(held))))
        return Reconstruction(frames, raw_expr, indices, features.new_zeros(()))

    def embed_tokens(self, indices: Int[Tensor, "b t"]) -> Float[Tensor, "b t c"]:
        """Give what the decoder sees of whole sequences of tokens."""
        return self._embed(self.quantizer.hold(indices))

    def embed_token(
        self, token: Int[Tensor, ""], state: PartState | None
    ) -> tuple[Float[Tensor, "1 c"], PartState]:
        """Give what the decoder sees after one more token of a stream, and the new state."""
        held, state = self.quantizer.advance(state or self.quantizer.start(), int(token))
        return self._embed(held)[0], state

    def _embed(self, held: Held) -> Tensor:
        embedded: Tensor = self.from_code(
            torch.cat([held.codes / self.spread, held.freshness], dim=-1)
        )
        return embedded
