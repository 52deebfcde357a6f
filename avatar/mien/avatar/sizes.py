"""`DecoderSize`: how large a learned avatar is, under a name."""

from __future__ import annotations

from dataclasses import dataclass

HALVINGS = 4  # levels down, and as many up


@dataclass(frozen=True)
class DecoderSize:
    """Sizes of a learned avatar.

    Attributes:
        name: Of the size.
        resolution: Side of the attribute maps, texels; a multiple of 16.
        num_gaussians: How many Gaussians to spread evenly over the texture; a few more or fewer
            come out, since triangles do not tile squares.
        features: Channels of the identity features.
        widths: Channels of the network at the full side and after each of the four halvings.

    Raises:
        ValueError: If a size cannot be built.
    """

    name: str
    resolution: int
    num_gaussians: int
    features: int
    widths: tuple[int, int, int, int, int]

    def __post_init__(self) -> None:
        if self.resolution < 1 or self.resolution % 2**HALVINGS:
            raise ValueError(
                f"`resolution` must be a multiple of {2**HALVINGS}, since the network halves it "
                f"{HALVINGS} times, got {self.resolution}."
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


def full() -> DecoderSize:
    """The paper's maps and count of Gaussians, for a GPU."""
    return DecoderSize("full", 400, 141_445, 32, (32, 64, 128, 256, 256))


def small() -> DecoderSize:
    """For a CPU."""
    return DecoderSize("small", 160, 20_000, 16, (16, 32, 64, 96, 128))


def tiny() -> DecoderSize:
    """For tests: too coarse to look like anybody."""
    return DecoderSize("tiny", 32, 900, 4, (8, 8, 16, 16, 16))


SIZES = {"full": full, "small": small, "tiny": tiny}
