import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import Tensor

from mien.arkit import (
    ARKIT_NAMES,
    CHANNEL_NAMES,
    EXPR_NAMES,
    EYE_LOOK_RADIANS,
    JAW_OPEN_RADIANS,
    POSE_NAMES,
    canonical_name,
    curves_from_motion,
    motion_from_curves,
)
from mien.motion import Motion
from mien.rotations import rotvec_to_rotmat


def random_curves(generator: torch.Generator, num_frames: int = 30) -> Tensor:
    curves = torch.rand(num_frames, 61, generator=generator, dtype=torch.float64)
    curves[:, 52:] = (curves[:, 52:] - 0.5) * 0.8
    return curves


def one(name: str, value: float) -> Motion:
    curves = torch.zeros(1, 61, dtype=torch.float64)
    curves[0, CHANNEL_NAMES.index(name)] = value
    return motion_from_curves(curves, 25.0)


def test_there_are_52_units_9_angles_and_43_components() -> None:
    assert (len(ARKIT_NAMES), len(POSE_NAMES), len(set(CHANNEL_NAMES))) == (52, 9, 61)
    assert len(EXPR_NAMES) == 43
    assert set(ARKIT_NAMES) - set(EXPR_NAMES) == {
        "jawOpen",
        *(f"eyeLook{way}{side}" for way in EYE_LOOK_RADIANS for side in ("Left", "Right")),
    }


def test_each_name_is_known_in_four_spellings() -> None:
    for name in CHANNEL_NAMES:
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
        suffixed = name.replace("Left", "_L") if name.endswith("Left") else name
        suffixed = suffixed.replace("Right", "_R") if name.endswith("Right") else suffixed
        for spelling in (name, name[0].upper() + name[1:], snake, suffixed):
            assert canonical_name(spelling) == name


@pytest.mark.parametrize("name", ["", "smile", "mouthSmile", "mouthSmileMiddle", "jaw open", "_L"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not an ARKit channel"):
        canonical_name(name)


def test_curves_come_back_from_the_motion(generator: torch.Generator) -> None:
    curves = random_curves(generator)
    back = curves_from_motion(motion_from_curves(curves, 25.0))
    plain = [i for i, name in enumerate(CHANNEL_NAMES) if "Look" not in name]
    torch.testing.assert_close(back[:, plain], curves[:, plain])


def test_a_motion_comes_back_from_its_curves(generator: torch.Generator) -> None:
    motion = motion_from_curves(random_curves(generator), 25.0)
    curves = curves_from_motion(motion)
    for each in (curves, without_eye_angles(curves)):
        back = motion_from_curves(each, 25.0)
        for name in ("expr", "jaw_pose", "neck_pose", "global_pose"):
            torch.testing.assert_close(getattr(back, name), getattr(motion, name))
    torch.testing.assert_close(motion_from_curves(curves, 25.0).eye_pose, motion.eye_pose)


def without_eye_angles(curves: Tensor) -> Tensor:
    curves = curves.clone()
    curves[:, CHANNEL_NAMES.index("leftEyeYaw") :] = 0
    return curves


def test_look_units_alone_carry_the_gaze(generator: torch.Generator) -> None:
    angles = (torch.rand(30, 4, generator=generator, dtype=torch.float64) - 0.5) * 0.8
    curves = torch.zeros(30, 61, dtype=torch.float64)
    for column, name in enumerate(("leftEyeYaw", "leftEyePitch", "rightEyeYaw", "rightEyePitch")):
        curves[:, CHANNEL_NAMES.index(name)] = angles[:, column]
    motion = motion_from_curves(curves, 25.0)
    by_units = motion_from_curves(without_eye_angles(curves_from_motion(motion)), 25.0)
    torch.testing.assert_close(by_units.eye_pose, motion.eye_pose)


@pytest.mark.parametrize(
    ("name", "part", "axis", "sign"),
    [
        ("jawOpen", "jaw_pose", 0, 1),
        ("eyeLookDownLeft", "eye_pose", 0, 1),
        ("eyeLookUpLeft", "eye_pose", 0, -1),
        ("eyeLookOutLeft", "eye_pose", 1, 1),  # the left eye outward is to the subject's left
        ("eyeLookInLeft", "eye_pose", 1, -1),
        ("eyeLookOutRight", "eye_pose", 4, -1),
        ("eyeLookInRight", "eye_pose", 4, 1),
        ("headYaw", "neck_pose", 1, 1),
        ("headPitch", "neck_pose", 0, 1),
        ("headRoll", "neck_pose", 2, 1),
    ],
)
def test_each_channel_turns_its_joint_one_way(name: str, part: str, axis: int, sign: int) -> None:
    pose = getattr(one(name, 0.5), part)[0]
    assert pose[axis] * sign > 0.1
    others = [i for i in range(len(pose)) if i != axis]
    torch.testing.assert_close(pose[others], torch.zeros(len(others)).double())


def test_full_units_turn_by_the_stated_angles() -> None:
    assert one("jawOpen", 1.0).jaw_pose[0, 0] == pytest.approx(JAW_OPEN_RADIANS)
    for way, angle in EYE_LOOK_RADIANS.items():
        assert one(f"eyeLook{way}Right", 1.0).eye_pose[0].norm() == pytest.approx(angle)


def test_the_whole_head_turn_is_in_the_head_channels(generator: torch.Generator) -> None:
    poses = torch.randn(2, 12, 3, generator=generator, dtype=torch.float64) * 0.3
    motion = Motion.rest(12).to(dtype=torch.float64)
    motion = motion.replace(global_pose=poses[0], neck_pose=poses[1])
    back = motion_from_curves(curves_from_motion(motion), 25.0)
    torch.testing.assert_close(rotvec_to_rotmat(back.neck_pose), motion.head_rotmat())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("jawOpen", 35.0, "divide percentages by 100.*got 35 for jawOpen in frame 0"),
        ("mouthClose", -1.5, "got -1.5 for mouthClose"),
        ("cheekPuff", float("nan"), "got nan for cheekPuff"),
        ("headYaw", 20.0, "must be radians.*got 20 for headYaw"),
        ("leftEyePitch", float("inf"), "got inf for leftEyePitch"),
    ],
)
def test_impossible_values_are_refused(name: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        one(name, value)


def test_values_a_little_outside_are_clipped_and_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    curves = np.zeros((3, 61), np.float32)
    curves[:, CHANNEL_NAMES.index("jawForward")] = (-0.05, 1.2, 0.5)
    with caplog.at_level(logging.WARNING):
        motion = motion_from_curves(curves, 25.0)
    assert motion.expr[:, EXPR_NAMES.index("jawForward")].tolist() == [0.0, 1.0, 0.5]
    assert [record.getMessage() for record in caplog.records] == [
        "2 values outside 0..1 were clipped, in jawForward."
    ]


@pytest.mark.parametrize("shape", [(61,), (0, 61), (3, 60), (3, 52)])
def test_other_shapes_are_refused(
    shape: tuple[int, ...], refuses: Callable[[str], AbstractContextManager[None]]
) -> None:
    with refuses(r"`curves` must be \[T, 61\]"):
        motion_from_curves(torch.zeros(shape), 25.0)


def test_motions_of_other_heads_have_no_curves() -> None:
    with pytest.raises(ValueError, match="43 components, got 100 .head 'flame'"):
        curves_from_motion(Motion.rest(2, num_expr=100).replace(head="flame"))
