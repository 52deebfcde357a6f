"""A person's colors as a photo shows them: skin, hair, irises, garment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter
from scipy.spatial import cKDTree

from mien.avatar.hair import cover_at
from mien.avatar.look import Look
from mien.avatar.noise import smoothstep
from mien.avatar.photo_pose import PhotoPose
from mien.avatar.photo_view import PhotoView
from mien.avatar.pictures import PosedPicture
from mien.avatar.placing import vertex_normals
from mien.avatar.regions import collar_distance
from mien.head import Head

Array = np.ndarray

_MM = 1e-3
_LEAST_SPREAD = np.array([0.22, 0.014, 0.014])  # logarithm of luma, shares of red and green
_LIT = 0.6  # share of pixels that are darker than the bright ones
_LIKE, _UNLIKE = 2.2, 4.0  # standard deviations
_ENOUGH, _A_FEW = 25, 10  # vertices
_BESIDE_JAW = (-95.0, -45.0)  # height on the mean head, millimetres: hair is there if it is long
_BORDER = 0.6  # of its height from above
_OF_BORDER = (0.09, 0.05)  # distances of sRGB
_STEPS = 32.0  # of sRGB
_BESIDE = 0.018  # of the picture
_IRISES = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))


@dataclass(frozen=True, eq=False)
class Tint:
    """What color something has, and how far it strays.

    Attributes:
        color: sRGB, the median.
        bright: sRGB, of the brighter pixels, which the light falls on.
        middle: Logarithm of luma, shares of red and of green.
        spread: Of these.
    """

    color: Float[Array, 3]
    bright: Float[Array, 3]
    middle: Float[Array, 3]
    spread: Float[Array, 3]

    @classmethod
    def of(cls, colors: Float[Array, "n 3"]) -> Tint:
        """Measure some pixels."""
        features = _features(colors)
        middle = np.median(features, 0)
        strays = 1.4826 * np.median(np.abs(features - middle), 0)
        lit = colors[features[:, 0] >= np.quantile(features[:, 0], _LIT)]
        spread = np.maximum(strays, _LEAST_SPREAD)
        return cls(np.median(colors, 0), np.median(lit, 0), middle, spread)

    def likeness(self, colors: Float[Array, "n 3"]) -> Float[Array, " n"]:
        """How likely pixels are of it, 0 to 1."""
        off = np.linalg.norm((_features(colors) - self.middle) / self.spread, axis=-1)
        return smoothstep(_UNLIKE, _LIKE, off)


@dataclass(frozen=True, eq=False)
class Palette:
    """The colors of a person in a photo.

    Attributes:
        skin: Of the face.
        hair: Above the forehead; None where the photo does not show any.
        iris: sRGB; None where irises cannot be seen.
        cloth: sRGB below the neck; None where it cannot be seen.
        has_long_hair: Whether hair is seen beside the jaw.
    """

    skin: Tint
    hair: Tint | None
    iris: Float[Array, 3] | None
    cloth: Float[Array, 3] | None
    has_long_hair: bool


@dataclass(frozen=True, eq=False)
class Backdrop:
    """What lies behind a person, by the upper part of the picture's border.

    Attributes:
        image: How likely each pixel shows it, or is right beside it, 0 to 1.
    """

    image: Float[Array, "h w"]

    @classmethod
    def of(cls, picture: PosedPicture) -> Backdrop:
        """Take the border's colors, and find them, and what lies beside them, in the picture."""
        image = gaussian_filter(picture.image.double().numpy(), (1, 1, 0))
        low = int(_BORDER * len(image))
        border = np.concatenate([image[0], image[:low, 0], image[:low, -1]])
        colors = np.unique((border * _STEPS).round(), axis=0) / _STEPS
        found, places = np.unique(
            (image.reshape(-1, 3) * _STEPS).round(), axis=0, return_inverse=True
        )
        like = smoothstep(*_OF_BORDER, cKDTree(colors).query(found / _STEPS)[0])
        reach = 1 + round(_BESIDE * len(image))
        return cls(maximum_filter(like[places.ravel()].reshape(image.shape[:2]), reach))

    def likeness(self, pixels: Float[Array, "n 2"]) -> Float[Array, " n"]:
        """How likely the picture shows it at places in pixels, or right beside, 0 to 1."""
        at = pixels.T[::-1] - 0.5
        return np.asarray(map_coordinates(self.image, at, order=1, mode="nearest"))


def skin_tint(picture: PosedPicture, head: Head) -> Tint:
    """The color of the face within a picture's mask.

    Raises:
        ValueError: If the picture hardly shows the face.
    """
    view, _ = _look(picture, head)
    face = (view.mask > 0.9) & (view.seen > 0.5) & _on_skin(head)
    if face.sum() < _ENOUGH:
        raise ValueError(f"The picture of {picture.identity!r} hardly shows the face's skin.")
    return Tint.of(view.colors[face])


def measure_palette(pose: PhotoPose, head: Head) -> Palette:
    """Measure the colors of a photo whose head is known, on the default head.

    Raises:
        ValueError: If the photo hardly shows the face.
    """
    picture = pose.picture
    skin = skin_tint(picture, head)
    view, resting = _look(picture, head)
    open_to_view = (view.seen > 0.08) & (view.mask < 0.05)
    on_skin = _on_skin(head)
    unlike_skin = skin.likeness(view.colors) < 0.5
    asked = open_to_view & on_skin & unlike_skin
    covered = (cover_at(resting, Look(hair="short")) > 0.9) & (resting[:, 1] > 20)
    hair = _tint_of(view.colors[asked & covered])
    cloth = _tint_of(view.colors[asked & (collar_distance(resting) < -8.0)])
    return Palette(
        skin,
        hair,
        _iris_color(pose),
        None if cloth is None else cloth.color,
        hair is not None and _beside_jaw(picture, head, resting, hair, skin),
    )


def _look(picture: PosedPicture, head: Head) -> tuple[PhotoView, Float[Array, "v 3"]]:
    """What a picture shows at the head's vertices, and where these lie on the mean head, mm."""
    vertices = head.vertices(picture.motion)[0]
    normals = vertex_normals(vertices, head.faces)
    view = PhotoView.of(picture, vertices, normals, vertices[_on_skin(head)])
    return view, head.v_template.double().numpy() / _MM


def _on_skin(head: Head) -> Array:
    on_skin = np.zeros(head.num_vertices, bool)
    on_skin[head.parts["skin"].numpy()] = True
    for part in ("socket_left", "socket_right", "mouth_bag"):
        on_skin[head.parts[part].numpy()] = False
    return on_skin


def _tint_of(colors: Float[Array, "n 3"]) -> Tint | None:
    return Tint.of(colors) if len(colors) >= _A_FEW else None


def _features(colors: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
    luma = colors @ np.array([0.299, 0.587, 0.114])
    total = colors.sum(-1) + 0.05
    return np.stack([np.log(luma + 0.03), colors[:, 0] / total, colors[:, 1] / total], -1)


def _beside_jaw(picture: PosedPicture, head: Head, resting: Array, hair: Tint, skin: Tint) -> bool:
    """Tell whether hair hangs beside the jaw: a little outside the neck and cheeks."""
    low, high = _BESIDE_JAW
    rows = (resting[:, 1] > low) & (resting[:, 1] < high) & (resting[:, 2] > -75)
    vertices = head.vertices(picture.motion)[0]
    beside = []
    for side in (-1, 1):
        ids = np.flatnonzero(rows & (side * resting[:, 0] > 55) & _on_skin(head))
        moved = vertices[ids].clone()
        moved[:, 0] += side * 0.012
        beside.append(moved)
    points = torch.cat(beside)
    view = PhotoView.of(picture, points, torch.tensor([[0.0, 0.0, 1.0]]).expand_as(points), points)
    colors = view.colors[view.inside]
    if len(colors) < _ENOUGH:
        return False
    likely = hair.likeness(colors) * (1 - skin.likeness(colors))
    return bool(likely.mean() > 0.4)


def _iris_color(pose: PhotoPose) -> Float[Array, 3] | None:
    """The median color of both irises between pupil and rim, without highlights."""
    image = gaussian_filter(pose.picture.image.double().numpy(), (0.5, 0.5, 0))
    marks = pose.landmarks.double().numpy()
    found = []
    for ids in _IRISES:
        center, ring = marks[ids[0]], marks[list(ids[1:])]
        radius = np.linalg.norm(ring - center, axis=1).mean()
        if radius < 3.0:
            continue
        angle = np.linspace(-0.35, np.pi + 0.35, 48)  # its lower part: lids shade the upper
        for share in np.linspace(0.5, 0.8, 7):
            points = center + radius * share * np.stack([np.cos(angle), np.sin(angle)], -1)
            found.append(_read(image, points))
    if not found:
        return None
    colors = np.concatenate(found)
    luma = colors.sum(1)
    return np.asarray(np.median(colors[luma <= np.quantile(luma, 0.7)], 0))


def _read(image: Float[ndarray, "h w 3"], points: Float[ndarray, "n 2"]) -> Array:
    at = (points[:, ::-1] - 0.5).T
    planes = [
        map_coordinates(plane, at, order=1, mode="nearest") for plane in image.T.swapaxes(1, 2)
    ]
    return np.stack(planes, -1)
