"""Fitting: a few pictures are learned, a killed run goes on, wrong input is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from mien.avatar.avatar import Avatar
from mien.avatar.fit import FitConfig, fit
from mien.avatar.losses import l1_loss
from mien.avatar.mouth_region import mouth_mask
from mien.avatar.pictures import PosedPicture
from mien.avatar.render import render
from mien.avatar.sizes import DecoderSize, tiny
from mien.avatar.starts import start_from
from mien.camera import Camera
from mien.head import Head
from mien.motion import Motion

SIDE = 40
WHITE = (1.0, 1.0, 1.0)


def performed(**units: float) -> Motion:
    names = Head.default().expr_names
    expr = torch.zeros(1, len(names))
    for name, value in units.items():
        expr[0, names.index(name)] = value
    return Motion.rest(1).replace(expr=expr)


@pytest.fixture(scope="module")
def painted() -> Avatar:
    return Avatar.load("child-dark")


@pytest.fixture(scope="module")
def begun(painted: Avatar) -> Avatar:
    return start_from(painted, tiny())


@pytest.fixture(scope="module")
def pictures(painted: Avatar) -> list[PosedPicture]:
    """The painting, seen in two expressions from two sides."""
    made = []
    for motion in (performed(), performed(mouthSmileLeft=0.8, browInnerUp=1.0)):
        for yaw in (-0.5, 0.5):
            camera = Camera.portrait(SIDE, SIDE, yaw=yaw, head_scale=0.95)
            drawn = render(next(painted.drive(motion, camera)), camera, WHITE)
            made.append(
                PosedPicture(
                    drawn.image.clamp(0, 1), drawn.alpha.clamp(0, 1), camera, motion, "kid"
                )
            )
    return made


def config(out: Path, **changes: object) -> FitConfig:
    plain = FitConfig(
        out=out,
        size=tiny(),
        steps=30,
        pictures=2,
        background=WHITE,
        learning_rate=3e-3,
        map_rate=4e-2,
        checkpoint_every=0,
        progress=False,
        cpu=True,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def distance(avatar: Avatar, pictures: list[PosedPicture]) -> float:
    """Mean absolute difference of drawings and pictures."""
    found = []
    for picture in pictures:
        drawn = render(next(avatar.drive(picture.motion, picture.camera)), picture.camera, WHITE)
        found.append(l1_loss(drawn.image[None], picture.image[None]))
    return float(torch.cat(found).mean())


def test_four_pictures_are_learned(
    painted: Avatar, begun: Avatar, pictures: list[PosedPicture], tmp_path: Path
) -> None:
    fitted = fit(config(tmp_path), {"kid": painted}, pictures)
    first, last = fitted.losses[:2], fitted.losses[-2:]  # an epoch each
    assert sum(last) < 0.7 * sum(first)
    before, after = distance(begun, pictures), distance(fitted.avatars["kid"], pictures)
    assert after < 0.7 * before
    learned = fitted.avatars["kid"].learned
    assert learned is not None and float(learned.unet.exit.weight.abs().max()) > 0
    assert not any(value.requires_grad for value in learned.parameters())
    assert painted.learned is None


def test_a_killed_run_goes_on_bit_for_bit(
    begun: Avatar, pictures: list[PosedPicture], tmp_path: Path
) -> None:
    whole = fit(config(tmp_path / "a", steps=4, background=None), {"kid": begun}, pictures)
    killed = config(tmp_path / "b", steps=4, background=None, checkpoint_every=2)
    fit(killed, {"kid": begun}, pictures, stop_after=3)
    resumed = fit(killed, {"kid": begun}, pictures)
    assert resumed.losses == whole.losses
    first, second = (f.avatars["kid"].learned for f in (whole, resumed))
    assert first is not None and second is not None
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_two_people_share_a_network_and_not_their_maps(
    begun: Avatar, pictures: list[PosedPicture], tmp_path: Path
) -> None:
    other = [dataclasses.replace(pictures[0], identity="twin", image=1 - pictures[0].image)]
    starts = {"kid": begun, "twin": begun}
    fitted = fit(config(tmp_path, steps=3, pictures=5), starts, [*pictures, *other])
    kid, twin = (fitted.avatars[name].learned for name in ("kid", "twin"))
    assert kid is not None and twin is not None
    assert torch.equal(kid.unet.exit.weight, twin.unet.exit.weight)
    assert not torch.equal(kid.maps.color, twin.maps.color)
    assert begun.learned is not None and not bool(begun.learned.unet.exit.weight.any())
    again = fit(config(tmp_path, steps=1), {"twin": fitted.avatars["twin"]}, other)
    assert again.losses[0] < fit(config(tmp_path, steps=1), {"twin": begun}, other).losses[0]


def test_what_cannot_be_fitted_is_refused(
    begun: Avatar, pictures: list[PosedPicture], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="'kid', who has no start; starts are for .'dad'."):
        fit(config(tmp_path), {"dad": begun}, pictures)
    with pytest.raises(ValueError, match="one picture or more, got none"):
        fit(config(tmp_path), {"kid": begun}, [])
    with pytest.raises(ValueError, match="`steps` and `pictures` must be 1 or more.*got 0, 2"):
        config(tmp_path, steps=0)
    with pytest.raises(ValueError, match="must be above 0, got 0.0 and 0.04"):
        config(tmp_path, learning_rate=0.0)


def test_a_learned_start_of_another_size_is_refused(
    begun: Avatar, pictures: list[PosedPicture], tmp_path: Path
) -> None:
    wider = DecoderSize("wider", 32, 900, 5, (8, 8, 16, 16, 16))
    with pytest.raises(ValueError, match="A start is of the size .*tiny"):
        fit(config(tmp_path, size=wider), {"kid": begun}, pictures[:1])


def test_the_mouth_is_found_where_it_is_seen() -> None:
    head = Head.default()
    vertices = head.v_template
    camera = Camera.portrait(80, 80)
    mask = mouth_mask(head, vertices, camera)
    rows, columns = mask.nonzero().unbind(-1)
    lips = head.require_points()
    center = lips.gather(vertices)[lips.regions["lips_inner"]].mean(0)
    seen = camera.K @ (camera.viewmat[:3, :3] @ center + camera.viewmat[:3, 3])
    assert abs(float(columns.float().mean()) + 0.5 - float(seen[0] / seen[2])) < 1.0
    assert abs(float(rows.float().mean()) + 0.5 - float(seen[1] / seen[2])) < 2.0
    assert 0.005 < float(mask.mean()) < 0.06
    opened = head(jaw_pose=torch.tensor([0.35, 0.0, 0.0]))
    assert float(mouth_mask(head, opened, camera).sum()) > 1.3 * float(mask.sum())


def test_from_behind_there_is_no_mouth() -> None:
    head = Head.default()
    behind = Camera.portrait(80, 80, yaw=3.0)
    assert float(mouth_mask(head, head.v_template, behind).sum()) == 0.0
    aside = Camera.look_at((0, 0, 0), (0, 0, 1.0), width=80, height=80)
    assert float(mouth_mask(head, head.v_template, aside).sum()) == 0.0
