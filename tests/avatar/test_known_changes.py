"""Known changes of colors: kept by number, and compared over what moves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mien.avatar.known_changes import KnownChanges, change_terms, write_known_changes

SIDE = 8


def test_they_are_read_back_by_number(tmp_path: Path) -> None:
    changes = torch.arange(3 * 3 * SIDE * SIDE).reshape(3, 3, SIDE, SIDE).sin() / 4
    path = tmp_path / "changes.npy"
    write_known_changes(path, [(n, changes[n]) for n in (2, 0, 1)], 3, SIDE)
    known = KnownChanges(path, 3, SIDE)
    assert len(known) == 3
    torch.testing.assert_close(known.of([2, 0]), changes[[2, 0]], atol=2e-4, rtol=1e-3)
    with pytest.raises(ValueError, match=r"must hold maps \[4, 3, 8, 8\] of float16"):
        KnownChanges(path, 4, SIDE)


def test_instants_that_are_missing_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wanted at 3 instants, 2 missing"):
        write_known_changes(tmp_path / "c.npy", [(1, torch.zeros(3, SIDE, SIDE))], 3, SIDE)
    assert not list(tmp_path.iterdir())


def test_what_makes_the_change_exactly_has_no_error() -> None:
    generator = torch.Generator().manual_seed(0)
    color = torch.randn(3, SIDE, SIDE, generator=generator)
    deltas = torch.zeros(14, SIDE, SIDE)
    deltas[7:10] = torch.randn(3, SIDE, SIDE, generator=generator)
    change = (color + deltas[7:10]).sigmoid() - color.sigmoid()
    moving = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    moving[2:5, 1:7] = True
    terms = change_terms(deltas, color, change, moving)
    assert float(terms["change"]) < 1e-7 and float(terms["others"]) == 0.0
    change[:, ~moving] += 1.0
    deltas[3, 3, 3] = 11 * 18
    terms = change_terms(deltas, color, change, moving)
    assert float(terms["change"]) < 1e-7, "what does not move does not count"
    assert float(terms["others"]) == pytest.approx(1.0)
    change[0, 3, 3] += 54 * 0.1 + 0.05
    assert float(change_terms(deltas, color, change, moving)["change"]) == pytest.approx(0.1)
