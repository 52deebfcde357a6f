"""Maps that are known: kept, read back, compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.avatar.known_maps import (
    KnownMaps,
    map_terms,
    principal,
    spread_known,
    write_known_maps,
)
from mien.avatar.sizes import tiny
from mien.avatar.static_maps import NUM_ATTRIBUTES

SIDE = 6


@pytest.fixture
def maps() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, NUM_ATTRIBUTES, SIDE, SIDE, generator=generator)


@pytest.fixture
def kept(maps: torch.Tensor, tmp_path: Path) -> Path:
    write_known_maps(tmp_path / "maps.npy", enumerate(maps), len(maps), SIDE)
    return tmp_path / "maps.npy"


def test_they_are_read_back_by_number(maps: torch.Tensor, kept: Path) -> None:
    found = KnownMaps(kept, 3, SIDE).of([2, 0])
    wanted = torch.cat([maps[:, :4], maps[:, 7:10]], 1)[[2, 0]]  # position, opacity; color
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-3)


def test_a_stopped_writer_leaves_nothing(maps: torch.Tensor, tmp_path: Path) -> None:
    def some() -> Iterator[tuple[int, torch.Tensor]]:
        yield 0, maps[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_known_maps(tmp_path / "maps.npy", some(), 3, SIDE)
    assert not list(tmp_path.iterdir())


def test_too_few_maps_are_refused(maps: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of all 3, 1 are missing"):
        write_known_maps(tmp_path / "maps.npy", enumerate(maps[:2]), 3, SIDE)
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


def test_principal_components_span_what_people_are(tmp_path: Path) -> None:
    """Five people who differ in two ways alone, in all channels, smoothly over the maps."""
    size, generator = tiny(), torch.Generator().manual_seed(1)
    ways = torch.randn(2, 7, 2, 2, generator=generator)
    ways = torch.nn.functional.interpolate(ways, (32, 32), mode="nearest")
    weights = torch.tensor([[2.0, 0.1], [-2.0, 0.3], [1.0, -0.4], [-1.0, 0.2], [0.0, -0.2]])
    people = spread_known(torch.einsum("pk,kcij->pcij", weights, ways)) + 0.5
    write_known_maps(tmp_path / "maps.npy", enumerate(people), 5, 32)
    known = KnownMaps(tmp_path / "maps.npy", 5, 32)
    mean, components = principal(known, 4, size)
    assert components.shape == (4, 7, 16, 16)
    assert float(components[2:].abs().max()) < 1e-3, "nobody differs in a third way"
    lengths = components.flatten(1).norm(dim=1)
    assert float(lengths[0]) > float(lengths[1]) > 0
    flat = components[:2].flatten(1)
    assert abs(float(flat[0] @ flat[1])) < 1e-3 * float(lengths[0] * lengths[1])
    small = torch.nn.functional.avg_pool2d(known.of(range(5)), 2).flatten(1)
    apart = small - small.mean(0)
    fitted = torch.linalg.lstsq(flat.T, apart.T).solution
    torch.testing.assert_close(flat.T @ fitted, apart.T, atol=5e-3, rtol=0)
    torch.testing.assert_close(fitted.square().mean(1), torch.ones(2), atol=1e-2, rtol=0)
    color = people[:, 7:10].mean(0)
    torch.testing.assert_close(mean[7:10], color, atol=2e-3, rtol=1e-3)
    assert torch.equal(mean[10], torch.ones(32, 32)), "rotations are the surface's own"


def test_known_channels_find_their_places(maps: torch.Tensor) -> None:
    known = torch.cat([maps[:, :4], maps[:, 7:10]], 1)
    whole = spread_known(known)
    assert whole.shape == maps.shape
    assert torch.equal(whole[:, :4], maps[:, :4]) and torch.equal(whole[:, 7:10], maps[:, 7:10])
    assert float(whole[:, 4:7].abs().max()) == float(whole[:, 10:].abs().max()) == 0
