"""Tones: skin, lips, brows, hair and irises that go together."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

from mien.avatar.look import Look

Tone = Literal["light", "medium", "dark"]

# The deeper the skin, the less a flush shows, the browner lips and lids are and the darker hair
# and eyes most often are. A tone is a starting point: any field of the look may be changed.
TONES: dict[Tone, dict[str, Any]] = {
    "light": {},
    "medium": {
        "melanin": 0.78,
        "blood": 0.30,
        "flush": 0.35,
        "freckles": 0.1,
        "lip_blood": 0.86,
        "brow_color": (0.105, 0.075, 0.06),
        "hair_color": (0.10, 0.068, 0.052),
        "iris_color": (0.27, 0.155, 0.075),
    },
    "dark": {
        "melanin": 2.05,
        "blood": 0.30,
        "flush": 0.25,
        "freckles": 0.05,
        "lip_blood": 0.95,
        "brow_color": (0.06, 0.045, 0.04),
        "hair_color": (0.062, 0.048, 0.042),
        "iris_color": (0.17, 0.09, 0.05),
    },
}


def toned(look: Look, tone: Tone) -> Look:
    """Give the same look in another tone; "light" leaves it as it is.

    Raises:
        ValueError: If there is no such tone.
    """
    if tone not in get_args(Tone):
        raise ValueError(f"`tone` must be one of {', '.join(get_args(Tone))}, got {tone!r}.")
    return dataclasses.replace(look, **TONES[tone])
