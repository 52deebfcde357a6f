"""Draws Gaussians: on CUDA through gsplat, elsewhere through our compiled kernels."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.gaussians import Gaussians
from mien.avatar.reference import BLUR, NEAR
from mien.avatar.workers import count_threads, thread_pool
from mien.camera import Camera

Color = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Image:
    """A drawn frame, or one of each of C cameras.

    Attributes:
        image: Display-referred sRGB over the background, 0 to 1 where the colors are.
        alpha: What the Gaussians cover, 0 to 1.
        depth: Mean distance along the camera's axis weighted by coverage, metres, 0 where
            nothing is; None unless asked for.
    """

    image: Float[Tensor, "*c h w 3"]
    alpha: Float[Tensor, "*c h w"]
    depth: Float[Tensor, "*c h w"] | None = None


def render(
    gaussians: Gaussians,
    camera: Camera,
    background: Color = (0.0, 0.0, 0.0),
    *,
    harmonics: Float[Tensor, "n k 3"] | None = None,
    with_depth: bool = False,
    num_threads: int | None = None,
) -> Image:
    """Draws one frame, as fast as it comes; all else as in `render_cameras`."""
    drawn = render_cameras(
        gaussians,
        [camera],
        background,
        harmonics=harmonics,
        with_depth=with_depth,
        num_threads=num_threads,
    )
    return Image(drawn.image[0], drawn.alpha[0], None if drawn.depth is None else drawn.depth[0])


def render_cameras(
    gaussians: Gaussians,
    cameras: Sequence[Camera],
    background: Color = (0.0, 0.0, 0.0),
    *,
    harmonics: Float[Tensor, "n k 3"] | None = None,
    with_depth: bool = False,
    num_threads: int | None = None,
) -> Image:
    """Draws the same Gaussians from C cameras in one call, the same as `render` one by one.

    Image, alpha and depth are differentiable by everything that makes the Gaussians, and by
    `harmonics`; on a CPU, in float32, once, and not by the cameras.

    Args:
        gaussians: What to draw; their device decides who draws.
        cameras: From where; of one size.
        background: Shows where the Gaussians do not cover; sRGB, 0 to 1.
        harmonics: Coefficients of real spherical harmonics, K of 1, 4, 9 or 16. Where given,
            half more than their sum toward the Gaussian, not below 0, takes the place of its
            color, as in 3D Gaussian Splatting.
        with_depth: Draw depth as well.
        num_threads: CPU only; None takes `torch.get_num_threads()`.

    Returns:
        Pictures with the cameras before all other dimensions.

    Raises:
        ValueError: If the device has no renderer, there is no camera or their sizes differ,
            `harmonics` has another shape, or `num_threads` is below 1.
    """
    _check_cameras(cameras)
    if harmonics is not None:
        _check_harmonics(harmonics, len(gaussians))
    if gaussians.means.is_cuda:
        return _render_gsplat(gaussians, cameras, background, harmonics, with_depth)
    if not gaussians.means.is_cpu:
        raise ValueError(
            f"`gaussians` must be on a CPU or a CUDA device, got {gaussians.device}; "
            "move them with `gaussians.to(...)`."
        )
    from mien.avatar import drawing

    threads = count_threads(num_threads)
    *parts, colors = vars(gaussians).values()
    if harmonics is None:
        colors = colors[None]
    else:
        from mien.avatar.harmonics import view_colors

        viewmats = torch.stack([camera.viewmat for camera in cameras])
        colors = view_colors(harmonics, gaussians.means, viewmats, threads)
    return Image(*drawing.draw([*parts, colors], cameras, background, with_depth, threads))


def render_frames(
    frames: Iterable[Gaussians],
    camera: Camera,
    background: Color = (0.0, 0.0, 0.0),
    *,
    with_depth: bool = False,
    num_threads: int | None = None,
) -> Iterator[Image]:
    """Draws many frames from one camera, in order, the same as `render` frame by frame.

    On a CPU each thread draws a frame of its own, so no stage waits for another: more frames a
    second than `render`, at the price of a few frames of latency. Frames are taken from
    `frames` as they are drawn, never more than `num_threads + 1` ahead of what is yielded.
    """
    threads = count_threads(num_threads)
    waiting: deque[Future[Image]] = deque()

    def draw(gaussians: Gaussians, with_gradients: bool) -> Image:
        with torch.set_grad_enabled(with_gradients):  # a thread has its own mode
            return render(gaussians, camera, background, with_depth=with_depth, num_threads=1)

    for gaussians in frames:
        if gaussians.means.is_cuda or threads == 1:
            yield draw(gaussians, torch.is_grad_enabled())
            continue
        waiting.append(thread_pool(threads).submit(draw, gaussians, torch.is_grad_enabled()))
        if len(waiting) > threads:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _check_cameras(cameras: Sequence[Camera]) -> None:
    sizes = sorted({(camera.width, camera.height) for camera in cameras})
    if len(sizes) != 1:
        found = ", ".join(f"{width}x{height}" for width, height in sizes) or "none"
        raise ValueError(f"`cameras` must be one or more of one size, got {found}.")


def _check_harmonics(harmonics: Tensor, count: int) -> None:
    shape = tuple(harmonics.shape)
    if len(shape) != 3 or shape[0] != count or shape[1] not in (1, 4, 9, 16) or shape[2] != 3:
        raise ValueError(
            f"`harmonics` must be [{count}, K, 3] with K = 1, 4, 9 or 16 (degrees 0 to 3), "
            f"got {list(shape)}."
        )


def _render_gsplat(
    gaussians: Gaussians,
    cameras: Sequence[Camera],
    background: Color,
    harmonics: Tensor | None,
    with_depth: bool,
) -> Image:
    from gsplat import rasterization

    like = gaussians.means.float()
    *parts, colors = (t.float() for t in vars(gaussians).values())
    degree = None if harmonics is None else math.isqrt(harmonics.shape[1]) - 1
    drawn, alpha, _ = rasterization(
        *parts,
        colors if harmonics is None else harmonics.to(like),
        viewmats=torch.stack([camera.viewmat.to(like) for camera in cameras]),
        Ks=torch.stack([camera.K.to(like) for camera in cameras]),
        width=cameras[0].width,
        height=cameras[0].height,
        near_plane=NEAR,
        eps2d=BLUR,
        sh_degree=degree,
        backgrounds=like.new_tensor(background).expand(len(cameras), 3),
        render_mode="RGB+ED" if with_depth else "RGB",
        rasterize_mode="classic",
    )
    return Image(drawn[..., :3], alpha[..., 0], drawn[..., 3] if with_depth else None)
