"""Faces in photos: which are taken, where the head lies in them, and what is cut out."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from mien.arkit import EXPR_NAMES
from mien.avatar.photo_fit import fit_faces
from mien.avatar.photo_pose import crop_face, find_face, pose_photos, shrink
from mien.head import Head
from mien.motion import Motion
from mien.tracking.landmark_points import LandmarkPoints
from mien.tracking.staged import StagedLandmarker

SIZE = (400, 500)
PHOTO = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)


def staged(yaw: float = 0.0, smile: float = 0.0, **options: object) -> StagedLandmarker:
    motion = Motion.rest(1)
    motion.neck_pose[:, 1] = yaw
    motion.expr[:, EXPR_NAMES.index("mouthSmileLeft")] = smile
    motion = motion.replace(shape=LandmarkPoints.shipped().shape_mean)
    known = {"pixels": 90.0, "center": (190.0, 240.0)} | options
    return StagedLandmarker(motion, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (lambda: staged(lost=[0]), "no face was found"),
        (lambda: staged(others=1), "2 faces were found"),
        (lambda: staged(yaw=1.3), "must look toward the camera, at most 50 degrees"),
        (lambda: staged(pixels=12.0), "must be at least 48 pixels wide and high"),
    ],
)
def test_photos_without_one_clear_face_are_refused(
    stage: Callable[[], StagedLandmarker], message: str
) -> None:
    with pytest.raises(ValueError, match=f"me.jpg: .*{message}"):
        find_face(PHOTO, stage(), "me.jpg")


def test_a_face_far_behind_does_not_matter() -> None:
    class Passerby(StagedLandmarker):
        def _face(self, index, size, aside):  # type: ignore[no-untyped-def]
            return super()._face(index, size if size == 1 else 0.25, aside)

    stage = staged(others=1)
    stage.__class__ = Passerby
    assert find_face(PHOTO, stage, "me.jpg").area > 10_000


def test_the_head_lies_on_the_landmarks() -> None:
    faces = [staged(yaw, smile).find(PHOTO, 0.0)[0] for yaw, smile in ((0.0, 0.7), (0.5, 0.0))]
    fitted = fit_faces(faces, [SIZE, SIZE])
    for face, motion, camera, stray in zip(
        faces, fitted.motions, fitted.cameras, fitted.strays, strict=True
    ):
        vertices = Head.default().vertices(motion)[0]
        there = LandmarkPoints.shipped().gather(vertices) @ camera.viewmat[:3, :3].T
        flat = (there + camera.viewmat[:3, 3]) @ camera.K.T
        off = (flat[:, :2] / flat[:, 2:]).numpy() - face.landmarks[:, :2]
        assert np.median(np.linalg.norm(off, axis=1)) < 2.0  # pixels, of 90 between the eyes
        assert stray < 0.02
        assert motion.shape is not None and torch.equal(motion.shape, fitted.shape)
    smiles = [float(each.expr[0, EXPR_NAMES.index("mouthSmileLeft")]) for each in fitted.motions]
    assert smiles[0] > 0.45 > 0.15 > smiles[1]
    turned = fitted.motions[1].neck_pose - fitted.motions[0].neck_pose
    assert abs(float(turned[0, 1]) - 0.5) < 0.12


def test_fitting_wants_a_size_a_face() -> None:
    with pytest.raises(ValueError, match="a size for each, got 0 and 1"):
        fit_faces([], [SIZE])


def test_a_posed_photo_is_cut_with_its_camera_and_masked_within_the_face() -> None:
    photo = PHOTO.copy()
    marks = staged().find(PHOTO, 0.0)[0].landmarks[:, :2]
    nose = marks[4].round().astype(int)
    photo[nose[1] - 3 : nose[1] + 4, nose[0] - 3 : nose[0] + 4] = (255, 0, 0)
    (pose,) = pose_photos([photo], ["me.jpg"], lambda: _opened(staged()), side=256, crop_side=64)
    across, down = pose.landmarks[4].tolist()
    red = pose.picture.image[round(down), round(across)]
    assert float(red[0]) > 0.9 and float(red[1]) < 0.2
    assert float(pose.picture.mask[round(down), round(across)]) > 0.95
    assert float(pose.picture.mask[:20].max()) == 0 and float(pose.picture.mask.mean()) < 0.4
    assert pose.crop.shape == (3, 64, 64)
    assert pose.picture.motion.num_frames == 1 and pose.picture.camera.width == 256


def _opened(stage: StagedLandmarker):  # type: ignore[no-untyped-def]
    from contextlib import nullcontext

    return nullcontext(stage)


def test_a_crop_moves_with_the_face_and_keeps_flat_colors() -> None:
    down, across = torch.meshgrid(torch.arange(300.0), torch.arange(300.0), indexing="ij")
    image = torch.stack([across, down, across + down], -1) / 600
    marks = torch.tensor([[100.0, 100.0], [160.0, 120.0], [120.0, 180.0]])
    here = crop_face(image, marks, 32)
    moved = crop_face(image.roll((20, 30), (0, 1)), marks + torch.tensor([30.0, 20.0]), 32)
    assert torch.allclose(here, moved, atol=1e-5)
    flat = crop_face(torch.full((50, 60, 3), 0.25), torch.tensor([[0.0, 0.0], [59.0, 49.0]]), 48)
    assert torch.allclose(flat, torch.tensor(0.25), atol=1e-6)  # its edge goes on outside


def test_bytes_and_floats_are_cropped_alike() -> None:
    values = torch.arange(90 * 80 * 3).reshape(90, 80, 3).remainder(251).to(torch.uint8)
    marks = torch.tensor([[20.0, 20.0], [60.0, 70.0]])
    assert torch.allclose(
        crop_face(values, marks, 24), crop_face(values.float() / 255, marks, 24), atol=1e-6
    )


def test_a_smaller_picture_shows_the_same_at_the_same_place() -> None:
    (pose,) = pose_photos([PHOTO], ["me.jpg"], lambda: _opened(staged()), side=128, crop_side=32)
    small = shrink(pose.picture, 64)
    assert small.image.shape == (64, 64, 3) and small.camera.width == 64
    assert torch.allclose(small.camera.K[:2], pose.picture.camera.K[:2] / 2)
    coarse = pose.picture.mask.reshape(64, 2, 64, 2).mean((1, 3))
    assert float((small.mask - coarse).abs().max()) < 0.2
