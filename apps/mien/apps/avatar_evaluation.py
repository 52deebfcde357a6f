"""What `mien eval avatar` measures: avatars made from photos, against pictures never shown.

Everyone measured is of the test split, seen by many cameras. Beside each figure stand its ceiling
and its floor: the true picture itself, and the maps of another person.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from mien.avatar.known_changes import recolored
from mien.avatar.known_maps import COLORS

if TYPE_CHECKING:
    from torch import Tensor

    from mien.avatar.encoder_file import LoadedEncoder
    from mien.avatar.face_identity import FaceIdentity
    from mien.avatar.known_changes import KnownChanges
    from mien.avatar.known_maps import KnownMaps
    from mien.avatar.people_data import People, Person
    from mien.avatar.static_maps import StaticMaps

Group = Literal["same expression", "other expression", "held-out expression"]
METRICS = ("psnr", "ssim", "perceptual", "identity")
ASIDE_DEG = 40.0  # between the cameras of a photo and of a picture: from there on, unseen sides
_GRAY = (0.5, 0.5, 0.5)
_PEAK_ERROR = 1e-10  # below which two pictures are the same


@dataclass(frozen=True)
class Shot:
    """One true picture and what was made of it.

    Attributes:
        person: Who.
        photos: How many photos the avatar was made from.
        group: How its expression relates to those of the photos and of training.
        aside_deg: Angle to the camera of the nearest photo.
        psnr: Decibels, before gray.
        ssim: 0 to 1.
        perceptual: Steerable difference; lower is better.
        identity: Cosine of `FaceIdentity`.
    """

    person: str
    photos: int
    group: Group
    aside_deg: float
    psnr: float
    ssim: float
    perceptual: float
    identity: float


@dataclass(frozen=True, eq=False)
class Sitting:
    """One person's photos, first to last, and the pictures to be drawn."""

    person: "Person"
    photos: list[int]
    pictures: list[int]


def choose_sittings(
    people: "People",
    held_out: Sequence[str],
    most_photos: int = 4,
    pictures: int = 8,
    most_people: int | None = None,
    seed: int = 0,
) -> list[Sitting]:
    """Choose photos and pictures of everybody seen by many cameras.

    The first photo is the one from nearest the front at rest; the others are of other instants,
    and none shows an expression that was held out of training.

    Args:
        people: Of a held-out split.
        held_out: Expressions that training never showed.
        most_photos: Of each person.
        pictures: To be drawn of each person.
        most_people: How many people, at most.
        seed: Of the choice.

    Raises:
        ValueError: If nobody is seen by many cameras.
    """
    many = [person for person in people.everyone if person.sink == "many"]
    if not many:
        raise ValueError("Wanted people seen by many cameras, got none in the split.")
    step = max(1, len(many) // (most_people or len(many)))
    hidden = set(held_out)
    found = []
    for number, person in enumerate(many[::step][:most_people]):
        rng = np.random.default_rng([seed, number])
        shown = [p for p in person.pictures if _expression(people, p) not in hidden]
        at_rest = person.views(person.frames[0])
        first = min(at_rest, key=lambda p: _yaw_deg(people, p))
        others = [p for p in shown if people.frame_of[p] != people.frame_of[first]]
        photos = [first, *rng.permutation(others)[: most_photos - 1].tolist()]
        left = [p for p in person.pictures if p not in photos]
        found.append(Sitting(person, photos, _spread(people, left, hidden, pictures, rng)))
    return found


def _spread(
    people: "People", left: list[int], hidden: set[str], count: int, rng: np.random.Generator
) -> list[int]:
    """Some of the pictures; a third of them show held-out expressions where there are so many."""
    mixed = rng.permutation(left).tolist()
    unseen = [p for p in mixed if _expression(people, p) in hidden][: count // 3]
    seen = [p for p in mixed if _expression(people, p) not in hidden]
    return sorted(unseen + seen[: count - len(unseen)])


def measure(
    loaded: "LoadedEncoder",
    people: "People",
    sittings: Sequence[Sitting],
    judge: "FaceIdentity",
    held_out: Sequence[str],
    photo_counts: Sequence[int] = (1, 2, 3, 4),
) -> Iterator[list[Shot]]:
    """Draw and judge every person's pictures, person by person.

    Args:
        loaded: What makes maps.
        people: Whose pictures they are; with layouts of the encoder's decoder.
        sittings: Photos and pictures.
        judge: Of identity.
        held_out: Expressions that training never showed.
        photo_counts: How many photos maps are made from, one after another.
    """
    for sitting in sittings:
        shots = []
        for count in photo_counts:
            photos = sitting.photos[:count]
            maps = encode(loaded, people, photos)
            drawn = draw(loaded, people, sitting.person, maps, sitting.pictures)
            shots += _judge(people, sitting, photos, drawn, judge, set(held_out))
        yield shots


def floors(
    loaded: "LoadedEncoder",
    people: "People",
    sittings: Sequence[Sitting],
    judge: "FaceIdentity",
    held_out: Sequence[str],
) -> list[Shot]:
    """The same from one photo of somebody else: what a figure is worth that knows nobody.

    That is a person half the list away, since neighbors look alike in age and skin.
    """
    found = []
    half = max(1, len(sittings) // 2)
    for sitting, other in zip(sittings, [*sittings[half:], *sittings[:half]], strict=True):
        maps = encode(loaded, people, other.photos[:1])
        drawn = draw(loaded, people, sitting.person, maps, sitting.pictures)
        found += _judge(people, sitting, sitting.photos[:1], drawn, judge, set(held_out))
    return found


def ceilings(
    loaded: "LoadedEncoder",
    people: "People",
    sittings: Sequence[Sitting],
    judge: "FaceIdentity",
    held_out: Sequence[str],
    known: "KnownMaps",
) -> list[Shot]:
    """The same from what the people were painted as, at rest: maps that no photo need be read for.

    Nothing moves in them, so an encoder's network may well come above.
    """
    from mien.avatar.learned import make_unet

    still = dataclasses.replace(loaded, unet=make_unet(loaded.decoder))
    found = []
    for sitting in sittings:
        maps = known.whole(sitting.person.number, loaded.decoder.features)
        drawn = draw(still, people, sitting.person, maps, sitting.pictures)
        found += _judge(people, sitting, sitting.photos[:1], drawn, judge, set(held_out))
    return found


@torch.no_grad()
def change_errors(
    loaded: "LoadedEncoder",
    people: "People",
    sittings: Sequence[Sitting],
    known: "KnownMaps",
    changes: "KnownChanges",
) -> dict[str, float]:
    """How far what a network adds to people's colors is from how they change, from one photo.

    Returns:
        Root mean squares over the texels that move, sRGB: of the change itself ("known") and of
        what the network leaves of it ("left"); and at how many "instants", none of them at rest.
    """
    from mien.avatar.learned import LearnedHead

    squares: dict[str, list[float]] = {"known": [], "left": []}
    for sitting in sittings:
        person = sitting.person
        maps = encode(loaded, people, sitting.photos[:1])
        head = LearnedHead(loaded.decoder, person.layout, maps, loaded.unet)
        color = known.of([person.number])[0, COLORS]
        moving = person.layout.dynamic.bool()
        for frame, change in zip(person.frames, changes.of(person.frames), strict=True):
            if people.expressions[frame] == "rest":
                continue
            deltas = head.attributes(person.driven(frame))[0] - maps.attributes()
            made = recolored(deltas, color)
            squares["known"].append(float(change[:, moving].square().mean()))
            squares["left"].append(float((made - change)[:, moving].square().mean()))
    means = {name: float(np.mean(values)) ** 0.5 for name, values in squares.items()}
    return {**means, "instants": float(len(squares["known"]))}


@torch.no_grad()
def encode(loaded: "LoadedEncoder", people: "People", photos: Sequence[int]) -> "StaticMaps":
    """One person's maps from some of the kept crops."""
    from mien.avatar.encoder import person_maps

    crops = people.crops(photos, loaded.encoder.size.photo_side)[None]
    attributes, features = loaded.encoder(crops).person(0)
    return person_maps(attributes, features, loaded.encoder.template)


@torch.no_grad()
def draw(
    loaded: "LoadedEncoder",
    people: "People",
    person: "Person",
    maps: "StaticMaps",
    pictures: Sequence[int],
) -> "Tensor":
    """A person's pictures `[b, h, w, 3]` before gray, each instant decoded once."""
    from mien.avatar.learned import LearnedHead
    from mien.avatar.render import render

    head = LearnedHead(loaded.decoder, person.layout, maps, loaded.unet)
    decoded = {}
    drawn = []
    for picture in pictures:
        frame = people.frame_of[picture]
        if frame not in decoded:
            decoded[frame] = head(person.driven(frame)).gaussians(0)
        drawn.append(render(decoded[frame], people.camera(picture), _GRAY).image.clamp(0, 1))
    return torch.stack(drawn)


def _judge(
    people: "People",
    sitting: Sitting,
    photos: Sequence[int],
    drawn: "Tensor",
    judge: "FaceIdentity",
    hidden: set[str],
) -> list[Shot]:
    from mien.avatar.face_identity import compose
    from mien.avatar.losses import ssim
    from mien.avatar.perceptual import steerable_difference

    true = compose(people, sitting.pictures, _GRAY[0])
    with torch.no_grad():
        errors = (drawn - true).square().flatten(1).mean(1).clamp_min(_PEAK_ERROR)
        columns = {
            "psnr": -10 * errors.log10(),
            "ssim": ssim(drawn, true),
            "perceptual": steerable_difference(drawn, true),
            "identity": (judge(drawn) * judge(true)).sum(-1),
        }
    shown = {_expression(people, photo) for photo in photos}
    return [
        Shot(
            sitting.person.name,
            len(photos),
            _group(_expression(people, picture), shown, hidden),
            min(_between_deg(people, picture, photo) for photo in photos),
            **{name: float(values[row]) for name, values in columns.items()},
        )
        for row, picture in enumerate(sitting.pictures)
    ]


def _group(expression: str, shown: set[str], hidden: set[str]) -> Group:
    if expression in hidden:
        return "held-out expression"
    return "same expression" if expression in shown else "other expression"


def _expression(people: "People", picture: int) -> str:
    return people.expressions[people.frame_of[picture]]


def _yaw_deg(people: "People", picture: int) -> float:
    """How far a camera stands from straight before the face, degrees."""
    way = -people.camera(picture).viewmat[2, :3]
    return float(torch.rad2deg(torch.acos(way[2].clamp(-1, 1))))


def _between_deg(people: "People", first: int, second: int) -> float:
    one, other = (people.camera(n).viewmat[2, :3] for n in (first, second))
    return float(torch.rad2deg(torch.acos((one @ other).clamp(-1, 1))))


def mean_of(shots: Sequence[Shot], **wanted: object) -> dict[str, float]:
    """Mean of each metric over the shots that have the wanted values, and their number.

    Besides fields of `Shot`, `aside=True` wants cameras far from all photos' and False the rest.
    """
    aside = wanted.pop("aside", None)
    kept = [
        shot
        for shot in shots
        if all(getattr(shot, name) == value for name, value in wanted.items())
        and (aside is None or (shot.aside_deg >= ASIDE_DEG) == aside)
    ]
    found = {
        name: float(np.mean([getattr(shot, name) for shot in kept])) if kept else float("nan")
        for name in METRICS
    }
    return {**found, "count": float(len(kept))}
