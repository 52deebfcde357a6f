"""One token a frame from several small codebooks: each frame renews one part of the face.

A single codebook must spend a code on every combination of mouth, brows, lids, gaze and head.
Here parts are independent: each frame, the part whose held code has become the worst is renewed,
and the token says which part and which code. What moves most is told most often; a decoder that
looks a few frames ahead fills in between. This is greedy event coding, as in delta modulation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from vector_quantize_pytorch import VectorQuantize

_REFRESH = (
    2e-4  # squared latent that waiting n frames is worth, times n^2: even a still part is renewed
)
_FADE_FRAMES = 3.0  # of the decoder's view of how old a held code is


@dataclass(frozen=True)
class Part:
    """A part of the face with a codebook of its own.

    Attributes:
        name: Its name.
        regions: Prefixes of the face points' regions; ("head",) is the head's rotation.
        units: Prefixes of head coefficients, for the coefficient twin.
        codes: Size of the codebook.
        dim: Principal components that are coded (at most; as many as the part has columns).
        gain: Factor on the part's squared error when parts compete.
    """

    name: str
    regions: tuple[str, ...]
    units: tuple[str, ...]
    codes: int
    dim: int
    gain: float


def face_parts() -> tuple[Part, ...]:
    """Give the parts of the shipped tokenizer: 1024 codes in all."""
    lower = ("lips", "tongue", "jaw", "nasolabial", "cheek", "nose")
    mouth = ("jaw", "mouth", "cheekPuff", "nose", "tongue")
    return (
        Part("mouth", lower, mouth, 512, 44, 1.5),
        Part("brows", ("brow", "forehead"), ("brow",), 96, 12, 4.0),
        Part("lids", ("lid", "eye_area"), ("eye", "cheekSquint"), 128, 16, 2.5),
        Part("gaze", ("iris",), ("gaze",), 96, 4, 4.0),
        Part("head", ("head",), ("head",), 192, 4, 0.6),
    )


class Held(NamedTuple):
    """What a decoder sees: the held code of every part and how fresh it is."""

    codes: Float[Tensor, "b t d"]
    freshness: Float[Tensor, "b t p"]  # 1 when renewed, falling to 0

    def joined(self) -> Float[Tensor, "b t d+p"]:
        """Give both side by side."""
        return torch.cat(self, dim=-1)


class PartState(NamedTuple):
    """Where a stream is: the code each part holds, and frames since it was renewed."""

    codes: Int[Tensor, " p"]
    age: Int[Tensor, " p"]


class PartQuantizer(nn.Module):
    """Codebooks of parts, and the rule which of them speaks.

    Latents are those of `PartCodec.latents`, part after part.

    Args:
        parts: Name, size and width of each.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.sizes = [part.codes for part in parts]
        self.dims = [part.dim for part in parts]
        self.first = [sum(self.sizes[:i]) for i in range(len(parts))]
        self.books = nn.ModuleList(
            VectorQuantize(dim=p.dim, codebook_size=p.codes, kmeans_init=True, kmeans_iters=30)
            for p in parts
        )
        self.rest: Tensor
        self.register_buffer("rest", torch.zeros(len(parts), dtype=torch.long))

    @property
    def num_indices(self) -> int:
        """How many different tokens there are."""
        return sum(self.sizes)

    @torch.no_grad()
    def fit(self, latents: Float[Tensor, "n d"], neutral: Float[Tensor, " d"]) -> None:
        """Find the codes of every part by k-means, and those of a neutral face."""
        rest = []
        for book, rows in zip(self.books, self._split(latents), strict=True):
            book.train()
            book(_spread_sample(rows)[None])
            book.eval()
        for codes, still in zip(self._codebooks(), self._split(neutral), strict=True):
            rest.append(torch.cdist(still[None], codes).argmin())
        self.rest.copy_(torch.stack(rest))

    @torch.no_grad()
    def forward(self, latents: Float[Tensor, "b t d"]) -> Int[Tensor, "b t"]:
        """Choose the tokens of latents, frame after frame from a neutral face."""
        costs = [
            torch.cdist(rows, codes[None]).square() * part.gain
            for part, codes, rows in zip(
                self.parts, self._codebooks(), self._split(latents), strict=True
            )
        ]
        best = [cost.min(-1) for cost in costs]
        lowest = torch.stack([b.values for b in best], -1)
        nearest = torch.stack([b.indices for b in best], -1)
        held = self.rest.expand(len(latents), -1).clone()
        age = torch.ones_like(held)
        offsets = torch.tensor(self.first, device=latents.device)
        rows = torch.arange(len(latents), device=latents.device)
        tokens = []
        for t in range(latents.shape[1]):
            now = torch.stack([c[rows, t, held[:, p]] for p, c in enumerate(costs)], -1)
            chosen = (now - lowest[:, t] + _REFRESH * age.square()).argmax(-1)
            held[rows, chosen] = nearest[rows, t, chosen]
            tokens.append(held[rows, chosen] + offsets[chosen])
            age += 1
            age[rows, chosen] = 1
        return torch.stack(tokens, -1)

    def hold(self, indices: Int[Tensor, "b t"]) -> Held:
        """Give what every part holds at every frame of a sequence of tokens."""
        codes, freshness = [], []
        time = torch.arange(indices.shape[1], device=indices.device)
        for p, book in enumerate(self._codebooks()):
            local = indices - self.first[p]
            is_own = (local >= 0) & (local < self.sizes[p])
            last = torch.where(is_own, time, -1).cummax(-1).values
            code = torch.where(last < 0, self.rest[p], local.gather(1, last.clamp_min(0)))
            codes.append(book[code])
            freshness.append(self._freshness(torch.where(last < 0, 1000, time - last)))
        return Held(torch.cat(codes, -1), torch.stack(freshness, -1))

    def start(self) -> PartState:
        """Give the state before the first token of a stream."""
        return PartState(self.rest.clone(), torch.full_like(self.rest, 999))

    def advance(self, state: PartState, token: int) -> tuple[Held, PartState]:
        """Take one token; give what is held now, `[1, 1, ...]`, and the new state."""
        codes, age = state.codes.clone(), state.age + 1
        part = max(p for p, first in enumerate(self.first) if token >= first)
        codes[part], age[part] = token - self.first[part], 0
        held = torch.cat([b[c] for b, c in zip(self._codebooks(), codes, strict=True)], -1)
        fresh = self._freshness(age)
        return Held(held[None, None], fresh[None, None]), PartState(codes, age)

    def check(self, indices: Int[Tensor, "*b"]) -> None:
        """Refuse indices outside the codebooks with a ValueError."""
        outside = (indices < 0) | (indices >= self.num_indices)
        if bool(outside.any()):
            bad = int(indices[outside][0])
            raise ValueError(f"`indices` must be in 0..{self.num_indices - 1}, got {bad}.")

    def _codebooks(self) -> list[Tensor]:
        """Codes of each part, `[codes, dim]`."""
        return [book.codebook for book in self.books]  # type: ignore[misc]

    def _split(self, latents: Tensor) -> tuple[Tensor, ...]:
        """Cut latents into those of each part."""
        return torch.split(latents, self.dims, dim=-1)

    def _freshness(self, age: Tensor) -> Tensor:
        return torch.exp(-age.float() / _FADE_FRAMES)


def _spread_sample(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Draw rows again, those far from the neutral face more often: rest is most of all frames."""
    size = rows.norm(dim=-1)
    return rows[torch.multinomial(size + size.mean(), len(rows), replacement=True)]


def part_columns(
    parts: Sequence[Part], regions: Mapping[str, Tensor], num_points: int
) -> list[Tensor]:
    """Give the columns of the features `[3 K + 6]` that belong to each part.

    Raises:
        ValueError: If a part has no points.
    """
    columns = []
    for part in parts:
        if part.regions == ("head",):
            columns.append(torch.arange(3 * num_points, 3 * num_points + 6))
            continue
        ids = [ids for name, ids in regions.items() if name.startswith(part.regions)]
        if not ids:
            raise ValueError(f"No region starts with one of {part.regions}; have {list(regions)}.")
        points = torch.unique(torch.cat(ids))
        columns.append((3 * points[:, None] + torch.arange(3)).flatten())
    return columns


def unit_columns(parts: Sequence[Part], expr_names: Sequence[str]) -> list[Tensor]:
    """Give the columns of the coefficient features `[E + 9 + 6]` that belong to each part."""
    names = [*expr_names, *["jaw"] * 3, *["gaze"] * 6, *["head"] * 6]
    return [
        torch.tensor([i for i, name in enumerate(names) if name.startswith(part.units)])
        for part in parts
    ]
