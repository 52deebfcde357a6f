"""`Look`: everything that a painting of a head depends on beside the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Color = tuple[float, float, float]
HairStyle = Literal["bob", "short", "coils", "down"]


@dataclass(frozen=True)
class Look:
    """A person's coloring and hair.

    Attributes:
        melanin: Skin pigment: 0.1 pale, 0.8 light brown, 2 dark brown; see `tones`.
        blood: Redness of the skin, 0.3 is usual.
        flush: Extra redness of cheeks, nose and ears, 0 to 1.
        freckles: 0 none to 1 many.
        wrinkles: Lines of age, 0 none to 1 deep.
        lip_blood: Redness of the lips, 0.5 pale to 1.2.
        lip_gloss: Shine of the lips, 0 to 1.
        brow_density: Share of brow hairs, 0 to 1.
        brow_color: sRGB.
        lash_length_mm: Of the upper lashes.
        hair: Style: a chin-long bob, short hair, short tight coils, or a baby's down.
        hair_color: sRGB.
        iris_color: sRGB of the iris's middle.
        iris_scale: Size of the iris against an adult's.
        teeth: Whether there are teeth; an infant has none.
        cloth_color: sRGB of the garment at the neck.
        tooth_color: sRGB.
        seed: Another seed moves every freckle and strand.
    """

    melanin: float = 0.21
    blood: float = 0.26
    flush: float = 0.5
    freckles: float = 0.15
    wrinkles: float = 0.0
    lip_blood: float = 0.82
    lip_gloss: float = 0.5
    brow_density: float = 0.8
    brow_color: Color = (0.24, 0.155, 0.11)
    lash_length_mm: float = 6.2
    hair: HairStyle = "bob"
    hair_color: Color = (0.34, 0.20, 0.12)
    iris_color: Color = (0.33, 0.40, 0.38)
    iris_scale: float = 1.0
    teeth: bool = True
    cloth_color: Color = (0.20, 0.25, 0.32)
    tooth_color: Color = (0.93, 0.90, 0.84)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("flush", "freckles", "wrinkles", "lip_gloss", "brow_density"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"`{name}` must lie in [0, 1], got {value}.")
        for name in ("melanin", "blood", "lip_blood", "lash_length_mm", "iris_scale"):
            if not 0 <= getattr(self, name) <= 20:
                raise ValueError(f"`{name}` must lie in [0, 20], got {getattr(self, name)}.")
        if self.hair not in get_args(HairStyle):
            styles = ", ".join(get_args(HairStyle))
            raise ValueError(f"`hair` must be one of {styles}, got {self.hair!r}.")
        for name in ("brow_color", "hair_color", "iris_color", "cloth_color", "tooth_color"):
            value = getattr(self, name)
            if len(value) != 3 or not all(0 <= part <= 1 for part in value):
                raise ValueError(f"`{name}` must be three values in [0, 1], got {value}.")
