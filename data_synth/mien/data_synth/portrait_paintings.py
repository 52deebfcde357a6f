"""What the people of portraits were painted as, read onto the maps of a learned head.

Portraits are drawn from paintings, so what an encoder ought to give of a person is known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.sizes import DecoderSize
from mien.avatar.starts import SplatReader, learned_layout, read_painting
from mien.avatar.texel_sheet import spread_over
from mien.camera import Camera
from mien.data_synth.portrait_model import SitterModel
from mien.data_synth.portrait_shards import read_manifest, recipe_hash
from mien.data_synth.portraits import PortraitConfig, paint_sitters
from mien.data_synth.spread import spread
from mien.motion import Motion

__all__ = ["painted_changes", "painted_maps"]


def painted_maps(
    folder: Path, names: Sequence[str], size: DecoderSize, workers: int = 1
) -> Iterator[tuple[int, Float[Tensor, "14 r r"]]]:
    """Paint people of a collection again and read each onto maps, session by session.

    Args:
        folder: Of finished portraits.
        names: Of people in it.
        size: Of the maps.
        workers: Processes; with several, sessions come in any order.

    Yields:
        A name's place in `names`, and that person's maps.

    Raises:
        ValueError: If the folder holds no finished portraits, other people, or people that
            another version of the painter made.
    """
    yield from _over_sessions(folder, names, partial(_static_maps, size), workers)


def painted_changes(
    folder: Path, asked: Mapping[str, Motion], size: DecoderSize, workers: int = 1
) -> Iterator[tuple[int, Float[Tensor, "f 3 r r"]]]:
    """Paint people of a collection again; read off by how much their colors are not those at rest.

    Heads are held straight before they are lit: light that wanders over a turning head says
    nothing of the face.

    Args:
        folder: Of finished portraits.
        asked: What each person does, F frames, by name.
        size: Of the maps.
        workers: Processes; with several, sessions come in any order.

    Yields:
        A name's place in `asked`, and sRGB less that at rest at each frame; zero under hair.

    Raises:
        ValueError: See `painted_maps`.
    """
    job = partial(_color_changes, size, list(asked.values()))
    yield from _over_sessions(folder, list(asked), job, workers)


Painted = Callable[[int, SitterModel, Avatar], np.ndarray]


def _over_sessions(
    folder: Path, names: Sequence[str], made: Painted, workers: int
) -> Iterator[tuple[int, Tensor]]:
    """Give what is made of each person, who is painted once more, with the name's place."""
    manifest = read_manifest(folder)
    if manifest.get("recipe") != recipe_hash():
        raise ValueError(
            f"{folder} holds people whom another version painted; draw the portraits again."
        )
    fields = [field.name for field in dataclasses.fields(PortraitConfig)]
    config = PortraitConfig(**{name: manifest[name] for name in fields})
    sessions: dict[int, dict[int, int]] = {}
    for place, (session, person) in enumerate(_places(config, names)):
        sessions.setdefault(session, {})[person] = place
    for _, found in spread(partial(_paint, config, made, sessions), list(sessions), workers):
        for place, values in found.items():
            yield place, torch.from_numpy(values)


def _paint(
    config: PortraitConfig, made: Painted, sessions: Mapping[int, dict[int, int]], session: int
) -> dict[int, np.ndarray]:
    """What is made of some people of a session; arrays, which pass between processes."""
    people = sessions[session]
    found = {}
    models = paint_sitters(config, session, list(people))
    for place, model in zip(people.values(), models, strict=True):
        avatar = Avatar(
            model.paint.head,
            model.sitter.identity.shape,
            model.living.state.splats,
            studio=model.sitter.studio,
        )
        found[place] = made(place, model, avatar)
    return found


def _static_maps(size: DecoderSize, place: int, model: SitterModel, avatar: Avatar) -> np.ndarray:
    blank = torch.zeros(size.features, size.network_side, size.network_side)
    maps = read_painting(avatar, learned_layout(avatar, size), blank)
    return np.asarray(maps.attributes().detach().numpy())


def _color_changes(
    size: DecoderSize, asked: Sequence[Motion], place: int, model: SitterModel, avatar: Avatar
) -> np.ndarray:
    layout, front = learned_layout(avatar, size), Camera.portrait(64, 64)
    reader = SplatReader(avatar, layout)
    bare = ~reader.is_covered.unsqueeze(-1)

    def colors(truth: Motion) -> Tensor:
        return model.living.pose(truth).seen_from(front).colors

    rest, frames = colors(model.living.truth(Motion.rest(1))), asked[place].num_frames
    still = torch.zeros(frames, 3)
    straight = asked[place].replace(global_pose=still, neck_pose=still, translation=still)
    found = [
        reader.read(colors(straight.slice(frame, frame + 1)) - rest) * bare
        for frame in range(frames)
    ]
    spread_out = spread_over(layout, torch.cat(found, -1)).half()
    return np.asarray(torch.unflatten(spread_out, 0, (frames, 3)).numpy())


def _places(config: PortraitConfig, names: Sequence[str]) -> list[tuple[int, int]]:
    """Session and person of each name."""
    found = []
    for name in names:
        seed, _, place = name.partition("-")
        session, _, person = place.partition("-")
        known = seed == f"{config.seed:x}" and session.isdigit() and person.isdigit()
        if not known or int(session) >= config.num_sessions or int(person) >= config.num_people:
            raise ValueError(f"There is nobody called {name!r} among the portraits.")
        found.append((int(session), int(person)))
    return found
