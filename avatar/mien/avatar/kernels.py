"""Compiled CPU kernels of the splatting renderer: project, sort, bin to tiles, blend.

Every kernel runs on one thread without the GIL and takes a share of the work, so plain Python
threads run them side by side (no threading layer, safe to call from a server's threads). The
results do not depend on the shares. `mien.avatar.reference` says in torch what they compute.

A Gaussian on the image plane is a row of `splats [N, 12]`, float32:
    0, 1   center x, y                       px
    2-4    a, b, c of its log2 alpha         log2 alpha = l + a dx^2 + b dx dy + c dy^2
    5      l, log2 of the opacity
    6-8    color
    9, 10  first row it reaches, first row after
    11     -1 / (2 a): along a row, alpha peaks at dx = slot 11 * b * dy
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from mien.avatar.reference import ALPHA_MAX, ALPHA_MIN, BLUR, NEAR, TRANSMITTANCE_MIN

TILE = 16  # px; one row of a tile is one or two vector registers
SPLAT_WIDTH = 12
HIDDEN = np.uint32(0xFFFFFFFF)  # sort key of a Gaussian that is not drawn

_F = np.float32
_U = np.uintp  # unsigned indices: numba then emits no wrap-around of negative ones
_PIXELS = TILE * TILE
_DIGIT = 12  # bits a radix pass
_LOG2_ALPHA_MIN = _F(math.log2(ALPHA_MIN))
_LOG2_E = math.log2(math.e)
# Reassociation stays off: `exp2` and the thresholds must round the same way everywhere.
_FASTMATH = {"contract", "nnan", "ninf", "nsz", "arcp"}


def _kernel(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles for one signature; keeps the code on disk where numba finds a writable folder."""

    def compile_function(function: Callable[..., Any]) -> Callable[..., Any]:
        compile_with = functools.partial(
            njit, signature, nogil=True, fastmath=_FASTMATH, error_model="numpy"
        )
        try:
            compiled: Callable[..., Any] = compile_with(cache=True)(function)
        except (RuntimeError, OSError):  # nowhere to keep it: read-only package and home
            compiled = compile_with(cache=False)(function)
        return compiled

    return compile_function


@_kernel(
    "void(f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f8[:,::1], f8[:,::1],"
    "i8, i8, i8, i8, f4[:,::1], u4[::1], i4[:,::1])"
)
def project(
    means: Any, quats: Any, scales: Any, opacities: Any, colors: Any, view: Any, intrinsics: Any,
    width: int, height: int, start: int, stop: int, splats: Any, keys: Any, rects: Any,
) -> None:  # fmt: skip
    """Projects Gaussians `start` to `stop`: fills `splats`, depth `keys`, tile `rects`.

    Args:
        means: Centers, with `quats`, `scales`, `opacities`, `colors` as in `Gaussians`.
        quats: See `means`.
        scales: See `means`.
        opacities: See `means`.
        colors: See `means`.
        view: World to camera, `[4, 4]`.
        intrinsics: `[3, 3]`, px.
        width: Of the image, px.
        height: Of the image, px.
        start: First Gaussian of this share.
        stop: First Gaussian after it.
        splats: Out, `[N, 12]`.
        keys: Out, `[N]`: the bits of the float32 depth, which sort as it does; or `HIDDEN`.
        rects: Out, `[N, 4]`: first and after-last tile in x, then in y.
    """
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    low_x, high_x = -(cx + 0.15 * width) / fx, (1.15 * width - cx) / fx
    low_y, high_y = -(cy + 0.15 * height) / fy, (1.15 * height - cy) / fy
    r00, r01, r02 = view[0, 0], view[0, 1], view[0, 2]
    r10, r11, r12 = view[1, 0], view[1, 1], view[1, 2]
    r20, r21, r22 = view[2, 0], view[2, 1], view[2, 2]
    for i in range(start, stop):
        keys[i] = HIDDEN
        px, py, pz = np.float64(means[i, 0]), np.float64(means[i, 1]), np.float64(means[i, 2])
        z = r20 * px + r21 * py + r22 * pz + view[2, 3]
        opacity = np.float64(opacities[i])
        if z < NEAR or opacity < ALPHA_MIN:
            continue
        x = r00 * px + r01 * py + r02 * pz + view[0, 3]
        y = r10 * px + r11 * py + r12 * pz + view[1, 3]
        u, v = x / z, y / z
        center_x, center_y = fx * u + cx, fy * v + cy
        u, v = min(max(u, low_x), high_x), min(max(v, low_y), high_y)
        # Rows of the Jacobian times the view rotation: J R, [2, 3].
        gx, gy = fx / z, fy / z
        j00, j01, j02 = gx * (r00 - u * r20), gx * (r01 - u * r21), gx * (r02 - u * r22)
        j10, j11, j12 = gy * (r10 - v * r20), gy * (r11 - v * r21), gy * (r12 - v * r22)
        w, qx, qy, qz = (
            np.float64(quats[i, 0]), np.float64(quats[i, 1]),
            np.float64(quats[i, 2]), np.float64(quats[i, 3]),
        )  # fmt: skip
        k = 2.0 / max(w * w + qx * qx + qy * qy + qz * qz, 1e-24)
        s0, s1, s2 = np.float64(scales[i, 0]), np.float64(scales[i, 1]), np.float64(scales[i, 2])
        a0, a1, a2 = 1 - k * (qy * qy + qz * qz), k * (qx * qy + w * qz), k * (qx * qz - w * qy)
        b0, b1, b2 = k * (qx * qy - w * qz), 1 - k * (qx * qx + qz * qz), k * (qy * qz + w * qx)
        c0, c1, c2 = k * (qx * qz + w * qy), k * (qy * qz - w * qx), 1 - k * (qx * qx + qy * qy)
        m00 = (j00 * a0 + j01 * a1 + j02 * a2) * s0
        m01 = (j00 * b0 + j01 * b1 + j02 * b2) * s1
        m02 = (j00 * c0 + j01 * c1 + j02 * c2) * s2
        m10 = (j10 * a0 + j11 * a1 + j12 * a2) * s0
        m11 = (j10 * b0 + j11 * b1 + j12 * b2) * s1
        m12 = (j10 * c0 + j11 * c1 + j12 * c2) * s2
        xx = m00 * m00 + m01 * m01 + m02 * m02 + BLUR
        xy = m00 * m10 + m01 * m11 + m02 * m12
        yy = m10 * m10 + m11 * m11 + m12 * m12 + BLUR
        inverse = 1.0 / (xx * yy - xy * xy)
        reach = 2.0 * math.log(opacity / ALPHA_MIN)
        reach_x, reach_y = math.sqrt(reach * xx), math.sqrt(reach * yy)
        if (
            center_x + reach_x < 0.5 or center_x - reach_x > width - 0.5
            or center_y + reach_y < 0.5 or center_y - reach_y > height - 0.5
        ):  # fmt: skip
            continue
        # Bounds of the ellipse where alpha reaches ALPHA_MIN, widened against rounding.
        left = max(int(math.ceil(center_x - reach_x - 0.501)), 0)
        right = min(int(math.floor(center_x + reach_x - 0.499)), width - 1)
        top = max(int(math.ceil(center_y - reach_y - 0.501)), 0)
        bottom = min(int(math.floor(center_y + reach_y - 0.499)), height - 1)
        if left > right or top > bottom:
            continue
        keys[i] = _F(z).view(np.uint32)
        rects[i, 0], rects[i, 1] = left // TILE, right // TILE + 1
        rects[i, 2], rects[i, 3] = top // TILE, bottom // TILE + 1
        splats[i, 0], splats[i, 1] = center_x, center_y
        splats[i, 2] = -0.5 * _LOG2_E * yy * inverse
        splats[i, 3] = _LOG2_E * xy * inverse
        splats[i, 4] = -0.5 * _LOG2_E * xx * inverse
        splats[i, 5] = math.log(opacity) * _LOG2_E
        splats[i, 6], splats[i, 7], splats[i, 8] = colors[i, 0], colors[i, 1], colors[i, 2]
        splats[i, 9], splats[i, 10] = top, bottom + 1
        splats[i, 11] = 1.0 / (_LOG2_E * yy * inverse)


@_kernel("i8(u4[::1], i4[::1], u4[::1], i4[::1], u4[::1])")
def sort_by_depth(keys: Any, order: Any, order_keys: Any, spare: Any, spare_keys: Any) -> int:
    """Sorts the drawn Gaussians by `keys`, stable, nearest first.

    Returns:
        How many are drawn; `order` holds their indices. The other arrays are scratch.
    """
    count, least, most = 0, HIDDEN, np.uint32(0)
    for i in range(keys.shape[0]):
        key = keys[i]
        if key != HIDDEN:
            order[count], order_keys[count] = i, key
            count += 1
            least, most = min(least, key), max(most, key)
    starts = np.empty((1 << _DIGIT) + 1, np.int64)
    shift = 0
    source, source_keys, target, target_keys = order, order_keys, spare, spare_keys
    while count > 1 and shift < 32 and (most - least) >> shift > 0:
        starts[:] = 0
        for i in range(count):
            starts[((source_keys[i] - least) >> shift) % (1 << _DIGIT) + 1] += 1
        for digit in range(1 << _DIGIT):
            starts[digit + 1] += starts[digit]
        for i in range(count):
            digit = ((source_keys[i] - least) >> shift) % (1 << _DIGIT)
            place = starts[digit]
            target[place], target_keys[place] = source[i], source_keys[i]
            starts[digit] = place + 1
        source, source_keys, target, target_keys = target, target_keys, source, source_keys
        shift += _DIGIT
    if (shift // _DIGIT) % 2 == 1:
        order[:count] = spare[:count]
    return count


@_kernel("i8(i4[::1], i8, i4[:,::1], i8, i8[::1])")
def count_tiles(order: Any, count: int, rects: Any, tiles_x: int, starts: Any) -> int:
    """Counts the Gaussians of each tile: `starts[t]` to `starts[t + 1]` will be its entries.

    Returns:
        The number of entries in all.
    """
    starts[:] = 0
    for rank in range(count):
        i = order[rank]
        for ty in range(rects[i, 2], rects[i, 3]):
            for tx in range(rects[i, 0], rects[i, 1]):
                starts[ty * tiles_x + tx + 1] += 1
    for tile in range(starts.shape[0] - 1):
        starts[tile + 1] += starts[tile]
    return starts[-1]  # type: ignore[no-any-return]


@_kernel("void(i4[::1], i8, i4[:,::1], i8, i8[::1], i4[::1])")
def fill_tiles(
    order: Any, count: int, rects: Any, tiles_x: int, starts: Any, entries: Any
) -> None:
    """Lists the Gaussians of each tile in `entries`, nearest first."""
    cursor = starts.copy()
    for rank in range(count):
        i = order[rank]
        for ty in range(rects[i, 2], rects[i, 3]):
            for tx in range(rects[i, 0], rects[i, 1]):
                tile = ty * tiles_x + tx
                entries[cursor[tile]] = i
                cursor[tile] += 1


@njit(inline="always")
def _exp2(power: Any) -> Any:
    """Gives 2^power in float32 for power in [-126, 0], within 2 units in the last place."""
    whole = np.int32(power - _F(0.5))  # truncates toward zero, so this rounds to nearest
    part = power - _F(whole)
    value = _F(1.5403530e-4)  # ln(2)^n / n!
    value = value * part + _F(1.3333558e-3)
    value = value * part + _F(9.6181291e-3)
    value = value * part + _F(5.5504109e-2)
    value = value * part + _F(2.4022651e-1)
    value = value * part + _F(6.9314718e-1)
    value = value * part + _F(1.0)
    return value * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


@_kernel("void(f4[:,::1], i8[::1], i4[::1], i8, i8, f4[::1], f4[:,:,::1], f4[:,::1])")
def blend(
    splats: Any, starts: Any, entries: Any, first: int, step: int,
    background: Any, image: Any, alpha: Any,
) -> None:  # fmt: skip
    """Draws tiles `first`, `first + step`, ... into `image [H, W, 3]` and `alpha [H, W]`."""
    height, width = alpha.shape
    tiles_x = (width + TILE - 1) // TILE
    # Transmittance, then the three colors, of one tile. A finished pixel's transmittance is
    # stored negative: what would be left behind any further Gaussian is then below the limit.
    tile_pixels = np.empty(4 * _PIXELS, np.float32)
    for tile in range(first, starts.shape[0] - 1, step):
        tile_y = tile // tiles_x
        y0, x0 = tile_y * TILE, (tile - tile_y * tiles_x) * TILE
        tile_pixels[:_PIXELS] = _F(1.0)
        tile_pixels[_PIXELS:] = _F(0.0)
        rows, columns = min(TILE, height - y0), min(TILE, width - x0)
        first_x, last_x = _F(x0) + _F(0.5), _F(x0) + _F(TILE - 0.5)
        for entry in range(starts[tile], starts[tile + 1]):
            i = _U(entries[entry])
            a, b, c, level = splats[i, 2], splats[i, 3], splats[i, 4], splats[i, 5]
            red, green, blue = splats[i, 6], splats[i, 7], splats[i, 8]
            start_dx = first_x - splats[i, 0]
            end_dx = last_x - splats[i, 0]
            for y in range(max(int(splats[i, 9]) - y0, 0), min(int(splats[i, 10]) - y0, rows)):
                dy = _F(y0 + y) + _F(0.5) - splats[i, 1]
                slope = b * dy
                row_level = level + c * dy * dy
                peak_dx = min(max(splats[i, 11] * slope, start_dx), end_dx)
                if row_level + peak_dx * (slope + a * peak_dx) < _LOG2_ALPHA_MIN:
                    continue
                row = _U(y * TILE)
                for column in range(_U(TILE)):
                    at = row + column
                    dx = start_dx + _F(np.int32(column))
                    power = max(row_level + dx * (slope + a * dx), _F(-20.0))
                    alpha_here = min(_exp2(power), _F(ALPHA_MAX))
                    through = tile_pixels[at]
                    behind = through - through * alpha_here
                    is_drawn = alpha_here >= _F(ALPHA_MIN)
                    is_open = is_drawn & (behind > _F(TRANSMITTANCE_MIN))
                    weight = through - behind if is_open else _F(0.0)
                    closed = -abs(through) if is_drawn else through
                    tile_pixels[at] = behind if is_open else closed
                    tile_pixels[at + _U(_PIXELS)] += weight * red
                    tile_pixels[at + _U(2 * _PIXELS)] += weight * green
                    tile_pixels[at + _U(3 * _PIXELS)] += weight * blue
            if (entry - starts[tile]) % 16 == 15:
                most = _F(-1.0)
                for at in range(_U(_PIXELS)):
                    most = max(most, tile_pixels[at])
                if most < _F(0.0):
                    break
        for y in range(rows):
            for x in range(columns):
                pixel = _U(y * TILE + x)
                through = abs(tile_pixels[pixel])
                alpha[y0 + y, x0 + x] = _F(1.0) - through
                for channel in range(3):
                    image[y0 + y, x0 + x, channel] = (
                        tile_pixels[pixel + _U((channel + 1) * _PIXELS)]
                        + through * background[channel]
                    )
