"""The text-motion evaluator: texts and motions as points of one space.

Retrieval metrics and the Frechet distance are measured in it. It is trained on the train split
alone (`training`), sees face points and never coefficients or tokens, and shares nothing with the
models that it judges but MiniLM's frozen word vectors.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from mien.apps.benchmark.sentences import Words
from mien.arkit import motion_from_curves
from mien.data_synth.clip import FPS
from mien.tokenizer.features import FaceSpace, motion_features

FORMAT_VERSION = 1
_BATCH = 64
_SPEED = 5.0  # of steps between frames, so that they weigh about as much as positions


@dataclass(frozen=True)
class EvaluatorConfig:
    """Every size of an evaluator.

    Attributes:
        num_features: Of a frame: three a face point and six of the head's rotation.
        basis: Principal coordinates kept of the face points.
        word_width: Of a word vector.
        width: Channels.
        embedding: Dimensions of the shared space.
        heads: Of attention.
    """

    num_features: int = 1506
    basis: int = 48
    word_width: int = 768
    width: int = 128
    embedding: int = 128
    heads: int = 4


class SequencePool(nn.Module):
    """One layer of attention over a sequence, then its mean weighed by a second attention."""

    def __init__(self, width: int, embedding: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.score, self.project = nn.Linear(width, 1), nn.Linear(width, embedding)

    def forward(
        self, x: Float[Tensor, "b t w"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b e"]:
        """Give one unit vector a sequence; what is not in `mask` does not count."""
        batch, steps, width = x.shape
        x = x + positions(steps, width).to(x)
        parts = self.qkv(self.norm(x)).view(batch, steps, 3, self.heads, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        x = self.norm_out(x + self.merge(y.transpose(1, 2).reshape(batch, steps, width)))
        weights = self.score(x).masked_fill(~mask[..., None], -torch.inf).softmax(1)
        return F.normalize(self.project((weights * x).sum(1)), dim=-1)


class Evaluator(nn.Module):
    """Embeds motions and texts so that Euclidean distance tells how well they fit.

    Args:
        config: Sizes.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, config: EvaluatorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EvaluatorConfig()
        self.card: dict[str, Any] = {}
        kept = config.basis + 6
        self.register_buffer("mean", torch.zeros(config.num_features))
        self.register_buffer("basis", torch.zeros(config.num_features - 6, config.basis))
        self.register_buffer("scale", torch.ones(kept))
        self.log_heat = nn.Parameter(torch.tensor(2.6))  # of the cosines, about 1 / 0.07
        channels = (2 * kept, config.width, config.width, config.width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, 5, stride=2, padding=2)
            for a, b in zip(channels, channels[1:], strict=False)
        )
        self.read_word = nn.Linear(config.word_width, config.width)
        self.motion_pool, self.text_pool = (
            SequencePool(config.width, config.embedding, config.heads) for _ in range(2)
        )

    def set_basis(self, features: Float[Tensor, "n f"]) -> None:
        """Take mean, principal directions and scales from frames of the train split."""
        self.mean.copy_(features.mean(0))
        face = (features - self.mean)[:, :-6].double()
        _, vectors = torch.linalg.eigh(face.T @ face / len(face))
        self.basis.copy_(vectors.flip(1)[:, : self.config.basis])
        self.scale.fill_(1.0)
        spread = self.reduce(features).std(0)
        self.scale.copy_(spread.clamp_min(float(spread.max()) / 30.0))

    def reduce(self, features: Float[Tensor, "*t f"]) -> Float[Tensor, "*t c"]:
        """Principal coordinates of the face and the head's rotation, each at unit scale."""
        centered = features - self.mean
        kept = torch.cat([centered[..., :-6] @ self.basis, centered[..., -6:]], dim=-1)
        return kept / self.scale

    def embed_motion_batch(
        self, frames: Float[Tensor, "b t c"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b e"]:
        """Embed reduced motions, padded at the end."""
        steps = F.pad(frames.diff(dim=1), (0, 0, 1, 0)) * _SPEED
        x = torch.cat([frames, steps], dim=-1) * mask[..., None]
        for convolution in self.convolutions:
            mask = mask[:, ::2]
            x = F.gelu(convolution(x.mT).mT) * mask[..., None]
        embedded: Tensor = self.motion_pool(x, mask)
        return embedded

    def embed_text_batch(
        self, words: Float[Tensor, "b t w"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b e"]:
        """Embed texts given as word vectors, padded at the end."""
        embedded: Tensor = self.text_pool(F.gelu(self.read_word(words)), mask)
        return embedded

    @torch.inference_mode()
    def embed_motions(
        self, motions: Sequence[Float[ndarray, "t 61"]], space: FaceSpace
    ) -> Float[ndarray, "n e"]:
        """Embed ARKit curves at 25 frames a second."""
        rows = [self.reduce(curve_features(curves, space)) for curves in motions]
        return _stack(self.embed_motion_batch(*batch) for batch in _batches(rows))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str], encoder: Words) -> Float[ndarray, "n e"]:
        """Embed texts."""
        rows = encoder.encode(texts)
        return _stack(self.embed_text_batch(*batch) for batch in _batches(rows))

    def save(self, folder: Path, card: Mapping[str, Any]) -> None:
        """Write `model.safetensors` in half precision and `card.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.half().contiguous() for name, value in self.state_dict().items()}
        save_file(state, folder / "model.safetensors")
        full = {"format_version": FORMAT_VERSION, "evaluator": asdict(self.config), **card}
        (folder / "card.json").write_text(json.dumps(full, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def load(folder: Path) -> "Evaluator":
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: If the folder holds no evaluator of this format.
        """
        path = folder / "card.json"
        card = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        if card.get("format_version") != FORMAT_VERSION or "evaluator" not in card:
            raise ValueError(
                f"{folder} must hold an evaluator of format {FORMAT_VERSION} (card.json and "
                "model.safetensors); train one with `mien train evaluator`."
            )
        evaluator = Evaluator(EvaluatorConfig(**card["evaluator"]))
        state = load_file(folder / "model.safetensors")
        evaluator.load_state_dict({name: value.float() for name, value in state.items()})
        evaluator.card = card
        return evaluator.eval()


@torch.no_grad()
def curve_features(curves: Float[ndarray, "t 61"], space: FaceSpace) -> Float[Tensor, "t f"]:
    """The features that the tokenizer sees, of ARKit curves."""
    return motion_features(motion_from_curves(curves, FPS), space)


def positions(steps: int, width: int) -> Float[Tensor, "t w"]:
    """Sines and cosines of the place in a sequence, as in Vaswani et al. 2017."""
    rates = torch.exp(torch.arange(0, width, 2) * (-9.2 / width))  # down to 1 / 10,000
    angles = torch.arange(steps)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def pad(rows: Sequence[Tensor]) -> tuple[Float[Tensor, "b t c"], Bool[Tensor, "b t"]]:
    """Right-pad sequences; the mask tells what is real."""
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return nn.utils.rnn.pad_sequence([row.float() for row in rows], batch_first=True), mask


def _batches(rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    return (pad(rows[at : at + _BATCH]) for at in range(0, len(rows), _BATCH))


def _stack(parts: Iterator[Tensor]) -> Float[ndarray, "n e"]:
    return torch.cat(list(parts)).double().numpy()
