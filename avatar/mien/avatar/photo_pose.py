"""One person's photos, posed: the face found, the head fitted to it, the picture cut out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.spatial import ConvexHull
from torch import Tensor

from mien.avatar.photo_fit import fit_faces
from mien.avatar.pictures import PosedPicture
from mien.camera import Camera
from mien.tracking import Face, FaceLandmarker

LandmarkerMaker = Callable[[], AbstractContextManager[FaceLandmarker]]

PICTURE_SIDE = 512  # pixels
CROP_SIDE = 160
_ROOM, _CROP_ROOM, _HIGHER = 2.3, 1.7, 0.12  # of the landmarks' box; share of it to go up
_LEAST_FACE = 48.0  # pixels, of the landmarks' box
_MOST_YAW_DEG, _MOST_PITCH_DEG = 50.0, 40.0
_OTHER_FACE = 0.1  # of the largest face's area: from there on, whose face is meant is unclear
_MOST_STRAY = 0.1  # interpupillary distances, the median landmark
_EDGE = 0.02  # of the picture, the mask's soft edge


@dataclass(frozen=True, eq=False)
class PhotoPose:
    """A photo of which is known where the head is.

    Attributes:
        picture: The head and some room around it; its mask is the face within its landmarks.
        crop: The face as a photo encoder takes it, sRGB.
        landmarks: In `picture`, pixels.
        stray: How far the landmarks lie from the mesh's, the median, interpupillary distances.
    """

    picture: PosedPicture
    crop: Float[Tensor, "3 s s"]
    landmarks: Float[Tensor, "478 2"]
    stray: float


def find_face(photo: UInt8[ndarray, "h w 3"], landmarker: FaceLandmarker, name: str) -> Face:
    """Find the one face of a photo.

    Args:
        photo: sRGB.
        landmarker: Finds faces.
        name: Of the photo, for messages.

    Raises:
        ValueError: If there is no face, or several, or it is too small or too far turned away.
    """
    found = landmarker.find(photo, 0.0)
    if not found:
        raise ValueError(f"{name}: no face was found; give a photo of a face seen from the front.")
    face = max(found, key=lambda each: each.area)
    others = [each for each in found if each is not face and each.area > _OTHER_FACE * face.area]
    if others:
        raise ValueError(
            f"{name}: {1 + len(others)} faces were found; give a photo of one person, or cut it."
        )
    width, height = np.ptp(face.landmarks[:, :2], axis=0)
    if min(width, height) < _LEAST_FACE:
        raise ValueError(
            f"{name}: the face must be at least {_LEAST_FACE:g} pixels wide and high, "
            f"got {width:.0f}x{height:.0f}."
        )
    _check_turn(face, name)
    return face


def _check_turn(face: Face, name: str) -> None:
    forward = face.world_from_head[:, 2]
    yaw = abs(math.degrees(math.atan2(forward[0], forward[2])))
    pitch = abs(math.degrees(math.asin(max(-1.0, min(1.0, float(forward[1]))))))
    if yaw > _MOST_YAW_DEG or pitch > _MOST_PITCH_DEG:
        raise ValueError(
            f"{name}: the face must look toward the camera, at most {_MOST_YAW_DEG:g} degrees "
            f"aside and {_MOST_PITCH_DEG:g} up or down, got {yaw:.0f} and {pitch:.0f}."
        )


def pose_photos(
    photos: Sequence[UInt8[ndarray, "h w 3"]],
    names: Sequence[str],
    landmarker: LandmarkerMaker,
    identity: str = "person",
    side: int = PICTURE_SIDE,
    crop_side: int = CROP_SIDE,
) -> list[PhotoPose]:
    """Pose photos of one person.

    Args:
        photos: sRGB.
        names: Of the photos, for messages.
        landmarker: Makes one that knows nothing of other photos.
        identity: Name of the person.
        side: Of the pictures, pixels.
        crop_side: Of the crops, pixels.

    Raises:
        ValueError: As `find_face`, or if the head cannot be fitted to a face.
    """
    return pose_faces(
        photos, find_faces(photos, names, landmarker), names, identity, side, crop_side
    )


def find_faces(
    photos: Sequence[UInt8[ndarray, "h w 3"]], names: Sequence[str], landmarker: LandmarkerMaker
) -> list[Face]:
    """Find the face of each photo; see `find_face`."""
    faces = []
    for photo, name in zip(photos, names, strict=True):
        with landmarker() as finder:
            faces.append(find_face(photo, finder, name))
    return faces


def pose_faces(
    photos: Sequence[UInt8[ndarray, "h w 3"]],
    faces: Sequence[Face],
    names: Sequence[str],
    identity: str = "person",
    side: int = PICTURE_SIDE,
    crop_side: int = CROP_SIDE,
) -> list[PhotoPose]:
    """Pose photos of one person, whose face in each is known; see `pose_photos`."""
    fitted = fit_faces(faces, [(photo.shape[1], photo.shape[0]) for photo in photos])
    found = []
    for row, (photo, name) in enumerate(zip(photos, names, strict=True)):
        stray = fitted.strays[row]
        if stray > _MOST_STRAY:
            raise ValueError(
                f"{name}: the head does not fit the face; its landmarks lie {stray:.2f} eye "
                f"distances off, at most {_MOST_STRAY:g} is used."
            )
        image = torch.from_numpy(np.array(photo))
        marks = torch.from_numpy(faces[row].landmarks[:, :2]).float()
        box = _square(marks, _ROOM)
        placed = (marks - marks.new_tensor(box[:2])) * (side / box[2])
        picture = PosedPicture(
            _cut(image, box, side).permute(1, 2, 0),
            _face_mask(placed, side),
            _cut_camera(fitted.cameras[row], box, side),
            fitted.motions[row],
            identity,
        )
        found.append(PhotoPose(picture, crop_face(image, marks, crop_side), placed, stray))
    return found


def crop_face(image: Tensor, landmarks: Float[Tensor, "k 2"], side: int) -> Float[Tensor, "3 s s"]:
    """Cut a square around a face, as a photo encoder takes it: from the hair to the neck.

    Beyond the image its edge is repeated.

    Args:
        image: `[h, w, 3]`, sRGB, of bytes, or of floats from 0 to 1.
        landmarks: Of the face, MediaPipe's 478 (or all that lie on the outline), pixels.
        side: Pixels.
    """
    return _cut(image, _square(landmarks, _CROP_ROOM), side)


def shrink(picture: PosedPicture, side: int) -> PosedPicture:
    """Give a square picture at a smaller size."""
    camera = picture.camera
    planes = torch.cat([picture.image.permute(2, 0, 1), picture.mask[None]])[None]
    small = torch.nn.functional.interpolate(planes, (side, side), mode="bilinear", antialias=True)[
        0
    ].clamp(0, 1)
    K = camera.K.clone()
    K[:2] *= side / camera.width
    return dataclasses.replace(
        picture,
        image=small[:3].permute(1, 2, 0),
        mask=small[3],
        camera=Camera(camera.viewmat, K, side, side),
    )


def _square(landmarks: Float[Tensor, "k 2"], room: float) -> tuple[float, float, float]:
    """Left and upper edge and side of a square around landmarks, pixels."""
    low, high = landmarks.min(0).values, landmarks.max(0).values
    size = float((high - low).max())
    middle_x, middle_y = ((low + high) / 2).tolist()
    half = room * size / 2
    return middle_x - half, middle_y - _HIGHER * size - half, 2 * half


def _cut(image: Tensor, box: tuple[float, float, float], side: int) -> Float[Tensor, "3 s s"]:
    """A square of an image at another size, smoothed where it shrinks."""
    values = image.float() / 255 if image.dtype == torch.uint8 else image.float()
    left, top, size = box
    low_x, low_y = math.floor(left), math.floor(top)
    count = math.ceil(size) + 2
    columns = torch.arange(low_x, low_x + count).clamp(0, image.shape[1] - 1)
    rows = torch.arange(low_y, low_y + count).clamp(0, image.shape[0] - 1)
    part = values[rows][:, columns].permute(2, 0, 1)[None]
    scale = side / size
    if scale < 1:
        sigma = 0.45 * (1 / scale - 1) + 1e-3
        smooth = gaussian_filter(part.numpy(), (0, 0, sigma, sigma), mode="nearest", truncate=2.5)
        part = torch.from_numpy(smooth)
    steps = (torch.arange(side) + 0.5) / scale
    across, down = ((steps + start) * 2 / count - 1 for start in (left - low_x, top - low_y))
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1)[None]
    read = torch.nn.functional.grid_sample(
        part, grid.to(part), padding_mode="border", align_corners=False
    )
    return read[0].clamp(0, 1)


def _cut_camera(camera: Camera, box: tuple[float, float, float], side: int) -> Camera:
    left, top, size = box
    K = camera.K.clone()
    K[0, 2] -= left
    K[1, 2] -= top
    K[:2] *= side / size
    return Camera(camera.viewmat, K, side, side)


def _face_mask(landmarks: Float[Tensor, "478 2"], side: int) -> Float[Tensor, "h w"]:
    """1 within the outline of a face's landmarks, falling off to its edge."""
    from PIL import Image, ImageDraw

    points = landmarks.double().numpy()
    outline = [tuple(points[corner]) for corner in ConvexHull(points).vertices]
    canvas = Image.new("L", (side, side))
    ImageDraw.Draw(canvas).polygon(outline, fill=1)
    inside = np.asarray(canvas) > 0
    reach = max(1, round(_EDGE * side))
    core = binary_erosion(inside, iterations=reach)
    soft = gaussian_filter(core.astype(np.float32), reach / 2)
    return torch.from_numpy(np.clip(soft * inside, 0, 1)).float()
