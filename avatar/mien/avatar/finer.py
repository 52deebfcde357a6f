"""A trained network under maps that are finer than its own, as photos fill them."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.encoder import person_maps
from mien.avatar.learned import LearnedHead
from mien.avatar.sizes import DecoderSize, photo_size
from mien.avatar.starts import learned_layout
from mien.avatar.unet import UNet
from mien.motion import Motion

__all__ = ["finer_size", "moved_by", "still_size"]

_MOST = 2  # times finer: more would show what is between the network's texels


def finer_size(size: DecoderSize) -> DecoderSize:
    """A size of finer maps and more Gaussians that the same network moves; or `size` itself."""
    wanted = photo_size()
    times = min(_MOST, wanted.resolution // size.resolution)
    if times < 2:
        return size
    return dataclasses.replace(
        size,
        name=wanted.name,
        resolution=times * size.resolution,
        num_gaussians=min(wanted.num_gaussians, times**2 * size.num_gaussians),
        coarser=times * size.coarser,
    )


def still_size(size: DecoderSize) -> DecoderSize:
    """A size of the maps of `finer_size`, with the least of networks, for nothing to move in."""
    finer, still = finer_size(size), photo_size()
    return dataclasses.replace(
        still, resolution=finer.resolution, num_gaussians=finer.num_gaussians
    )


@torch.no_grad()
def moved_by(
    avatar: Avatar, unet: UNet, size: DecoderSize, features: Float[Tensor, "f s s"]
) -> Avatar:
    """Let a trained network move an avatar's maps, which nothing moved; at rest it looks the same.

    Args:
        avatar: With maps of `still_size(size)`.
        unet: The network.
        size: Of the maps that it learned with.
        features: What it may know of the person.

    Raises:
        ValueError: If the avatar has no maps, or of another side.
    """
    finer = finer_size(size)
    if avatar.learned is None or avatar.learned.maps.resolution != finer.resolution:
        raise ValueError(
            f"The avatar must have maps with a side of {finer.resolution} to be moved."
        )
    still, layout = avatar.learned.maps.attributes(), learned_layout(avatar, finer)

    def moving(attributes: Tensor) -> LearnedHead:
        return LearnedHead(finer, layout, person_maps(attributes, features), unet)

    changed = moving(still).attributes(avatar.driven(Motion.rest(1)))[0]
    learned = moving(still - (changed - still)).eval().requires_grad_(False)
    return dataclasses.replace(avatar, learned=learned)
