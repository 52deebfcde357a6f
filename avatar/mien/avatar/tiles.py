"""Compiled CPU kernels that order Gaussians: by depth, and by the image tiles they reach."""

from typing import Any

import numpy as np

from mien.jit import kernel

TILE = 16  # px; one row of a tile is one or two vector registers
HIDDEN = np.uint32(0xFFFFFFFF)  # sort key of a Gaussian that is not drawn

_DIGIT = 12  # bits a radix pass; depths of a head differ in about 23
_DIGIT_MASK = (1 << _DIGIT) - 1


@kernel("UniTuple(i8, 3)(u4[::1], i4[::1], u4[::1])")
def _collect_drawn(keys: Any, order: Any, order_keys: Any) -> Any:
    """Lists the Gaussians that are drawn; gives their number, least and greatest key."""
    count, least, most = 0, np.int64(HIDDEN), np.int64(0)
    for i in range(keys.shape[0]):
        key = keys[i]
        if key != HIDDEN:
            order[count], order_keys[count] = i, key
            count += 1
            least, most = min(least, np.int64(key)), max(most, np.int64(key))
    return count, least, most


@kernel("void(i4[::1], u4[::1], i8, i8, i8, i4[::1], u4[::1])")
def _sort_by_digit(
    source: Any, source_keys: Any, count: int, least: int, shift: int,
    target: Any, target_keys: Any,
) -> None:  # fmt: skip
    """One pass of a radix sort: by `_DIGIT` bits of `key - least` from bit `shift`, stable."""
    starts = np.zeros((1 << _DIGIT) + 1, np.int64)
    for i in range(count):
        starts[(((source_keys[i] - least) >> shift) & _DIGIT_MASK) + 1] += 1
    for digit in range(1 << _DIGIT):
        starts[digit + 1] += starts[digit]
    for i in range(count):
        digit = ((source_keys[i] - least) >> shift) & _DIGIT_MASK
        target[starts[digit]], target_keys[starts[digit]] = source[i], source_keys[i]
        starts[digit] += 1


def sort_by_depth(keys: Any, orders: Any, sorted_keys: Any) -> Any:
    """Sorts the drawn Gaussians by `keys`, stable, nearest first.

    Args:
        keys: Of all Gaussians, `[N]`.
        orders: Two int32 buffers of at least N; one holds the result.
        sorted_keys: Two uint32 buffers of at least N.

    Returns:
        The indices of the drawn Gaussians, a view of one buffer.
    """
    count, least, most = _collect_drawn(keys, orders[0], sorted_keys[0])
    at = 0
    for shift in range(0, max(most - least, 0).bit_length(), _DIGIT):
        source, source_keys = orders[at], sorted_keys[at]
        at = 1 - at
        _sort_by_digit(source, source_keys, count, least, shift, orders[at], sorted_keys[at])
    return orders[at][:count]


@kernel("i8(u4[::1], i4[:,::1], i8, i8[::1])")
def count_tiles(keys: Any, rects: Any, tiles_x: int, starts: Any) -> int:
    """Counts the Gaussians of each tile: `starts[t]` to `starts[t + 1]` will be its entries.

    Returns:
        The number of entries in all.
    """
    starts[:] = 0
    for i in range(keys.shape[0]):
        if keys[i] != HIDDEN:
            for ty in range(rects[i, 2], rects[i, 3]):
                for tx in range(rects[i, 0], rects[i, 1]):
                    starts[ty * tiles_x + tx + 1] += 1
    for tile in range(starts.shape[0] - 1):
        starts[tile + 1] += starts[tile]
    return starts[-1]  # type: ignore[no-any-return]


@kernel("void(i4[::1], i4[:,::1], i8, i8[::1], i8, i8, i4[::1])")
def fill_tiles(
    order: Any, rects: Any, tiles_x: int, starts: Any,
    first: int, step: int, entries: Any,
) -> None:  # fmt: skip
    """Lists the Gaussians of each tile in `entries`, nearest first.

    Covers the tile rows `first`, `first + step`, ...
    """
    cursor = starts.copy()
    for rank in range(order.shape[0]):
        i = order[rank]
        top = rects[i, 2]
        for ty in range(top + (first - top) % step, rects[i, 3], step):
            for tx in range(rects[i, 0], rects[i, 1]):
                tile = ty * tiles_x + tx
                entries[cursor[tile]] = i
                cursor[tile] += 1
