"""Vector quantizers behind one interface: vectors in, integers out.

One codebook or a grid gives one integer a vector. A chain of codebooks (residual quantization)
gives as many as it has codebooks, in a dimension of their own at the end: `[..., t, q]`.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from jaxtyping import Float, Int
from torch import Tensor, nn

QuantizerKind = Literal["vq", "fsq", "rvq"]


@dataclass(frozen=True)
class QuantizerConfig:
    """Which quantizer, and its sizes.

    Attributes:
        kind: "vq": one codebook; "fsq": a fixed grid; "rvq": a chain of codebooks.
        dim: Width of a code.
        codebook_size: Codes of the codebook (of each one in a chain).
        levels: Grid steps of each dimension ("fsq" only).
        num_quantizers: Codebooks in the chain ("rvq" only).
        decay: Decay of the moving averages.
        dead_code_threshold: A code whose moving average of uses a batch falls under this is
            replaced by a vector of the batch.
        commitment_weight: Weight of the commitment loss.
    """

    kind: QuantizerKind = "vq"
    dim: int = 8
    codebook_size: int = 1024
    levels: tuple[int, ...] = (8, 5, 5, 5)
    num_quantizers: int = 2
    decay: float = 0.98
    dead_code_threshold: float = 0.2
    commitment_weight: float = 0.25
    rotation_trick: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("vq", "fsq", "rvq"):
            raise ValueError(f"`kind` must be 'vq', 'fsq' or 'rvq', got {self.kind!r}.")
        if self.codebook_size < 2 or self.dim < 1 or self.num_quantizers < 1:
            raise ValueError(
                "`codebook_size` must be >= 2, `dim` and `num_quantizers` >= 1, got "
                f"{self.codebook_size}, {self.dim}, {self.num_quantizers}."
            )

    @property
    def num_indices(self) -> int:
        """How many different integers there are, in each place where there are several."""
        match self.kind:
            case "vq" | "rvq":
                return self.codebook_size
            case "fsq":
                return int(math.prod(self.levels))
            case _:
                assert_never(self.kind)

    @property
    def index_shape(self) -> tuple[int, ...]:
        """Shape of the integers of one vector: () for one, (q,) for those of a chain."""
        return (self.num_quantizers,) if self.kind == "rvq" else ()


class Quantizer(nn.Module):
    """Maps vectors to the nearest codes, and integers back to codes."""

    def __init__(self, config: QuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.inner: Any = _build(config)
        self._frozen = False

    @property
    def num_indices(self) -> int:
        """How many different integers it gives, in each place where there are several."""
        return self.config.num_indices

    @property
    def index_shape(self) -> tuple[int, ...]:
        """Shape of the integers of one vector: () for one, (q,) for those of a chain."""
        return self.config.index_shape

    def forward(
        self, x: Float[Tensor, "b t d"]
    ) -> tuple[Float[Tensor, "b t d"], Int[Tensor, "b t *q"], Float[Tensor, ""]]:
        """Give the quantized vectors (gradient passes through), indices, commitment loss."""
        if self.config.kind == "fsq":
            quantized, indices = self.inner(x)
            return quantized, indices.long(), x.new_zeros(())
        quantized, indices, losses = self.inner(x, freeze_codebook=self._frozen)
        return quantized, indices, losses.sum()

    def lookup(self, indices: Int[Tensor, "*b"]) -> Float[Tensor, "*v d"]:
        """Give the code of each vector's indices; a chain's codes are summed.

        Raises:
            ValueError: If an index is outside `0 .. num_indices - 1`, or a chain's indices are
                not `[..., q]`.
        """
        self.check(indices)
        flat = indices.reshape(1, -1, *self.index_shape)
        is_grid = self.config.kind == "fsq"
        look_up = self.inner.indices_to_codes if is_grid else self.inner.get_output_from_indices
        shape = indices.shape[: indices.ndim - len(self.index_shape)]
        found: Tensor = look_up(flat).reshape(*shape, self.config.dim)
        return found

    def freeze(self) -> None:
        """Keep the codes as they are from now on, in training too."""
        self._frozen = True

    def check(self, indices: Int[Tensor, "*b"]) -> None:
        """Refuse indices of another shape, or outside the codebook, with a ValueError."""
        size, wanted = self.config.num_indices, self.index_shape
        if wanted and (indices.ndim < 1 or indices.shape[-1:] != wanted):
            raise ValueError(
                f"`indices` must be [..., {wanted[0]}], one for each codebook of the chain, "
                f"got {tuple(indices.shape)}."
            )
        outside = (indices < 0) | (indices >= size)
        if bool(outside.any()):
            bad = int(indices[outside][0])
            raise ValueError(f"`indices` must be in 0..{size - 1}, got {bad}.")


def _build(config: QuantizerConfig) -> Any:
    from vector_quantize_pytorch import FSQ, ResidualVQ, VectorQuantize  # takes seconds

    match config.kind:
        case "vq":
            return VectorQuantize(
                dim=config.dim,
                codebook_size=config.codebook_size,
                decay=config.decay,
                kmeans_init=True,
                threshold_ema_dead_code=config.dead_code_threshold,
                commitment_weight=config.commitment_weight,
                rotation_trick=config.rotation_trick,
            )
        case "fsq":
            return FSQ(levels=list(config.levels), dim=config.dim)
        case "rvq":
            return ResidualVQ(
                dim=config.dim,
                num_quantizers=config.num_quantizers,
                codebook_size=config.codebook_size,
                decay=config.decay,
                kmeans_init=True,
                threshold_ema_dead_code=config.dead_code_threshold,
                commitment_weight=config.commitment_weight,
            )
        case _:
            assert_never(config.kind)
