import numpy as np
import pytest
import torch

from mien.arkit import EXPR_NAMES
from mien.avatar.avatar import Avatar
from mien.avatar.detail import DetailLayout
from mien.avatar.splats import Kind
from mien.data_synth.living_lessons import living_frames, sample_faces
from mien.data_synth.living_skin import LivingPerson
from mien.motion import Motion


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return Avatar.load("adult-small")


@pytest.fixture(scope="module")
def person(avatar: Avatar) -> LivingPerson:
    return LivingPerson.of_avatar(avatar, 0.62)


@pytest.fixture(scope="module")
def layout(avatar: Avatar) -> DetailLayout:
    return avatar.detail_layout(96)


def doing(**units: float) -> Motion:
    expr = torch.zeros(1, len(EXPR_NAMES))
    for name, value in units.items():
        expr[0, EXPR_NAMES.index(name)] = value
    return Motion.rest(1).replace(expr=expr)


def test_faces_are_a_function_of_the_seed_and_heads_are_straight() -> None:
    one, again, other = sample_faces(3, 10), sample_faces(3, 10), sample_faces(4, 10)
    assert one.num_frames == 10
    assert torch.equal(one.expr, again.expr) and not torch.equal(one.expr, other.expr)
    assert torch.equal(one.expr[:7], sample_faces(3, 7).expr)
    assert not one.global_pose.any() and not one.neck_pose.any()
    assert float(one.expr.amax(1).median()) > 0.2


def test_a_living_avatar_folds_its_skin_and_its_cloth(
    avatar: Avatar, person: LivingPerson
) -> None:
    kinds = avatar.splats.kinds[torch.from_numpy(person.own)]
    assert set(kinds.tolist()) == {int(Kind.SKIN), int(Kind.CLOTH)}
    assert int((avatar.splats.kinds <= int(Kind.CLOTH)).sum()) == len(person.own)


def test_at_rest_the_painting_is_wanted(
    avatar: Avatar, person: LivingPerson, layout: DetailLayout
) -> None:
    frames = living_frames(avatar, person, layout, Motion.rest(1))
    painted = next(avatar.drive(Motion.rest(1))).colors[layout.splats]
    torch.testing.assert_close(frames.plain[0].float(), painted, atol=1e-3, rtol=0)
    torch.testing.assert_close(frames.wanted[0], frames.plain[0], atol=2e-3, rtol=0)


def test_raised_brows_darken_lines_across_the_forehead_and_redden_them(
    avatar: Avatar, person: LivingPerson, layout: DetailLayout
) -> None:
    raised = doing(browInnerUp=1.0, browOuterUpLeft=1.0, browOuterUpRight=1.0)
    frames = living_frames(avatar, person, layout, raised)
    change = (frames.wanted - frames.plain)[0].float().numpy()
    posed = person.pose(person.truth(Motion.rest(1))).placed.means[layout.splats].numpy() * 1e3
    forehead = (np.abs(posed[:, 0]) < 25) & (posed[:, 1] > 35) & (posed[:, 1] < 55)
    forehead &= posed[:, 2] > 0
    assert forehead.sum() > 100
    lines = change[forehead]
    darker = lines[lines[:, 1] < np.quantile(lines[:, 1], 0.2)].mean(0)
    assert darker[1] < -0.02
    assert darker[0] > darker[1] + 0.01  # red is kept: shadows on skin are warm


def test_the_older_the_deeper(avatar: Avatar, layout: DetailLayout) -> None:
    smile = doing(mouthSmileLeft=1.0, mouthSmileRight=1.0, cheekSquintLeft=0.8)
    deepest = []
    for age in (0.0, 0.5, 1.0):
        frames = living_frames(avatar, LivingPerson.of_avatar(avatar, age), layout, smile)
        deepest.append(float((frames.plain - frames.wanted)[0].float().quantile(0.99)))
    assert deepest[0] < deepest[1] < deepest[2]
