"""One stage of training: a loop that can be killed at any step and goes on to the same losses."""

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mien.acceleration import Precision, begin_accelerator
from mien.llm.lexical_naming import LexicalMixture, LexicalNaming
from mien.llm.mixture import Mixture
from mien.llm.naming import Naming, NamingMixture
from mien.llm.network import PrefixedModel
from mien.llm.tuning import Tuning
from mien.pacing import half_cosine

Learner = PrefixedModel | Naming | LexicalNaming | Tuning
Draws = Mixture | NamingMixture | LexicalMixture
Rule = Literal["muon", "adamw"]


@dataclass(frozen=True)
class Schedule:
    """How a stage learns.

    Attributes:
        steps: Optimizer steps.
        learning_rate: At its highest.
        rule: What moves the matrices inside the layers: Muon, which learns from far fewer steps,
            or AdamW, which moves all else in any case.
        warmup: Steps to get there.
        final: Share of the highest rate at the end, along a cosine.
        weight_decay: Of matrices.
        clip_norm: Largest norm of the gradient.
        checkpoint_every: Steps between checkpoints; 0 keeps none.
        stop: Steps after which the stage is left, before its schedule has run down; 0 runs it to
            the end.
    """

    steps: int
    learning_rate: float = 1e-3
    rule: Rule = "adamw"
    warmup: int = 100
    final: float = 0.1
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    checkpoint_every: int = 500
    stop: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        at = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * half_cosine(at, self.final)


@dataclass(frozen=True)
class Progress:
    """One line of progress.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        losses: Mean loss of each task since the last line.
        tokens_per_second: Positions read.
        seconds_left: At this pace.
    """

    step: int
    steps: int
    losses: dict[str, float]
    tokens_per_second: float
    seconds_left: float


def train_stage(
    model: Learner,
    mixture: Draws,
    schedule: Schedule,
    folder: Path,
    seed: int,
    report: Callable[[Progress], None] = lambda progress: None,
    stop_after: int | None = None,
    precision: Precision = "fp32",
) -> list[float]:
    """Train what is trainable of a model, from its last checkpoint in `folder` if there is one.

    Under `accelerate launch` each worker takes batches of its own and gradients are averaged.

    Args:
        model: Changed in place.
        mixture: Draws the batch of each step.
        schedule: How to learn.
        folder: Where checkpoints go.
        seed: Of the batches.
        report: Told about every 50 steps.
        stop_after: Stop early after this many steps in all, as a killed run would.
        precision: Of products of matrices; weights stay in fp32. Processors without bf16
            instructions are many times slower with it.

    Returns:
        The loss of every step since the beginning of the stage.
    """
    accelerator = begin_accelerator(precision)
    prepared, *optimizers = accelerator.prepare(model, *_optimizers(model, schedule))
    losses = _load_checkpoint(accelerator.unwrap_model(prepared), optimizers, folder)
    prepared.train()
    last = min(schedule.steps, stop_after or schedule.stop or schedule.steps)
    meter = _Meter(schedule.steps, report if accelerator.is_main_process else _say_nothing)
    for step in range(len(losses), last):
        task, batch = mixture.draw(seed, step, accelerator.process_index)
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = schedule.rate(step)
        each, weights = prepared(_to_device(batch, accelerator.device))
        loss = (each * weights).sum() / weights.sum()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(prepared.parameters(), schedule.clip_norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(float(loss.detach()))
        meter.add(task, losses[-1], batch.num_positions * accelerator.num_processes, step + 1)
        is_due = schedule.checkpoint_every and (step + 1) % schedule.checkpoint_every == 0
        if is_due and accelerator.is_main_process:
            save_checkpoint(accelerator.unwrap_model(prepared), optimizers, losses, folder)
    return losses


def _say_nothing(progress: Progress) -> None:
    """Of several workers only one reports."""


def _to_device(batch: Any, device: torch.device) -> Any:
    if device.type == "cpu":
        return batch
    return type(batch)(**{name: value.to(device) for name, value in vars(batch).items()})


def _optimizers(model: Learner, schedule: Schedule) -> list[torch.optim.Optimizer]:
    """AdamW, without decay on vectors; Muon for the matrices that map hidden states, if wanted."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    by_muon = [
        p for p in trainable if schedule.rule == "muon" and p.ndim == 2 and p is not model.tokens
    ]
    others = [p for p in trainable if not any(p is x for x in by_muon)]
    groups = [
        {"params": [p for p in others if p.ndim >= 2], "weight_decay": schedule.weight_decay},
        {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate, decay = schedule.learning_rate, schedule.weight_decay
    found: list[torch.optim.Optimizer] = []
    if groups:
        found.append(torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95)))
    if by_muon:
        muon = torch.optim.Muon(
            by_muon, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
        )
        found.append(muon)
    return found


def trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """The trainable parameters by name."""
    return {
        name: p.detach().cpu().contiguous()
        for name, p in model.named_parameters()
        if p.requires_grad
    }


def save_checkpoint(
    model: nn.Module, optimizers: Sequence[Any], losses: list[float], folder: Path
) -> None:
    """Write model, optimizers and losses; a kill leaves the old checkpoint or the new one."""
    fresh = folder / "checkpoint.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file(trainable_state(model), fresh / "model.safetensors")
    moments = {
        f"{number}.{index}.{name}": value
        for number, optimizer in enumerate(optimizers)
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    save_file(moments, fresh / "optimizer.safetensors")
    (fresh / "losses.json").write_text(json.dumps(losses))
    current, old = folder / "checkpoint", folder / "checkpoint.old"
    shutil.rmtree(old, ignore_errors=True)
    if current.is_dir():
        os.replace(current, old)
    os.replace(fresh, current)


def _load_checkpoint(model: nn.Module, optimizers: Sequence[Any], folder: Path) -> list[float]:
    """Load the last checkpoint and give its losses; none if there is none."""
    path = folder / "checkpoint"
    if not path.is_dir():
        path = folder / "checkpoint.old"
    if not path.is_dir():
        return []
    load_trainable(model, load_file(path / "model.safetensors"))
    moments = load_file(path / "optimizer.safetensors")
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in moments.items():
            own, index, name = key.split(".", 2)
            if int(own) == number:
                state.setdefault(int(index), {})[name] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    losses: list[float] = json.loads((path / "losses.json").read_text())
    return losses


@torch.no_grad()
def load_trainable(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy saved parameters into a model."""
    own = dict(model.named_parameters())
    if missing := set(state) - set(own):
        raise ValueError(
            f"The checkpoint belongs to another model: it has {sorted(missing)[:3]}..."
        )
    for name, value in state.items():
        own[name].copy_(value)


class _Meter:
    """Collects losses by task and reports every 50 steps."""

    def __init__(self, steps: int, report: Callable[[Progress], None], every: int = 50) -> None:
        self._steps, self._report, self._every = steps, report, every
        self._reset()

    def _reset(self) -> None:
        self._losses: dict[str, list[float]] = {}
        self._tokens, self._begun = 0, time.monotonic()

    def add(self, task: str, loss: float, tokens: int, step: int) -> None:
        """Take one step's figures."""
        self._losses.setdefault(task, []).append(loss)
        self._tokens += tokens
        count = sum(map(len, self._losses.values()))
        if count == self._every or step == self._steps:
            took = time.monotonic() - self._begun
            means = {name: sum(x) / len(x) for name, x in self._losses.items()}
            left = took / count * (self._steps - step)
            self._report(Progress(step, self._steps, means, self._tokens / took, left))
            self._reset()
