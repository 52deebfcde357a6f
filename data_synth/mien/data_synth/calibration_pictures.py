"""Pictures of the performer beside recordings of people."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.data_synth import motion_measures
from mien.data_synth.motion_measures import FPS, GROUPS, NAMES, Observations
from mien.motion import Motion

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_all"]

Named = Sequence[tuple[str, Sequence[Observations]]]
Motions = Sequence[tuple[str, Motion]]
_SHARES = np.linspace(0.02, 0.99, 60)
_INK = "#222222"
_COLORS = ("#c43c32", "#2f6bc4", "#248c5a", "#9646b4", "#c88a1e", "#5a5a5a")
_DPI = 70


def draw_all(
    folder: Path,
    recordings: Named,
    clips: Sequence[Observations],
    motions: Motions,
    performed: Sequence[Motion],
) -> list[Path]:
    """Draw all pictures into a folder.

    Args:
        folder: Where to, as `calibration_*.png`.
        recordings: Names and observations.
        clips: Observations of the performer.
        motions: Names and the recordings themselves.
        performed: The performer's clips themselves.
    """
    pictures: dict[str, tuple[tuple[float, float], Callable[[Any], None]]] = {
        "paces": ((15, 5), lambda f: _paces(f, recordings, clips)),
        "events": ((13, 3.2), lambda f: _events(f, recordings, clips)),
        "coactivation": ((19, 6.4), lambda f: _coactivation(f, recordings, clips)),
        "idle": ((13, 5), lambda f: _traces(f, motions, performed)),
    }
    paths = []
    for name, (size, draw) in pictures.items():
        paths.append(folder / f"calibration_{name}.png")
        _save(paths[-1], size, draw)
    return paths


def _save(path: Path, size: tuple[float, float], draw: Callable[[Any], None]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    figure.savefig(path)


def _paces(figure: "Figure", recordings: Named, clips: Sequence[Observations]) -> None:
    """Speeds and jerks by group: how much of the time they lie below a size."""
    grid = figure.subplots(2, len(GROUPS), squeeze=False)
    for row, kind in zip(grid, ("speed", "jerk"), strict=True):
        for axes, group in zip(row, GROUPS, strict=True):
            _shares(axes, "performer", [getattr(c, kind)[group] for c in clips], _INK)
            for (name, pieces), color in zip(recordings, _cycle(recordings), strict=True):
                _shares(axes, name, [getattr(p, kind)[group] for p in pieces], color)
            unit = "degrees" if group in ("gaze", "head") else "units"
            axes.set_title(f"{group}, {kind}", fontsize=9)
            axes.set_xlabel(f"{unit}/s" if kind == "speed" else f"{unit}/s³", fontsize=8)
            axes.set_xscale("log")
            axes.tick_params(labelsize=7)
    grid[0][0].legend(fontsize=6)


def _cycle(items: Sequence[Any]) -> list[str]:
    return [_COLORS[i % len(_COLORS)] for i in range(len(items))]


def _shares(axes: "Axes", name: str, parts: Sequence[ndarray], color: str) -> None:
    values = np.concatenate(list(parts))
    values = values[values > 0]
    if len(values):
        width = 2.4 if color == _INK else 1.1
        axes.plot(np.quantile(values, _SHARES), _SHARES, color=color, lw=width, label=name)


def _events(figure: "Figure", recordings: Named, clips: Sequence[Observations]) -> None:
    """Blinks laid over each other; onsets, offsets and saccades."""
    blinks, onsets, offsets, saccades = figure.subplots(1, 4)
    parts = [("performer", clips, _INK)]
    parts += [(n, p, c) for (n, p), c in zip(recordings, _cycle(recordings), strict=True)]
    for name, seen, color in parts:
        lids = np.concatenate([s.lids for s in seen])
        if len(lids):
            times = (np.arange(lids.shape[1]) - lids.shape[1] // 2) / FPS * 1000
            known = np.isfinite(lids).any(0)
            middle = np.nanmedian(lids[:, known], axis=0)
            blinks.plot(times[known], middle, color=color, lw=2.4 if color == _INK else 1.1)
        _shares(onsets, name, [1000 * s.onsets[:, 0] for s in seen], color)
        _shares(offsets, name, [1000 * s.offsets[:, 0] for s in seen], color)
        _shares(saccades, name, [s.saccades for s in seen], color)
    blinks.set(title="blinks, median", xlabel="ms from the deepest frame", ylabel="eyeBlink")
    onsets.set(title="onsets, 10 to 90 %", xlabel="ms", xlim=(0, 1500))
    offsets.set(title="offsets, 90 to 10 %", xlabel="ms", xlim=(0, 1500))
    saccades.set(title="saccades", xlabel="degrees", xlim=(0, 30))
    onsets.legend(fontsize=6)


def _coactivation(figure: "Figure", recordings: Named, clips: Sequence[Observations]) -> None:
    """Correlations of all recordings, of the performer, and their difference."""
    real = motion_measures.correlation([p for _, pieces in recordings for p in pieces])
    ours = motion_measures.correlation(clips)
    kept = np.flatnonzero(np.isfinite(np.diag(real)) & np.isfinite(np.diag(ours)))
    order = sorted(kept, key=lambda i: (_group(NAMES[i]), NAMES[i]))
    for axes, title, matrix in zip(
        figure.subplots(1, 3),
        ("recordings", "performer", "recordings less performer"),
        (real, ours, real - ours),
        strict=True,
    ):
        names = [NAMES[i] for i in order] if title == "recordings" else []
        _matrix(axes, title, matrix[np.ix_(order, order)], names)


def _group(name: str) -> int:
    return next(i for i, g in enumerate(GROUPS.values()) if name.startswith(g))


def _matrix(axes: "Axes", title: str, matrix: Float[ndarray, "c c"], names: list[str]) -> None:
    axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks(range(len(names)), names, fontsize=7)


def _traces(figure: "Figure", recordings: Motions, performed: Sequence[Motion]) -> None:
    """Gaze and head of recordings and of as many clips of the performer, four seconds each."""
    shown: list[tuple[str, Motion]] = [*recordings]
    shown += [(f"performer {i}", m) for i, m in enumerate(performed[: len(recordings)])]
    grid = figure.subplots(2, len(shown), sharey="row", squeeze=False)
    for column, (name, motion) in enumerate(shown):
        signals = motion_measures.signals_of(motion)[: round(4 * FPS)]
        times = np.arange(len(signals)) / FPS
        for axes, part in zip(grid[:, column], ("gaze", "head"), strict=True):
            for i in motion_measures.columns_of(part):
                axes.plot(times, signals[:, i] - signals[0, i], lw=1, label=NAMES[i])
            axes.tick_params(labelsize=7)
            axes.set_title(name[:18], fontsize=7)
    for axes in grid[:, 0]:
        axes.set_ylabel("degrees", fontsize=8)
        axes.legend(fontsize=6)
