"""`create_avatar`: from one or more photos of a person to the person's avatar."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.encoder import Encoded
from mien.avatar.encoder_file import LoadedEncoder, load_encoder
from mien.avatar.finer import moved_by, still_size
from mien.avatar.learned_file import rounded
from mien.avatar.lift import lift
from mien.avatar.photo_colors import measure_palette
from mien.avatar.photo_file import read_photo
from mien.avatar.photo_pose import (
    CROP_SIDE,
    LandmarkerMaker,
    PhotoPose,
    find_faces,
    pose_faces,
    shrink,
)
from mien.avatar.photo_start import paint_start
from mien.avatar.pictures import PosedPicture
from mien.avatar.prepared import Prepared
from mien.avatar.refine import refine
from mien.avatar.render import render
from mien.avatar.sizes import DecoderSize, photo_size
from mien.avatar.starts import start_from
from mien.avatar.unfolding import keep_lids
from mien.head import Head

SHIPPED_ENCODER = Path(__file__).parent / "weights" / "encoder"
MOST_PHOTOS = 16
_LAID = ("position", "rotation")  # discs lie on the skin; few views teach how, and gaps open
_REFINED_SIDE = 320  # pixels: about a texel of the face each


def find_encoder(folder: str | Path | None = None) -> Path | None:
    """Give the folder of a trained encoder: the one named, else the shipped one, if there is one.

    Raises:
        ValueError: If the named folder is not there.
    """
    if folder is None:
        return SHIPPED_ENCODER if SHIPPED_ENCODER.is_dir() else None
    if not Path(folder).is_dir():
        raise ValueError(f"There is no encoder's folder {str(folder)!r}.")
    return Path(folder)


def create_avatar(
    photos: Sequence[str | Path],
    landmarker: LandmarkerMaker,
    encoder: str | Path | None = None,
    steps: int = 20,
    name: str = "photo",
    say: Callable[[str], None] = lambda text: None,
) -> Avatar:
    """Make the avatar of the one person that some photos show.

    The head is fitted to all photos. The maps begin as a painting in the photos' colors; then
    colors are lifted from the photos, and the maps refined on them. With an encoder, its network
    moves them, by what the encoder sees in the photos.

    Args:
        photos: Files, see `read_photo`.
        landmarker: Makes what finds faces, anew for each photo.
        encoder: Folder of a trained encoder; None takes the shipped one, if there is one.
        steps: Of the refinement; 0 for none.
        name: Of the avatar.
        say: Is told what is being done.

    Raises:
        ValueError: If a photo cannot be used, or the encoder's folder is damaged.
    """
    if not 1 <= len(photos) <= MOST_PHOTOS:
        raise ValueError(f"An avatar takes 1 to {MOST_PHOTOS} photos, got {len(photos)}.")
    if steps < 0:
        raise ValueError(f"`steps` must be 0 or more, got {steps}.")
    folder = find_encoder(encoder)
    loaded = None if folder is None else load_encoder(folder)
    images = [read_photo(path) for path in photos]
    names = [str(path) for path in photos]
    faces = find_faces(images, names, landmarker)
    say("fitting the head")
    crop_side = CROP_SIDE if loaded is None else loaded.encoder.size.photo_side
    poses = pose_faces(images, faces, names, name, crop_side=crop_side)
    say("painting a start in the photo's colors")
    start = _start(poses[0], None if loaded is None else loaded.decoder, name)
    say("lifting the photo's colors")
    pictures = [_with_gaze(start, pose.picture) for pose in poses]
    made = lift(start, pictures)
    if steps:
        say("refining")
        smaller = [
            shrink(picture, min(_REFINED_SIDE, picture.camera.width)) for picture in pictures
        ]
        composed = [compose(made, picture) for picture in smaller]
        refined = refine(made, composed, steps, kept=_LAID)
        made = keep_lids(made, refined)
    if loaded is None:
        say("nothing moves within the maps, since there is no trained encoder")
    else:
        made = moved_by(made, loaded.unet, loaded.decoder, _features(poses, loaded))
    moved = "" if loaded is None else ", a trained encoder"
    made_by = f"mien avatar create: {len(photos)} photos{moved}, {steps} steps"
    return rounded(dataclasses.replace(made, name=name, made_by=made_by))


@torch.no_grad()
def _start(pose: PhotoPose, moving: DecoderSize | None, name: str) -> Avatar:
    """A painting as maps that nothing moves; `moving` is the size of what will move them."""
    shape = pose.picture.motion.shape
    assert shape is not None, "fitted motions carry the identity"
    painted = paint_start(shape, measure_palette(pose, Head.default()), name)
    return start_from(painted, photo_size() if moving is None else still_size(moving))


@torch.no_grad()
def _features(poses: Sequence[PhotoPose], loaded: LoadedEncoder) -> Float[Tensor, "f s s"]:
    """What an encoder tells its network of the person in the photos."""
    read: Encoded = loaded.encoder(torch.stack([pose.crop for pose in poses])[None])
    return read.features[0]


def _with_gaze(avatar: Avatar, picture: PosedPicture) -> PosedPicture:
    """Take from a motion the turn of the eyes that the avatar adds to every motion."""
    added = Prepared.of(avatar.head, avatar.shape, avatar.splats, {}).gaze
    motion = picture.motion.replace(eye_pose=picture.motion.eye_pose - added)
    return dataclasses.replace(picture, motion=motion)


@torch.no_grad()
def compose(avatar: Avatar, picture: PosedPicture) -> PosedPicture:
    """Complete a picture beyond its mask by the avatar itself, so that nothing there changes."""
    drawn = render(next(avatar.drive(picture.motion, picture.camera)), picture.camera)
    alpha = drawn.alpha.clamp(0, 1)
    own: Float[Tensor, "h w 3"] = drawn.image / alpha.unsqueeze(-1).clamp_min(1e-3)
    inside = picture.mask.unsqueeze(-1)
    image = inside * picture.image + (1 - inside) * own.clamp(0, 1)
    mask = torch.maximum(alpha, picture.mask)
    return dataclasses.replace(picture, image=image.clamp(0, 1), mask=mask)
