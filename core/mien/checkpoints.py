"""Checkpoints of a training loop: folders `step_N`, of which only a finished one counts."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Losses", "newest_checkpoint", "resume", "save_checkpoint"]


class Losses:
    """The losses so far, to be kept in checkpoints; their number is the step reached."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def state_dict(self) -> dict[str, list[float]]:
        """What a checkpoint keeps."""
        return {"losses": self.losses}

    def load_state_dict(self, state: dict[str, list[float]]) -> None:
        """Take what a checkpoint kept."""
        self.losses = list(state["losses"])


def newest_checkpoint(folder: Path) -> Path | None:
    """The finished checkpoint of the last step in a folder; None where there is none."""
    done = [path.parent for path in folder.glob("step_*/done")]
    return max(done, key=lambda path: int(path.name.removeprefix("step_")), default=None)


def resume(accelerator: "Accelerator", folder: Path) -> bool:
    """Load the newest checkpoint of a folder; tell whether there was one."""
    newest = newest_checkpoint(folder)
    if newest is not None:
        accelerator.load_state(str(newest))
    return newest is not None


def save_checkpoint(accelerator: "Accelerator", folder: Path, step: int) -> None:
    """Write all that the accelerator holds, then remove the checkpoints before it."""
    target = folder / f"step_{step}"
    accelerator.save_state(str(target))
    (target / "done").touch()
    for old in folder.glob("step_*"):
        if old != target:
            shutil.rmtree(old)
