"""What the people of portraits were painted as, read onto the maps of a learned head.

Portraits are drawn from paintings, so what an encoder ought to give of a person is known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.sizes import DecoderSize
from mien.avatar.starts import learned_layout, read_painting
from mien.data_synth.portrait_shards import read_manifest, recipe_hash
from mien.data_synth.portraits import PortraitConfig, paint_sitters
from mien.data_synth.spread import spread

__all__ = ["painted_maps"]


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
    job = partial(_session_maps, config, size, {k: list(v) for k, v in sessions.items()})
    for session, maps in spread(job, list(sessions), workers):
        yield from zip(sessions[session].values(), map(torch.from_numpy, maps), strict=True)


def _session_maps(
    config: PortraitConfig, size: DecoderSize, people: Mapping[int, list[int]], session: int
) -> list[Float[np.ndarray, "14 r r"]]:
    """Maps of some people of a session, in their order; arrays, which pass between processes."""
    blank = torch.zeros(size.features, size.network_side, size.network_side)
    found = []
    for model in paint_sitters(config, session, people[session]):
        avatar = Avatar(
            model.paint.head,
            model.sitter.identity.shape,
            model.state.splats,
            studio=model.sitter.studio,
        )
        maps = read_painting(avatar, learned_layout(avatar, size), blank)
        found.append(maps.attributes().detach().numpy())
    return found


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
