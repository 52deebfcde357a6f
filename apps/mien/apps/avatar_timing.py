"""How long avatars take: a frame of a learned head, encoding photos, refinement."""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from mien.apps.avatar_evaluation import Sitting, encode

if TYPE_CHECKING:
    from mien.avatar.encoder_file import LoadedEncoder
    from mien.avatar.people_data import People
    from mien.avatar.sizes import DecoderSize


def time_of(work: Callable[[], object], repeats: int) -> float:
    """Median seconds of some runs after one that is not counted."""
    spent = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - begun)
    return float(np.median(spent[1:]))


def frame_seconds(
    size: "DecoderSize", device: str, side: int, repeats: int
) -> dict[str, float | int]:
    """Seconds of each stage of one frame of a learned head whose network has something to say.

    Returns:
        `drive` (mesh), `decode` (network and skinning), `draw` and `frame` (all of it); and the
        number of `gaussians`.
    """
    from mien.avatar.avatar import Avatar
    from mien.avatar.render import render
    from mien.avatar.starts import start_from
    from mien.camera import Camera
    from mien.motion import Motion

    avatar = start_from(Avatar.load("adult-small"), size)
    learned = avatar.learned
    assert learned is not None, "start_from gives a learned head"
    with torch.no_grad():  # a network that has learned nothing would not be run
        learned.unet.exit.weight.normal_(0.0, 1e-3)
    learned = learned.to(device).eval()
    camera, motion = Camera.portrait(side, side), Motion.rest(1)
    driven = avatar.driven(motion).to(device)

    def frame() -> object:
        return render(learned(avatar.driven(motion).to(device)).gaussians(0), camera)

    with torch.no_grad():
        gaussians = learned(driven).gaussians(0)
        stages: dict[str, Callable[[], object]] = {
            "drive": lambda: avatar.driven(motion),
            "decode": lambda: learned(driven),
            "draw": lambda: render(gaussians, camera),
            "frame": frame,
        }
        times = {name: time_of(work, repeats) for name, work in stages.items()}
    return {**times, "gaussians": len(learned)}


def making_seconds(
    loaded: "LoadedEncoder", people: "People", sitting: Sitting, steps: int, repeats: int
) -> dict[str, float]:
    """Seconds to encode 1 to 4 photos, and to refine on all photos of a sitting."""
    import dataclasses

    from mien.avatar.avatar import Avatar
    from mien.avatar.learned import LearnedHead
    from mien.avatar.pictures import PosedPicture
    from mien.avatar.refine import refine

    found = {}
    for count in range(1, len(sitting.photos) + 1):
        work = partial(encode, loaded, people, sitting.photos[:count])
        found[f"encode {count}"] = time_of(work, repeats)
    maps, person = encode(loaded, people, sitting.photos), sitting.person
    shape = people.tracks["shapes"][person.number]
    learned = LearnedHead(loaded.decoder, person.layout, maps, loaded.unet)
    avatar = dataclasses.replace(Avatar.load("adult-small"), shape=shape, learned=learned)
    posed = []
    for photo in sitting.photos:
        image, mask, _ = people.layers([photo])
        posed.append(
            PosedPicture(
                image[0],
                mask[0, ..., 0],
                people.camera(photo),
                person.motion(people.frame_of[photo]),
                person.name,
            )
        )
    begun = time.perf_counter()
    refine(avatar, posed, steps)
    found[f"refine {steps} steps"] = time.perf_counter() - begun
    return found
