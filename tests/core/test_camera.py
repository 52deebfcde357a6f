import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor

from mien.camera import Camera


def project(camera: Camera, points: Tensor) -> Tensor:
    """Pixels of world points, `[N, 2]`."""
    seen = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    image = seen @ camera.K.T
    return image[:, :2] / image[:, 2:]


def test_the_target_is_in_the_middle_and_up_is_up() -> None:
    camera = Camera.look_at((0.3, 0.2, 1.0), (0.0, 0.1, 0.0), width=640, height=480)
    pixels = project(camera, torch.tensor([[0.0, 0.1, 0.0], [0.0, 0.15, 0.0]]))
    torch.testing.assert_close(pixels[0], torch.tensor([320.0, 240.0]))
    assert pixels[1, 1] < 240 and abs(float(pixels[1, 0]) - 320) < 2


def test_the_view_is_a_rigid_motion() -> None:
    camera = Camera.portrait(yaw=0.7, pitch=-0.3)
    rotmat = camera.viewmat[:3, :3].double()
    torch.testing.assert_close(rotmat @ rotmat.T, torch.eye(3).double(), rtol=0, atol=1e-6)
    assert torch.linalg.det(rotmat) > 0


def test_the_subjects_left_is_on_the_viewers_right() -> None:
    pixels = project(Camera.portrait(), torch.tensor([[0.05, 0.0, 0.05], [-0.05, 0.0, 0.05]]))
    assert pixels[0, 0] > 256 > pixels[1, 0]


def test_field_of_view_is_the_height_of_the_image() -> None:
    camera = Camera.look_at((0.0, 0.0, 2.0), (0.0, 0.0, 0.0), fov_deg=30.0, width=100, height=200)
    top = torch.tensor([[0.0, 2 * math.tan(math.radians(15.0)), 0.0]])
    torch.testing.assert_close(
        project(camera, top), torch.tensor([[50.0, 0.0]]), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize(("width", "height"), [(512, 512), (512, 768), (768, 512)])
@pytest.mark.parametrize("yaw", [-0.6, 0.0, 0.6])
def test_a_portrait_holds_the_default_head(width: int, height: int, yaw: float) -> None:
    from mien.head import Head

    head = Head.default()
    neck = head.v_template[:, 1] < -0.15
    pixels = project(Camera.portrait(width, height, yaw=yaw), head.v_template[~neck])
    assert pixels.min() > 0 and (pixels.max(0).values < torch.tensor([width, height])).all()
    assert (pixels.max(0).values - pixels.min(0).values).max() > 0.5 * min(width, height)


def test_a_smaller_head_looks_the_same_size() -> None:
    points = torch.tensor([[0.05, 0.03, 0.04], [0.0, -0.1, 0.05]])
    adult = project(Camera.portrait(), points)
    infant = project(Camera.portrait(head_scale=0.6), 0.6 * points)
    torch.testing.assert_close(infant, adult)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Camera.look_at((0.0, 0.0, 1.0), (0.0, 0.0, 1.0)), "Cannot look from"),
        (lambda: Camera.look_at((0.0, 1.0, 0.0), (0.0, 0.0, 0.0)), "Cannot look from"),
        (lambda: Camera.look_at((0.0, 0.0, 1.0), (0.0,) * 3, fov_deg=180.0), "must be between"),
        (lambda: Camera(torch.eye(3), torch.eye(3), 8, 8), r"needs `viewmat` \[4, 4\]"),
        (lambda: Camera(torch.eye(4), torch.eye(3), 0, 8), "must have pixels, got 0x8"),
    ],
)
def test_cameras_that_cannot_be_are_refused(
    make: Callable[[], Camera],
    message: str,
    refuses: Callable[[str], AbstractContextManager[None]],
) -> None:
    with refuses(message):
        make()
