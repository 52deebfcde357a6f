"""`python -m mien.data_synth.make_portraits FOLDER`: draw portraits to train avatars on."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from mien.data_synth.portrait_card import describe_portraits, write_portrait_card
from mien.data_synth.portrait_shards import write_portraits
from mien.data_synth.portraits import PortraitConfig

__all__ = ["make_portraits"]

_USUAL = PortraitConfig()


def make_portraits(
    folder: Path, config: PortraitConfig = _USUAL, workers: int = 1, cluster: str = ""
) -> None:
    """Write the shards that are missing, the manifest and the data card.

    Args:
        folder: Where.
        config: What.
        workers: Processes.
        cluster: A Ray cluster's address in place of processes, or "local".
    """
    sys.stdout.write(f"{config}\n")
    started, first = time.monotonic(), -1
    for done, total in write_portraits(folder, config, workers, cluster):
        first = done if first < 0 else first
        spent = time.monotonic() - started
        rate = (done - first) * config.session_pictures / spent if done > first else 0.0
        sys.stderr.write(f"{done}/{total} sessions, {rate:.1f} pictures/s\n")
    sys.stdout.write(describe_portraits(write_portrait_card(folder)))


def main() -> None:
    """Read the command line."""
    import torch
    import tyro

    torch.set_num_threads(1)
    tyro.cli(make_portraits)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"make_portraits: {error}")
