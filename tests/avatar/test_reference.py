import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from mien.avatar import reference
from mien.avatar.gaussians import Gaussians
from mien.avatar.phantom import phantom
from mien.camera import Camera

CAMERA = Camera.portrait(40, 33, yaw=0.4, pitch=-0.2)


def dot(
    mean: tuple[float, float, float], scale: float, opacity: float, color: float = 1.0
) -> Gaussians:
    return Gaussians(
        torch.tensor([mean]).double(),
        torch.tensor([[1.0, 0, 0, 0]]).double(),
        torch.full((1, 3), scale).double(),
        torch.tensor([opacity]).double(),
        torch.full((1, 3), color).double(),
    )


def straight(width: int = 9, height: int = 9, focal: float = 100.0) -> Camera:
    intrinsics = [[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]
    return Camera(torch.eye(4), torch.tensor(intrinsics), width, height)


def draw(gaussians: Gaussians, camera: Camera) -> tuple[Tensor, Tensor]:
    return reference.rasterize(gaussians, camera, gaussians.colors)


def test_one_gaussian_has_the_alpha_of_the_formula() -> None:
    # 0.02 m at 1 m under f = 100 px is a standard deviation of 2 px, blurred by 0.3 px^2.
    _, alpha = draw(dot((0, 0, 1), 0.02, 0.8), straight())
    across = (torch.arange(9).double() - 4) ** 2
    expected = 0.8 * torch.exp(-0.5 * (across[:, None] + across[None, :]) / (4 + 0.3))
    expected[expected < 1 / 255] = 0
    torch.testing.assert_close(alpha, expected, rtol=1e-5, atol=1e-8)


def test_the_nearer_gaussian_covers_the_farther_whatever_their_order() -> None:
    near, far = dot((0, 0, 1), 0.02, 0.75, 1.0), dot((0, 0, 2), 0.04, 0.5, 0.2)
    image, alpha = draw(Gaussians.concatenate([far, near]), straight())
    assert float(image[4, 4, 0]) == pytest.approx(0.75 + 0.25 * 0.5 * 0.2)
    assert float(alpha[4, 4]) == pytest.approx(1 - 0.25 * 0.5)


def test_a_gaussian_behind_the_near_plane_is_not_drawn() -> None:
    assert float(draw(dot((0, 0, 0.009), 0.02, 0.9), straight())[1].max()) == 0
    assert float(draw(dot((0, 0, -1), 0.02, 0.9), straight())[1].max()) == 0


def test_alpha_stops_at_its_limit_and_a_full_pixel_takes_no_more() -> None:
    one = dot((0, 0, 1), 0.05, 1.0)
    _, alpha = draw(one, straight())
    assert float(alpha[4, 4]) == pytest.approx(reference.ALPHA_MAX)
    # A second one would leave 1e-6, below the limit: it is not drawn at all.
    _, alpha = draw(Gaussians.concatenate([one, one]), straight())
    assert float(alpha[4, 4]) == pytest.approx(reference.ALPHA_MAX)


def test_turning_the_world_and_the_camera_together_changes_nothing() -> None:
    from mien.rotations import quat_multiply, rotmat_to_quat, rotvec_to_rotmat

    shell = phantom(200).to(dtype=torch.float64)
    turn = rotvec_to_rotmat(torch.tensor([0.3, -1.1, 0.7]).double())
    view = CAMERA.viewmat.double()
    turned_view = view.clone()
    turned_view[:3, :3] = view[:3, :3] @ turn.T
    turned = Gaussians(
        shell.means @ turn.T,
        quat_multiply(rotmat_to_quat(turn).expand(200, 4), shell.quats),
        shell.scales,
        shell.opacities,
        shell.colors,
    )
    camera = Camera(turned_view, CAMERA.K, CAMERA.width, CAMERA.height)
    torch.testing.assert_close(draw(turned, camera)[0], draw(shell, CAMERA)[0], rtol=0, atol=1e-6)


def test_gradients_agree_with_finite_differences() -> None:
    pair = Gaussians.concatenate([dot((0.01, 0, 1), 0.02, 0.7, 0.3), dot((0, 0, 1.2), 0.03, 0.5)])
    camera = straight(5, 4)
    turned = torch.tensor([[0.9, 0.1, -0.2, 0.3], [1.1, -0.3, 0.2, 0.1]]).double()
    stretched = pair.scales * torch.tensor([1.0, 0.6, 1.4]).double()

    def draw_with(*parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shell = Gaussians(*[*parts[:4], pair.colors])
        return reference.draw(shell, camera, (0.1, 0.2, 0.3), parts[4])

    harmonics = torch.linspace(-2, 2, 2 * 4 * 3).sin().double().reshape(2, 4, 3)
    leaves = [
        t.clone().requires_grad_()
        for t in (pair.means, turned, stretched, pair.opacities, harmonics)
    ]
    assert torch.autograd.gradcheck(draw_with, leaves)


@pytest.fixture(scope="module")
def gsplat_torch() -> Any:
    """gsplat's own torch reference; its import may warn about a missing CUDA toolkit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("gsplat.cuda._torch_impl")


@pytest.mark.parity
def test_projection_agrees_with_gsplat(gsplat_torch: Any) -> None:
    shell = phantom(300).to(dtype=torch.float64)
    covariances, _ = gsplat_torch._quat_scale_to_covar_preci(
        shell.quats, shell.scales, compute_preci=False
    )
    _, means2d, depths, conics, _ = gsplat_torch._fully_fused_projection(
        shell.means,
        covariances,
        CAMERA.viewmat.double()[None],
        CAMERA.K.double()[None],
        CAMERA.width,
        CAMERA.height,
    )
    ours = reference.project(shell, CAMERA)
    torch.testing.assert_close(ours.means2d, means2d[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ours.depths, depths[0], rtol=1e-9, atol=1e-9)
    triangle = torch.stack([ours.conics[:, 0, 0], ours.conics[:, 0, 1], ours.conics[:, 1, 1]], -1)
    torch.testing.assert_close(triangle, conics[0], rtol=1e-7, atol=1e-9)


@pytest.mark.parity
def test_projection_agrees_with_gsplat_off_the_image(gsplat_torch: Any) -> None:
    """Where the ray inside the Jacobian is held to 15 % around the image."""
    wide = phantom(200).to(dtype=torch.float64)
    wide = Gaussians(wide.means * 9, wide.quats, wide.scales * 9, wide.opacities, wide.colors)
    covariances, _ = gsplat_torch._quat_scale_to_covar_preci(
        wide.quats, wide.scales, compute_preci=False
    )
    _, means2d, _, conics, _ = gsplat_torch._fully_fused_projection(
        wide.means,
        covariances,
        CAMERA.viewmat.double()[None],
        CAMERA.K.double()[None],
        CAMERA.width,
        CAMERA.height,
    )
    ours = reference.project(wide, CAMERA)
    seen = ours.depths > reference.NEAR
    beyond = (means2d[0][seen][:, 0] - 20).abs() > 0.65 * 40
    assert 0 < int(beyond.sum()) < int(seen.sum())
    torch.testing.assert_close(
        ours.conics[seen][:, 0, 0], conics[0][seen][:, 0], rtol=1e-6, atol=1e-9
    )


@pytest.mark.parity
def test_rotations_agree_with_gsplat(gsplat_torch: Any) -> None:
    angles = torch.linspace(0, math.pi, 20).double()
    quats = torch.stack([angles.cos(), angles.sin(), angles / 9, -(angles**2)], -1)
    torch.testing.assert_close(
        reference.quat_to_rotmat(quats), gsplat_torch._quat_to_rotmat(quats), rtol=1e-9, atol=1e-12
    )
