"""A picture of avatars made from one photo beside the truth, so that figures can be looked at."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from mien.apps.avatar_evaluation import Sitting, draw, encode

if TYPE_CHECKING:
    from numpy import ndarray

    from mien.avatar.encoder_file import LoadedEncoder
    from mien.avatar.people_data import People

_GAP = 4  # pixels


def avatar_sheet(
    loaded: "LoadedEncoder",
    people: "People",
    sittings: Sequence[Sitting],
    photos: int = 1,
    columns: int = 5,
) -> "ndarray":
    """Draw two rows a person: the photo and true pictures, below them the same from the photo.

    Args:
        loaded: What makes maps.
        people: With layouts of the encoder's decoder.
        sittings: Who, and what to draw.
        photos: How many photos maps are made from; the first is shown.
        columns: Pictures of each person, at most.

    Returns:
        `[h, w, 3]`, bytes.
    """
    from mien.avatar.face_identity import compose

    height, width = people.picture_side
    rows = []
    for sitting in sittings:
        every = max(1, len(sitting.pictures) // columns)
        pictures = sitting.pictures[::every][:columns]
        maps = encode(loaded, people, sitting.photos[:photos])
        made = draw(loaded, people, sitting.person, maps, [sitting.photos[0], *pictures])
        true = compose(people, [sitting.photos[0], *pictures])
        empty = columns - len(pictures)
        for drawn in (true, made):
            blank = torch.ones(empty, height, width, 3)
            rows.append(_in_a_row(torch.cat([drawn, blank])))
    return np.asarray((torch.cat(rows) * 255 + 0.5).clamp(0, 255).to(torch.uint8).numpy())


def _in_a_row(pictures: torch.Tensor) -> torch.Tensor:
    padded = torch.nn.functional.pad(pictures, (0, 0, 0, _GAP, 0, _GAP), value=1.0)
    return torch.cat(list(padded), 1)
