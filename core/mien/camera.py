"""`Camera`: where a picture is taken from, and with which lens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Camera"]

_PORTRAIT_CENTER_M = (0.0, -0.025, -0.04)  # crown, chin and some neck of the default head
_PORTRAIT_HEIGHT_M = 0.34
_PORTRAIT_FOV_DEG = 14.0


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera.

    Attributes:
        viewmat: World to camera, `[4, 4]`, OpenCV axes: x right, y down, z forward; metres.
        K: Intrinsics in pixels, `[3, 3]`; pixel centers lie at half integers.
        width: Of the image, pixels.
        height: Of the image, pixels.
    """

    viewmat: Float[Tensor, "4 4"]
    K: Float[Tensor, "3 3"]
    width: int
    height: int

    def __post_init__(self) -> None:
        if tuple(self.viewmat.shape) != (4, 4) or tuple(self.K.shape) != (3, 3):
            raise ValueError(
                "A camera needs `viewmat` [4, 4] and `K` [3, 3], got "
                f"{list(self.viewmat.shape)} and {list(self.K.shape)}."
            )
        if self.width < 1 or self.height < 1:
            raise ValueError(f"An image must have pixels, got {self.width}x{self.height}.")

    @classmethod
    def look_at(
        cls,
        eye: Sequence[float],
        target: Sequence[float],
        up: Sequence[float] = (0.0, 1.0, 0.0),
        fov_deg: float = _PORTRAIT_FOV_DEG,
        width: int = 512,
        height: int = 512,
    ) -> "Camera":
        """A camera at `eye` that looks at `target`.

        Args:
            eye: Its center, world metres.
            target: What comes to the middle of the image, world metres.
            up: What points up in the image.
            fov_deg: Vertical field of view.
            width: Pixels.
            height: Pixels.

        Raises:
            ValueError: If `eye` and `target` agree, or `up` is along the view.
        """
        if not 0 < fov_deg < 180:
            raise ValueError(f"`fov_deg` must be between 0 and 180, got {fov_deg}.")
        center, aim = torch.tensor(eye, dtype=torch.float64), torch.tensor(target).double()
        forward = aim - center
        right = torch.linalg.cross(forward, torch.tensor(up, dtype=torch.float64))
        if float(right.norm()) < 1e-9:
            raise ValueError(f"Cannot look from {eye} at {target} with up {up}.")
        forward, right = forward / forward.norm(), right / right.norm()
        rotmat = torch.stack([right, torch.linalg.cross(forward, right), forward])
        viewmat = torch.eye(4, dtype=torch.float64)
        viewmat[:3, :3], viewmat[:3, 3] = rotmat, -rotmat @ center
        focal = height / 2 / math.tan(math.radians(fov_deg) / 2)
        intrinsics = [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]
        return cls(viewmat.float(), torch.tensor(intrinsics), width, height)

    @classmethod
    def portrait(
        cls,
        width: int = 512,
        height: int = 512,
        yaw: float = 0.0,
        pitch: float = 0.0,
        head_scale: float = 1.0,
    ) -> "Camera":
        """A camera that frames the default head like a portrait.

        Args:
            width: Pixels.
            height: Pixels.
            yaw: Radians the camera goes around the head, toward the subject's left.
            pitch: Radians the camera goes up.
            head_scale: Size of the head against an adult's.
        """
        distance = _PORTRAIT_HEIGHT_M / 2 / math.tan(math.radians(_PORTRAIT_FOV_DEG) / 2)
        distance *= head_scale * max(1.0, height / width)
        center = [head_scale * value for value in _PORTRAIT_CENTER_M]
        way = (
            math.sin(yaw) * math.cos(pitch),
            math.sin(pitch),
            math.cos(yaw) * math.cos(pitch),
        )
        eye = [middle + distance * part for middle, part in zip(center, way, strict=True)]
        return cls.look_at(eye, center, width=width, height=height)

    def to(self, device: torch.device | str) -> "Camera":
        """The same camera with its tensors on another device."""
        return Camera(self.viewmat.to(device), self.K.to(device), self.width, self.height)
