"""`PosedView`: a picture with all that does not change while learning from it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.driving import Driven
from mien.avatar.mouth_region import mouth_mask
from mien.avatar.pictures import PosedPicture
from mien.camera import Camera


@dataclass(frozen=True, eq=False)
class PosedView:
    """One picture, prepared.

    Attributes:
        image: Of `PosedPicture`.
        mask: Of `PosedPicture`.
        mouth: 1 on the mouth, else 0.
        driven: The avatar's head as in the picture.
        camera: Of `PosedPicture`.
    """

    image: Float[Tensor, "h w 3"]
    mask: Float[Tensor, "h w"]
    mouth: Float[Tensor, "h w"]
    driven: Driven
    camera: Camera

    @classmethod
    def of(cls, picture: PosedPicture, avatar: Avatar) -> PosedView:
        """Prepare a picture of the avatar's person."""
        driven = avatar.driven(picture.motion)
        posed = driven.posed(avatar.head.lbs_weights)[0]
        mouth = mouth_mask(avatar.head, posed, picture.camera)
        image, mask = picture.image.to(posed), picture.mask.to(posed)
        return cls(image, mask, mouth, driven, picture.camera)

    def to(self, device: torch.device) -> PosedView:
        """Move all tensors to a device."""
        return dataclasses.replace(
            self,
            image=self.image.to(device),
            mask=self.mask.to(device),
            mouth=self.mouth.to(device),
            driven=self.driven.to(device),
        )
