"""Train `SkinDetail`: one person's network, on what is known of how skin changes with the face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from accelerate.utils import set_seed
from jaxtyping import Float
from torch import Tensor

from mien.acceleration import Precision, begin_accelerator
from mien.avatar.detail import DetailLayout, DetailSize, SkinDetail
from mien.pacing import half_cosine

__all__ = ["DetailConfig", "DetailFrames", "DetailFigures", "detail_figures", "train_detail"]

_SMALL = 0.02  # sRGB, below which a difference is squared: most changes are faint


@dataclass(frozen=True, eq=False)
class DetailFrames:
    """Faces of one person, and the color that its moving skin has in them.

    Attributes:
        canonical: The driven mesh, head straight and in place, metres.
        plain: Colors of the painting's splats of moving skin as they are lit without detail, sRGB.
        wanted: What they should be.
    """

    canonical: Float[Tensor, "f v 3"]
    plain: Float[Tensor, "f n 3"]
    wanted: Float[Tensor, "f n 3"]

    def __post_init__(self) -> None:
        if not len(self.canonical) == len(self.plain) == len(self.wanted) > 0:
            raise ValueError(
                "Faces, colors and wanted colors must be as many, one or more; got "
                f"{len(self.canonical)}, {len(self.plain)} and {len(self.wanted)}."
            )

    def __len__(self) -> int:
        return len(self.canonical)


@dataclass(frozen=True)
class DetailConfig:
    """How detail is trained.

    Attributes:
        size: Of the network.
        steps: Optimizer steps.
        frames: Faces a step.
        learning_rate: Of the network, at its highest.
        feature_rate: Of the features, likewise.
        warmup: Steps in which it rises.
        precision: Of the network.
        seed: Of weights and order.
        cpu: Stay on the CPU even where there is a GPU.
    """

    size: DetailSize = field(default_factory=DetailSize)
    steps: int = 1500
    frames: int = 4
    learning_rate: float = 4e-3
    feature_rate: float = 6e-2
    warmup: int = 30
    precision: Precision = "fp32"
    seed: int = 0
    cpu: bool = False

    def __post_init__(self) -> None:
        if min(self.steps, self.frames, self.warmup) < 1:
            raise ValueError(
                "`steps`, `frames` and `warmup` must be 1 or more, got "
                f"{self.steps}, {self.frames} and {self.warmup}."
            )
        if not min(self.learning_rate, self.feature_rate) > 0:
            raise ValueError(
                "`learning_rate` and `feature_rate` must be above 0, got "
                f"{self.learning_rate} and {self.feature_rate}."
            )


@dataclass(frozen=True)
class DetailFigures:
    """How much skin changes, and what detail leaves of it: root mean squares, sRGB.

    Attributes:
        change: Of the wanted colors against the plain ones.
        left: Of the wanted colors against those that detail makes.
    """

    change: float
    left: float


def train_detail(
    config: DetailConfig,
    layout: DetailLayout,
    frames: DetailFrames,
    report: Callable[[int, float], None] | None = None,
) -> SkinDetail:
    """Train one person's detail; the same bit for bit on one machine from the same arguments.

    Args:
        config: How.
        layout: Of the person, with the side of `config.size`.
        frames: To learn from.
        report: Told every 50 steps the step and the mean loss since.
    """
    set_seed(config.seed)
    accelerator = begin_accelerator(config.precision, cpu=config.cpu)
    detail = SkinDetail(config.size)
    rates = (config.learning_rate, config.feature_rate)
    parts = ([*detail.unet.parameters(), detail.tints], [detail.features])
    groups = [{"params": part, "lr": rate} for part, rate in zip(parts, rates, strict=True)]
    model, optimizer = accelerator.prepare(detail, torch.optim.Adam(groups, betas=(0.9, 0.99)))
    layout = layout.to(accelerator.device)
    rng, recent = np.random.default_rng([config.seed, 1]), []
    order = np.empty(0, np.int64)
    for step in range(config.steps):
        while len(order) < config.frames:
            order = np.concatenate([order, rng.permutation(len(frames))])
        chosen, order = torch.from_numpy(order[: config.frames]), order[config.frames :]
        rise = min(1.0, (step + 1) / config.warmup)
        pace = rise * half_cosine(step / config.steps, least=0.02)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * pace
        canonical, plain, wanted = (
            values[chosen].float().to(accelerator.device)
            for values in (frames.canonical, frames.plain, frames.wanted)
        )
        made = plain * model(canonical, layout).float().exp()
        loss = torch.nn.functional.smooth_l1_loss(made, wanted, beta=_SMALL)
        optimizer.zero_grad()
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(model.parameters(), 1.0)
        if bool(torch.isfinite(norm)):  # one bad batch must not spoil the weights
            optimizer.step()
        recent.append(float(loss.detach()))
        if report is not None and ((step + 1) % 50 == 0 or step + 1 == config.steps):
            report(step + 1, float(np.mean(recent)))
            recent.clear()
    trained: SkinDetail = accelerator.unwrap_model(model)
    return trained.to("cpu").eval().requires_grad_(False)


@torch.no_grad()
def detail_figures(
    detail: SkinDetail, layout: DetailLayout, frames: DetailFrames
) -> DetailFigures:
    """Measure detail on faces, as pictures are drawn with it."""
    change, left = [], []
    for frame in range(len(frames)):
        plain, wanted = frames.plain[frame].float(), frames.wanted[frame].float()
        factors = detail(frames.canonical[frame : frame + 1], layout)[0].exp()
        made = (plain * factors).clamp(0, 1)
        change.append(float((wanted - plain).square().mean()))
        left.append(float((wanted - made).square().mean()))
    return DetailFigures(float(np.mean(change)) ** 0.5, float(np.mean(left)) ** 0.5)
