"""Programs that are no commands of `mien`: `python -m mien.data_synth.NAME`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class Program(Protocol):
    """Options that can be run."""

    def run(self) -> Iterable[Path]:
        """Do it; give each file as it is written."""
        ...


def run_program(options: type[Program]) -> None:
    """Read the options, run, and say where the files are; bad input is one line."""
    import torch
    import tyro

    program = tyro.cli(options, config=(tyro.conf.FlagCreatePairsOff,))
    torch.set_num_threads(1)
    try:
        for path in program.run():
            sys.stdout.write(f"{path}\n")
    except (ValueError, OSError) as error:
        sys.exit(f"mien: error: {error}")
