import numpy as np
from matplotlib.text import Annotation

from mien.apps.plots import active_channels, draw_curves, plot_curves
from mien.arkit import CHANNEL_NAMES, motion_from_curves
from mien.motion import Label


def moving(**peaks: float) -> np.ndarray:
    curves = np.zeros((50, len(CHANNEL_NAMES)), np.float32)
    bump = np.sin(np.linspace(0, np.pi, 50)) ** 2
    for name, peak in peaks.items():
        curves[:, CHANNEL_NAMES.index(name)] = peak * bump
    return curves


def test_the_most_active_units_come_first_and_still_ones_not_at_all() -> None:
    curves = moving(jawOpen=0.5, mouthSmileLeft=0.9, browInnerUp=0.01, headYaw=2.0)
    assert active_channels(curves) == ["mouthSmileLeft", "jawOpen"]
    assert active_channels(curves, count=1) == ["mouthSmileLeft"]
    assert active_channels(moving()) == []


def test_a_plot_shows_the_curves_and_the_labels() -> None:
    motion = motion_from_curves(moving(jawOpen=0.6), 25.0)
    plain = np.asarray(plot_curves(motion))
    labelled = np.asarray(plot_curves(motion.replace(labels=(Label(0.4, 1.2, "opens"),))))
    still = np.asarray(plot_curves(motion_from_curves(moving(), 25.0)))
    assert plain.ndim == 3 and plain.shape[2] == 3 and plain.std() > 5
    assert (plain != labelled).any()
    assert plain.shape != still.shape or (plain != still).any()


def test_a_motion_of_one_frame_can_be_plotted() -> None:
    plot_curves(motion_from_curves(moving(jawOpen=0.6)[:1], 25.0))


def test_labels_stand_over_the_curves_and_a_still_head_looks_still() -> None:
    labels = tuple(Label(0.2 * i, 1.5, f"look {i}") for i in range(5))
    motion = motion_from_curves(moving(jawOpen=1.0, headYaw=0.005), 25.0).replace(labels=labels)
    units, head = draw_curves(motion).axes
    assert min(text.xy[1] for text in units.texts if isinstance(text, Annotation)) > 1.05
    assert head.get_ylim() == (-5.0, 5.0)
    turned = motion_from_curves(moving(headYaw=0.5), 25.0)
    assert draw_curves(turned).axes[1].get_ylim()[1] > 28
