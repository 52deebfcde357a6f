"""A posed picture says what it needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch

from mien.avatar.pictures import PosedPicture
from mien.camera import Camera
from mien.motion import Motion


def make(**changes: Any) -> PosedPicture:
    parts: dict[str, Any] = {
        "image": torch.full((5, 7, 3), 0.5),
        "mask": torch.ones(5, 7),
        "camera": Camera.portrait(7, 5),
        "motion": Motion.rest(1),
        "identity": "someone",
    }
    return PosedPicture(**(parts | changes))


def test_a_sound_picture_is_taken_as_it_is() -> None:
    image = torch.rand(5, 7, 3, generator=torch.Generator().manual_seed(0))
    assert make(image=image).image is image


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": torch.zeros(7, 5, 3)}, r"`image` must be \[5, 7, 3\].*got \[7, 5, 3\]"),
        ({"mask": torch.zeros(5, 7, 1)}, r"`mask` must be \[5, 7\].*got \[5, 7, 1\]"),
        ({"mask": torch.ones(5, 7).bool()}, r"`mask` must be of a floating type, got torch.bool"),
        ({"image": torch.full((5, 7, 3), 255.0)}, r"`image` must lie in \[0, 1\].*255"),
        ({"mask": torch.full((5, 7), torch.nan)}, r"`mask` must lie in \[0, 1\], got nan"),
        ({"motion": Motion.rest(2)}, "`motion` must be the one frame.*got 2"),
        ({"identity": ""}, "`identity` must name the person"),
    ],
)
def test_a_picture_refuses_what_does_not_fit(
    changes: dict[str, Any],
    message: str,
    refuses: Callable[[str], AbstractContextManager[None]],
) -> None:
    with refuses(message):
        make(**changes)
