"""One token a frame from several small codebooks: each frame renews one part of the face.

A single codebook must spend a code on every combination of mouth, brows, lids, gaze and head.
Here parts are independent: each frame, the part whose held code has become the worst is renewed,
and the token says which part and which code. What moves most is told most often; a decoder that
looks a few frames ahead fills in between. This is greedy event coding, as in delta modulation.

A part may have two codebooks: a coarse code sets the part, a fine code then adds to it, so that
what stays a while is told more exactly; the next coarse code begins anew.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mien.tokenizer.codebook import Codebook, spread_sample

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
        fine: Size of the codebook that adds to the first; 0 for none.
        dim: Principal components that are coded (at most; as many as the part has columns).
        gain: Factor on the part's squared error when parts compete.
    """

    name: str
    regions: tuple[str, ...]
    units: tuple[str, ...]
    codes: int
    fine: int
    dim: int
    gain: float


def face_parts() -> tuple[Part, ...]:
    """Give the parts of the shipped tokenizer: 1024 codes in all."""
    lower = ("lips", "tongue", "jaw", "nasolabial", "cheek", "nose")
    mouth = ("jaw", "mouth", "cheekPuff", "nose", "tongue")
    return (
        Part("mouth", lower, mouth, 320, 224, 44, 1.5),
        Part("brows", ("brow", "forehead"), ("brow",), 64, 32, 12, 4.0),
        Part("lids", ("lid", "eye_area"), ("eye", "cheekSquint"), 80, 64, 16, 2.5),
        Part("gaze", ("iris",), ("gaze",), 80, 0, 4, 4.0),
        Part("head", ("head",), ("head",), 128, 32, 4, 0.6),
    )


class Held(NamedTuple):
    """What a decoder sees: the held code of every part and how fresh it is."""

    codes: Float[Tensor, "b t d"]
    freshness: Float[Tensor, "b t p"]  # 1 when renewed, falling to 0

    def joined(self) -> Float[Tensor, "b t d+p"]:
        """Give both side by side."""
        return torch.cat(self, dim=-1)


class PartState(NamedTuple):
    """Where a stream is: the codes each part holds, and frames since it was renewed."""

    coarse: Int[Tensor, " p"]
    fine: Int[Tensor, " p"]  # the size of the fine codebook where there is none held
    age: Int[Tensor, " p"]


class _Voice(NamedTuple):
    """A codebook: whose it is, whether it is the fine one, and its first token."""

    part: int
    is_fine: bool
    first: int
    size: int


class PartQuantizer(nn.Module):
    """Codebooks of parts, and the rule which of them speaks.

    Latents are those of `PartCodec.latents`, part after part.

    Args:
        parts: Name, sizes and width of each.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.dims = [part.dim for part in parts]
        self.voices = _voices(parts)
        self._places = {(v.part, v.is_fine): place for place, v in enumerate(self.voices)}
        self.books = nn.ModuleList(Codebook(v.size, self.dims[v.part]) for v in self.voices)
        self.rest: Tensor
        self.register_buffer("rest", torch.zeros(len(parts), dtype=torch.long))

    @property
    def num_indices(self) -> int:
        """How many different tokens there are."""
        return sum(voice.size for voice in self.voices)

    @property
    def index_shape(self) -> tuple[int, ...]:
        """Shape of a token: it is one integer."""
        return ()

    @torch.no_grad()
    def fit(self, latents: Float[Tensor, "n d"], neutral: Float[Tensor, " d"]) -> None:
        """Find the codes of every part by k-means, and those of a neutral face."""
        self._teach(latents, neutral, Codebook.fit)

    @torch.no_grad()
    def move(self, latents: Float[Tensor, "n d"], neutral: Float[Tensor, " d"]) -> None:
        """Move every code to the middle of what it is nearest to: each keeps its meaning."""
        self._teach(latents, neutral, Codebook.move)

    def _teach(
        self, latents: Tensor, neutral: Tensor, lesson: Callable[[Codebook, Tensor], None]
    ) -> None:
        """Give each codebook its lesson; a fine one learns what the coarse one leaves."""
        rest = []
        for part, rows in enumerate(self._split(latents)):
            sample = spread_sample(rows)
            lesson(self._book(part, False), sample)
            coarse = self._codes(part, False)
            if self.parts[part].fine:
                left = sample - coarse[torch.cdist(sample, coarse).argmin(-1)]
                lesson(self._book(part, True), left)
            still = self._split(neutral)[part]
            rest.append(torch.cdist(still[None], coarse).argmin())
        self.rest.copy_(torch.stack(rest))

    @torch.no_grad()
    def forward(self, latents: Float[Tensor, "b t d"]) -> Int[Tensor, "b t"]:
        """Choose the tokens of latents, frame after frame from a neutral face."""
        speakers = [
            _Speaker(part, coarse, fine, rows, rest)
            for part, (coarse, fine), rows, rest in zip(
                self.parts, self._codebooks(), self._split(latents), self.rest, strict=True
            )
        ]
        firsts = [voice.first for voice in self.voices]
        tokens = []
        for t in range(latents.shape[1]):
            offers = [offer for speaker in speakers for offer in speaker.offers(t)]
            chosen = torch.stack([gain for gain, _ in offers], -1).argmax(-1)
            codes = torch.stack([code for _, code in offers], -1)
            at = 0
            for speaker in speakers:
                speaker.take(chosen - at, codes[:, at : at + speaker.num_voices])
                at += speaker.num_voices
            first = torch.tensor(firsts, device=latents.device)[chosen]
            tokens.append(first + codes.gather(1, chosen[:, None])[:, 0])
        return torch.stack(tokens, -1)

    def hold(self, indices: Int[Tensor, "b t"]) -> Held:
        """Give what every part holds at every frame of a sequence of tokens."""
        codes, freshness = [], []
        time = torch.arange(indices.shape[1], device=indices.device)
        for p, (coarse, fine) in enumerate(self._codebooks()):
            last, local = self._last_of(indices, time, p, False)
            code = coarse[torch.where(last < 0, self.rest[p], local)]
            if len(fine) > 1:
                last_fine, local = self._last_of(indices, time, p, True)
                code = code + fine[torch.where(last_fine > last, local, len(fine) - 1)]
                last = torch.maximum(last, last_fine)
            codes.append(code)
            freshness.append(self._freshness(torch.where(last < 0, 1000, time - last)))
        return Held(torch.cat(codes, -1), torch.stack(freshness, -1))

    def _last_of(
        self, indices: Int[Tensor, "b t"], time: Int[Tensor, " t"], part: int, is_fine: bool
    ) -> tuple[Tensor, Tensor]:
        """When a voice last spoke (-1: never), and the code it then gave."""
        voice = next(v for v in self.voices if v.part == part and v.is_fine == is_fine)
        local = indices - voice.first
        is_own = (local >= 0) & (local < voice.size)
        last = torch.where(is_own, time, -1).cummax(-1).values
        return last, local.gather(1, last.clamp_min(0)).clamp(0, voice.size - 1)

    def start(self) -> PartState:
        """Give the state before the first token of a stream."""
        none = torch.tensor([part.fine for part in self.parts], device=self.rest.device)
        return PartState(self.rest.clone(), none, torch.full_like(self.rest, 999))

    def advance(self, state: PartState, token: int) -> tuple[Held, PartState]:
        """Take one token; give what is held now, `[1, 1, ...]`, and the new state."""
        coarse, fine, age = state.coarse.clone(), state.fine.clone(), state.age + 1
        voice = max((v for v in self.voices if token >= v.first), key=lambda v: v.first)
        age[voice.part] = 0
        if voice.is_fine:
            fine[voice.part] = token - voice.first
        else:
            coarse[voice.part] = token - voice.first
            fine[voice.part] = self.parts[voice.part].fine
        codes = zip(coarse.tolist(), fine.tolist(), strict=True)
        held = [self._code(p, c, f) for p, (c, f) in enumerate(codes)]
        fresh = self._freshness(age)
        return Held(torch.cat(held)[None, None], fresh[None, None]), PartState(coarse, fine, age)

    def check(self, indices: Int[Tensor, "*b"]) -> None:
        """Refuse indices outside the codebooks with a ValueError."""
        outside = (indices < 0) | (indices >= self.num_indices)
        if bool(outside.any()):
            bad = int(indices[outside][0])
            raise ValueError(f"`indices` must be in 0..{self.num_indices - 1}, got {bad}.")

    def _code(self, part: int, coarse: int, fine: int) -> Float[Tensor, " d"]:
        """What one part holds: one row of each codebook, none of them copied."""
        code = self._codes(part, False)[coarse]
        return code if fine == self.parts[part].fine else code + self._codes(part, True)[fine]

    def _codebooks(self) -> list[tuple[Tensor, Tensor]]:
        """Coarse and fine codes of each part, `[codes, dim]`; the last fine one adds nothing."""
        found = []
        for p, part in enumerate(self.parts):
            coarse = self._codes(p, False)
            fine = [self._codes(p, True)] if part.fine else []
            found.append((coarse, torch.cat([*fine, torch.zeros_like(coarse[:1])])))
        return found

    def _codes(self, part: int, is_fine: bool) -> Float[Tensor, "n d"]:
        return self._book(part, is_fine).codes

    def _book(self, part: int, is_fine: bool) -> Codebook:
        book = self.books[self._places[part, is_fine]]
        assert isinstance(book, Codebook)
        return book

    def _split(self, latents: Tensor) -> tuple[Tensor, ...]:
        """Cut latents into those of each part."""
        return torch.split(latents, self.dims, dim=-1)

    def _freshness(self, age: Tensor) -> Tensor:
        return torch.exp(-age.float() / _FADE_FRAMES)


def _voices(parts: Sequence[Part]) -> tuple[_Voice, ...]:
    """The codebooks of parts in the order of their tokens."""
    voices: list[_Voice] = []
    first = 0
    for index, part in enumerate(parts):
        for is_fine, size in ((False, part.codes), (True, part.fine)):
            if size:
                voices.append(_Voice(index, is_fine, first, size))
                first += size
    return tuple(voices)


class _Speaker:
    """One part while tokens are chosen: what it holds, and what it would gain by speaking.

    Args:
        part: Sizes and gain.
        coarse: Its codes.
        fine: Codes that add to them; the last adds nothing.
        rows: Latents of all frames, `[b, t, dim]`.
        rest: Code of a neutral face.
    """

    def __init__(
        self, part: Part, coarse: Tensor, fine: Tensor, rows: Float[Tensor, "b t d"], rest: Tensor
    ) -> None:
        self.num_voices = 2 if part.fine else 1
        self._gain = part.gain
        self._to_coarse = torch.cdist(rows, coarse[None]).square()
        self._nearest = self._to_coarse.min(-1)
        # |z - c - f|^2 = |z - c|^2 - 2 z f + 2 c f + |f|^2
        self._by_fine = fine.square().sum(-1) - 2.0 * rows @ fine.T
        self._cross = 2.0 * coarse @ fine.T
        self._coarse = rest.expand(len(rows)).clone()
        self._fine = torch.full_like(self._coarse, len(fine) - 1)
        self._age = torch.ones_like(self._coarse)
        self._rows = torch.arange(len(rows), device=rows.device)

    def offers(self, t: int) -> list[tuple[Tensor, Tensor]]:
        """For each voice: what squared error it would save in frame `t`, and by which code."""
        to_coarse = self._to_coarse[self._rows, t, self._coarse]
        added = self._by_fine[:, t] + self._cross[self._coarse]
        now = to_coarse + added[self._rows, self._fine]
        waited = _REFRESH * self._age.square()
        saved = self._gain * (now - self._nearest.values[:, t]) + waited
        found = [(saved, self._nearest.indices[:, t])]
        if self.num_voices == 2:
            best = added[:, :-1].min(-1)
            found.append((self._gain * (now - to_coarse - best.values), best.indices))
        return found

    def take(self, voice: Int[Tensor, " b"], codes: Int[Tensor, "b v"]) -> None:
        """Note which voice speaks in each row (any other number: none of this part)."""
        none = self._by_fine.shape[-1] - 1
        self._coarse = torch.where(voice == 0, codes[:, 0], self._coarse)
        self._fine = torch.where(voice == 0, none, self._fine)
        if self.num_voices == 2:
            self._fine = torch.where(voice == 1, codes[:, 1], self._fine)
        speaks = (voice >= 0) & (voice < self.num_voices)
        self._age = torch.where(speaks, 1, self._age + 1)


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
