"""Train a tokenizer on curves: an autoencoder first, then with the quantizer in between."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from mien.acceleration import begin_accelerator
from mien.arkit import motion_from_curves
from mien.checkpoints import resume, save_checkpoint
from mien.motion import Motion
from mien.pacing import half_cosine
from mien.tokenizer.augment import AugmentConfig, Curves
from mien.tokenizer.batches import Batches
from mien.tokenizer.config import TokenizerConfig, tokenizer_small
from mien.tokenizer.data import as_clips, corpus_hash, read_corpus
from mien.tokenizer.features import FaceSpace, HeadFrames, features_of, frames_of
from mien.tokenizer.losses import LossConfig, reconstruction_loss
from mien.tokenizer.metrics import TokenizerFigures, evaluate
from mien.tokenizer.part_codec import PartCodec
from mien.tokenizer.tokenizer import MotionTokenizer
from mien.tokenizer.vqvae import Codec


@dataclass(frozen=True)
class TrainTokenizerConfig:
    """How a tokenizer is trained.

    Attributes:
        out: Folder of the result; checkpoints lie in `out/checkpoints`.
        tokenizer: Sizes.
        loss: Weights of the loss.
        augment: How training windows are disturbed.
        steps: Optimizer steps.
        windows: Windows a batch.
        frames: Frames a window.
        learning_rate: Peak learning rate.
        unquantized_steps: Steps before the quantizer starts.
        frozen_share: Last share of the steps with a fixed codebook.
        checkpoint_every: Steps between checkpoints; 0 for none.
        refine: Folder of a trained tokenizer of the same sizes: its encoder and codes stay as
            they are, so its tokens do; only the decoder trains.
        move_codes: With `refine`: codes of parts first move to what the clips show, each from
            where it was, so that it still means much the same.
        seed: Of weights, windows and disturbances.
        resume: Continue from the newest checkpoint in `out`, if there is one.
        progress: Show a progress bar.
        cpu: Stay on the CPU even where there is a GPU.
    """

    out: Path = Path("runs/tokenizer")
    tokenizer: TokenizerConfig = field(default_factory=tokenizer_small)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    steps: int = 2500
    windows: int = 16
    frames: int = 64
    learning_rate: float = 1.5e-3
    unquantized_steps: int = 400
    frozen_share: float = 0.12
    checkpoint_every: int = 200
    refine: Path | None = None
    move_codes: bool = False
    seed: int = 0
    resume: bool = True
    progress: bool = True
    cpu: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or self.windows < 1 or self.frames < 4:
            raise ValueError(
                "`steps` and `windows` must be >= 1 and `frames` >= 4, got "
                f"{self.steps}, {self.windows}, {self.frames}."
            )
        if not 0 <= self.unquantized_steps < self.steps:
            raise ValueError(
                f"`unquantized_steps` must be in 0..steps-1 = {self.steps - 1}, "
                f"got {self.unquantized_steps}."
            )


class _Progress:
    """The step reached, kept in checkpoints."""

    def __init__(self) -> None:
        self.step = 0

    def state_dict(self) -> dict[str, int]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.step = int(state["step"])


def learning_rate_at(step: int, config: TrainTokenizerConfig) -> float:
    """Give the learning rate of a step: a short rise, then half a cosine to a hundredth."""
    rise = min(1.0, (step + 1) / 100)
    return config.learning_rate * rise * half_cosine(min(step / config.steps, 1.0), least=0.01)


@torch.no_grad()
def _fit_encoding(tokenizer: MotionTokenizer, batches: Batches) -> None:
    """Fit what is statistics alone: the scale of features, and the codes of parts."""
    codec = tokenizer.codec
    if isinstance(codec, PartCodec):
        neutral = features_of(frames_of(Motion.rest(1)), tokenizer.space, tokenizer.kind)
        features = _sample_features(tokenizer, batches, 40)
        codec.fit_codes(features, neutral[0].to(features))
    else:
        _fit_normalization(tokenizer, codec, batches)


def _sample_features(
    tokenizer: MotionTokenizer, batches: Batches, count: int
) -> Float[Tensor, "n f"]:
    """Features of the frames of some batches."""
    drawn = (batches.draw(i, stream=1) for i in range(count))
    features = [features_of(x, tokenizer.space, tokenizer.kind).flatten(0, 1) for x in drawn]
    return torch.cat(features)


def _begin_encoding(
    config: TrainTokenizerConfig, tokenizer: MotionTokenizer, batches: Batches
) -> None:
    if config.refine is None:
        _fit_encoding(tokenizer, batches)
    elif config.move_codes:
        _move_codes(tokenizer, batches)


def _move_codes(tokenizer: MotionTokenizer, batches: Batches) -> None:
    if not isinstance(tokenizer.codec, PartCodec):
        raise ValueError("`move_codes` needs a tokenizer with codebooks of parts.")
    tokenizer.codec.move_codes(_sample_features(tokenizer, batches, 100))


def _fit_normalization(
    tokenizer: MotionTokenizer, codec: Codec, batches: Batches, count: int = 12
) -> None:
    features = [
        features_of(batches.draw(i, stream=1), tokenizer.space, tokenizer.kind)
        for i in range(count)
    ]
    codec.fit_normalization(torch.cat(features).flatten(0, 1))


@torch.no_grad()
def _start_codebook(
    tokenizer: MotionTokenizer, codec: Codec, batches: Batches, count: int = 16
) -> None:
    """Let the quantizer see many latents at once: its codebook starts at their k-means."""
    latents = [
        codec.latents(features_of(batches.draw(i, stream=2), tokenizer.space, tokenizer.kind))
        for i in range(count)
    ]
    codec.quantizer(torch.cat(latents))


def _loss(
    model: nn.Module,
    tokenizer: MotionTokenizer,
    target: HeadFrames,
    quantize: bool,
    config: TrainTokenizerConfig,
) -> tuple[Tensor, Tensor]:
    space, kind = tokenizer.space, tokenizer.kind
    with torch.no_grad():
        points = space.displacements(target)
        features = features_of(target, space, kind)
    out = model(features, quantize)
    parts = reconstruction_loss(out.frames, out.raw_expr, target, points, space, kind, config.loss)
    settled = parts[:, _settling(tokenizer, parts.shape[1]) :]
    return settled.mean() + out.commitment_loss, out.indices


def _settling(tokenizer: MotionTokenizer, num_frames: int) -> int:
    """Give the frames at a window's start in which parts still hold the neutral face."""
    parts = 2 * tokenizer.codec.num_parts if isinstance(tokenizer.codec, PartCodec) else 0
    return min(parts, num_frames // 2)


def train_tokenizer(
    config: TrainTokenizerConfig,
    corpus: str | Path | Sequence[Curves],
    held_out: Sequence[Curves] | None = None,
    space: FaceSpace | None = None,
    command: str = "",
) -> tuple[MotionTokenizer, TokenizerFigures]:
    """Train a tokenizer, save it with a card under `config.out`, and measure it.

    Args:
        config: Everything that decides the result, with the corpus.
        corpus: A folder of Parquet shards (its splits "train" and "test" are used), or curves
            [T, 61] at 25 fps of `mien.arkit.CHANNEL_NAMES`.
        held_out: Curves for the figures; needed when `corpus` is curves.
        space: The face points of the head (default: the shipped head).
        command: What started this and made the corpus, for the card.

    Raises:
        ValueError: If there are no clips, or no held-out ones.
    """
    if isinstance(corpus, str | Path):
        clips, held_out = read_corpus(corpus, "train"), read_corpus(corpus, "test")
    else:
        clips = as_clips(corpus)
    if not held_out:
        raise ValueError("Wanted `held_out` curves beside a corpus of curves, got none.")
    tokenizer = optimized(config, clips, space)
    motions = [motion_from_curves(torch.from_numpy(np.float32(c)), 25.0) for c in held_out]
    figures = evaluate(tokenizer, motions)
    held_out_figures = {k: round(v, 4) for k, v in figures.as_dict().items()}
    tokenizer.card = {"command": command} | tokenizer.card | {"held_out": held_out_figures}
    tokenizer.save(config.out)
    return tokenizer, figures


def optimized(
    config: TrainTokenizerConfig, clips: Sequence[Curves], space: FaceSpace | None = None
) -> MotionTokenizer:
    """Train a tokenizer on curves; neither save nor measure it. Its card says what made it."""
    start = time.perf_counter()
    tokenizer = _optimize(config, clips, space)
    tokenizer.card = _card(config, clips, time.perf_counter() - start)
    return tokenizer


def _optimize(
    config: TrainTokenizerConfig, clips: Sequence[Curves], space: FaceSpace | None
) -> MotionTokenizer:
    set_seed(config.seed)
    accelerator = begin_accelerator(cpu=config.cpu)
    tokenizer = _new_tokenizer(config, space)
    tokenizer.space = tokenizer.space.to(accelerator.device)
    tokenizer.to(accelerator.device)
    batches = Batches(clips, config, accelerator.device)
    optimizer = torch.optim.AdamW(
        [p for p in tokenizer.codec.parameters() if p.requires_grad],
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=0.01,
    )
    model, prepared = accelerator.prepare(tokenizer.codec, optimizer)
    progress = _Progress()
    accelerator.register_for_checkpointing(progress)
    checkpoints = Path(config.out) / "checkpoints"
    if not (config.resume and resume(accelerator, checkpoints)):
        _begin_encoding(config, tokenizer, batches)
    tokenizer.train()
    if config.refine is not None or isinstance(tokenizer.codec, PartCodec):
        tokenizer.codec.encoding_half().eval()
    _run(config, accelerator, model, prepared, tokenizer, batches, progress, checkpoints)
    tokenizer.space = tokenizer.space.to(torch.device("cpu"))
    return tokenizer.to("cpu").eval()


def _new_tokenizer(config: TrainTokenizerConfig, space: FaceSpace | None) -> MotionTokenizer:
    if config.refine is None:
        return MotionTokenizer(config.tokenizer, space)
    tokenizer = MotionTokenizer.load(config.refine, space)
    if tokenizer.config != config.tokenizer:
        raise ValueError(
            f"`tokenizer` must be what {config.refine} was trained with, {tokenizer.config}, "
            f"got {config.tokenizer}."
        )
    tokenizer.codec.encoding_half().requires_grad_(False)
    return tokenizer


def _advance_quantizer(
    config: TrainTokenizerConfig, tokenizer: MotionTokenizer, batches: Batches, step: int
) -> bool:
    """Start or freeze a learned codebook when its step comes; tell whether to quantize."""
    codec = tokenizer.codec
    if config.refine is not None or isinstance(codec, PartCodec):
        return True
    if step == config.unquantized_steps:
        _start_codebook(tokenizer, codec, batches)
    if step >= config.steps * (1.0 - config.frozen_share):
        codec.quantizer.freeze()
    return step >= config.unquantized_steps


def _run(
    config: TrainTokenizerConfig,
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: Any,
    tokenizer: MotionTokenizer,
    batches: Batches,
    progress: _Progress,
    checkpoints: Path,
) -> None:
    bar = tqdm(total=config.steps, initial=progress.step, disable=not config.progress)
    for step, batch in enumerate(batches.stream(progress.step, config.steps), progress.step):
        quantize = _advance_quantizer(config, tokenizer, batches, step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, config)
        loss, indices = _loss(model, tokenizer, batch, quantize, config)
        optimizer.zero_grad()
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(model.parameters(), 1.0)
        if bool(torch.isfinite(norm)):  # one bad batch must not spoil the weights
            optimizer.step()
        progress.step = step + 1
        bar.update()
        if step % 20 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}", codes=len(torch.unique(indices)))
        if config.checkpoint_every and progress.step % config.checkpoint_every == 0:
            save_checkpoint(accelerator, checkpoints, progress.step)
    bar.close()


def _card(config: TrainTokenizerConfig, clips: Sequence[Curves], seconds: float) -> dict[str, Any]:
    """Say what made the weights."""
    made = asdict(config) | {
        "out": str(config.out),
        "refine": None if config.refine is None else str(config.refine),
    }
    return {
        "what": f"mien motion tokenizer, {config.tokenizer.kind}",
        "config": made,
        "seed": config.seed,
        "corpus": {
            "clips": len(clips),
            "frames": sum(len(clip) for clip in clips),
            "sha256": corpus_hash(clips),
        },
        "training_seconds": round(seconds, 1),
    }
