import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from tests.apps.benchmark.benchmark_world import FakeWords, make_clips
from tests.apps.benchmark.stub_endpoint import Stub, serving

from mien.apps.benchmark.command import EvaluateFull, read_twin
from mien.apps.benchmark.evaluator import Evaluator, EvaluatorConfig
from mien.apps.benchmark.floors import fit_length, frames_in
from mien.apps.benchmark.readers import measure_captions
from mien.apps.benchmark.report import (
    CODED,
    NEAREST,
    NEAREST_MOTION,
    RANDOM,
    TRUTH,
    full_report,
    measure_readers,
)
from mien.apps.benchmark.runner import measure_generation
from mien.apps.benchmark.systems import PooledWords, Reading, System, true_events
from mien.apps.benchmark.table import Report
from mien.apps.benchmark.training import TrainEvaluatorConfig, train_evaluator
from mien.apps.benchmark.yardstick import Protocol, Yardstick
from mien.apps.endpoint import Endpoint
from mien.apps.refusal import Refusal
from mien.data_synth.clip import Clip
from mien.motion import Motion

SIZES = EvaluatorConfig(basis=8, word_width=32, width=16, embedding=12, heads=2)
STEPS = TrainEvaluatorConfig(steps=24, batch=8, texts=1, learning_rate=4e-3, check_every=12)
PROTOCOL = Protocol(repeats=3, generations=2, pool=4, varied_texts=4, varied=4)
TRAIN, TEST = make_clips(6, "train", first=20), make_clips(8, "test")


class FakeTokenizer:
    """A token for how far the jaw is open."""

    def encode(self, motion: Motion) -> torch.Tensor:
        return (motion.jaw_pose[:, 0] * 50).round().long()

    def decode(self, indices: torch.Tensor) -> Motion:
        rest = Motion.rest(len(indices))
        jaw = rest.jaw_pose.clone()
        jaw[:, 0] = indices / 50
        return replace(rest, jaw_pose=jaw)


class Copyist:
    """Knows the truth and shakes it by the seed."""

    def __init__(self, clips: Sequence[Clip], shake: float) -> None:
        self._curves = {clip.texts[0]: clip.curves for clip in clips}
        self._shake = shake

    def __call__(self, texts: Sequence[str], seconds: Sequence[float], seed: int) -> list[ndarray]:
        rng = np.random.default_rng(seed)
        made = [
            fit_length(self._curves[t], frames_in(s)) for t, s in zip(texts, seconds, strict=True)
        ]
        return [
            np.clip(c + rng.normal(0, self._shake, c.shape), 0, 1).astype(np.float32) for c in made
        ]

    def guess(self, clips: Sequence[Clip]) -> list[float]:
        return [0.25] * len(clips)

    def describe(self, motions: Sequence[ndarray]) -> list[Reading]:
        return [Reading(c.caption, true_events(c.performance)) for c in TEST[: len(motions)]]


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    clips = make_clips(8, "train")  # the test clips' twins, so that the ceiling is high
    return train_evaluator(clips, clips, FakeWords(), STEPS, SIZES, lambda line: None)[0]


@pytest.fixture(scope="module")
def report(evaluator: Evaluator) -> Iterator[Report]:
    copyist = Copyist(TEST, 0.1)
    marks = '{"emotion": 4, "motion": 3, "intensity": 5}'
    with serving(Stub(content=marks)) as stub:
        yield full_report(
            TRAIN,
            TEST,
            [System("copyist", copyist, copyist.describe, copyist.guess)],
            evaluator,
            FakeTokenizer(),
            FakeWords(),
            PROTOCOL,
            reader=copyist.describe,
            judge=Endpoint(stub.url, "tiny", 5.0),
            say=lambda line: None,
        )


def test_the_truth_is_the_ceiling(report: Report) -> None:
    truth = report.generation[TRUTH]
    for name in ("l2_mm", "fd", "fd_plain", "fd_geometry", "lve_mm", "fdd_paper_mm"):
        assert truth[name].value == pytest.approx(0.0, abs=1e-5), name
    for name in ("token_accuracy", "jerk_ratio", "energy_ratio", "action_intensity"):
        assert truth[name].value == pytest.approx(1.0), name
    assert report.generation[TRUTH]["judge_score"].value > 0.8
    assert report.captions[TRUTH]["event_f1"].value == 1.0


def test_a_system_stands_between_floor_and_ceiling(report: Report) -> None:
    rows = report.generation
    assert list(rows) == [TRUTH, CODED, "copyist", NEAREST, RANDOM]
    assert rows[CODED]["token_accuracy"].value == 1.0 and rows[CODED]["l2_mm"].value > 0.1
    assert rows["copyist"]["token_next"].value == 0.25 and rows[RANDOM]["token_next"].repeats == 0
    assert rows[TRUTH]["action_seen"].value >= rows[RANDOM]["action_seen"].value + 0.2
    assert rows[TRUTH]["l2_mm"].value < rows["copyist"]["l2_mm"].value
    assert rows["copyist"]["judge_score"].value > rows[RANDOM]["judge_score"].value
    assert rows["copyist"]["jerk_ratio"].value > 3.0  # it shakes
    assert rows["copyist"]["multimodality"].value > 0 and rows[TRUTH]["multimodality"].repeats == 0
    assert list(report.captions) == [TRUTH, "copyist", NEAREST_MOTION]
    assert report.captions["copyist"]["bleu_4"].value == pytest.approx(1.0)
    assert report.captions["copyist"]["llm_m"].value == 3.0
    assert report.captions[NEAREST_MOTION]["cor_m"].value < 4.5


def test_the_tables_are_in_the_layout_of_the_field(report: Report) -> None:
    text = report.as_markdown()
    assert "| Method | L2 mm ↓ | FD ↓ | Tok ↑ | CorE ↑ | USER ↑ |" in text
    assert "| Method | CorE ↑ | CorM ↑ | CorI ↑ | USERE ↑ | USERM ↑ |" in text
    widths = {
        title: {line.count("|") for line in part.splitlines() if line.startswith("|")}
        for title, part in ((p.split("\n")[0], p) for p in text.split("### ")[1:])
    }
    assert len(widths) == 6 and all(len(counts) == 1 for counts in widths.values()), widths
    assert "Marks by LLM: tiny at http://127.0.0.1" in text and "nan" not in text


def test_the_json_is_plain_and_says_what_was_not_measured(report: Report) -> None:
    table = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert table["language2motion"][TRUTH]["multimodality"] is None
    assert table["language2motion"]["copyist"]["fd"]["repeats"] == 3
    assert table["made"]["leakage"]["performers"] == 0
    assert table["made"]["judge"]["complete"] is True


def test_a_judge_that_fails_costs_its_columns_and_no_more(evaluator: Evaluator) -> None:
    lines: list[str] = []
    copyist = Copyist(TEST, 0.0)
    systems = [System("copyist", copyist, copyist.describe)]
    yardstick = Yardstick(TEST, evaluator, FakeTokenizer(), FakeWords(), PROTOCOL)
    with serving(Stub(status=500)) as stub:
        judge = Endpoint(stub.url, "tiny", 5.0)
        rows, judged = measure_readers(yardstick, TRAIN, systems, judge, lines.append)
    assert any("no marks by a language model" in line and "HTTP 500" in line for line in lines)
    assert rows["copyist"]["llm_e"].repeats == 0 and rows["copyist"]["cor_m"].value > 4.0
    assert judged is not None and judged["complete"] is False


def test_clips_of_the_wrong_split_are_refused(evaluator: Evaluator) -> None:
    tokenizer = FakeTokenizer()
    with pytest.raises(ValueError, match="must not be of the train split"):
        full_report(TRAIN, TRAIN, [], evaluator, tokenizer, FakeWords(), PROTOCOL)
    with pytest.raises(ValueError, match="two pools of 32"):
        Yardstick(TEST, evaluator, tokenizer, FakeWords(), Protocol())


def test_too_few_motions_or_readings_are_refused(evaluator: Evaluator) -> None:
    yardstick = Yardstick(TEST, evaluator, FakeTokenizer(), FakeWords(), PROTOCOL)
    with pytest.raises(ValueError, match="8 motions a generation"):
        measure_generation(yardstick, [yardstick.truth[:3]])
    with pytest.raises(ValueError, match="8 readings"):
        measure_captions(yardstick, [])


def test_pooled_words_are_one_vector_a_text() -> None:
    pooled = PooledWords(FakeWords())
    (found,) = pooled.encode(["she nods twice"])
    assert found.shape == (1, 32)


def test_twins_are_read_and_refused(tmp_path: Path) -> None:
    assert read_twin(f"small={tmp_path}") == ("small", tmp_path, None)
    assert read_twin(f"small={tmp_path},{tmp_path}")[2] == tmp_path
    for text in ("small", "=x", "small=/no/such/folder"):
        with pytest.raises(ValueError, match="twin"):
            read_twin(text)


def test_a_protocol_that_measures_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="4 texts and 2 motions"):
        Protocol(varied_texts=3)
    with pytest.raises(ValueError, match="2 repeats"):
        Protocol(repeats=1)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "wanted a folder with a corpus"),
        ({"judge_model": "m"}, "wants a `judge-url`"),
        ({"clips": 3}, "at least 64"),
        ({"twins": Path("/no/twins")}, "mien train twins"),
        ({"twin": ("a=/", "a=/")}, "different names"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(
    tmp_path: Path, options: dict[str, object], complaint: str
) -> None:
    corpus = tmp_path / "corpus"
    if options:
        corpus.mkdir()
        (corpus / "manifest.json").write_text("{}")
    with pytest.raises(Refusal, match=complaint):
        EvaluateFull(data=corpus, out=tmp_path / "out", **options).run()  # type: ignore[arg-type]
