"""Prepared pictures of people come back as they were, and lessons are drawn from them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
import torch
from tests.avatar.seen_pictures import PHOTO_SIDE, SIDE, Seen, seen_pictures

from mien.avatar.avatar import Avatar
from mien.avatar.driving import drive_person
from mien.avatar.lessons import Lessons
from mien.avatar.mouth_region import mouth_mask
from mien.avatar.people_cache import is_cached, write_people
from mien.avatar.people_data import People
from mien.avatar.prepared import bake_identity
from mien.avatar.sizes import tiny
from mien.avatar.starts import learned_layout
from mien.head import Head


@pytest.fixture(scope="module")
def pictures() -> list[Seen]:
    return seen_pictures()


@pytest.fixture(scope="module")
def folder(pictures: list[Seen], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_people(folder, pictures, PHOTO_SIDE, "key", Head.default())
    return folder


@pytest.fixture(scope="module")
def people(folder: Path) -> People:
    return People(folder, tiny(), Head.default())


def test_people_and_their_pictures_come_back(people: People, pictures: list[Seen]) -> None:
    assert [(p.name, p.sink, len(p.frames)) for p in people.everyone] == [
        ("child-dark", "many", 3),
        ("adult-small", "one", 3),
    ]
    assert people.everyone[0].views(people.everyone[0].frames[1]) == [2, 3]
    image, mask, mouth = people.layers([2, 7])
    for row, number in enumerate((2, 7)):
        torch.testing.assert_close(image[row], pictures[number].image, rtol=0, atol=0.51 / 255)
        assert torch.equal(people.camera(number).viewmat, pictures[number].camera.viewmat)
    assert mask.shape == (2, SIDE, SIDE, 1)
    assert 10 < float(mouth[0].sum()) < 300


def test_meshes_and_layouts_are_those_of_each_person(people: People, pictures: list[Seen]) -> None:
    head = Head.default()
    child = people.everyone[0]
    motion = pictures[2].motion
    assert motion.shape is not None
    tracks = {
        name: getattr(motion, name)
        for name in ("expr", "global_pose", "neck_pose", "jaw_pose", "eye_pose", "translation")
    }
    wanted = drive_person(bake_identity(head, motion.shape), **tracks)
    found = child.driven(child.frames[1])
    for name in ("rest", "canonical", "rotmats", "offsets"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name))
    mouth = mouth_mask(head, wanted.posed(head.lbs_weights)[0], pictures[2].camera)
    assert torch.equal(people.layers([2])[2][0, ..., 0], mouth)
    for person in people.everyone:
        layout = learned_layout(Avatar.load(person.name), tiny())
        assert torch.equal(person.layout.base_scales, layout.base_scales)
    first, second = (person.layout for person in people.everyone)
    assert first.corners is second.corners
    assert first.neutral is not second.neutral


def test_crops_are_faces_of_the_wanted_side(people: People) -> None:
    crops = people.crops([0, 1, 6], 32)
    assert crops.shape == (3, 3, 32, 32)
    assert float((crops[0] - crops[2]).abs().mean()) > 0.02
    shifted = people.crops([0], 32, torch.tensor([[4, 0]]).numpy())  # two down, two to the left
    assert torch.equal(shifted[0, :, :-2, 2:], crops[0, :, 2:, :-2])


def test_folders_are_known_by_key_and_refused_for_another_head(folder: Path) -> None:
    assert is_cached(folder, "key", PHOTO_SIDE)
    assert not is_cached(folder, "other", PHOTO_SIDE)
    assert not is_cached(folder / "none", "key", PHOTO_SIDE)
    other = Head.default()
    with pytest.raises(ValueError, match="prepared for the head 'mien', got 'flame'"):
        People(folder, tiny(), _named(other, "flame"))


def _named(head: Head, name: str) -> Head:
    import copy

    named = copy.copy(head)
    named.name = name
    return named


def test_pictures_without_identity_or_of_other_sizes_are_refused(
    pictures: list[Seen], tmp_path: Path
) -> None:
    head = Head.default()
    with pytest.raises(ValueError, match="one picture or more"):
        write_people(tmp_path, [], PHOTO_SIDE, "key", head)
    nobody = dataclasses.replace(
        pictures[0], motion=dataclasses.replace(pictures[0].motion, shape=None)
    )
    with pytest.raises(ValueError, match="no identity coefficients"):
        write_people(tmp_path, [nobody], PHOTO_SIDE, "key", head)
    assert not is_cached(tmp_path, "key", PHOTO_SIDE)


def test_lessons_show_other_pictures_than_they_ask_for(people: People) -> None:
    lessons = Lessons(people, most_photos=3)
    for step in range(12):
        batch = lessons.of_step(step, 2, 2)
        assert {lesson.person.name for lesson in batch} == {"child-dark", "adult-small"}
        assert len({len(lesson.photos) for lesson in batch}) == 1
        for lesson in batch:
            assert not set(lesson.photos) & set(lesson.views)
            assert set(lesson.views) <= set(lesson.person.views(lesson.frame))
            assert set(lesson.photos) <= set(lesson.person.pictures)
    again = Lessons(people, most_photos=3).of_step(5, 2, 2)
    assert [x.photos for x in again] == [x.photos for x in lessons.of_step(5, 2, 2)]
    assert {len(lessons.of_step(step, 1, 2)[0].photos) for step in range(20)} == {1, 2, 3}


def test_held_out_expressions_are_never_seen(people: People) -> None:
    lessons = Lessons(people, held_out=("smile",), most_photos=1)
    hidden = {n for n, frame in enumerate(people.frame_of) if people.expressions[frame] == "smile"}
    assert hidden
    for step in range(12):
        for lesson in lessons.of_step(step, 2, 1):
            assert not hidden & {*lesson.photos, *lesson.views}


def test_one_kind_of_data_is_one_kind_of_people(people: People) -> None:
    for data, name in (("one", "adult-small"), ("many", "child-dark")):
        lessons = Lessons(people, data)  # type: ignore[arg-type]
        assert {x.person.name for x in lessons.of_step(0, 2, 1)} == {name}
    with pytest.raises(ValueError, match="picture\\(s\\) to learn from"):
        Lessons(people, "one", held_out=("smile", "brows"))


def test_balance_takes_expressions_evenly_over_people(people: People) -> None:
    plain = Lessons(people, "many", balanced=False)
    assert set(plain.shares.tolist()) == {1.0}
    lessons = Lessons(people, "many", most_photos=1)
    taken = Counter(
        people.expressions[lessons.of_step(step, 1, 1)[0].frame] for step in range(300)
    )
    # Two distinct expressions and rest are three anchors; rest is nobody's nearest by cosine
    # but its own, and each comes as often as its share says.
    own = people.everyone[0].frames
    share = lessons.shares[own] / lessons.shares[own].sum()
    for frame, wanted in zip(own, share, strict=True):
        assert taken[people.expressions[frame]] / 300 == pytest.approx(wanted, abs=0.1)
