"""What the people of portraits were painted as, read onto the maps of a learned head.

Portraits are drawn from paintings, so what an encoder ought to give of a person is known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.sizes import DecoderSize
from mien.avatar.starts import learned_layout, read_painting
from mien.data_synth.portrait_shards import read_manifest, recipe_hash
from mien.data_synth.portraits import PortraitConfig, paint_sitters

__all__ = ["painted_maps"]


def painted_maps(
    folder: Path, names: Sequence[str], size: DecoderSize
) -> Iterator[Float[Tensor, "14 r r"]]:
    """Paint people of a collection again and read each onto maps, in the order of the names.

    Args:
        folder: Of finished portraits.
        names: Of people in it; those of one session stand together.
        size: Of the maps.

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
    blank = torch.zeros(size.features, size.resolution, size.resolution)
    for session, group in groupby(_places(config, names), key=lambda place: place[0]):
        for model in paint_sitters(config, session, [person for _, person in group]):
            avatar = Avatar(
                model.paint.head,
                model.sitter.identity.shape,
                model.state.splats,
                studio=model.sitter.studio,
            )
            yield read_painting(avatar, learned_layout(avatar, size), blank).attributes().detach()


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
