import math
from collections import Counter

import numpy as np
import pytest
import torch

from mien.data_synth.lexicon import Lexicon
from mien.data_synth.portrait_model import SessionPaint, SitterModel
from mien.data_synth.portrait_people import sample_session, sample_sitter
from mien.data_synth.portrait_views import backdrop, sample_cameras
from mien.data_synth.portraits import (
    Portrait,
    PortraitConfig,
    draw_portrait,
    draw_session,
    drill_of,
    instant,
)
from mien.head import Head

CONFIG = PortraitConfig(
    seed=3,
    num_sessions=2,
    many_view_people=1,
    one_view_people=1,
    views=2,
    instants=2,
    one_view_instants=2,
    size=48,
    fineness=0.12,
)


@pytest.fixture(scope="module")
def drawn() -> list[Portrait]:
    return list(draw_session(CONFIG, 1))


@pytest.fixture(scope="module")
def model() -> SitterModel:
    session = sample_session(CONFIG.seed, 1)
    paint = SessionPaint.of(Head.default(), session.look, CONFIG.fineness)
    return SitterModel.of(paint, sample_sitter(CONFIG.seed, session, 0, "many_view"))


def test_a_picture_is_a_function_of_seed_and_index(drawn: list[Portrait]) -> None:
    again = draw_portrait(CONFIG, drawn[3].index)
    assert torch.equal(again.image, drawn[3].image)
    assert torch.equal(again.mask, drawn[3].mask)
    assert torch.equal(again.motion.expr, drawn[3].motion.expr)
    assert again.identity == drawn[3].identity


def test_pictures_come_in_order_and_all(drawn: list[Portrait]) -> None:
    first = CONFIG.session_pictures
    assert [picture.index for picture in drawn] == list(range(first, 2 * first))


def test_places_and_indices_undo_each_other() -> None:
    config = PortraitConfig(num_sessions=3, many_view_people=2, one_view_people=3, views=4,
                            instants=3, one_view_instants=5)  # fmt: skip
    places = [config.place(index) for index in range(config.num_pictures)]
    assert len(set(places)) == config.num_pictures
    assert [config.index_of(at) for at in places] == list(range(config.num_pictures))


def test_views_of_one_instant_differ_by_camera_alone(drawn: list[Portrait]) -> None:
    one, other = drawn[:2]
    assert (one.subset, one.instant) == ("many_view", other.instant)
    assert torch.equal(one.motion.expr, other.motion.expr)
    assert not torch.equal(one.camera.viewmat, other.camera.viewmat)
    assert not torch.equal(one.mask, other.mask)


def test_one_view_people_are_marked_and_named_apart(drawn: list[Portrait]) -> None:
    names = {subset: {p.identity for p in drawn if p.subset == subset}
             for subset in ("one_view", "many_view")}  # fmt: skip
    assert len(names["one_view"]) == len(names["many_view"]) == 1
    assert not names["one_view"] & names["many_view"]
    assert Counter(p.instant for p in drawn if p.subset == "one_view") == {0: 1, 1: 1}


def test_the_motion_and_the_camera_put_the_face_where_the_mask_is(drawn: list[Portrait]) -> None:
    head = Head.default()
    for picture in drawn:
        motion, camera = picture.motion, picture.camera
        vertices = head(motion.shape, motion.expr, motion.global_pose, motion.neck_pose,
                        motion.jaw_pose, motion.eye_pose, motion.translation)[0]  # fmt: skip
        eyes = vertices[torch.cat([head.parts["eye_left"], head.parts["eye_right"]])]
        seen = eyes @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        flat = seen @ camera.K.T
        column, row = (flat[:, :2] / flat[:, 2:]).long().unbind(-1)
        assert float(picture.mask[row, column].min()) > 0.9
        assert float(picture.mask.min()) < 0.01


def test_outside_the_mask_is_the_backdrop(drawn: list[Portrait]) -> None:
    picture = drawn[0]
    behind = backdrop((CONFIG.seed, 1, 0, 0, 0), CONFIG.size)
    outside = picture.mask < 1e-4
    assert int(outside.sum()) > 20
    torch.testing.assert_close(picture.image[outside], behind[outside], atol=2e-4, rtol=0)


def test_a_smile_folds_the_skin_and_a_rest_does_not(model: SitterModel) -> None:
    rest = instant(CONFIG, 1, 0, 0, model.sitter.style_seed)
    column = list(Head.default().expr_names).index("mouthSmileLeft")
    smile = rest.replace(expr=rest.expr.index_fill(1, torch.tensor([column]), 1.0))
    own = model.living.own
    painted = model.living.kernels.paints[0]
    still, moved = (
        model.living.pose(model.living.truth(motion)).kernels.paints for motion in (rest, smile)
    )
    np.testing.assert_array_equal(still[0], painted)
    changed = np.abs(moved[0] - painted).max(1) > 0.02
    others = np.ones(len(painted), bool)
    others[own] = False
    assert changed[own].any() and not changed[others].any()
    # The cast light follows the mesh, and stretched skin pales: neither is as it was at rest.
    assert np.abs(moved[7][own] - still[7][own]).max() > 0.01
    assert np.abs(moved[1][own] - still[1][own]).max() > 1e-3
    np.testing.assert_array_equal(moved[1][others], still[1][others])


def test_tints_change_colors_and_leave_the_painting(model: SitterModel) -> None:
    splats, skin = model.living.state.splats, model.paint.skin
    own = torch.from_numpy(model.living.own)
    for name in ("kinds", "faces", "bump", "occlusion"):
        assert torch.equal(getattr(splats, name)[own], getattr(skin, name))
    assert not torch.equal(splats.albedo[own], skin.albedo)


def test_cameras_keep_to_their_angles_and_cover_them() -> None:
    session = sample_session(0, 0)
    sitter = sample_sitter(0, session, 0, "many_view")
    yaws, pitches = [], []
    for at in range(40):
        for camera in sample_cameras((0, 0, 0, at), "many_view", 8, 64, sitter.identity):
            way = -camera.viewmat[2, :3]
            yaws.append(math.degrees(math.atan2(way[0], way[2])))
            pitches.append(math.degrees(math.asin(way[1])))
    assert -60.01 < min(yaws) < -55 and 55 < max(yaws) < 60.01
    assert -30.01 < min(pitches) < -25 and 25 < max(pitches) < 30.01


def test_a_single_camera_hardly_moves_and_stands_before_the_face() -> None:
    sitter = sample_sitter(0, sample_session(0, 0), 5, "one_view")
    ways = []
    for at in range(12):
        cameras = sample_cameras((0, 0, 5, at), "one_view", 8, 64, sitter.identity)
        assert len(cameras) == 1
        ways.append(-cameras[0].viewmat[2, :3])
    stacked = torch.stack(ways)
    assert float((stacked @ stacked.T).min()) > math.cos(math.radians(7))
    assert float(stacked[:, 2].min()) > math.cos(math.radians(36))


def test_ten_sessions_hold_eight_of_training_and_one_of_each_other() -> None:
    for start in (0, 10, 50):
        splits = Counter(sample_session(8, start + k).split for k in range(10))
        assert splits == {"train": 8, "val": 1, "test": 1}


def test_ages_and_skins_are_even_over_twelve_sessions() -> None:
    sessions = [sample_session(4, number) for number in range(12)]
    assert sorted(int(session.age * 12) for session in sessions) == list(range(12))
    melanin = sorted(session.look.melanin for session in sessions)
    assert melanin[0] < 0.13 and melanin[-1] > 1.8


def test_expressions_go_through_the_whole_lexicon_before_any_comes_again() -> None:
    entries = Lexicon.default().entries
    number = sum(len(entry.sides) for entry in entries.values())
    acts = [drill_of(7, act)[0].actions[0] for act in range(2 * number)]
    for turn in (acts[:number], acts[number:]):
        shown = {(action.entry, action.side) for action in turn}
        assert len(shown) == number
    assert [a.entry for a in acts[:9]] != [a.entry for a in acts[number : number + 9]]


def test_no_two_instants_of_a_collection_have_one_act() -> None:
    config = PortraitConfig(num_sessions=3, many_view_people=2, one_view_people=2,
                            instants=4, one_view_instants=5)  # fmt: skip
    acts = [
        config.acts_before(session, person) + at - 1
        for session in range(3)
        for person in range(4)
        for at in range(1, 4 if person < 2 else 5)
    ]
    assert acts == list(range(len(acts)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_sessions": 0}, "`num_sessions` must be at least 1, got 0"),
        ({"many_view_people": 0, "one_view_people": 0}, "must hold people"),
        ({"size": 4096}, "`size` must be 16 to 1024 pixels, got 4096"),
        ({"fineness": 0.0}, r"`fineness` must lie in \[0.1, 2\], got 0.0"),
        ({"seed": -1}, "`seed` must be from 0 on"),
    ],
)
def test_collections_that_cannot_be_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PortraitConfig(**changes)  # type: ignore[arg-type]


def test_pictures_beyond_the_last_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 0 to 11, got 12"):
        CONFIG.place(12)
