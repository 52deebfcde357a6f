"""`FaceIdentity`: whether two pictures show one person, learned from our own made-up people.

No face recognition is downloaded: a small network learns to tell the people of a training split
apart, whatever they do and from wherever they are seen, and is then asked about others. It knows
made-up faces, of pictures framed as ours are, and nothing else; its own figures on people whom it
never saw stand beside every use of it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn

from mien.avatar.people_data import People
from mien.avatar.tensor_file import read_tensors
from mien.files import whole_file

__all__ = ["FaceIdentity", "compose", "separation", "train_face_identity"]

BACKGROUND = 0.5
_SIDE = 64  # pixels of what it looks at
_SHARE = 2 / 3  # of the picture, in its middle: the face, with little of the cloth
_WIDTHS = (24, 48, 96, 128)
_OUT = 64
_SCALE, _MARGIN = 16.0, 0.15  # CosFace (Wang et al. 2018, arXiv:1801.09414)
_WEIGHTS, _CARD = "identity.safetensors", "identity.json"
_MOST_BYTES = 64 * 2**20


class FaceIdentity(nn.Module):
    """From pictures to directions: near for one person, far for two."""

    def __init__(self) -> None:
        super().__init__()
        pairs = zip((3, *_WIDTHS), _WIDTHS, strict=False)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(a, b, 3, 2, 1), nn.GroupNorm(8, b), nn.SiLU(),
                    nn.Conv2d(b, b, 3, 1, 1), nn.GroupNorm(8, b), nn.SiLU(),
                )
                for a, b in pairs
            )
        )  # fmt: skip
        self.out = nn.Linear(_WIDTHS[-1] * 4, _OUT)

    def forward(self, pictures: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        """Unit vectors of composed pictures, sRGB, 0 to 1."""
        height, width = pictures.shape[1:3]
        top, left = (round(length * (1 - _SHARE) / 2) for length in (height, width))
        face = pictures[:, top : height - top, left : width - left].movedim(-1, 1)
        face = nn.functional.interpolate(face, (_SIDE, _SIDE), mode="bilinear", antialias=True)
        found = nn.functional.adaptive_avg_pool2d(self.layers(4 * face - 2), 2)
        return nn.functional.normalize(self.out(found.flatten(1)), dim=-1)

    def save(self, folder: Path, card: dict[str, object]) -> None:
        """Write weights and a card."""
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / _WEIGHTS) as target:
            save_file(
                {name: value.contiguous() for name, value in self.state_dict().items()}, target
            )
        with whole_file(folder / _CARD) as target:
            target.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> FaceIdentity:
        """Read what `save` wrote.

        Raises:
            ValueError: If there is none, or it is damaged.
        """
        path = folder / _WEIGHTS
        if not path.is_file():
            raise ValueError(f"{folder} must hold a judge of identity, but has no {_WEIGHTS}.")
        judge = cls()
        try:
            judge.load_state_dict(read_tensors(path, _MOST_BYTES))
        except RuntimeError as error:
            raise ValueError(f"{path} does not hold a judge of identity.") from error
        return judge.eval().requires_grad_(False)


def compose(
    people: People, pictures: list[int], background: float = BACKGROUND
) -> Float[Tensor, "b h w 3"]:
    """True pictures before one color."""
    image, mask, _ = people.layers(pictures)
    return image * mask + background * (1 - mask)


def train_face_identity(
    people: People, steps: int = 500, batch: int = 48, seed: int = 0
) -> FaceIdentity:
    """Learn to tell people apart, on one process.

    Args:
        people: Of the train split.
        steps: Optimizer steps.
        batch: Pictures a step, each of another person where there are enough.
        seed: Of weights and order.

    Raises:
        ValueError: If there are fewer than two people.
    """
    if len(people) < 2:
        raise ValueError(f"Two people or more are told apart, got {len(people)}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = FaceIdentity()
        centers = nn.Parameter(torch.randn(len(people), _OUT))
    learned = [*judge.parameters(), centers]
    optimizer = torch.optim.Adam(learned, 2e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps) + 2e-5
        rng = np.random.default_rng([seed, step])
        chosen = rng.permutation(len(people))[:batch]
        seen = [int(rng.choice(people.everyone[who].pictures)) for who in chosen]
        alike = judge(compose(people, seen)) @ nn.functional.normalize(centers, dim=-1).T
        true = torch.from_numpy(chosen)
        margin = _MARGIN * nn.functional.one_hot(true, len(people))
        loss = nn.functional.cross_entropy(_SCALE * (alike - margin), true)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return judge.eval().requires_grad_(False)


@torch.no_grad()
def separation(
    judge: FaceIdentity, people: People, pairs: int = 400, seed: int = 0
) -> dict[str, float]:
    """How well a judge tells people apart whom it never saw.

    Returns:
        Mean cosine of two pictures of one person (`same`) and of two people (`other`), and how
        often the former is the greater (`auc`).
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(pairs):
        one, other = (people.everyone[n] for n in rng.choice(len(people), 2, replace=False))
        first, second = rng.choice(one.pictures, 2, replace=len(one.pictures) < 2).tolist()
        rows.append((first, second, int(rng.choice(other.pictures))))
    wanted = sorted({number for row in rows for number in row})
    places = {number: place for place, number in enumerate(wanted)}
    parts = [judge(compose(people, wanted[i : i + 32])) for i in range(0, len(wanted), 32)]
    found = torch.cat(parts)
    a, b, c = (found[[places[row[k]] for row in rows]] for k in range(3))
    same, apart = (a * b).sum(-1), (a * c).sum(-1)
    auc = (same[:, None] > apart[None]).float().mean()
    return {"same": float(same.mean()), "other": float(apart.mean()), "auc": float(auc)}
