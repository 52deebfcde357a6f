"""Compiled CPU kernels that put Gaussians on the images of cameras: project and blend.

Every kernel runs on one thread without the GIL and takes a share of the work, so plain Python
threads run them side by side (no threading layer, safe to call from a server's threads). The
results do not depend on the shares. `mien.avatar.reference` says in torch what they compute;
`mien.avatar.gradients` goes the same way back.

A Gaussian on the image plane is a row of `splats [N, 12]`, float32:
    0, 1   center x, y                       px
    2-4    a, b, c of its log2 alpha         log2 alpha = l + a dx^2 + b dx dy + c dy^2
    5      l, log2 of the opacity
    6-8    color
    9, 10  first row it reaches, first row after
    11     -1 / (2 a): along a row, alpha peaks at dx = slot 11 * b * dy

A camera is a row of `views [C, 4, 4]`, world to camera, and of `lenses [C, 8]`, float64:
    0-3    fx, fy, cx, cy                    px
    4, 5   least and greatest u = x / z to which the projection is linearized
    6, 7   the same of v = y / z
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
def _axes(quats: Any, i: int) -> Any:
    """Gives the Gaussian's own axes in the world: the columns of its rotation matrix."""
    w, x = np.float64(quats[i, 0]), np.float64(quats[i, 1])
    y, z = np.float64(quats[i, 2]), np.float64(quats[i, 3])
    k = 2.0 / max(w * w + x * x + y * y + z * z, 1e-24)
    return (
        (1.0 - k * (y * y + z * z), k * (x * y + w * z), k * (x * z - w * y)),
        (k * (x * y - w * z), 1.0 - k * (x * x + z * z), k * (y * z + w * x)),
        (k * (x * z + w * y), k * (y * z - w * x), 1.0 - k * (x * x + y * y)),
    )


@njit(inline="always")
def _to_camera(means: Any, i: int, views: Any, camera: int) -> Any:
    """Gives the center in a camera's axes."""
    px, py, pz = np.float64(means[i, 0]), np.float64(means[i, 1]), np.float64(means[i, 2])
    x = views[camera, 0, 0] * px + views[camera, 0, 1] * py + views[camera, 0, 2] * pz
    y = views[camera, 1, 0] * px + views[camera, 1, 1] * py + views[camera, 1, 2] * pz
    z = views[camera, 2, 0] * px + views[camera, 2, 1] * py + views[camera, 2, 2] * pz
    return x + views[camera, 0, 3], y + views[camera, 1, 3], z + views[camera, 2, 3]


@njit(inline="always")
def _image_row(views: Any, camera: int, row: int, gain: float, ray: float) -> Any:
    """Gives one row of J R_view: what a step in the world does to a pixel's x or y."""
    return (
        gain * (views[camera, row, 0] - ray * views[camera, 2, 0]),
        gain * (views[camera, row, 1] - ray * views[camera, 2, 1]),
        gain * (views[camera, row, 2] - ray * views[camera, 2, 2]),
    )


@njit(inline="always")
def _read_lens(lenses: Any, camera: int) -> Any:
    """Gives focal lengths, center, and the ranges of u and v, in pairs."""
    across, down = (lenses[camera, 4], lenses[camera, 5]), (lenses[camera, 6], lenses[camera, 7])
    focal, center = (lenses[camera, 0], lenses[camera, 1]), (lenses[camera, 2], lenses[camera, 3])
    return focal, center, across, down


@njit(inline="always")
def _along(row: Any, axis: Any) -> Any:
    return row[0] * axis[0] + row[1] * axis[1] + row[2] * axis[2]


@njit(inline="always")
def _covariance(axes: Any, scales: Any, i: int, x_row: Any, y_row: Any) -> Any:
    """Gives xx, xy, yy of the projected and blurred covariance; rows are those of J R_view."""
    xx, xy, yy = BLUR, 0.0, BLUR
    for n in range(3):
        scale = np.float64(scales[i, n])
        along_x, along_y = _along(x_row, axes[n]) * scale, _along(y_row, axes[n]) * scale
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
    "void(f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], f4[:,:,::1], f8[:,:,::1], f8[:,::1],"
    "i8, i8, i8, i8, f4[:,:,::1], u4[:,::1], i4[:,:,::1])"
)
def project(
    means: Any, quats: Any, scales: Any, opacities: Any, colors: Any, views: Any, lenses: Any,
    width: int, height: int, start: int, stop: int, splats: Any, keys: Any, rects: Any,
) -> None:  # fmt: skip
    """Projects Gaussians `start` to `stop` into every camera as `reference.project` does.

    The first four arguments are as in `Gaussians`; `colors` are [C, N, 3], or [1, N, 3] for all
    cameras. Fills rows of `splats [C, N, 12]`; of `keys [C, N]` with the bits of the float32
    depth (they sort as it does) or `HIDDEN`; of `rects [C, N, 4]` with the first and after-last
    tile in x, then in y.
    """
    for i in range(start, stop):
        opacity = np.float64(opacities[i])
        axes = _axes(quats, i)
        for camera in range(views.shape[0]):
            keys[camera, i] = HIDDEN
            x, y, z = _to_camera(means, i, views, camera)
            if z < NEAR or opacity < ALPHA_MIN:
                continue
            focal, middle, across, down = _read_lens(lenses, camera)
            u, v = x / z, y / z
            center_x, center_y = focal[0] * u + middle[0], focal[1] * v + middle[1]
            u, v = min(max(u, across[0]), across[1]), min(max(v, down[0]), down[1])
            x_row = _image_row(views, camera, 0, focal[0] / z, u)
            y_row = _image_row(views, camera, 1, focal[1] / z, v)
            xx, xy, yy = _covariance(axes, scales, i, x_row, y_row)
            log_opacity = math.log(opacity)
            fading = max(log_opacity - _LOG_ALPHA_MIN, 0.0)
            radius = math.sqrt(2.0 * fading)  # in standard deviations, to where alpha ends
            left, right = _reach(center_x, radius * math.sqrt(xx), width)
            top, bottom = _reach(center_y, radius * math.sqrt(yy), height)
            if left >= right or top >= bottom:
                continue
            keys[camera, i] = _F(z).view(np.uint32)
            rects[camera, i, 0], rects[camera, i, 1] = left // TILE, (right - 1) // TILE + 1
            rects[camera, i, 2], rects[camera, i, 3] = top // TILE, (bottom - 1) // TILE + 1
            log_inverse = _LOG2_E / (xx * yy - xy * xy)
            splats[camera, i, 0], splats[camera, i, 1] = center_x, center_y
            splats[camera, i, 2], splats[camera, i, 4] = (
                -0.5 * yy * log_inverse,
                -0.5 * xx * log_inverse,
            )
            splats[camera, i, 3] = xy * log_inverse
            splats[camera, i, 5] = log_opacity * _LOG2_E
            for channel in range(3):
                splats[camera, i, 6 + channel] = colors[
                    min(camera, colors.shape[0] - 1), i, channel
                ]
            splats[camera, i, 9], splats[camera, i, 10] = top, bottom
            splats[camera, i, 11] = 1.0 / (yy * log_inverse)


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
def _alpha(level: Any, slope: Any, a: Any, x: Any) -> Any:
    """Gives alpha at `x` from the center, along a row where log2 alpha is quadratic in x."""
    return min(_exp2(max(level + x * (slope + a * x), _F(-20.0))), _F(ALPHA_MAX))


@njit(inline="always")
def _blend_row(pixels: Any, row: Any, line: Any, paint: Any, with_depth: bool) -> None:
    """Blends one Gaussian into the 16 pixels of a tile's row, without a branch: it vectorizes.

    `pixels` holds the transmittance, then the three colors and the depth, of one tile. The
    transmittance of a finished pixel is stored negative: behind any further Gaussian it is
    below the limit too.
    """
    (level, slope, a, dx), (red, green, blue, depth) = line, paint
    for column in range(_U(TILE)):
        at = row + column
        alpha = _alpha(level, slope, a, dx + _F(np.int32(column)))
        through = pixels[at]
        behind = through - through * alpha
        is_drawn = alpha >= _F(ALPHA_MIN)
        is_open = is_drawn & (behind > _F(TRANSMITTANCE_MIN))
        weight = through - behind if is_open else _F(0.0)
        pixels[at] = behind if is_open else (-abs(through) if is_drawn else through)
        pixels[at + _U(_PIXELS)] += weight * red
        pixels[at + _U(2 * _PIXELS)] += weight * green
        pixels[at + _U(3 * _PIXELS)] += weight * blue
        if with_depth:
            pixels[at + _U(4 * _PIXELS)] += weight * depth


@njit(inline="always")
def _load(splats: Any, i: Any, x0: int) -> Any:
    """Reads once a tile what `_at_row` needs in every row: a, b, c, l, first x, y, slot 11."""
    a, b, c, level = splats[i, 2], splats[i, 3], splats[i, 4], splats[i, 5]
    return a, b, c, level, _F(x0) + _F(0.5) - splats[i, 0], splats[i, 1], splats[i, 11]


@njit(inline="always")
def _at_row(splat: Any, y: int) -> Any:
    """Gives log2 alpha along row `y`: its level and slope, and whether any of it shows."""
    a, first_x, dy = splat[0], splat[4], _F(y) + _F(0.5) - splat[5]
    slope, level = splat[1] * dy, splat[3] + splat[2] * dy * dy
    peak = min(max(splat[6] * slope, first_x), first_x + _F(TILE - 1))
    shows = level + peak * (slope + a * peak) >= _LOG2_ALPHA_MIN - _F(1e-4)
    return level, slope, shows


@njit(inline="always")
def _is_finished(pixels: Any) -> Any:
    most = _F(-1.0)
    for at in range(_U(_PIXELS)):
        most = max(most, pixels[at])
    return most < _F(0.0)


@njit(inline="always")
def _write_tile(
    pixels: Any, y0: int, x0: int, background: Any,
    image: Any, alpha: Any, depth: Any, with_depth: bool,
) -> None:  # fmt: skip
    for y in range(min(TILE, alpha.shape[0] - y0)):
        for x in range(min(TILE, alpha.shape[1] - x0)):
            at = _U(y * TILE + x)
            through = abs(pixels[at])
            cover = _F(1.0) - through
            alpha[y0 + y, x0 + x] = cover
            for channel in range(3):
                color = pixels[at + _U((channel + 1) * _PIXELS)]
                image[y0 + y, x0 + x, channel] = color + through * background[channel]
            if with_depth:
                depth[y0 + y, x0 + x] = pixels[at + _U(4 * _PIXELS)] / max(cover, _F(1e-10))


@njit(inline="always")
def _blend_tiles(
    splats: Any, depths: Any, starts: Any, entries: Any, first: int, step: int,
    background: Any, image: Any, alpha: Any, depth: Any, with_depth: bool,
) -> None:  # fmt: skip
    """Draws as `blend` or, by a constant `with_depth`, as `blend_with_depth`."""
    tiles_x = (alpha.shape[1] + TILE - 1) // TILE
    pixels = np.empty((5 if with_depth else 4) * _PIXELS, np.float32)
    for tile in range(first, starts.shape[0] - 1, step):
        tile_y = tile // tiles_x
        y0, x0 = tile_y * TILE, (tile - tile_y * tiles_x) * TILE
        pixels[:_PIXELS] = _F(1.0)
        pixels[_PIXELS:] = _F(0.0)
        for entry in range(starts[tile], starts[tile + 1]):
            i = _U(entries[entry])
            splat = _load(splats, i, x0)
            far = depths[i] if with_depth else _F(0.0)  # spares a fetch from afar
            paint = splats[i, 6], splats[i, 7], splats[i, 8], far
            top, bottom = int(splats[i, 9]), int(splats[i, 10])
            for y in range(max(top, y0), min(bottom, y0 + TILE)):
                level, slope, shows = _at_row(splat, y)
                if shows:
                    row = _U((y - y0) * TILE)
                    line = level, slope, splat[0], splat[4]
                    _blend_row(pixels, row, line, paint, with_depth)
            if (entry - starts[tile]) % 16 == 15 and _is_finished(pixels):
                break
        _write_tile(pixels, y0, x0, background, image, alpha, depth, with_depth)


@kernel(
    "void(f4[:,::1], f4[::1], i8[::1], i4[::1], i8, i8, f4[::1], f4[:,:,::1], f4[:,::1],f4[:,::1])"
)
def blend(
    splats: Any, depths: Any, starts: Any, entries: Any, first: int, step: int,
    background: Any, image: Any, alpha: Any, depth: Any,
) -> None:  # fmt: skip
    """Draws tiles `first`, `first + step`, ... of one camera; leaves `depth` as it is.

    Fills `image [H, W, 3]` and `alpha [H, W]`.
    """
    _blend_tiles(
        splats, depths, starts, entries, first, step, background, image, alpha, depth, False
    )


@kernel(
    "void(f4[:,::1], f4[::1], i8[::1], i4[::1], i8, i8, f4[::1], f4[:,:,::1], f4[:,::1],f4[:,::1])"
)
def blend_with_depth(
    splats: Any, depths: Any, starts: Any, entries: Any, first: int, step: int,
    background: Any, image: Any, alpha: Any, depth: Any,
) -> None:  # fmt: skip
    """Draws as `blend`, and `depth [H, W]`: the mean of `depths [N]` by weight."""
    _blend_tiles(
        splats, depths, starts, entries, first, step, background, image, alpha, depth, True
    )
