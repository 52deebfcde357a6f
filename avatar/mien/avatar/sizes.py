"""`DecoderSize`: how large a learned avatar is, under a name."""

from __future__ import annotations

from dataclasses import dataclass

HALVINGS = 4  # levels down, and as many up


@dataclass(frozen=True)
class DecoderSize:
    """Sizes of a learned avatar.

    Attributes:
        name: Of the size.
        resolution: Side of the attribute maps, texels.
        num_gaussians: How many Gaussians to spread evenly over the texture; a few more or fewer
            come out, since triangles do not tile squares.
        features: Channels of the identity features.
        widths: Channels of the network at its full side and after each of the four halvings.
        coarser: How many texels of the maps one of the network's spans, along a side: maps can be
            finer than what moves them. `network_side` is a multiple of 16.

    Raises:
        ValueError: If a size cannot be built.
    """

    name: str
    resolution: int
    num_gaussians: int
    features: int
    widths: tuple[int, int, int, int, int]
    coarser: int = 1

    def __post_init__(self) -> None:
        if self.coarser < 1:
            raise ValueError(f"`coarser` must be 1 or more, got {self.coarser}.")
        multiple = self.coarser * 2**HALVINGS
        if self.resolution < 1 or self.resolution % multiple:
            raise ValueError(
                f"`resolution` must be a multiple of {multiple}, since the network halves its "
                f"side {HALVINGS} times, got {self.resolution}."
            )
        if len(self.widths) != HALVINGS + 1 or min(self.widths) < 1:
            raise ValueError(
                f"`widths` must be {HALVINGS + 1} positive numbers, got {self.widths}."
            )
        if self.num_gaussians < 1 or self.features < 1:
            raise ValueError(
                "`num_gaussians` and `features` must be 1 or more, got "
                f"{self.num_gaussians} and {self.features}."
            )

    @property
    def network_side(self) -> int:
        """Side of what the network sees and gives, and of the identity features."""
        return self.resolution // self.coarser


def full() -> DecoderSize:
    """The paper's maps and count of Gaussians, for a GPU."""
    return DecoderSize("full", 400, 141_445, 32, (32, 64, 128, 256, 256))


def small() -> DecoderSize:
    """For a CPU."""
    return DecoderSize("small", 160, 20_000, 16, (16, 32, 64, 96, 128))


def tiny() -> DecoderSize:
    """For tests: too coarse to look like anybody."""
    return DecoderSize("tiny", 32, 900, 4, (8, 8, 16, 16, 16))


def photo_size() -> DecoderSize:
    """For what photos show, about a texel a pixel; its network is for nothing to move within."""
    return DecoderSize("photo", 320, 60_000, 4, (8, 8, 16, 16, 16))


SIZES = {"full": full, "small": small, "tiny": tiny}
