"""Compiled CPU kernels for the way back: from gradients of pictures to those of Gaussians.

A tile is blended once more, alpha by alpha onto a tape, then undone from the farthest row to the
nearest. Each entry of a tile has a row of sums of its own, so threads never write to the same
place, and rows are then summed Gaussian by Gaussian in the order of the tiles: the number of
threads changes no bit.

A row of `rows [E, 10]` and of `sums [C, N, 10]`, float32, where p is the gradient with respect to
ln alpha and x, y a pixel's offset from the center in px, summed over pixels:
    0-5    p, p x, p y, p x x, p x y, p y y
    6-8    gradient of the color
    9      gradient of the depth

Source:
    3D Gaussian Splatting (Kerbl et al. 2023), supplement A; checked against autograd.
"""

from typing import Any

import numpy as np
from numba import njit

from mien.avatar.kernels import (
    _F,
    _PIXELS,
    _U,
    _along,
    _alpha,
    _at_row,
    _axes,
    _covariance,
    _image_row,
    _is_finished,
    _load,
    _read_lens,
    _to_camera,
)
from mien.avatar.reference import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from mien.avatar.tiles import HIDDEN, TILE
from mien.jit import kernel

SUM_WIDTH = 10

# Planes of a tile: transmittance, light from behind, four gradients.
_BEHIND, _GRADS, _PLANES = _PIXELS, 2 * _PIXELS, 6 * _PIXELS
_LANE_COUNT = 7  # p, p y, p y y, color, depth; one lane a column


@njit
def _grow(tape: Any, records: Any) -> Any:
    """Gives a tape of twice the length, the old one at its end."""
    size = records.shape[0]
    larger, more = np.empty((2 * size, TILE), np.float32), np.empty(2 * size, np.int32)
    larger[size:], more[size:] = tape, records
    return larger, more


@njit(inline="always")
def _record_row(
    pixels: Any, row: Any, tape: Any, at_record: Any, level: Any, slope: Any, a: Any, dx: Any
) -> Any:
    """Blends as `kernels._blend_row`, without colors; keeps alpha, 0 where nothing is drawn.

    Returns:
        In how many pixels it is drawn.
    """
    drawn = np.int32(0)
    for column in range(_U(TILE)):
        alpha = _alpha(level, slope, a, dx + _F(np.int32(column)))
        through = pixels[row + column]
        behind = through - through * alpha
        is_drawn = alpha >= _F(ALPHA_MIN)
        is_open = is_drawn & (behind > _F(TRANSMITTANCE_MIN))
        pixels[row + column] = behind if is_open else (-abs(through) if is_drawn else through)
        tape[at_record, column] = alpha if is_open else _F(0.0)
        drawn += np.int32(is_open)
    return drawn


@njit(inline="always")
def _load_gradients(
    pixels: Any, y0: int, x0: int, background: Any, image: Any, alpha: Any, depth: Any
) -> None:
    """Lays the gradients of the pixels beside the transmittance; zero off the image."""
    pixels[_BEHIND:] = _F(0.0)
    for y in range(min(TILE, alpha.shape[0] - y0)):
        for x in range(min(TILE, alpha.shape[1] - x0)):
            at = _U(y * TILE + x)
            behind = -alpha[y0 + y, x0 + x]
            for channel in range(3):
                gradient = image[y0 + y, x0 + x, channel]
                behind += gradient * background[channel]
                pixels[_U(_GRADS + channel * _PIXELS) + at] = gradient
            if depth.shape[0] > 0:
                pixels[_U(_GRADS + 3 * _PIXELS) + at] = depth[y0 + y, x0 + x]
            pixels[_U(_BEHIND) + at] = behind * abs(pixels[at])
    for pixel in range(_U(_PIXELS)):
        pixels[pixel] = abs(pixels[pixel])


@njit(inline="always")
def _unblend_row(
    pixels: Any, lanes: Any, row: Any, tape: Any, record: Any, dy: Any,
    red: Any, green: Any, blue: Any, depth: Any,
) -> None:  # fmt: skip
    """Takes one Gaussian off a row and adds its gradients to the lanes, without a branch."""
    for column in range(_U(TILE)):
        at = row + column
        alpha = tape[record, column]
        inverse = _F(1.0) / (_F(1.0) - alpha)
        through = pixels[at] * inverse
        weight = through * alpha
        of_red, of_green = pixels[at + _U(_GRADS)], pixels[at + _U(_GRADS + _PIXELS)]
        of_blue = pixels[at + _U(_GRADS + 2 * _PIXELS)]
        of_depth = pixels[at + _U(_GRADS + 3 * _PIXELS)]
        value = red * of_red + green * of_green + blue * of_blue + depth * of_depth
        behind = pixels[at + _U(_BEHIND)]
        part = alpha * (through * value - behind * inverse)
        part = part if alpha < _F(ALPHA_MAX) else _F(0.0)  # a limit passes no gradient
        pixels[at] = through
        pixels[at + _U(_BEHIND)] = behind + weight * value
        lanes[column] += part
        lanes[column + _U(TILE)] += part * dy
        lanes[column + _U(2 * TILE)] += part * dy * dy
        lanes[column + _U(3 * TILE)] += weight * of_red
        lanes[column + _U(4 * TILE)] += weight * of_green
        lanes[column + _U(5 * TILE)] += weight * of_blue
        lanes[column + _U(6 * TILE)] += weight * of_depth


@njit(inline="always")
def _write_row(lanes: Any, first_x: Any, rows: Any, entry: int) -> None:
    """Sums the lanes of an entry over the columns, and empties them."""
    p = px = py = pxx = pxy = pyy = _F(0.0)
    red = green = blue = depth = _F(0.0)
    for column in range(TILE):
        x, lane = first_x + _F(column), _U(column)
        part, part_y = lanes[lane], lanes[lane + _U(TILE)]
        p, px, py = p + part, px + part * x, py + part_y
        pxx, pxy = pxx + part * x * x, pxy + part_y * x
        pyy += lanes[lane + _U(2 * TILE)]
        red += lanes[lane + _U(3 * TILE)]
        green += lanes[lane + _U(4 * TILE)]
        blue += lanes[lane + _U(5 * TILE)]
        depth += lanes[lane + _U(6 * TILE)]
    rows[entry, 0], rows[entry, 1], rows[entry, 2] = p, px, py
    rows[entry, 3], rows[entry, 4], rows[entry, 5] = pxx, pxy, pyy
    rows[entry, 6], rows[entry, 7], rows[entry, 8], rows[entry, 9] = red, green, blue, depth
    lanes[:] = _F(0.0)


@kernel(
    "void(f4[:,::1], f4[::1], i8[::1], i4[::1], i8, i8, f4[::1], f4[:,:,::1], f4[:,::1],"
    "f4[:,::1], f4[:,::1])"
)
def unblend(
    splats: Any, depths: Any, starts: Any, entries: Any, first: int, step: int,
    background: Any, image: Any, alpha: Any, depth: Any, rows: Any,
) -> None:  # fmt: skip
    """Fills `rows` of tiles `first`, `first + step`, ... of one camera.

    `image`, `alpha` and `depth` are the gradients of what `kernels.blend` fills, `depth` that of
    the sum by weight, not of the mean; it may be empty.
    """
    tiles_x = (alpha.shape[1] + TILE - 1) // TILE
    pixels = np.empty(_PLANES, np.float32)
    lanes = np.zeros(_LANE_COUNT * TILE, np.float32)
    tape, records = np.empty((1024, TILE), np.float32), np.empty(1024, np.int32)
    for tile in range(first, starts.shape[0] - 1, step):
        begin, end = starts[tile], starts[tile + 1]
        tile_y = tile // tiles_x
        y0, x0 = tile_y * TILE, (tile - tile_y * tiles_x) * TILE
        rows[begin:end] = _F(0.0)
        pixels[:_PIXELS] = _F(1.0)
        left = records.shape[0]  # the tape is filled from its end, to be read forward
        for entry in range(begin, end):
            i = _U(entries[entry])
            splat = _load(splats, i, x0)
            if left < TILE:
                left += records.shape[0]
                tape, records = _grow(tape, records)
            for y in range(max(int(splats[i, 9]), y0), min(int(splats[i, 10]), y0 + TILE)):
                level, slope, shows = _at_row(splat, y)
                if shows:
                    row, at = _U((y - y0) * TILE), _U(left - 1)
                    drawn = _record_row(pixels, row, tape, at, level, slope, splat[0], splat[4])
                    if drawn > 0:
                        left -= 1
                        records[left] = (entry - begin) * TILE + (y - y0)
            if (entry - begin) % 16 == 15 and _is_finished(pixels):
                break
        _load_gradients(pixels, y0, x0, background, image, alpha, depth)
        for record in range(left, records.shape[0]):
            entry, y = begin + records[record] // TILE, y0 + records[record] % TILE
            i, row = _U(entries[entry]), _U((y - y0) * TILE)
            dy = _F(y) + _F(0.5) - splats[i, 1]
            _unblend_row(
                pixels, lanes, row, tape, _U(record), dy,
                splats[i, 6], splats[i, 7], splats[i, 8], depths[i],
            )  # fmt: skip
            after = record + 1
            if after == records.shape[0] or begin + records[after] // TILE != entry:
                _write_row(lanes, _F(x0) + _F(0.5) - splats[i, 0], rows, entry)


@kernel("void(i4[::1], f4[:,::1], i8, i8, f4[:,::1])")
def sum_entries(entries: Any, rows: Any, start: int, stop: int, sums: Any) -> None:
    """Sums the `rows` of Gaussians `start` to `stop` of one camera into `sums [N, 10]`."""
    sums[start:stop] = _F(0.0)
    for entry in range(entries.shape[0]):
        i = entries[entry]
        if start <= i < stop:
            for k in range(SUM_WIDTH):
                sums[i, k] += rows[entry, k]


@njit(inline="always")
def _add_shape(
    axes: Any, scales: Any, i: int, x_row: Any, y_row: Any, sums: Any, total: Any
) -> Any:
    """Takes the six sums to scales, axes and the rows of J R_view.

    With M the second moments of p and P the conic, the covariance has the gradient P M P / 2.

    Returns:
        Gradient of the center's x and y, and of the two rows.
    """
    xx, xy, yy = _covariance(axes, scales, i, x_row, y_row)
    det = xx * yy - xy * xy
    a, b, c = yy / det, -xy / det, xx / det
    along_x, along_y = np.float64(sums[1]), np.float64(sums[2])
    mxx, mxy, myy = np.float64(sums[3]), np.float64(sums[4]), np.float64(sums[5])
    top, mid_x = a * mxx + b * mxy, a * mxy + b * myy
    mid_y, low = b * mxx + c * mxy, b * mxy + c * myy
    of_xx, of_xy, of_yy = top * a + mid_x * b, top * b + mid_x * c, mid_y * b + low * c
    x0, x1, x2, y0, y1, y2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for n in range(3):
        axis, scale = axes[n], np.float64(scales[i, n])
        to_x, to_y = _along(x_row, axis), _along(y_row, axis)
        of_x, of_y = of_xx * to_x + of_xy * to_y, of_xy * to_x + of_yy * to_y
        total[3 + n] += scale * (of_x * to_x + of_y * to_y)
        of_x, of_y = of_x * scale * scale, of_y * scale * scale
        for k in range(3):
            total[6 + 3 * n + k] += of_x * x_row[k] + of_y * y_row[k]
        x0, x1, x2 = x0 + of_x * axis[0], x1 + of_x * axis[1], x2 + of_x * axis[2]
        y0, y1, y2 = y0 + of_y * axis[0], y1 + of_y * axis[1], y2 + of_y * axis[2]
    at_x, at_y = a * along_x + b * along_y, b * along_x + c * along_y
    return at_x, at_y, (x0, x1, x2), (y0, y1, y2)


@njit(inline="always")
def _leave_ray(
    views: Any, camera: int, focal: float, inside: bool, z: float,
    of_center: float, row: Any, of_row: Any,
) -> Any:  # fmt: skip
    """Gives the gradients of x / z (or y / z) and of z through one image axis."""
    third = (views[camera, 2, 0], views[camera, 2, 1], views[camera, 2, 2])
    of_ray = focal * of_center
    if inside:
        of_ray -= focal / z * _along(of_row, third)
    return of_ray, -_along(of_row, row) / z


@njit(inline="always")
def _write_quat(quats: Any, i: int, of: Any, out: Any) -> None:
    """Takes the gradient of the three axes, `of[6:15]`, to a quaternion of any length."""
    w, x = np.float64(quats[i, 0]), np.float64(quats[i, 1])
    y, z = np.float64(quats[i, 2]), np.float64(quats[i, 3])
    length = max(np.sqrt(w * w + x * x + y * y + z * z), 1e-12)
    w, x, y, z = w / length, x / length, y / length, z / length
    g00, g10, g20 = of[6], of[7], of[8]
    g01, g11, g21 = of[9], of[10], of[11]
    g02, g12, g22 = of[12], of[13], of[14]
    dw = 2.0 * (z * (g10 - g01) + y * (g02 - g20) + x * (g21 - g12))
    dx = 2.0 * (y * (g01 + g10) + z * (g02 + g20) + w * (g21 - g12) - 2.0 * x * (g11 + g22))
    dy = 2.0 * (x * (g01 + g10) + z * (g12 + g21) + w * (g02 - g20) - 2.0 * y * (g00 + g22))
    dz = 2.0 * (x * (g02 + g20) + y * (g12 + g21) + w * (g10 - g01) - 2.0 * z * (g00 + g11))
    along = dw * w + dx * x + dy * y + dz * z
    out[i, 0], out[i, 1] = (dw - along * w) / length, (dx - along * x) / length
    out[i, 2], out[i, 3] = (dy - along * y) / length, (dz - along * z) / length


@kernel(
    "void(f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], f8[:,:,::1], f8[:,::1], u4[:,::1],"
    "f4[:,:,::1], i8, i8, f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], f4[:,:,::1])"
)
def unproject(
    means: Any, quats: Any, scales: Any, opacities: Any, views: Any, lenses: Any, keys: Any,
    sums: Any, start: int, stop: int,
    of_means: Any, of_quats: Any, of_scales: Any, of_opacities: Any, of_colors: Any,
) -> None:  # fmt: skip
    """Takes `sums` of Gaussians `start` to `stop` through `kernels.project` to its inputs.

    Fills the gradients, summed over cameras; of `of_colors [C or 1, N, 3]` it adds to zeros.
    """
    total = np.empty(16)  # center, scales, three axes, opacity
    for i in range(start, stop):
        total[:] = 0.0
        axes = _axes(quats, i)
        for camera in range(views.shape[0]):
            if keys[camera, i] == HIDDEN:
                continue
            known = sums[camera, i]
            focal, _, across, down = _read_lens(lenses, camera)
            x, y, z = _to_camera(means, i, views, camera)
            u, v = x / z, y / z
            held_u, held_v = min(max(u, across[0]), across[1]), min(max(v, down[0]), down[1])
            x_row = _image_row(views, camera, 0, focal[0] / z, held_u)
            y_row = _image_row(views, camera, 1, focal[1] / z, held_v)
            at_x, at_y, of_x_row, of_y_row = _add_shape(
                axes, scales, i, x_row, y_row, known, total
            )
            of_u, x_deep = _leave_ray(
                views, camera, focal[0], held_u == u, z, at_x, x_row, of_x_row
            )
            of_v, y_deep = _leave_ray(
                views, camera, focal[1], held_v == v, z, at_y, y_row, of_y_row
            )
            of_z = np.float64(known[9]) + x_deep + y_deep - (of_u * u + of_v * v) / z
            for k in range(3):
                part = of_u / z * views[camera, 0, k] + of_v / z * views[camera, 1, k]
                total[k] += part + of_z * views[camera, 2, k]
                of_colors[min(camera, of_colors.shape[0] - 1), i, k] += known[6 + k]
            total[15] += np.float64(known[0]) / np.float64(opacities[i])
        for k in range(3):
            of_means[i, k], of_scales[i, k] = total[k], total[3 + k]
        of_opacities[i] = total[15]
        _write_quat(quats, i, total, of_quats)
