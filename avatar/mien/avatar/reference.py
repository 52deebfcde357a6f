"""Gaussian splatting in plain torch: what every faster renderer is compared with.

Slow and short on purpose. The rules are gsplat's classic mode: an EWA projection blurred by
0.3 px^2, pixel centers at half integers, front-to-back blending by the depth of the centers.

Source:
    EWA splatting (Zwicker et al. 2001); 3D Gaussian Splatting (Kerbl et al. 2023,
    doi:10.1145/3592433); gsplat 1.5.3, `RasterizeToPixels3DGSFwd.cu` for the thresholds.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.gaussians import Gaussians
from mien.camera import Camera

# The kernels compile these in: numba notices a change only in the kernels' own file, so touch
# kernels.py (or empty its __pycache__) after changing one.
BLUR = 0.3  # px^2 added to the projected covariance
NEAR = 0.01  # metres; nearer Gaussians are not drawn
ALPHA_MIN = 1.0 / 255.0  # weaker contributions are skipped
ALPHA_MAX = 0.999
TRANSMITTANCE_MIN = 1e-4  # a pixel that would fall to this or below is finished before


class Projected(NamedTuple):
    """Gaussians on the image plane: `means2d [N,2]` px, `conics [N,2,2]` 1/px^2, `depths [N]`."""

    means2d: Float[Tensor, "n 2"]
    conics: Float[Tensor, "n 2 2"]
    depths: Float[Tensor, " n"]


def quat_to_rotmat(quats: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    """Gives the rotation matrices of wxyz quaternions of any non-zero length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def project(gaussians: Gaussians, camera: Camera) -> Projected:
    """Projects Gaussians by the first-order (EWA) approximation of the perspective.

    As in gsplat, the ray inside the Jacobian is held to the image and 15 % of its size around
    it, so that Gaussians far off the image do not blow up.
    """
    like = gaussians.means
    view, intrinsics = camera.viewmat.to(like), camera.K.to(like)
    fx, fy = intrinsics[0, 0], intrinsics[1, 1]
    cx, cy = intrinsics[0, 2], intrinsics[1, 2]
    x, y, z = (gaussians.means @ view[:3, :3].T + view[:3, 3]).unbind(-1)
    spread_x, spread_y = 0.15 * camera.width / fx, 0.15 * camera.height / fy
    u = (x / z).clamp(-cx / fx - spread_x, (camera.width - cx) / fx + spread_x)
    v = (y / z).clamp(-cy / fy - spread_y, (camera.height - cy) / fy + spread_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [
            torch.stack([fx / z, zero, -fx * u / z], -1),
            torch.stack([zero, fy / z, -fy * v / z], -1),
        ],
        -2,
    )
    axes = quat_to_rotmat(gaussians.quats) * gaussians.scales[:, None, :]
    half = jacobian @ view[:3, :3] @ axes  # [N, 2, 3]
    covariance = half @ half.mT + BLUR * torch.eye(2).to(like)
    means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)
    return Projected(means2d, torch.linalg.inv(covariance), z)


def rasterize(
    gaussians: Gaussians, camera: Camera, features: Float[Tensor, "n c"]
) -> tuple[Float[Tensor, "h w c"], Float[Tensor, "h w"]]:
    """Projects Gaussians and blends `features` front to back.

    Returns:
        The blended features over black, and alpha (one minus what shines through).
    """
    projected = project(gaussians, camera)
    return blend(projected, gaussians.opacities, features, camera.width, camera.height)


def blend(
    projected: Projected,
    opacities: Float[Tensor, " n"],
    features: Float[Tensor, "n c"],
    width: int,
    height: int,
) -> tuple[Float[Tensor, "h w c"], Float[Tensor, "h w"]]:
    """Blends `features` of projected Gaussians front to back, as `rasterize`."""
    means2d, conics, depths = projected
    rows = torch.arange(height).to(means2d) + 0.5
    columns = torch.arange(width).to(means2d) + 0.5
    blended = means2d.new_zeros(height, width, features.shape[1])
    through = means2d.new_ones(height, width)
    finished = torch.zeros_like(through, dtype=torch.bool)
    for i in torch.argsort(depths, stable=True).tolist():
        if depths[i] < NEAR:
            continue
        dx, dy = columns[None, :] - means2d[i, 0], rows[:, None] - means2d[i, 1]
        (a, b), (_, c) = conics[i]
        alpha = opacities[i] * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
        alpha = alpha.clamp(max=ALPHA_MAX)
        drawn = (alpha >= ALPHA_MIN) & ~finished
        finished |= drawn & (through * (1 - alpha) <= TRANSMITTANCE_MIN)
        weight = torch.where(drawn & ~finished, alpha, 0.0) * through
        blended = blended + weight[..., None] * features[i]
        through = through - weight
    return blended, 1 - through


def draw(
    gaussians: Gaussians,
    camera: Camera,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    harmonics: Float[Tensor, "n k 3"] | None = None,
) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Draws image, alpha and depth as `mien.avatar.render` does, differentiable in any dtype."""
    colors = gaussians.colors if harmonics is None else _seen(gaussians, camera, harmonics)
    depths = project(gaussians, camera).depths[:, None]
    blended, alpha = rasterize(gaussians, camera, torch.cat([colors, depths], -1))
    behind = (1 - alpha)[..., None] * blended.new_tensor(background)
    return blended[..., :3] + behind, alpha, blended[..., 3] / alpha.clamp(min=1e-10)


def _seen(gaussians: Gaussians, camera: Camera, harmonics: Tensor) -> Tensor:
    eye = torch.linalg.inv(camera.viewmat.double())[:3, 3].to(gaussians.means)
    return (spherical_harmonics(harmonics, gaussians.means - eye) + 0.5).clamp_min(0)


def spherical_harmonics(
    coefficients: Float[Tensor, "n k 3"], directions: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """Sums real spherical harmonics of degree 0 to 3 (K = 1, 4, 9 or 16) toward `directions`."""
    x, y, z = torch.nn.functional.normalize(directions, dim=-1).unbind(-1)
    ring, flat = 5 * z * z - 1, x * x - y * y
    bases = [
        *(torch.ones_like(x) / 2, -y, z, -x),
        *(2 * x * y, -2 * y * z, 3 * z * z - 1, -2 * x * z, flat),
        *(-y * (3 * x * x - y * y), 2 * x * y * z, -y * ring, z * (5 * z * z - 3)),
        *(-x * ring, z * flat, -x * (x * x - 3 * y * y)),
    ]
    squares = [1, *[3 / 4] * 3, *[15 / 16] * 2, 5 / 16, *[15 / 16] * 2]
    squares += [35 / 32, 105 / 16, 21 / 32, 7 / 16, 21 / 32, 105 / 16, 35 / 32]
    norms = [math.sqrt(square / math.pi) for square in squares]
    weighted = [norm * basis for norm, basis in zip(norms, bases, strict=True)]
    kept = torch.stack(weighted[: coefficients.shape[-2]], -1)
    return (kept[..., None] * coefficients).sum(-2)
