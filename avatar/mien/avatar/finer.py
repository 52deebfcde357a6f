"""Finer maps for a learned head: for what photos show and the maps it came with cannot hold."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from mien.avatar.avatar import Avatar
from mien.avatar.learned import LearnedHead
from mien.avatar.sizes import DecoderSize, photo_size
from mien.avatar.starts import learned_layout
from mien.avatar.static_maps import WIDTHS, StaticMaps
from mien.avatar.texel_sheet import spread_over, texels_of

__all__ = ["finer_size", "made_finer"]

_MOST = 2  # times finer: more would show what is between the texels of encoders


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


@torch.no_grad()
def made_finer(learned: LearnedHead, person: Avatar) -> LearnedHead:
    """Enlarge a learned head's maps; it looks the same, and its network stays.

    Args:
        learned: Stays as it is.
        person: Whose head it is on.
    """
    size = finer_size(learned.size)
    if size == learned.size:
        return learned

    def enlarged(values: Tensor) -> Tensor:
        """Between texels of the surface, without what lies beside it."""
        inside = spread_over(learned.layout, texels_of(learned, values))
        side = (size.resolution, size.resolution)
        return nn.functional.interpolate(inside[None], side, mode="bilinear")[0]

    maps = learned.maps
    named = {name: enlarged(getattr(maps, name)) for name in WIDTHS}
    finer = StaticMaps(**named, features=maps.features.detach())
    finer.start_position = enlarged(maps.start_position)
    return LearnedHead(size, learned_layout(person, size), finer, learned.unet)
