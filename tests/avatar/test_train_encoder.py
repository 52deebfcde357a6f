"""Training an encoder: it learns, goes on after a kill, and leaves out what it is told to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.avatar.seen_pictures import PHOTO_SIDE, SIDE, seen_pictures

from mien.avatar.avatar import Avatar
from mien.avatar.course import Course
from mien.avatar.encoder_config import EncoderConfig
from mien.avatar.encoder_file import load_encoder
from mien.avatar.encoder_size import tiny as tiny_encoder
from mien.avatar.known_changes import KnownChanges, write_known_changes
from mien.avatar.known_maps import KnownMaps, write_known_maps
from mien.avatar.learned import DRIVING_CHANNELS, LearnedHead
from mien.avatar.learner import GivenMaps, Learner, mean_start
from mien.avatar.lesson_losses import cut, judge
from mien.avatar.lessons import Lessons
from mien.avatar.losses import picture_terms
from mien.avatar.people_cache import write_people
from mien.avatar.people_data import People
from mien.avatar.perceptual import steerable_difference
from mien.avatar.render import render_cameras
from mien.avatar.sizes import tiny
from mien.avatar.starts import start_from
from mien.avatar.train_encoder import train_encoder
from mien.head import Head


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    folder = tmp_path_factory.mktemp("people")
    write_people(folder, seen_pictures(), PHOTO_SIDE, "key", Head.default())
    return People(folder, tiny(), Head.default())


@pytest.fixture(scope="module")
def start() -> torch.Tensor:
    return mean_start([Avatar.load("adult-small"), Avatar.load("child-dark")], tiny())


def config(out: Path, **changes: object) -> EncoderConfig:
    plain = EncoderConfig(
        out=out,
        size=tiny_encoder(),
        decoder=tiny(),
        steps=6,
        most_photos=2,
        window=24,
        warmup=2,
        checkpoint_every=0,
        progress=False,
        cpu=True,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def test_the_mean_of_one_painting_is_its_start(start: torch.Tensor) -> None:
    avatar = Avatar.load("child-dark")
    begun = start_from(avatar, tiny()).learned
    assert begun is not None
    assert torch.equal(mean_start([avatar], tiny()), begun.maps.attributes())
    alone = [mean_start([Avatar.load(n)], tiny()) for n in ("adult-small", "child-dark")]
    torch.testing.assert_close(start, (alone[0] + alone[1]) / 2)


def test_given_maps_draw_as_a_persons_own_and_pass_gradients(people: People) -> None:
    begun = start_from(Avatar.load("child-dark"), tiny()).learned
    assert begun is not None
    attributes = begun.maps.attributes().detach().requires_grad_()
    maps = GivenMaps(attributes, begun.maps.features.detach(), begun.maps.start_position)
    child = people.everyone[0]
    head = LearnedHead(tiny(), child.layout, maps, begun.unet)
    own = LearnedHead(tiny(), child.layout, begun.maps, begun.unet)
    driven = child.driven(child.frames[1])
    found, wanted = head(driven), own(driven)
    assert torch.equal(found.colors, wanted.colors)
    assert torch.equal(found.means, wanted.means)
    assert not list(maps.parameters())
    found.means.square().sum().backward()
    assert attributes.grad is not None and float(attributes.grad.abs().sum()) > 0


def test_windows_are_cut_at_their_corners() -> None:
    pictures = torch.arange(2 * 5 * 6.0).reshape(2, 5, 6, 1)
    found = cut(pictures, torch.tensor([[0, 1], [3, 4]]), 2)
    assert torch.equal(found[0], pictures[0, :2, 1:3])
    assert torch.equal(found[1], pictures[1, 3:5, 4:6])


def test_windows_as_large_as_the_picture_give_the_terms_of_whole_pictures(
    people: People, start: torch.Tensor
) -> None:
    lesson = Lessons(people, "many").of_step(0, 1, 2)[0]
    learner = Learner(tiny_encoder(), tiny(), start)
    photos = people.crops(lesson.photos, 32)[None]
    person = lesson.person
    decoded = learner(photos, ["many"], [person.layout], [person.driven(lesson.frame)])[0]
    gray = (0.5, 0.5, 0.5)
    found = judge(people, lesson, decoded, gray, np.random.default_rng(0), SIDE)
    drawn = render_cameras(decoded.gaussians(0), [people.camera(v) for v in lesson.views], gray)
    image, mask, mouth = people.layers(lesson.views)
    wanted = picture_terms(
        drawn.image, image * mask + 0.5 * (1 - mask), mouth[..., 0], steerable_difference
    )
    for name in ("l1", "ssim", "perceptual"):
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-6)
    assert found["mouth"].shape == (2,)
    assert float(found["mouth"].detach().min()) > 0
    alone = judge(people, lesson, decoded, gray, np.random.default_rng(0), SIDE, with_mouth=False)
    assert "mouth" not in alone


def test_it_learns_and_is_written_whole(
    people: People, start: torch.Tensor, tmp_path: Path
) -> None:
    told: list[int] = []
    losses = train_encoder(
        config(tmp_path, steps=30),
        people,
        start,
        card={"command": "mien"},
        report=lambda step, terms: told.append(step),
    )
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])
    assert told == [25]
    loaded = load_encoder(tmp_path)
    assert loaded.card["command"] == "mien"
    assert (loaded.card["people"], loaded.card["steps"]) == (2, 30)
    photos = people.crops([0, 6], 32)[:, None]
    with torch.no_grad():
        first, second = (loaded.encoder(photos).person(row)[0] for row in (0, 1))
    assert float((first - second).abs().max()) > 0.02, "two people get two sets of maps"
    assert float((loaded.encoder.template - start).abs().max()) > 0.01, "the mean is learned"


def test_a_killed_run_goes_on_bit_for_bit(
    people: People, start: torch.Tensor, tmp_path: Path
) -> None:
    whole = train_encoder(config(tmp_path / "a"), people, start)
    cut = config(tmp_path / "b", checkpoint_every=2)
    train_encoder(cut, people, start, stop_after=4)
    assert train_encoder(cut, people, start) == whole


def test_maps_alone_are_learned_first(
    people: People, start: torch.Tensor, painted: KnownMaps, tmp_path: Path
) -> None:
    assert [person.name for person in people.everyone] == ["child-dark", "adult-small"]
    taught = config(tmp_path / "a", steps=1, map_steps=40, map_people=2)
    told: list[dict[str, float]] = []
    losses = train_encoder(
        taught, people, start, painted, report=lambda _, terms: told.append(terms)
    )
    assert len(losses) == 41
    assert set(told[0]) == {"position", "opacity", "color", "others", "norm"}
    assert np.mean(losses[30:40]) < 0.7 * np.mean(losses[:4])
    loaded = load_encoder(tmp_path / "a")
    with torch.no_grad():
        found = loaded.encoder(people.crops([0, 6], 32)[:, None]).attributes
    known = [painted.whole(person, 4).attributes().detach() for person in (0, 1)]
    colors = [maps[7:10].sigmoid().mean((1, 2)) for maps in (*found, *known)]
    assert float((colors[0] - colors[2]).abs().max()) < float((colors[1] - colors[2]).abs().max())
    with pytest.raises(ValueError, match="40 steps are to compare maps, but none are known"):
        train_encoder(taught, people, start)


@pytest.fixture
def flushes(people: People, tmp_path: Path) -> KnownChanges:
    """Skin reddens where the face moves by a millimetre or more."""
    count = max(frame for person in people.everyone for frame in person.frames) + 1
    changes = torch.zeros(count, 3, 32, 32)
    for person in people.everyone:
        for frame in person.frames:
            moved = person.layout.draw(person.driven(frame).canonical - person.layout.neutral)
            changes[frame, 0] = 0.3 * (moved[0].norm(dim=0) > 1e-3).float()
    write_known_changes(tmp_path / "changes.npy", enumerate(changes), count, 32)
    return KnownChanges(tmp_path / "changes.npy", count, 32)


@pytest.fixture
def painted(tmp_path: Path) -> KnownMaps:
    maps = [mean_start([Avatar.load(n)], tiny()) for n in ("child-dark", "adult-small")]
    write_known_maps(tmp_path / "maps.npy", enumerate(maps), 2, 32)
    return KnownMaps(tmp_path / "maps.npy", 2, 32)


def test_changes_alone_teach_the_network_that_moves_faces(
    people: People, start: torch.Tensor, painted: KnownMaps, flushes: KnownChanges, tmp_path: Path
) -> None:
    first = config(tmp_path / "a", steps=0, map_steps=2, map_people=2)
    train_encoder(first, people, start, painted)
    begin = load_encoder(tmp_path / "a")
    taught = config(tmp_path / "b", steps=0, change_steps=60, map_people=4, unet_rate=3e-3)
    told: list[dict[str, float]] = []
    losses = train_encoder(
        taught, people, start, painted, begin, flushes, report=lambda _, x: told.append(x)
    )
    assert set(told[0]) == {"change", "others", "norm"}
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:6])
    after = load_encoder(tmp_path / "b")
    assert not after.unet.is_silent
    for name, value in begin.encoder.state_dict().items():
        assert torch.equal(after.encoder.state_dict()[name], value), f"{name} was not to be taught"
    blind = dataclasses.replace(taught, out=tmp_path / "c", position_map=False)
    unseeing = train_encoder(blind, people, start, painted, begin, flushes)
    assert np.mean(losses[-10:]) < 0.8 * np.mean(unseeing[-10:]), "it looks at the driven head"
    with pytest.raises(ValueError, match="60 steps are to compare changes; none are known"):
        train_encoder(taught, people, start, painted, begin)


def test_changes_are_learned_from_people_whose_instants_are_all_known(people: People) -> None:
    lessons = Lessons(people)
    first, second = people.everyone
    chosen = lessons.instants(0, 30, second.frames[-1])
    assert {lesson.person for lesson in chosen} == {first}
    assert {lesson.frame for lesson in chosen} == set(first.frames)
    assert {lesson.person for lesson in lessons.instants(0, 30, 10**6)} == {first, second}
    with pytest.raises(ValueError, match="Nobody's instants are all among the first 1"):
        lessons.instants(0, 4, 1)


def test_an_encoder_learns_on_where_another_stopped(
    people: People, start: torch.Tensor, tmp_path: Path
) -> None:
    train_encoder(config(tmp_path / "a"), people, start, card={"command": "mien first"})
    first = load_encoder(tmp_path / "a")
    learner = Learner(tiny_encoder(), tiny(), start, sinks=False)
    learner.begin_from(first)
    wanted = {k: v for k, v in first.encoder.state_dict().items() if k != "sinks"}
    found = learner.encoder.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value.float()) for name, value in wanted.items())
    slow = {name: 1e-9 for name in ("encoder_rate", "head_rate", "unet_rate", "template_rate")}
    made = {"command": "mien again"}
    train_encoder(config(tmp_path / "b", steps=1, **slow), people, start, begin=first, card=made)
    second = load_encoder(tmp_path / "b")
    assert (first.card["history"], second.card["history"]) == ([], ["mien first"])
    torch.testing.assert_close(second.encoder.template, first.encoder.template)
    assert all(
        torch.allclose(second.unet.state_dict()[name], value, atol=1e-3)
        for name, value in first.unet.state_dict().items()
    )
    wider = dataclasses.replace(tiny_encoder(), width=64)
    with pytest.raises(ValueError, match="to begin from must be of"):
        Learner(wider, tiny(), start).begin_from(first)


def test_rates_rise_and_fall_in_both_parts(people: People, tmp_path: Path) -> None:
    taught = config(tmp_path, steps=20, map_steps=10, warmup=3)
    course = Course(taught, people, Lessons(people), None)
    pace = [course.pace(step) for step in range(course.steps)]
    assert len(pace) == 30
    for part in (pace[:10], pace[10:]):
        assert part[0] == pytest.approx(1 / 3)
        assert max(part) == part[2] > 0.85
        assert part[-1] < 0.12


def test_without_a_position_map_the_network_never_sees_the_head(
    people: People, start: torch.Tensor, tmp_path: Path
) -> None:
    train_encoder(config(tmp_path / "seeing", steps=1), people, start)
    seeing = load_encoder(tmp_path / "seeing")
    for name, begin in (("afresh", None), ("on", seeing)):
        train_encoder(config(tmp_path / name, position_map=False), people, start, begin=begin)
        weight = load_encoder(tmp_path / name).unet.entry[0].weight
        assert isinstance(weight, torch.Tensor)
        assert float(weight[:, -DRIVING_CHANNELS:].abs().max()) == 0
        assert float(weight[:, :-DRIVING_CHANNELS].abs().max()) > 0


def test_photos_are_told_apart_before_anything_is_learned(
    people: People, start: torch.Tensor
) -> None:
    torch.manual_seed(0)
    learner = Learner(tiny_encoder(), tiny(), start)
    photos = people.crops([0, 6], 32)[:, None]
    with torch.no_grad():
        features = learner.encoder(photos).features
    apart = (features[0] - features[1]).square().mean().sqrt() / features.square().mean().sqrt()
    assert float(apart) > 0.1


def test_drift_is_measured_from_the_mean_and_does_not_move_it(
    people: People, start: torch.Tensor
) -> None:
    learner = Learner(tiny_encoder(), tiny(), start)
    for parameter in learner.encoder.maps.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    child = people.everyone[0]
    photos = people.crops(child.pictures[:1], 32)[None]
    decoded = learner(photos, ["many"], [child.layout], [child.driven(child.frames[0])])[0]
    drift = decoded.drift.square().sum()
    assert float(drift.detach()) > 0
    (of_mean,) = torch.autograd.grad(drift, learner.template, retain_graph=True)
    assert float(of_mean.abs().max()) < 1e-5
    (of_mean,) = torch.autograd.grad(decoded.means.square().sum(), learner.template)
    assert float(of_mean[:3].abs().max()) > 1e-5


def test_without_sinks_the_kind_of_data_changes_nothing(
    people: People, start: torch.Tensor
) -> None:
    learner = Learner(tiny_encoder(), tiny(), start, sinks=False)
    photos = people.crops([0, 1], 32)[None]
    for parameter in learner.encoder.maps.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    one, many = (learner.encoder(photos, kind).attributes for kind in ("one", "many"))
    assert torch.equal(one, many)
    telling = Learner(tiny_encoder(), tiny(), start, sinks=True)
    for parameter in telling.encoder.maps.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        assert telling.encoder.sinks is not None
        telling.encoder.sinks.mul_(1000)
    one, many = (telling.encoder(photos, kind).attributes for kind in ("one", "many"))
    assert not torch.equal(one, many)


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for changes, message in (
        ({"steps": -1}, "`steps` must be 0 or more, got -1"),
        ({"steps": 0}, "a step or more, got none"),
        ({"map_steps": -1}, "`map_steps` must be 0 or more, got -1"),
        ({"window": 8}, "`window` must be 16 or more, got 8"),
        ({"unet_rate": 0.0}, "`unet_rate` must be above 0, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            config(tmp_path, **changes)
