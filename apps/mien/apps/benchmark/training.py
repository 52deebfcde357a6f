"""Training the evaluator: texts against motions of the train split, by InfoNCE."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mien.apps.benchmark.evaluator import Evaluator, EvaluatorConfig, curve_features, pad
from mien.apps.benchmark.floors import check_trained_on
from mien.apps.benchmark.retrieval import r_precision
from mien.apps.benchmark.sentences import Words
from mien.data_synth.clip import Clip
from mien.pacing import half_cosine
from mien.tokenizer.features import FaceSpace

Report = Callable[[str], None]
_BASIS_FRAMES = 20_000
_WARM_UP = 50  # steps
_DROP_WORD, _NOISE = 0.1, 0.05


@dataclass(frozen=True)
class TrainEvaluatorConfig:
    """How the evaluator is trained.

    Attributes:
        steps: Optimizer steps.
        batch: Clips a step; each must find its own text among all of them.
        texts: Texts used of each clip.
        learning_rate: Of AdamW, at its highest.
        check_every: Steps between looks at the validation clips; the best one is kept.
        seed: Of weights, batches and disturbances.
    """

    steps: int = 1200
    batch: int = 128
    texts: int = 2
    learning_rate: float = 1e-3
    check_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that teach nothing."""
        if min(self.steps, self.texts, self.check_every) < 1 or self.batch < 2:
            raise ValueError(f"Wanted at least one step, one text and two clips, got {self}.")


@dataclass(frozen=True, eq=False)
class Pairs:
    """Clips ready for training.

    Attributes:
        motions: Reduced features a clip, half precision.
        texts: Word vectors of each clip's texts, half precision.
    """

    motions: list[Float[Tensor, "t c"]]
    texts: list[list[Float[Tensor, "w d"]]]


def train_evaluator(
    train: Sequence[Clip],
    val: Sequence[Clip],
    encoder: Words,
    config: TrainEvaluatorConfig | None = None,
    sizes: EvaluatorConfig | None = None,
    report: Report = print,
) -> tuple[Evaluator, dict[str, float]]:
    """Train an evaluator.

    Args:
        train: Clips of the train split, and of no other.
        val: Clips that choose among the evaluator's states; at least 2.
        encoder: Gives word vectors.
        config: Steps and batches.
        sizes: Of the evaluator.
        report: Takes a line of progress.

    Returns:
        The evaluator and the R-precision of the validation clips.

    Raises:
        ValueError: If clips of another split are to be learned from.
    """
    check_trained_on(train)
    config = config or TrainEvaluatorConfig()
    torch.manual_seed(config.seed)
    space = FaceSpace.default()
    evaluator = Evaluator(sizes)
    evaluator.set_basis(_some_frames(train, space, config.seed))
    pairs, checks = (
        prepare(evaluator, clips, encoder, space, config.texts) for clips in (train, val)
    )
    report(f"prepared {len(train)} clips to learn from and {len(val)} to choose by")
    return evaluator, _fit(evaluator, pairs, checks, config, report)


def prepare(
    evaluator: Evaluator, clips: Sequence[Clip], encoder: Words, space: FaceSpace, texts: int
) -> Pairs:
    """Reduce motions and encode texts once."""
    motions = [evaluator.reduce(curve_features(clip.curves, space)).half() for clip in clips]
    groups = [clip.texts[:texts] for clip in clips]
    words = iter(encoder.encode([text for group in groups for text in group]))
    return Pairs(motions, [[next(words).half() for _ in group] for group in groups])


def info_nce(
    motions: Float[Tensor, "b e"], texts: Float[Tensor, "b e"], heat: Tensor
) -> Float[Tensor, ""]:
    """Cross-entropy of finding one's own text among all, and one's own motion.

    Example:
        >>> float(info_nce(torch.eye(2), torch.eye(2), torch.tensor(100.0)))
        0.0
    """
    logits = heat * motions @ texts.T
    own = torch.arange(len(logits))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def _fit(
    evaluator: Evaluator, pairs: Pairs, checks: Pairs, config: TrainEvaluatorConfig, report: Report
) -> dict[str, float]:
    """Optimize, and leave the evaluator as it was when it did best on the validation clips."""
    rng = np.random.default_rng(config.seed)
    optimizer = torch.optim.AdamW(evaluator.parameters(), config.learning_rate, weight_decay=0.05)
    best: dict[str, float] = {}
    state: dict[str, Tensor] = {}
    for step in range(1, config.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _warmth(step, config.steps)
        evaluator.train()
        loss = _loss(evaluator, pairs, rng, config.batch)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(evaluator.parameters(), 1.0)
        optimizer.step()
        if step % config.check_every == 0 or step == config.steps:
            found = check(evaluator, checks, config.seed)
            report(f"step {step}/{config.steps}: loss {loss.item():.3f}, {_shares(found)}")
            if not best or sum(found.values()) > sum(best.values()):
                best = found
                state = {name: value.clone() for name, value in evaluator.state_dict().items()}
    evaluator.load_state_dict(state)
    evaluator.eval()
    return best


def _loss(evaluator: Evaluator, pairs: Pairs, rng: np.random.Generator, batch: int) -> Tensor:
    count = len(pairs.motions)
    rows = rng.choice(count, min(batch, count), replace=False)
    frames, real = pad([pairs.motions[i] for i in rows])
    words, known = pad([pairs.texts[i][rng.integers(len(pairs.texts[i]))] for i in rows])
    frames = frames + _NOISE * torch.randn_like(frames)
    kept = known & (torch.rand(known.shape) > _DROP_WORD)
    kept[:, 0] = True
    motions = evaluator.embed_motion_batch(frames, real)
    return info_nce(
        motions,
        evaluator.embed_text_batch(words, kept),
        evaluator.log_heat.exp().clamp(max=100.0),
    )


@torch.inference_mode()
def check(evaluator: Evaluator, pairs: Pairs, seed: int) -> dict[str, float]:
    """R-precision of clips by their first texts, in pools of 32 or, of fewer, in one."""
    evaluator.eval()
    motions, texts = [], []
    for at in range(0, len(pairs.motions), 64):
        motions.append(evaluator.embed_motion_batch(*pad(pairs.motions[at : at + 64])))
        first = [group[0] for group in pairs.texts[at : at + 64]]
        texts.append(evaluator.embed_text_batch(*pad(first)))
    order = np.random.default_rng(seed).permutation(len(pairs.motions))
    a, b = (torch.cat(parts).double().numpy()[order] for parts in (texts, motions))
    found = r_precision(a, b, min(32, len(a)))
    return {f"r_precision_{k}": value for k, value in enumerate(found, start=1)}


def _some_frames(clips: Sequence[Clip], space: FaceSpace, seed: int) -> Float[Tensor, "n f"]:
    """Frames of random clips, enough for a basis."""
    rng, frames, count = np.random.default_rng(seed), [], 0
    for i in rng.permutation(len(clips)):
        frames.append(curve_features(clips[i].curves[::3], space))
        count += len(frames[-1])
        if count >= _BASIS_FRAMES:
            break
    return torch.cat(frames)


def _warmth(step: int, steps: int) -> float:
    """Share of the learning rate: a short rise, then half a cosine."""
    return min(1.0, step / _WARM_UP) * half_cosine((step - 1) / steps)


def _shares(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in found.items())
