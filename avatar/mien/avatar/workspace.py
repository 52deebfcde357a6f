"""The CPU renderer's scratch buffers, and the order in which its kernels run over them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from torch import Tensor

from mien.avatar import kernels, tiles
from mien.avatar.workers import run_jobs, run_shares
from mien.camera import Camera

_NOTHING = np.empty((0, 0), np.float32)


class Scene(NamedTuple):
    """What the kernels read: Gaussians in float32, and the cameras that see them.

    `colors` are [C, N, 3] or [1, N, 3], `views [C, 4, 4]` and `lenses [C, 8]` as `kernels` says.
    """

    means: Any
    quats: Any
    scales: Any
    opacities: Any
    colors: Any
    views: Any
    lenses: Any
    width: int
    height: int

    @classmethod
    def of(cls, parts: Sequence[Tensor], cameras: Sequence[Camera]) -> Self:
        """Lays out means, quats, scales, opacities and colors, and cameras of one size."""
        arrays = [part.detach().float().contiguous().numpy() for part in parts]
        views = np.stack([c.viewmat.detach().cpu().double().numpy() for c in cameras])
        lenses = np.array([_lens(c) for c in cameras])
        means, quats, scales, opacities, colors = arrays
        given = means, quats, scales, opacities, colors, views, lenses
        return cls(*given, width=cameras[0].width, height=cameras[0].height)

    @property
    def grid(self) -> tuple[int, int]:
        """Numbers of tiles across and down."""
        return -(-self.width // tiles.TILE), -(-self.height // tiles.TILE)


def _lens(camera: Camera) -> list[float]:
    """As in gsplat, the linearized ray is held to the image and 15 % of its size around it."""
    (fx, _, cx), (_, fy, cy), _ = camera.K.detach().double().tolist()
    spread_x, spread_y = 0.15 * camera.width, 0.15 * camera.height
    across = -(cx + spread_x) / fx, (camera.width + spread_x - cx) / fx
    down = -(cy + spread_y) / fy, (camera.height + spread_y - cy) / fy
    return [fx, fy, cx, cy, *across, *down]


class Workspace:
    """Buffers that grow to what they have drawn; one batch of cameras at a time."""

    def __init__(self) -> None:
        self._reserve(0)
        self.starts = np.empty((0, 1), np.int64)
        self.entries: list[Any] = []

    def _reserve(self, count: int) -> None:
        self._splats = np.empty(count * kernels.SPLAT_WIDTH, np.float32)
        self._keys, self._sorted_keys = np.empty(count, np.uint32), np.empty(2 * count, np.uint32)
        self._orders, self._rects = np.empty(2 * count, np.int32), np.empty(4 * count, np.int32)
        self._capacity = count

    def _lay_out(self, scene: Scene) -> None:
        """Cuts the buffers to the scene."""
        cameras, count = len(scene.views), len(scene.means)
        if cameras * count > self._capacity:
            self._reserve(cameras * count)
        self.splats = _cut(self._splats, cameras, count, kernels.SPLAT_WIDTH)
        self.keys, self.rects = (
            _cut(self._keys, cameras, count),
            _cut(self._rects, cameras, count, 4),
        )
        self.orders = _cut(self._orders, cameras, 2, count)
        self.sorted_keys = _cut(self._sorted_keys, cameras, 2, count)
        shape = (cameras, math.prod(scene.grid) + 1)
        if self.starts.shape != shape:
            self.starts = np.empty(shape, np.int64)
        while len(self.entries) < cameras:
            self.entries.append(np.empty(0, np.int32))

    def draw(
        self, scene: Scene, background: Sequence[float], with_depth: bool, threads: int
    ) -> tuple[Any, Any, Any]:
        """Gives image `[C, H, W, 3]`, alpha `[C, H, W]`, and depth `[C, H, W]` or None."""
        cameras, size = len(scene.views), (scene.height, scene.width)
        self._lay_out(scene)
        run_shares(
            lambda start, stop: kernels.project(
                *scene, start, stop, self.splats, self.keys, self.rects
            ),
            len(scene.means),
            threads,
        )
        if cameras == 1:
            self._bin(scene, 0, threads)
        else:
            run_jobs(lambda camera: self._bin(scene, camera, 1), cameras, threads)
        image = np.empty((cameras, *size, 3), np.float32)
        alpha = np.empty((cameras, *size), np.float32)
        depth = np.empty((cameras, *size), np.float32) if with_depth else None
        behind = np.asarray(background, np.float32)

        kernel = kernels.blend_with_depth if with_depth else kernels.blend

        def blend(camera: int, first: int, step: int) -> None:
            drawn = image[camera], alpha[camera], _NOTHING if depth is None else depth[camera]
            kernel(*self._of(camera), first, step, behind, *drawn)

        _run_tiles(blend, cameras, threads)
        return image, alpha, depth

    def differentiate(
        self,
        scene: Scene,
        background: Sequence[float],
        of_pictures: tuple[Any, Any, Any],
        threads: int,
    ) -> tuple[Any, ...]:
        """Gives the gradients of the scene's first five arrays; `draw` has to go before.

        Args:
            scene: As it was drawn.
            background: As it was drawn.
            of_pictures: Gradients of image, of alpha, and of depth times alpha (or None).
            threads: How many to use.
        """
        from mien.avatar import gradients  # compiled only where there is a way back

        cameras, (image, alpha, depth) = len(scene.views), of_pictures
        behind = np.asarray(background, np.float32)
        counts = self.starts[:, -1].tolist()
        rows = [np.empty((count, gradients.SUM_WIDTH), np.float32) for count in counts]

        def unblend(camera: int, first: int, step: int) -> None:
            given = image[camera], alpha[camera], _NOTHING if depth is None else depth[camera]
            gradients.unblend(*self._of(camera), first, step, behind, *given, rows[camera])

        _run_tiles(unblend, cameras, threads)
        out = [np.empty_like(array) for array in scene[:4]] + [np.zeros_like(scene.colors)]
        sums = np.empty((cameras, len(scene.means), gradients.SUM_WIDTH), np.float32)

        def gather(start: int, stop: int) -> None:
            for camera, count in enumerate(counts):
                entries = self.entries[camera][:count]
                gradients.sum_entries(entries, rows[camera], start, stop, sums[camera])
            seen = scene.views, scene.lenses, self.keys, sums
            gradients.unproject(*scene[:4], *seen, start, stop, *out)

        run_shares(gather, len(scene.means), threads)
        return tuple(out)

    def _of(self, camera: int) -> tuple[Any, ...]:
        """Gives what blending reads: splats, depths, and the entries of the tiles."""
        depths = self.keys[camera].view(np.float32)
        return self.splats[camera], depths, self.starts[camera], self.entries[camera]

    def _bin(self, scene: Scene, camera: int, threads: int) -> None:
        keys, rects, starts = self.keys[camera], self.rects[camera], self.starts[camera]
        order = tiles.sort_by_depth(keys, self.orders[camera], self.sorted_keys[camera])
        across = scene.grid[0]
        entries = tiles.count_tiles(keys, rects, across, starts)
        if entries > len(self.entries[camera]):
            self.entries[camera] = np.empty(entries + entries // 4, np.int32)
        run_jobs(
            lambda k: tiles.fill_tiles(
                order, rects, across, starts, k, threads, self.entries[camera]
            ),
            threads,
            threads,
        )


def _cut(buffer: Any, *shape: int) -> Any:
    return buffer[: math.prod(shape)].reshape(shape)


def _run_tiles(job: Any, cameras: int, threads: int) -> None:
    """Runs `job(camera, first, step)` over all tiles of all cameras."""
    shares = 1 if threads == 1 else -(-4 * threads // cameras)  # more than threads: they even out
    run_jobs(lambda k: job(k // shares, k % shares, shares), cameras * shares, threads)
