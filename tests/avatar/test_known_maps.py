"""Maps that are known: kept, read back, compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.avatar.known_maps import KnownMaps, map_terms, write_known_maps
from mien.avatar.static_maps import NUM_ATTRIBUTES

SIDE = 6


@pytest.fixture
def maps() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, NUM_ATTRIBUTES, SIDE, SIDE, generator=generator)


@pytest.fixture
def kept(maps: torch.Tensor, tmp_path: Path) -> Path:
    write_known_maps(tmp_path / "maps.npy", iter(maps), len(maps), SIDE)
    return tmp_path / "maps.npy"


def test_they_are_read_back_by_number(maps: torch.Tensor, kept: Path) -> None:
    found = KnownMaps(kept, 3, SIDE).of([2, 0])
    wanted = torch.cat([maps[:, :4], maps[:, 7:10]], 1)[[2, 0]]  # position, opacity; color
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-3)


def test_a_stopped_writer_leaves_nothing(maps: torch.Tensor, tmp_path: Path) -> None:
    def some() -> Iterator[torch.Tensor]:
        yield maps[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_known_maps(tmp_path / "maps.npy", some(), 3, SIDE)
    assert not list(tmp_path.iterdir())


def test_too_few_maps_are_refused(maps: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        write_known_maps(tmp_path / "maps.npy", iter(maps[:2]), 3, SIDE)
    assert not list(tmp_path.iterdir())


def test_other_files_are_refused(kept: Path) -> None:
    for people, side in ((4, SIDE), (3, SIDE + 1)):
        with pytest.raises(ValueError, match=r"must hold maps \[.*got \[3, 7, 6, 6\]"):
            KnownMaps(kept, people, side)
    kept.write_bytes(kept.read_bytes()[:200])
    with pytest.raises(ValueError, match="cannot be read"):
        KnownMaps(kept, 3, SIDE)
    np.save(kept, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read"):
        KnownMaps(kept, 3, SIDE)


def test_terms_are_those_of_a_plain_loop(maps: torch.Tensor, kept: Path) -> None:
    known = KnownMaps(kept, 3, SIDE).of([0, 1])
    given, template = maps[[1, 2]], maps[0]
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[1:4, 2:] = True
    found = map_terms(given, known, template, inside)
    sums = {"position": 0.0, "opacity": 0.0, "color": 0.0, "others": 0.0}
    counts = dict.fromkeys(sums, 0)
    for row in range(1, 4):
        for column in range(2, SIDE):
            for channel in range(NUM_ATTRIBUTES):
                own = float(given[1, channel, row, column])
                if channel < 3:
                    name, other = "position", float(known[1, channel, row, column])
                elif channel == 3:
                    name, other = "opacity", float(known[1, 3, row, column])
                elif 7 <= channel < 10:
                    name, other = "color", float(known[1, channel - 3, row, column])
                else:
                    name, other = "others", float(template[channel, row, column])
                if name in ("opacity", "color"):
                    own, other = (1 / (1 + np.exp(-value)) for value in (own, other))
                sums[name] += abs(own - other)
                counts[name] += 1
    for name, total in sums.items():
        assert float(found[name][1]) == pytest.approx(total / counts[name], rel=1e-4)


def test_what_is_right_costs_nothing(maps: torch.Tensor) -> None:
    maps = maps.half().float()
    known = torch.cat([maps[:, :4], maps[:, 7:10]], 1)
    found = map_terms(maps[:1], known[:1], maps[0], torch.ones(SIDE, SIDE, dtype=torch.bool))
    assert all(float(value) == 0 for value in found.values())
