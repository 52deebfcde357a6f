from typing import Any

import numpy as np
import pytest

from mien.avatar import tiles


def sort(depths: Any) -> Any:
    keys = np.asarray(depths, np.float32).view(np.uint32)
    orders, sorted_keys = np.empty((2, len(keys)), np.int32), np.empty((2, len(keys)), np.uint32)
    return tiles.sort_by_depth(keys, orders, sorted_keys)


@pytest.mark.parametrize("spread_by", [0.0, 1e-6, 1e-3, 1.0, 1e6])
def test_the_radix_sort_is_a_stable_sort(spread_by: float) -> None:
    generator = np.random.default_rng(5)
    depths = (0.7 + spread_by * generator.random(3001)).astype(np.float32)
    depths[::7] = depths[0]
    np.testing.assert_array_equal(sort(depths), np.argsort(depths, kind="stable"))


def test_the_sort_leaves_out_what_is_hidden() -> None:
    keys = np.array([0.5, 0.1, 0.3], np.float32).view(np.uint32)
    keys[1] = tiles.HIDDEN
    np.testing.assert_array_equal(sort(keys.view(np.float32)), [2, 0])
    assert len(sort(np.empty(0, np.float32))) == 0


def test_every_tile_lists_its_gaussians_once_and_by_depth() -> None:
    keys = np.array([0.9, 0.2, 0.5], np.float32).view(np.uint32)
    rects = np.array([[0, 2, 0, 3], [1, 2, 0, 1], [0, 1, 2, 3]], np.int32)
    starts = np.empty(2 * 3 + 1, np.int64)
    entries = np.full(tiles.count_tiles(keys, rects, 2, starts), -1, np.int32)
    for first in range(2):
        tiles.fill_tiles(sort(keys.view(np.float32)), rects, 2, starts, first, 2, entries)
    listed = [entries[a:b].tolist() for a, b in zip(starts, starts[1:], strict=False)]
    assert listed == [[0], [1, 0], [0], [0], [2, 0], [0]]
