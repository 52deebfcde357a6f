"""Draws Gaussians: on CUDA through gsplat, elsewhere through our compiled kernels."""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.gaussians import Gaussians
from mien.avatar.reference import BLUR, NEAR
from mien.camera import Camera

Color = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Image:
    """A drawn frame.

    Attributes:
        image: Display-referred sRGB over the background, 0 to 1 where the colors are.
        alpha: What the Gaussians cover, 0 to 1.
        depth: Mean distance along the camera's axis weighted by coverage, metres, 0 where
            nothing is; None unless asked for.
    """

    image: Float[Tensor, "h w 3"]
    alpha: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"] | None = None


def render(
    gaussians: Gaussians,
    camera: Camera,
    background: Color = (0.0, 0.0, 0.0),
    *,
    with_depth: bool = False,
    num_threads: int | None = None,
) -> Image:
    """Draws one frame, as fast as it comes.

    Args:
        gaussians: What to draw; their device decides who draws.
        camera: From where.
        background: Shows where the Gaussians do not cover; sRGB, 0 to 1.
        with_depth: Draw depth as well.
        num_threads: CPU only; None takes `torch.get_num_threads()`.

    Raises:
        ValueError: If the device has no renderer, gradients are expected on a CPU, or
            `num_threads` is below 1.
    """
    if gaussians.means.is_cuda:
        return _render_gsplat(gaussians, camera, background, with_depth)
    _check_cpu(gaussians)
    workspace = _free.pop() if _free else _Workspace()
    image = workspace.draw(gaussians, camera, background, with_depth, _count_threads(num_threads))
    _free.append(workspace)
    return image


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
    threads = _count_threads(num_threads)
    waiting: deque[Future[Image]] = deque()
    for gaussians in frames:
        if gaussians.means.is_cuda or threads == 1:
            yield render(gaussians, camera, background, with_depth=with_depth, num_threads=1)
            continue
        job = _pool(threads, os.getpid()).submit(
            render, gaussians, camera, background, with_depth=with_depth, num_threads=1
        )
        waiting.append(job)
        if len(waiting) > threads:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Workspace:
    """Scratch buffers for the CPU kernels; grows to what it has drawn, one frame at a time."""

    def __init__(self) -> None:
        self._reserve(0)
        self.starts = np.empty(1, np.int64)
        self.entries = np.empty(0, np.int32)

    def _reserve(self, count: int) -> None:
        from mien.avatar import kernels

        self.splats = np.empty((count, kernels.SPLAT_WIDTH), np.float32)
        self.keys, *self.sorted_keys = np.empty((3, count), np.uint32)
        self.orders = np.empty((2, count), np.int32)
        self.rects = np.empty((count, 4), np.int32)

    def draw(
        self,
        gaussians: Gaussians,
        camera: Camera,
        background: Color,
        with_depth: bool,
        shares: int,
    ) -> Image:
        """Draws one frame with `shares` threads."""
        if len(gaussians) > len(self.splats):
            self._reserve(len(gaussians))
        count = len(gaussians)
        splats, keys = self.splats[:count], self.keys[:count]
        self._project(gaussians, camera, splats, keys, shares)
        self._bin(camera, keys, shares)
        image, alpha = self._blend(splats, camera, background, shares)
        depth = None
        if with_depth:
            splats[:, 6:9] = keys.view(np.float32)[:, None]
            weighted, _ = self._blend(splats, camera, (0.0, 0.0, 0.0), shares)
            depth = torch.from_numpy(weighted[..., 0] / np.maximum(alpha, 1e-10))
        return Image(torch.from_numpy(image), torch.from_numpy(alpha), depth)

    def _project(
        self, gaussians: Gaussians, camera: Camera, splats: Any, keys: Any, shares: int
    ) -> None:
        from mien.avatar import kernels

        parts = [
            getattr(gaussians, name).detach().float().contiguous().numpy()
            for name in ("means", "quats", "scales", "opacities", "colors")
        ]
        view, intrinsics = (
            m.detach().cpu().double().contiguous().numpy() for m in (camera.viewmat, camera.K)
        )
        edges = np.linspace(0, len(gaussians), shares + 1).astype(int).tolist()
        size = (camera.width, camera.height)
        _run(
            lambda k: kernels.project(
                *parts, view, intrinsics, *size, edges[k], edges[k + 1], splats, keys, self.rects
            ),
            shares,
            shares,
        )

    def _bin(self, camera: Camera, keys: Any, shares: int) -> None:
        from mien.avatar import tiles

        tiles_x, tiles_y = -(-camera.width // tiles.TILE), -(-camera.height // tiles.TILE)
        if len(self.starts) != tiles_x * tiles_y + 1:
            self.starts = np.empty(tiles_x * tiles_y + 1, np.int64)
        order = tiles.sort_by_depth(keys, self.orders, self.sorted_keys)
        entries = tiles.count_tiles(keys, self.rects, tiles_x, self.starts)
        if entries > len(self.entries):
            self.entries = np.empty(entries + entries // 4, np.int32)
        where = (self.rects, tiles_x, self.starts)
        _run(
            lambda k: tiles.fill_tiles(order, *where, k, shares, self.entries),
            shares,
            shares,
        )

    def _blend(
        self, splats: Any, camera: Camera, background: Sequence[float], shares: int
    ) -> tuple[Any, Any]:
        from mien.avatar import kernels

        image = np.empty((camera.height, camera.width, 3), np.float32)
        alpha = np.empty((camera.height, camera.width), np.float32)
        behind = np.asarray(background, np.float32)
        steps = 1 if shares == 1 else 4 * shares  # more shares than threads: they even out
        _run(
            lambda k: kernels.blend(
                splats, self.starts, self.entries, k, steps, behind, image, alpha
            ),
            steps,
            shares,
        )
        return image, alpha


_free: list[_Workspace] = []  # those at rest; list.pop and list.append are atomic


@functools.cache
def _pool(num_threads: int, process: int) -> ThreadPoolExecutor:
    """Gives the worker threads of this process; a forked child has none of its parent's."""
    return ThreadPoolExecutor(num_threads, thread_name_prefix=f"mien-render-{process}")


def _count_threads(num_threads: int | None) -> int:
    threads = torch.get_num_threads() if num_threads is None else num_threads
    if threads < 1:
        raise ValueError(f"`num_threads` must be at least 1, got {threads}.")
    return threads


def _run(job: Callable[[int], None], jobs: int, num_threads: int) -> None:
    """Runs `job(0)` to `job(jobs - 1)` on `num_threads` threads and waits for them."""
    if num_threads == 1:
        for k in range(jobs):
            job(k)
    else:
        list(_pool(num_threads, os.getpid()).map(job, range(jobs)))


def _check_cpu(gaussians: Gaussians) -> None:
    if not gaussians.means.is_cpu:
        raise ValueError(
            f"`gaussians` must be on a CPU or a CUDA device, got {gaussians.device}; "
            "move them with `gaussians.to(...)`."
        )
    if torch.is_grad_enabled() and any(t.requires_grad for t in vars(gaussians).values()):
        raise ValueError(
            "`gaussians` must not require gradients on a CPU, whose renderer gives none: use "
            "`torch.no_grad()`, or `mien.avatar.reference.rasterize` for small scenes."
        )


def _render_gsplat(
    gaussians: Gaussians, camera: Camera, background: Color, with_depth: bool
) -> Image:
    from gsplat import rasterization

    like = gaussians.means.float()
    drawn, alpha, _ = rasterization(
        *(t.float() for t in vars(gaussians).values()),
        viewmats=camera.viewmat.to(like)[None],
        Ks=camera.K.to(like)[None],
        width=camera.width,
        height=camera.height,
        near_plane=NEAR,
        eps2d=BLUR,
        backgrounds=like.new_tensor(background)[None],
        render_mode="RGB+ED" if with_depth else "RGB",
        rasterize_mode="classic",
    )
    return Image(drawn[0, ..., :3], alpha[0, ..., 0], drawn[0, ..., 3] if with_depth else None)
