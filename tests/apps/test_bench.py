import json
import re
from collections.abc import Iterator

import pytest
import torch

from mien.apps import measures
from mien.apps.bench import Bench, as_json, as_markdown, describe_machine
from mien.apps.measures import Row, rate_row, time_row, timed
from mien.apps.refusal import Refusal
from mien.avatar.phantom import phantom
from mien.camera import Camera


def test_rates_are_counts_over_seconds_with_the_middle_one_first() -> None:
    row = rate_row("a", "frames/s", 100, [1.0, 4.0, 2.0], "all")
    assert (row.median, row.low, row.high) == (50.0, 25.0, 100.0)


def test_times_come_in_the_unit_one_reads() -> None:
    short, long = time_row("a", [0.002, 0.001, 0.009], ""), time_row("a", [60.0, 61.0, 59.5], "")
    assert (short.median, short.unit) == (2.0, "ms")
    assert (long.median, long.low, long.high, long.unit) == (60.0, 59.5, 61.0, "s")


def test_the_first_call_is_not_counted() -> None:
    calls = []
    assert len(timed(lambda: calls.append(1), 3)) == 3
    assert len(calls) == 4


def one_row(repeats: int) -> Iterator[Row]:
    yield rate_row("something", "frames/s", 1000, [0.5] * repeats, "all of it")


def no_row(repeats: int) -> Iterator[Row]:
    raise OSError(f"no weights after {repeats} repeats")
    yield


def test_the_table_has_the_machine_the_figure_and_what_is_inside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(measures.PARTS, "head", one_row)
    Bench(parts=("head",), repeats=2).run()
    out = capsys.readouterr().out
    assert "| something | 2,000 frames/s | 2,000 to 2,000 | all of it |" in out
    assert re.search(r"^- cores: \d+$", out, re.M) and "torch" in out


def test_a_part_that_fails_is_named_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(measures.PARTS, "language", no_row)
    monkeypatch.setitem(measures.PARTS, "head", one_row)
    with pytest.raises(Refusal, match="could not measure language"):
        Bench(parts=("language", "head"), repeats=2, json=True).run()
    found = json.loads(capsys.readouterr().out)
    assert found["failures"] == {"language": "OSError: no weights after 2 repeats"}
    assert [row["name"] for row in found["rows"]] == ["something"]


def test_threads_are_set_for_the_measurement_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, before = [], torch.get_num_threads()

    def spy(repeats: int) -> Iterator[Row]:
        seen.append(torch.get_num_threads())
        return one_row(repeats)

    monkeypatch.setitem(measures.PARTS, "head", spy)
    Bench(parts=("head",), repeats=1, threads=1).run()
    assert seen == [1] and torch.get_num_threads() == before


def test_splatting_is_measured_for_each_count_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "SPLAT_COUNTS", (1000, 2000))
    monkeypatch.setattr(measures, "SPLAT_SIZES", (32,))
    rows = list(measures.splatting(1))
    kinds = ("", ", one frame", ", forward and backward")
    assert [row.name for row in rows] == [
        f"splatting {count}k Gaussians, 32x32{kind}" for count in (1, 2) for kind in kinds
    ]
    assert all(0 < row.low <= row.median <= row.high for row in rows)


def test_a_training_step_reaches_every_value_and_starts_anew_each_time() -> None:
    learn = measures.training_step(phantom(300), Camera.portrait(32, 32))
    first = [leaf.grad.clone() for leaf in learn() if leaf.grad is not None]
    assert len(first) == 5 and all(float(grad.abs().sum()) > 0 for grad in first)
    again = [leaf.grad for leaf in learn()]
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-9)  # threads add up in any order


def test_an_animation_that_fails_tells_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "PROMPT", "")
    with pytest.raises(
        ValueError, match=r"`mien animate` ended with code 2 and said: mien: error"
    ):
        list(measures.cold_start(1))


def test_senseless_repeats_and_threads_are_refused() -> None:
    with pytest.raises(Refusal, match="--repeats must be 1 to 1000, got 0"):
        Bench(repeats=0).run()
    with pytest.raises(Refusal, match="--threads must be 1 to"):
        Bench(threads=0).run()


def test_json_and_markdown_hold_the_same_figures() -> None:
    machine, rows = describe_machine(), list(one_row(1))
    assert json.loads(as_json(machine, rows, {}))["rows"][0]["median"] == 2000
    assert "2,000 frames/s" in as_markdown(machine, rows, {"corpus": "gone"}, 1)
    assert "| corpus | not measured | | gone |" in as_markdown(
        machine, rows, {"corpus": "gone"}, 1
    )


def test_every_part_that_can_be_named_can_be_measured() -> None:
    assert Bench().parts == tuple(measures.PARTS)
