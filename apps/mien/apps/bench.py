"""`mien bench`: how fast the parts are on this machine."""

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

from mien.apps.measures import PARTS, Row, cold_repeats
from mien.apps.progress import say
from mien.apps.refusal import Refusal, describe

Part = Literal["splatting", "avatar", "language", "tokenizing", "corpus", "head", "cold-start"]
MAX_REPEATS = 1000


@dataclass(frozen=True)
class Bench:
    """Measure speed and print a Markdown table.

    Medians over repeats; a part that cannot be measured is named, the others are measured, and
    the exit code is not zero. Stop other work first: the machine's load is printed with it.
    """

    parts: tuple[Part, ...] = get_args(Part)
    """What to measure."""
    repeats: int = 7
    """Measurements of each figure."""
    threads: int | None = None
    """CPU threads; as many as torch takes where not given."""
    json: bool = False
    """Print JSON in place of the table."""

    def run(self) -> None:
        """Measure, then print."""
        if not 1 <= self.repeats <= MAX_REPEATS:
            raise Refusal(f"--repeats must be 1 to {MAX_REPEATS}, got {self.repeats}.")
        if self.threads is not None and not 1 <= self.threads <= (os.cpu_count() or 1):
            raise Refusal(f"--threads must be 1 to {os.cpu_count()}, got {self.threads}.")
        rows, failures = _measure(self)
        machine = describe_machine()
        if self.json:
            print(as_json(machine, rows, failures))
        else:
            print(as_markdown(machine, rows, failures, self.repeats))
        if failures:
            raise Refusal(f"could not measure {', '.join(failures)}; the reasons are above.")


def _measure(config: Bench) -> tuple[list[Row], dict[str, str]]:
    """Gives the rows, and the reason for each part that has none."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads or threads)
    rows: list[Row] = []
    failures: dict[str, str] = {}
    try:
        for part in dict.fromkeys(config.parts):
            say(f"measuring {part}")
            try:
                rows.extend(PARTS[part](config.repeats))
            except (ImportError, ValueError, OSError, RuntimeError) as error:
                failures[part] = f"{type(error).__name__}: {describe(error)}"
    finally:
        torch.set_num_threads(threads)
    return rows, failures


def describe_machine() -> dict[str, str]:
    """Gives what the figures depend on: processor, threads, versions, and the load meanwhile."""
    import torch

    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load": " ".join(f"{value:.1f}" for value in os.getloadavg()),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "libraries": ", ".join(f"{name} {version(name)}" for name in ("torch", "numba", "av")),
        "vector code": torch.backends.cpu.get_cpu_capability(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "not known"


def as_markdown(
    machine: dict[str, str], rows: Sequence[Row], failures: dict[str, str], repeats: int
) -> str:
    """Gives the table with the machine above it."""
    lines = [f"- {name}: {value}" for name, value in machine.items()]
    times = f"{repeats} ({5 * repeats} of single frames, {cold_repeats(repeats)} of cold starts)"
    lines += [f"- repeats: {times}; medians", ""]
    lines += ["| what | median | range | inside the time |", "|---|---|---|---|"]
    for row in rows:
        value = f"{_figures(row.median)} {row.unit}"
        span = f"{_figures(row.low)} to {_figures(row.high)}"
        lines.append(f"| {row.name} | {value} | {span} | {row.inside} |")
    lines += [f"| {part} | not measured | | {reason} |" for part, reason in failures.items()]
    return "\n".join(lines)


def as_json(machine: dict[str, str], rows: Sequence[Row], failures: dict[str, str]) -> str:
    """Gives the same as one JSON object."""
    found = [dataclasses.asdict(row) for row in rows]
    return json.dumps({"machine": machine, "rows": found, "failures": failures}, indent=2)


def _figures(value: float) -> str:
    """Gives three significant figures without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
