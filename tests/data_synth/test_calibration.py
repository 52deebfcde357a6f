import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.data_synth.calibration import (
    Options,
    Recording,
    compare,
    findings,
    groups_of,
    performed,
    pieces_of,
    report,
)
from mien.data_synth.motion_measures import Observations, observe
from mien.formats import write_motion
from mien.motion import Motion


@cache
def clips() -> tuple[Observations, ...]:
    return tuple(observe(motion) for motion in performed(24))


@cache
def stranger() -> Motion:
    """Clips of performers whom the comparison does not know, one after the other."""
    parts = list(performed(3, seed=1))
    return Motion.concatenate(parts)


def shaken(motion: Motion, size: float) -> Motion:
    """The same with noise on every unit, as of a bad tracker."""
    noise = torch.randn(motion.expr.shape, generator=torch.Generator().manual_seed(0))
    return motion.replace(expr=(motion.expr + size * noise).clamp(0, 1))


def recording(motion: Motion) -> Recording:
    observed = tuple(observe(piece) for piece in pieces_of(motion))
    return Recording("take", motion.fps, motion.seconds, observed)


def test_a_motion_is_cut_into_equal_parts_that_make_it_whole() -> None:
    motion = Motion.rest(313)
    parts = pieces_of(motion)
    assert sum(p.num_frames for p in parts) == 313 and len(parts) == 3
    assert max(p.num_frames for p in parts) - min(p.num_frames for p in parts) <= 1


def test_groups_of_clips_last_about_as_long_as_asked() -> None:
    groups = groups_of(clips(), 12.0)
    lengths = [sum(c.seconds for c in group) for group in groups[:-4]]
    assert len(groups) == len(clips()) and 9.0 < np.mean(lengths) < 14.0


def test_a_performer_is_like_performers() -> None:
    compared = compare(recording(stranger()), clips())
    ranks = np.array([rank for rank in compared.ranks.values() if np.isfinite(rank)])
    assert np.mean((ranks >= 5) & (ranks <= 95)) > 0.7
    assert len(findings([compared])) < len(ranks) / 4  # one clip in ten is unusual in a quantity


def test_a_shaking_face_is_found_out() -> None:
    found = findings([compare(recording(shaken(stranger(), 0.05)), clips())])
    ratios = {finding.name: finding.ratio for finding in found}
    assert ratios["lips: calm speed"] > 2 and ratios["brows: pace, Hz"] > 1.33


def test_the_report_holds_every_quantity_and_picture() -> None:
    compared = compare(recording(stranger()), clips())
    text = report([compared], len(clips()), ["calibration_paces.png"])
    for name in compared.values:
        assert f"| {name} |" in text
    assert "](calibration_paces.png)" in text and "| take |" in text


def test_the_command_writes_a_report_with_small_pictures(tmp_path: Path) -> None:
    write_motion(stranger(), tmp_path / "take.csv")
    write_motion(stranger().slice(0, 90), tmp_path / "tracked.npz")
    options = Options((tmp_path / "take.csv", tmp_path / "tracked.npz"), tmp_path / "out", 10)
    paths = list(options.run())
    assert [path.suffix for path in paths] == [".md", ".png", ".png", ".png", ".png"]
    assert all(path.stat().st_size < 200_000 for path in paths)
    linked = re.findall(r"\]\((\S+)\)", paths[0].read_text(encoding="utf-8"))
    assert linked == [path.name for path in paths[1:]]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    write_motion(Motion.rest(12), tmp_path / "short.npz")
    with pytest.raises(ValueError, match="at least a second .* for 0.48 s"):
        Recording.read(tmp_path / "short.npz")
    with pytest.raises(ValueError, match="a recording and at least 8 clips, got 0"):
        list(Options((), tmp_path).run())


def test_the_real_take_can_be_compared(shared: Path) -> None:
    take, motion = Recording.read(shared / "jmtechart_livelink" / "MySlate_3_iPhone.csv")
    compared = compare(take, clips())
    assert motion.seconds == pytest.approx(5.5, abs=0.1)
    assert 0 <= compared.distance[0] <= 2 and compared.values["units that move"] > 10
