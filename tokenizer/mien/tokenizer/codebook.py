"""One codebook, fitted once and then fixed."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Codebook", "settle", "spread_sample"]


class Codebook(nn.Module):
    """Codes that do not learn by gradients.

    Args:
        size: Codes.
        dim: Width of a code.
    """

    codes: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(size, dim))

    @torch.no_grad()
    def fit(self, rows: Float[Tensor, "n d"]) -> None:
        """Find the codes by k-means."""
        from vector_quantize_pytorch import VectorQuantize  # takes seconds: only to train

        size, dim = self.codes.shape
        book = VectorQuantize(dim=dim, codebook_size=size, kmeans_init=True, kmeans_iters=30)
        book.to(rows).train()(rows[None])
        self.codes.copy_(book.codebook)

    @torch.no_grad()
    def move(self, rows: Float[Tensor, "n d"]) -> None:
        """Move the codes to the rows, each from where it is."""
        self.codes.copy_(settle(self.codes, rows))


def settle(
    codes: Float[Tensor, "n d"], rows: Float[Tensor, "m d"], rounds: int = 25, least: int = 3
) -> Float[Tensor, "n d"]:
    """Lloyd's rounds from given codes; one with fewer than `least` rows goes where error is."""
    codes = codes.clone()
    for _ in range(rounds):
        error, nearest = torch.cdist(rows, codes).min(-1)
        count = torch.bincount(nearest, minlength=len(codes))
        mean = torch.zeros_like(codes).index_add_(0, nearest, rows) / count.clamp_min(1)[:, None]
        codes = torch.where(count[:, None] > 0, mean, codes)
        poor = (count < least).nonzero()[:, 0]
        if len(poor):
            codes[poor] = rows[torch.multinomial(error.square(), len(poor), replacement=True)]
    return codes


def spread_sample(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Draw rows again, those far from the neutral face more often: rest is most of all frames."""
    size = rows.norm(dim=-1)
    return rows[torch.multinomial(size + size.mean(), len(rows), replacement=True)]
