"""Curves of the channels that move most, as a picture."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mien.motion import Label, Motion

HEAD = ("headYaw", "headPitch", "headRoll")
HEAD_DEGREES = 5.0  # shown each way at least, so that a still head looks still
_TOP = 1.32  # leaves room over the curves for four rows of labels
STILL = 0.03  # of a unit: below this range a channel counts as not moving


def active_channels(curves: Float[ndarray, "t 61"], count: int = 8) -> list[str]:
    """Names of the at most `count` ARKit units that move, those of the largest range first."""
    spans = np.ptp(curves[:, : len(ARKIT_NAMES)], axis=0)
    order = np.argsort(-spans, kind="stable")[:count]
    return [ARKIT_NAMES[i] for i in order if spans[i] > STILL]


def plot_curves(motion: "Motion", count: int = 8) -> Image.Image:
    """Plot the most active ARKit units, the head's rotation below, and the labels as bands.

    Args:
        motion: A motion of the default head.
        count: Units shown at most.

    Returns:
        An RGB picture.
    """
    out = BytesIO()
    draw_curves(motion, count).savefig(out, format="png")
    return Image.open(out).convert("RGB")


def draw_curves(motion: "Motion", count: int = 8) -> "Figure":
    """The same as a figure of two axes: units, head."""
    from matplotlib.figure import Figure

    from mien.arkit import curves_from_motion

    curves = np.asarray(curves_from_motion(motion))
    times = np.arange(len(curves)) / motion.fps
    figure = Figure(figsize=(9, 4.6), dpi=110, layout="constrained")
    units, head = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    for name in active_channels(curves, count):
        units.plot(times, curves[:, CHANNEL_NAMES.index(name)], label=name, linewidth=1.6)
    for name in HEAD:
        values = np.degrees(curves[:, CHANNEL_NAMES.index(name)])
        head.plot(times, values, label=name, linewidth=1.4)
    units.set(ylabel="ARKit unit, 0 to 1", ylim=(-0.02, _TOP), yticks=np.linspace(0, 1, 6))
    head.set(ylabel="degrees", xlabel="seconds", xlim=(0, max(times[-1], 1 / motion.fps)))
    low, high = head.get_ylim()
    head.set_ylim(min(low, -HEAD_DEGREES), max(high, HEAD_DEGREES))
    _mark_labels(units, motion.labels)
    for axes in (units, head):
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def _mark_labels(axes: "Axes", labels: Sequence["Label"]) -> None:
    for i, label in enumerate(labels):
        axes.axvspan(label.start_s, label.end_s, color=f"C{i % 10}", alpha=0.07, linewidth=0)
        axes.annotate(
            label.text, (label.start_s, _TOP - 0.07 * (i % 4)), fontsize=7, color="0.35", va="top"
        )
