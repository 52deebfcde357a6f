"""A trained network under maps that are finer than its own, as photos fill them."""

from __future__ import annotations

import dataclasses

import torch

from mien.avatar.avatar import Avatar
from mien.avatar.learned import LearnedHead
from mien.avatar.sizes import DecoderSize, photo_size
from mien.avatar.starts import learned_layout
from mien.avatar.static_maps import StaticMaps, by_name
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
def moved_by(avatar: Avatar, moving: LearnedHead) -> Avatar:
    """Let a trained network move an avatar's maps, which nothing moved; at rest it looks the same.

    Args:
        avatar: With maps of `still_size(moving.size)`.
        moving: The same person's head as an encoder gave it, with the network.

    Raises:
        ValueError: If the avatar has no maps, or of another side.
    """
    size = finer_size(moving.size)
    if avatar.learned is None or avatar.learned.maps.resolution != size.resolution:
        raise ValueError(
            f"The avatar must have maps with a side of {size.resolution} to be moved."
        )
    maps = avatar.learned.maps
    layout = learned_layout(avatar, size)
    features = moving.maps.features.detach()
    rest = avatar.driven(Motion.rest(1))
    found = LearnedHead(size, layout, _with_features(maps.attributes(), features), moving.unet)
    changes = found.attributes(rest)[0] - maps.attributes()
    moved = _with_features(maps.attributes() - changes, features)
    learned = LearnedHead(size, layout, moved, moving.unet).eval().requires_grad_(False)
    return dataclasses.replace(avatar, learned=learned)


def _with_features(attributes: torch.Tensor, features: torch.Tensor) -> StaticMaps:
    return StaticMaps(**by_name(attributes), features=features)
