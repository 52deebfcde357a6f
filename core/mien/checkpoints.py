"""Checkpoints of a training loop: folders `step_N`, of which only a finished one counts."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["newest_checkpoint", "save_checkpoint"]


def newest_checkpoint(folder: Path) -> Path | None:
    """The finished checkpoint of the last step in a folder; None where there is none."""
    done = [path.parent for path in folder.glob("step_*/done")]
    return max(done, key=lambda path: int(path.name.removeprefix("step_")), default=None)


def save_checkpoint(accelerator: "Accelerator", folder: Path, step: int) -> None:
    """Write all that the accelerator holds, then remove the checkpoints before it."""
    target = folder / f"step_{step}"
    accelerator.save_state(str(target))
    (target / "done").touch()
    for old in folder.glob("step_*"):
        if old != target:
            shutil.rmtree(old)
