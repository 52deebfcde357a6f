from pathlib import Path

import pytest
import torch
from tests.core.acting import acting

from mien.arkit import CHANNEL_NAMES
from mien.flame_twin import make_flame_face_arrays
from mien.head import Head, head_from_flame
from mien.identity import semantic
from mien.roundtrips import (
    format_hops,
    measure_hops,
    random_motion,
    through_curves,
    through_head,
    through_points,
)

DEFAULT = Head.default()


@pytest.fixture(scope="module")
def flame() -> Head:
    return head_from_flame(make_flame_face_arrays(0))


def test_random_motions_are_their_seeds(flame: Head) -> None:
    first, again, other = (random_motion(DEFAULT, 30, seed).expr for seed in (1, 1, 2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert float((first - other).abs().max()) > 0.1
    assert float(first.min()) >= 0 and 0.3 < float(first.max()) <= 1
    assert float((first[1:] - first[:-1]).abs().max()) < 0.2
    weak = random_motion(flame, 30, 1, strength=0.5)
    assert weak.head == flame.name and -0.5 <= float(weak.expr.min()) < 0


def test_curves_and_motions_come_back_from_points() -> None:
    curves = torch.zeros(20, len(CHANNEL_NAMES))
    curves[:, CHANNEL_NAMES.index("mouthSmileLeft")] = torch.linspace(0, 1, 20)
    curves[:, CHANNEL_NAMES.index("jawOpen")] = torch.linspace(1, 0, 20)
    for hop in (through_curves(curves, 25.0), through_points(acting(20), name="acting")):
        assert hop.moved_mm > 1 and hop.num_frames == 20
        assert max(hop.error_mm, hop.lips_mm, hop.lids_mm) < 0.05
        assert hop.coefficient_error < 2e-3 and hop.coefficient_worst < 0.03
        assert hop.frames_per_second > 0


def test_a_person_comes_back_from_their_own_points() -> None:
    motion = acting(10).replace(shape=semantic(age=0.0).shape)
    hop = through_points(motion)
    assert hop.error_mm < 0.05 and hop.coefficient_error < 2e-3


def test_worse_points_come_back_worse() -> None:
    motion = acting(10)
    trusted, doubted = through_points(motion), through_points(motion, noise_mm=20.0)
    assert trusted.error_mm < 0.1 * doubted.error_mm


def test_a_head_in_flames_format_gives_the_motion_back(flame: Head) -> None:
    hop = through_head(random_motion(DEFAULT, 12, 0), DEFAULT, flame, noise_mm=0.1)
    assert hop.name == f"{DEFAULT.name}, {flame.name}"
    assert hop.moved_mm > 1 and hop.error_mm < 0.1 and hop.lips_mm < 0.1
    motion = random_motion(flame, 6, 0)
    there = through_head(motion, flame, DEFAULT, "back", noise_mm=0.1)
    assert there.name == "back" and there.error_mm < there.moved_mm


def test_the_table_has_a_line_for_each_hop(flame: Head) -> None:
    hops = measure_hops(8, flame=flame)
    lines = format_hops(hops).splitlines()
    assert len(lines) == 1 + len(hops) == 4
    assert lines[0].split()[:2] == ["through", "frames"]
    assert len({len(line) for line in lines}) == 1


def test_a_real_take_goes_everywhere_and_comes_back(shared: Path, flame: Head) -> None:
    hops = measure_hops(
        25,
        flame=flame,
        ict=shared / "ict_facekit/ict_facekit_light.npz",
        takes=[shared / "jmtechart_livelink/MySlate_3_iPhone.csv"],
    )
    found = {hop.name: hop for hop in hops}
    assert len(found) == len(hops) == 7
    take = found["MySlate_3_iPhone: points"]
    assert max(take.error_mm, take.lips_mm, take.lids_mm) < 0.05
    assert take.coefficient_worst < 0.01
    assert found["MySlate_3_iPhone: FLAME format"].error_mm < 0.25
    # 0.36 mm on the first 100 frames: what one face cannot do of the other's
    assert found["MySlate_3_iPhone: ICT"].error_mm < 0.6
    assert found["ict, mien"].error_mm < 0.5 * found["ict, mien"].moved_mm
