"""`EncoderSize`: how large a photo encoder is, under a name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EncoderSize:
    """Sizes of a photo encoder.

    Attributes:
        name: Of the size.
        photo_side: Side of the face crops, pixels; a multiple of `patch`.
        patch: Side of what becomes one token, pixels; a power of two, 4 or more.
        width: Of the tokens; a multiple of `heads`.
        depth: Layers of self-attention over all photos, and as many of cross-attention; the
            built-in backbone has as many too.
        heads: Of the attention.
        query_side: Side of the grid of head queries over the texture.
        components: Of known maps, see `mien.avatar.known_maps.principal`.

    Raises:
        ValueError: If a size cannot be built.
    """

    name: str
    photo_side: int
    patch: int
    width: int
    depth: int
    heads: int
    query_side: int
    components: int

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in vars(self).items() if name != "name"}
        for name, value in numbers.items():
            if value < 1:
                raise ValueError(f"`{name}` must be 1 or more, got {value}.")
        if self.patch < 4 or self.patch & (self.patch - 1):
            raise ValueError(f"`patch` must be a power of two, 4 or more, got {self.patch}.")
        if self.photo_side % self.patch:
            raise ValueError(
                f"`photo_side` must be a multiple of `patch`, got {self.photo_side} and "
                f"{self.patch}."
            )
        if self.width % self.heads:
            raise ValueError(
                f"`width` must be a multiple of `heads`, got {self.width} and {self.heads}."
            )


def full() -> EncoderSize:
    """The paper's widths and depths, for a GPU, `mien.avatar.sizes.full`, and a large backbone."""
    return EncoderSize("full", 512, 16, 512, 6, 8, 50, 64)


def small() -> EncoderSize:
    """For a CPU and `mien.avatar.sizes.small`."""
    return EncoderSize("small", 128, 16, 192, 2, 6, 20, 48)


def tiny() -> EncoderSize:
    """For tests, and `mien.avatar.sizes.tiny`."""
    return EncoderSize("tiny", 32, 8, 32, 1, 2, 8, 4)


ENCODER_SIZES = {size.name: size for size in (full(), small(), tiny())}
