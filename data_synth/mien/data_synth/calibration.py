"""How the performer moves beside recordings of people, as a report with pictures.

`python -m mien.data_synth.calibration TAKE.csv [TRACKED.npz ...] -o reports` measures recordings
and, again and again, as many seconds of the performer, so that each figure comes with the range in
which it would lie if the person were one of the performers. It writes `calibration.md` and, beside
it, pictures. Videos come in as what `mien track VIDEO -o TRACKED.npz` makes of them.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import tyro
from jaxtyping import Float
from numpy import ndarray

from mien.arkit import EXPR_NAMES, motion_from_curves
from mien.data_synth import calibration_pictures, motion_measures
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.motion_measures import Observations, correlation, correlation_distance
from mien.data_synth.performance import sample_performance
from mien.data_synth.performer import perform
from mien.data_synth.programs import run_program
from mien.files import whole_file
from mien.formats import read_motion
from mien.motion import Motion

__all__ = [
    "Compared",
    "Finding",
    "Recording",
    "compare",
    "findings",
    "main",
    "performed",
    "report",
]

PIECE_S = 4.2  # the usual clip; recordings are cut to about it
OFF = 1 / 3  # from here on a difference is told
EDGES = (5, 95)  # percentiles between which a performer usually lies


@dataclass(frozen=True, eq=False)
class Recording:
    """A real face, observed.

    Attributes:
        name: Of its file.
        fps: It was recorded at.
        seconds: Its length.
        pieces: Observations of its parts.
    """

    name: str
    fps: float
    seconds: float
    pieces: tuple[Observations, ...]

    @staticmethod
    def read(path: Path) -> tuple["Recording", Motion]:
        """Read and observe a file that holds ARKit curves.

        Raises:
            ValueError: If it cannot be read, is for another head, or is shorter than a second.
        """
        motion = read_motion(path)
        if motion.num_expr != len(EXPR_NAMES) or motion.seconds < 1:
            raise ValueError(
                f"{path}: wanted at least a second of the default head's {len(EXPR_NAMES)} "
                f"components, got {motion.num_expr} for {motion.seconds:.2f} s."
            )
        observed = tuple(motion_measures.observe(piece) for piece in pieces_of(motion))
        return Recording(path.stem, motion.fps, motion.seconds, observed), motion


@dataclass(frozen=True, eq=False)
class Compared:
    """A recording beside the performer.

    Attributes:
        recording: What is compared.
        values: Its quantities.
        usual: Of each, the performer's 5th, 50th and 95th percentile over as many seconds.
        ranks: Percentage of performers below the recording.
        distance: How far its co-activation is from all performers', and the 5th, 50th and 95th
            percentile of that of performers for as many seconds.
    """

    recording: Recording
    values: dict[str, float]
    usual: dict[str, tuple[float, float, float]]
    ranks: dict[str, float]
    distance: tuple[float, float, float, float]


def main() -> None:
    """Measure and write."""
    run_program(Options)


def pieces_of(motion: Motion) -> list[Motion]:
    """A motion in equal parts of about the length of a clip."""
    count = max(1, round(motion.seconds / PIECE_S))
    edges = [round(i * motion.num_frames / count) for i in range(count + 1)]
    return [motion.slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]


def performed(count: int, seed: int = 0) -> Iterator[Motion]:
    """Clips as the corpus has them, each by a performer of its own."""
    lexicon = Lexicon.default()
    for index in range(count):
        performance = sample_performance(random.Random(f"calibration {seed} {index}"), lexicon)
        yield motion_from_curves(perform(performance, index), motion_measures.FPS)


def groups_of(clips: Sequence[Observations], seconds: float) -> list[list[Observations]]:
    """Runs of clips that last about `seconds`, one from each clip on."""
    groups = []
    for start in range(len(clips)):
        group, total = [clips[start]], clips[start].seconds
        for clip in clips[start + 1 :]:
            if total + clip.seconds / 2 > seconds:
                break
            group.append(clip)
            total += clip.seconds
        groups.append(group)
    return groups


def compare(recording: Recording, clips: Sequence[Observations]) -> Compared:
    """Set a recording beside groups of clips of its length."""
    values = motion_measures.summarize(recording.pieces)
    groups = groups_of(clips, recording.seconds)
    others = [motion_measures.summarize(group) for group in groups]
    usual, ranks = {}, {}
    for name, value in values.items():
        these = np.array([other[name] for other in others])
        these = these[np.isfinite(these)]
        usual[name] = _percentiles(these)
        below = (these < value).mean() + 0.5 * (these == value).mean() if len(these) else np.nan
        ranks[name] = float(100 * below) if np.isfinite(value) else np.nan
    every = correlation(clips)
    own = correlation_distance(correlation(recording.pieces), every)
    apart = np.array([correlation_distance(correlation(group), every) for group in groups])
    return Compared(recording, values, usual, ranks, (own, *_percentiles(apart)))


def _percentiles(values: Float[ndarray, " n"]) -> tuple[float, float, float]:
    if not len(values):
        return (np.nan, np.nan, np.nan)
    low, mid, high = np.percentile(values, (EDGES[0], 50, EDGES[1]))
    return float(low), float(mid), float(high)


class Finding(NamedTuple):
    """A quantity in which recordings differ from the performer.

    Attributes:
        name: Of the quantity.
        ratio: Geometric mean of the recordings' ratios to the performer's median; infinite
            where that is 0.
        outside: Recordings outside the performer's range on that side.
        beyond: Recordings on that side of the performer's median.
        measured: Recordings in which it is known.
    """

    name: str
    ratio: float
    outside: int
    beyond: int
    measured: int


def findings(compared: Sequence[Compared]) -> list[Finding]:
    """Quantities that differ by more than a third, the largest difference first.

    Most recordings are outside the performer's range, or all of at least four on one side of its
    median.
    """
    found = [_finding(name, compared) for name in compared[0].values]
    told = [f for f in found if f and (2 * f.outside > f.measured or f.beyond == f.measured >= 4)]
    return sorted(told, key=lambda f: -abs(np.log(f.ratio)))


def _finding(name: str, compared: Sequence[Compared]) -> Finding | None:
    seen = [c for c in compared if np.isfinite(c.ranks[name]) and c.values[name] > 0]
    if not seen:
        return None
    with np.errstate(divide="ignore"):
        ratios = np.log([c.values[name] for c in seen]) - np.log([c.usual[name][1] for c in seen])
    ratio = float(np.exp(ratios.mean()))
    if 1 / (1 + OFF) < ratio < 1 + OFF:
        return None
    ranks = np.array([c.ranks[name] for c in seen])
    ranks = ranks if ratio > 1 else 100 - ranks
    outside, beyond = int((ranks > EDGES[1]).sum()), int((ranks > 50).sum())
    return Finding(name, ratio, outside, beyond, len(seen))


def report(
    compared: Sequence[Compared], num_clips: int, pictures: Sequence[str], note: str = ""
) -> str:
    """The report as Markdown.

    Args:
        compared: Every recording beside the performer.
        num_clips: The performer's clips.
        pictures: File names, beside the report.
        note: A sentence on the recordings.
    """
    lines = ["# The performer beside recordings of people", "", *_about(compared, num_clips)]
    lines += ["", note] if note else []
    lines += ["", "## Off by more than a third", "", *_told(findings(compared))]
    lines += ["", "## Co-activation", "", *_distances(compared)]
    lines += ["", "## All quantities", "", *_table(compared), ""]
    lines += [f"![{Path(p).stem.replace('_', ' ')}]({p})\n" for p in pictures]
    return "\n".join(lines)


def _about(compared: Sequence[Compared], num_clips: int) -> Iterator[str]:
    yield (
        f"`python -m mien.data_synth.calibration`: {len(compared)} recordings beside {num_clips} "
        "clips of the performer, all at 25 frames a second. A figure of a recording is followed "
        "by its rank: the percentage of groups of clips, as long together as the recording, that "
        f"lie below it. Bold ranks lie outside {EDGES[0]} to {EDGES[1]}."
    )
    yield ""
    yield "| recording | seconds | frames a second |\n|---|---|---|"
    for c in compared:
        yield f"| {c.recording.name} | {c.recording.seconds:.2f} | {c.recording.fps:g} |"


def _told(found: Sequence[Finding]) -> Iterator[str]:
    if not found:
        yield "Nothing."
    for name, ratio, outside, beyond, count in found:
        times = f"{ratio:.2f} times the performer's" if np.isfinite(ratio) else "what it lacks"
        side = "above" if ratio > 1 else "below"
        yield (
            f"- {name}: recordings have {times}; {outside} of {count} outside its range, "
            f"{beyond} {side} its median."
        )


def _distances(compared: Sequence[Compared]) -> Iterator[str]:
    yield (
        "Distance of the signals' correlations from those of all clips together: 0 the same, "
        "1 nothing in common; performers for as many seconds at 5, 50 and 95 %.\n"
    )
    yield "| recording | distance | performers |\n|---|---|---|"
    for c in compared:
        own, low, mid, high = c.distance
        yield f"| {c.recording.name} | {own:.2f} | {low:.2f} – {mid:.2f} – {high:.2f} |"


def _table(compared: Sequence[Compared]) -> Iterator[str]:
    names = " | ".join(c.recording.name for c in compared)
    yield f"| quantity | performer, 5 – 50 – 95 % | {names} |"
    yield "|---" * (len(compared) + 2) + "|"
    middle = sorted(compared, key=lambda c: c.recording.seconds)[len(compared) // 2]
    for name in compared[0].values:
        usual = " – ".join(map(_figure, middle.usual[name]))
        cells = " | ".join(_cell(c.values[name], c.ranks[name]) for c in compared)
        yield f"| {name} | {usual} | {cells} |"


def _cell(value: float, rank: float) -> str:
    if not np.isfinite(value) or not np.isfinite(rank):
        return "none"
    shown = f"{rank:.0f}"
    is_out = not EDGES[0] <= rank <= EDGES[1]
    return f"{_figure(value)} ({f'**{shown}**' if is_out else shown})"


def _figure(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


@dataclass(frozen=True)
class Options:
    """Compare how the performer moves with recordings of people."""

    recordings: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Motions: .csv (Live Link Face), .gesichter, .npz or .safetensors (tracked videos)."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("reports")
    """Where the report and its pictures go."""
    clips: int = 160
    """Clips of the performer."""
    note: str = ""
    """A sentence for the report on where the recordings are from."""
    seed: int = 0
    """Other clips for another seed."""

    def run(self) -> Iterator[Path]:
        """Read, perform, compare, draw, write."""
        if not self.recordings or self.clips < 8:
            raise ValueError(
                f"Wanted a recording and at least 8 clips, got {len(self.recordings)} and "
                f"{self.clips}."
            )
        read = [Recording.read(path) for path in self.recordings]
        motions = list(performed(self.clips, self.seed))
        clips = [motion_measures.observe(motion) for motion in motions]
        compared = [compare(recording, clips) for recording, _ in read]
        self.out.mkdir(parents=True, exist_ok=True)
        named = [(r.name, r.pieces) for r, _ in read]
        long = [(r.name, motion) for r, motion in read]
        drawn = calibration_pictures.draw_all(self.out, named, clips, long, motions)
        names = [path.name for path in drawn]
        path = self.out / "calibration.md"
        with whole_file(path) as temporary:
            temporary.write_text(report(compared, self.clips, names, self.note), encoding="utf-8")
        yield from (path, *drawn)


if __name__ == "__main__":
    main()
