"""Compiled CPU kernels that put Gaussians on the image: project and blend.

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

import math
from typing import Any

import numpy as np
from numba import njit

from mien.avatar.reference import ALPHA_MAX, ALPHA_MIN, BLUR, NEAR, TRANSMITTANCE_MIN
from mien.avatar.tiles import HIDDEN, TILE
from mien.jit import kernel

SPLAT_WIDTH = 12

_F = np.float32
_U = np.uintp  # unsigned indices: numba then emits no wrap-around of negative ones
_PIXELS = TILE * TILE
_LOG_ALPHA_MIN = math.log(ALPHA_MIN)
_LOG2_ALPHA_MIN = _F(math.log2(ALPHA_MIN))
_LOG2_E = math.log2(math.e)


@njit(inline="always")
def _covariance(quats: Any, scales: Any, i: int, x_row: Any, y_row: Any) -> Any:
    """Gives xx, xy, yy of the projected and blurred covariance; rows are those of J R_view."""
    w, x = np.float64(quats[i, 0]), np.float64(quats[i, 1])
    y, z = np.float64(quats[i, 2]), np.float64(quats[i, 3])
    k = 2.0 / max(w * w + x * x + y * y + z * z, 1e-24)
    axes = (
        (1.0 - k * (y * y + z * z), k * (x * y + w * z), k * (x * z - w * y)),
        (k * (x * y - w * z), 1.0 - k * (x * x + z * z), k * (y * z + w * x)),
        (k * (x * z + w * y), k * (y * z - w * x), 1.0 - k * (x * x + y * y)),
    )
    xx, xy, yy = BLUR, 0.0, BLUR
    for n in range(3):
        scale, axis = np.float64(scales[i, n]), axes[n]
        along_x = (x_row[0] * axis[0] + x_row[1] * axis[1] + x_row[2] * axis[2]) * scale
        along_y = (y_row[0] * axis[0] + y_row[1] * axis[1] + y_row[2] * axis[2]) * scale
        xx += along_x * along_x
        xy += along_x * along_y
        yy += along_y * along_y
    return xx, xy, yy


@njit(inline="always")
def _reach(center: float, radius: float, size: int) -> Any:
    """Gives the first pixel and the one after the last whose centers are in reach.

    Widened by 0.001 px against rounding; the blend then decides pixel by pixel.
    """
    low = min(max(center - radius - 0.501, -1.0), 1.0 * size)
    high = min(max(center + radius - 0.499, -1.0), 1.0 * size)
    return max(int(math.ceil(low)), 0), min(int(math.floor(high)), size - 1) + 1


@kernel(
    "void(f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f8[:,::1], f8[:,::1],"
    "i8, i8, i8, i8, f4[:,::1], u4[::1], i4[:,::1])"
)
def project(
    means: Any, quats: Any, scales: Any, opacities: Any, colors: Any, view: Any, intrinsics: Any,
    width: int, height: int, start: int, stop: int, splats: Any, keys: Any, rects: Any,
) -> None:  # fmt: skip
    """Projects Gaussians `start` to `stop` as `reference.project` does.

    The first five arguments are as in `Gaussians`; `view [4, 4]` is world to camera.
    Fills rows of `splats`; of `keys [N]` with the bits of the float32 depth (they sort as it
    does) or `HIDDEN`; of `rects [N, 4]` with the first and after-last tile in x, then in y.
    """
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    low_u, high_u = -(cx + 0.15 * width) / fx, (1.15 * width - cx) / fx
    low_v, high_v = -(cy + 0.15 * height) / fy, (1.15 * height - cy) / fy
    r0 = (view[0, 0], view[0, 1], view[0, 2])
    r1 = (view[1, 0], view[1, 1], view[1, 2])
    r2 = (view[2, 0], view[2, 1], view[2, 2])
    for i in range(start, stop):
        keys[i] = HIDDEN
        px, py, pz = np.float64(means[i, 0]), np.float64(means[i, 1]), np.float64(means[i, 2])
        z = r2[0] * px + r2[1] * py + r2[2] * pz + view[2, 3]
        opacity = np.float64(opacities[i])
        if z < NEAR or opacity < ALPHA_MIN:
            continue
        u = (r0[0] * px + r0[1] * py + r0[2] * pz + view[0, 3]) / z
        v = (r1[0] * px + r1[1] * py + r1[2] * pz + view[1, 3]) / z
        center_x, center_y = fx * u + cx, fy * v + cy
        u, v = min(max(u, low_u), high_u), min(max(v, low_v), high_v)
        gx, gy = fx / z, fy / z
        x_row = (gx * (r0[0] - u * r2[0]), gx * (r0[1] - u * r2[1]), gx * (r0[2] - u * r2[2]))
        y_row = (gy * (r1[0] - v * r2[0]), gy * (r1[1] - v * r2[1]), gy * (r1[2] - v * r2[2]))
        xx, xy, yy = _covariance(quats, scales, i, x_row, y_row)
        log_opacity = math.log(opacity)
        fading = max(log_opacity - _LOG_ALPHA_MIN, 0.0)
        radius = math.sqrt(2.0 * fading)  # in standard deviations, to where alpha ends
        left, right = _reach(center_x, radius * math.sqrt(xx), width)
        top, bottom = _reach(center_y, radius * math.sqrt(yy), height)
        if left >= right or top >= bottom:
            continue
        keys[i] = _F(z).view(np.uint32)
        rects[i, 0], rects[i, 1] = left // TILE, (right - 1) // TILE + 1
        rects[i, 2], rects[i, 3] = top // TILE, (bottom - 1) // TILE + 1
        log_inverse = _LOG2_E / (xx * yy - xy * xy)
        splats[i, 0], splats[i, 1] = center_x, center_y
        splats[i, 2], splats[i, 4] = -0.5 * yy * log_inverse, -0.5 * xx * log_inverse
        splats[i, 3] = xy * log_inverse
        splats[i, 5] = log_opacity * _LOG2_E
        splats[i, 6], splats[i, 7], splats[i, 8] = colors[i, 0], colors[i, 1], colors[i, 2]
        splats[i, 9], splats[i, 10] = top, bottom
        splats[i, 11] = 1.0 / (yy * log_inverse)


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


@njit(inline="always")
def _blend_row(
    pixels: Any, row: Any, level: Any, slope: Any, a: Any, dx: Any, red: Any, green: Any, blue: Any
) -> None:
    """Blends one Gaussian into the 16 pixels of a tile's row, without a branch: it vectorizes.

    `pixels` holds the transmittance, then the three colors, of one tile. The transmittance of
    a finished pixel is stored negative: behind any further Gaussian it is below the limit too.
    """
    for column in range(_U(TILE)):
        at = row + column
        x = dx + _F(np.int32(column))
        alpha = min(_exp2(max(level + x * (slope + a * x), _F(-20.0))), _F(ALPHA_MAX))
        through = pixels[at]
        behind = through - through * alpha
        is_drawn = alpha >= _F(ALPHA_MIN)
        is_open = is_drawn & (behind > _F(TRANSMITTANCE_MIN))
        weight = through - behind if is_open else _F(0.0)
        pixels[at] = behind if is_open else (-abs(through) if is_drawn else through)
        pixels[at + _U(_PIXELS)] += weight * red
        pixels[at + _U(2 * _PIXELS)] += weight * green
        pixels[at + _U(3 * _PIXELS)] += weight * blue


@njit(inline="always")
def _is_finished(pixels: Any) -> Any:
    most = _F(-1.0)
    for at in range(_U(_PIXELS)):
        most = max(most, pixels[at])
    return most < _F(0.0)


@njit(inline="always")
def _write_tile(pixels: Any, y0: int, x0: int, background: Any, image: Any, alpha: Any) -> None:
    for y in range(min(TILE, alpha.shape[0] - y0)):
        for x in range(min(TILE, alpha.shape[1] - x0)):
            at = _U(y * TILE + x)
            through = abs(pixels[at])
            alpha[y0 + y, x0 + x] = _F(1.0) - through
            for channel in range(3):
                color = pixels[at + _U((channel + 1) * _PIXELS)]
                image[y0 + y, x0 + x, channel] = color + through * background[channel]


@kernel("void(f4[:,::1], i8[::1], i4[::1], i8, i8, f4[::1], f4[:,:,::1], f4[:,::1])")
def blend(
    splats: Any, starts: Any, entries: Any, first: int, step: int,
    background: Any, image: Any, alpha: Any,
) -> None:  # fmt: skip
    """Draws tiles `first`, `first + step`, ... into `image [H, W, 3]` and `alpha [H, W]`."""
    tiles_x = (alpha.shape[1] + TILE - 1) // TILE
    pixels = np.empty(4 * _PIXELS, np.float32)
    for tile in range(first, starts.shape[0] - 1, step):
        tile_y = tile // tiles_x
        y0, x0 = tile_y * TILE, (tile - tile_y * tiles_x) * TILE
        pixels[:_PIXELS] = _F(1.0)
        pixels[_PIXELS:] = _F(0.0)
        for entry in range(starts[tile], starts[tile + 1]):
            i = _U(entries[entry])
            a, b, c, level = splats[i, 2], splats[i, 3], splats[i, 4], splats[i, 5]
            red, green, blue = splats[i, 6], splats[i, 7], splats[i, 8]
            first_dx = _F(x0) + _F(0.5) - splats[i, 0]
            top, bottom = int(splats[i, 9]), int(splats[i, 10])
            for y in range(max(top, y0), min(bottom, y0 + TILE)):
                dy = _F(y) + _F(0.5) - splats[i, 1]
                slope, row_level = b * dy, level + c * dy * dy
                peak = min(max(splats[i, 11] * slope, first_dx), first_dx + _F(TILE - 1))
                if row_level + peak * (slope + a * peak) >= _LOG2_ALPHA_MIN - _F(1e-4):
                    row = _U((y - y0) * TILE)
                    _blend_row(pixels, row, row_level, slope, a, first_dx, red, green, blue)
            if (entry - starts[tile]) % 16 == 15 and _is_finished(pixels):
                break
        _write_tile(pixels, y0, x0, background, image, alpha)
