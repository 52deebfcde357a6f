import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.apps.cli import main
from mien.apps.eval_tokenizers import EvaluateTokenizers
from mien.apps.refusal import Refusal
from mien.apps.tokenizer_table import (
    VARIANTS,
    Faces,
    Row,
    Variant,
    measure_rest,
    played_by_others,
    table,
)
from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES, motion_from_curves
from mien.motion import Motion
from mien.tokenizer import FaceSpace, MotionTokenizer
from mien.tokenizer.features import frames_of
from mien.tokenizer.metrics import point_errors_mm


def made_curves(seed: int, frames: int = 20) -> np.ndarray:
    """Units in slow waves, each with a phase of its own."""
    phase = np.random.default_rng(seed).uniform(0, 6, len(ARKIT_NAMES))
    curves = np.zeros((frames, len(CHANNEL_NAMES)), np.float16)
    waves = 0.3 * np.sin(np.arange(frames)[:, None] / 4 + phase)
    curves[:, : len(ARKIT_NAMES)] = waves.clip(0.0)
    return curves


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    from datasets import Dataset

    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = {
        "split": ["train", "train", "test"],
        "curves": [made_curves(seed).tobytes() for seed in range(3)],
    }
    Dataset.from_dict(rows).to_parquet(str(folder / "clips-0.parquet"))
    (folder / "manifest.json").write_text("{}")
    return folder


def small(corpus: Path, *only: str, steps: int = 2) -> EvaluateTokenizers:
    """A table of a few forms, each hardly trained."""
    place = corpus.parent
    return EvaluateTokenizers(
        data=corpus,
        out=place / "reports",
        work=place / "work",
        only=only,
        steps=steps,
        windows=1,
        babble=1,
    )


def names_of(folder: Path) -> list[str]:
    return [row["name"] for row in json.loads((folder / "tokenizers.json").read_text())["rows"]]


def test_a_stopped_table_goes_on_where_it_was(
    corpus: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small(corpus, "geometry-vq-2").run()
    reports, work = corpus.parent / "reports", corpus.parent / "work"
    assert names_of(reports) == ["geometry-vq-2", "shipped", "a face at rest"]
    weights = work / "geometry-vq-2" / "model.safetensors"
    made = weights.read_bytes()
    small(corpus, "geometry-vq-2", "coefficients-rvq-1").run()
    said = capsys.readouterr().err
    assert "geometry-vq-2: trained before" in said and weights.read_bytes() == made
    assert "coefficients-rvq-1: trained in" in said
    assert said.count("geometry-vq-2: measured in") == 1
    assert names_of(reports)[:2] == ["geometry-vq-2", "coefficients-rvq-1"]
    written = (reports / "tokenizers.md").read_text()
    assert "| coefficients-rvq-1 | 4 x 1024 codes, 1 frame | 1000 |" in written
    assert "| geometry-vq-2 | 1024 codes, 2 frames | 125 |" in written
    assert "NaN" not in (reports / "tokenizers.json").read_text()
    rows = json.loads((reports / "tokenizers.json").read_text())["rows"]
    assert all(0 <= row["same_person"] <= 1 for row in rows[:3])
    assert rows[0]["steps"] == 2 and rows[2]["steps"] is None
    with pytest.raises(Refusal, match="trained with steps 2, got 3; name another folder: --work"):
        small(corpus, "geometry-vq-2", steps=3).run()


def test_every_form_of_the_table_can_be_built() -> None:
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS) == 14
    space = FaceSpace.default()
    for variant in VARIANTS:
        tokenizer = MotionTokenizer(variant.sizes(), space)
        assert tokenizer.frames_per_token == variant.frames_per_token
        assert tokenizer.index_shape == ((4,) if variant.quantizer == "rvq" else ())
    shipped = MotionTokenizer.load(space=space).config
    plain = dataclasses.replace(shipped, emphasis=0.0)  # forms are compared as they decode
    assert Variant("geometry", "parts").sizes() == plain


def test_a_face_at_rest_is_as_far_as_the_motion_goes() -> None:
    motion = motion_from_curves(torch.from_numpy(made_curves(0).astype(np.float32)), 25.0)
    space = FaceSpace.default()
    row = measure_rest(Faces([motion], [], motion), space)
    rest = frames_of(Motion.rest(motion.num_frames))
    far = point_errors_mm(rest, frames_of(motion), space)
    assert row.figures["mean_mm"] == pytest.approx(float(far.mean()), rel=1e-4)
    assert row.deviation["l2_mm"] == pytest.approx(float(far.mean()), rel=1e-4)
    assert row.deviation["fdd_paper_mm"] > 0 and row.deviation["jerk"] == 0.0
    assert row.take is not None and row.take["mean_mm"] == row.figures["mean_mm"]


def test_other_people_play_nearly_the_same() -> None:
    motion = motion_from_curves(torch.from_numpy(made_curves(1, 8).astype(np.float32)), 25.0)
    motion = motion.replace(neck_pose=torch.full((8, 3), 0.1))
    played = played_by_others([motion])
    assert len(played) == 2
    apart = Faces([], played, None).apart_mm(FaceSpace.default())
    assert 0 < apart < 1.0
    for truth, found in played:
        assert found.shape is None and torch.equal(found.neck_pose, truth.neck_pose)
        assert not torch.equal(found.expr, truth.expr)


def test_a_row_has_a_cell_for_every_column() -> None:
    kept = {"mean_mm": 0.5, "lips_mm": 0.8, "jerk_ratio": 1.0, "code_use": 0.5, "perplexity": 40.0}
    off = {"lve_mm": 1.2, "fdd_paper_mm": -0.03}
    row = Row("geometry-rvq-4", 1024, 4, 4, 250.0, kept, off, 0.98, 0.9, kept | off)
    rest = Row("a face at rest", 1, 0, 1, 0.0, kept, off, None, None, None)
    lines = table([row, rest]).splitlines()
    assert len({line.count("|") for line in lines}) == 1 and len(lines) == 4
    assert "| 0.50 | 0.80 | 1.20 | -0.030 | 1.00 | 50% | 40 | 98.0% | 90.0% |" in lines[2]
    assert lines[3].endswith("| 1.00 |  |  |  |  |")
    on_take = table([row, rest], is_take=True).splitlines()
    assert len(on_take) == 3 and on_take[2].endswith("| 50% | 40 |  |  |")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "geometry-vq-3"], "wanted names of geometry-parts-1, .* got 'geometry-vq-3'"),
        (["--steps", "1"], "`steps` must be at least 2, got 1"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    options: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    out = tmp_path / "reports"
    argv = ["eval", "tokenizers", "--data", str(tmp_path), "--out", str(out), *options]
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert re.search(said, error) and error.count("\n") == 1 and not out.exists()
