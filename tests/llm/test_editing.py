import math
from collections.abc import Sequence

import pytest
import torch
from tests.llm.llm_world import NUM_CODES, make_language_model
from torch import Tensor

from mien.llm.composer import FrameWriter
from mien.llm.drive import run_steps
from mien.llm.editing import (
    Infill,
    changed_frames,
    frames_between,
    measure_locality,
    replace_lines,
    share_equal,
)
from mien.llm.model import MotionLanguageModel
from mien.llm.plan import Line, parse_lines
from mien.llm.sampling import Sampling

SCORE = "smile both mid 0.4 1.4 ; nod both strong 2.0 3.4 ; wink left mid 3.6 4.4"


@pytest.fixture(scope="module")
def model() -> MotionLanguageModel:
    return make_language_model()


def _codes(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, NUM_CODES, (count,), generator=generator)


@pytest.mark.parametrize(
    ("between", "frames"),
    [((0, 4.8), (0, 120)), ((1.0, 2.5), (25, 62)), ((4.7, 4.81), (118, 120))],
)
def test_an_interval_is_whole_frames(
    between: tuple[float, float], frames: tuple[int, int]
) -> None:
    assert frames_between(between, 120) == frames


@pytest.mark.parametrize(
    ("between", "message"),
    [
        ((2.5, 1.0), "in order from 0 to 4.80 s.*got 2.5 and 1"),
        ((1.0, 9.0), "got 1 and 9"),
        ((-0.5, 1.0), "got -0.5 and 1"),
        ((1.0, 1.0), "got 1 and 1"),
        ((math.nan, 1.0), "got nan and 1"),
        ((1.0, 1.001), "at least one frame of 0.04 s"),
    ],
)
def test_an_interval_that_is_none_is_refused(between: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        frames_between(between, 120)
    assert "\n" not in str(refusal.value)


def test_a_line_that_reaches_into_an_interval_is_cut_in_two() -> None:
    long, other = Line(2, 20, "smile", "both", "mid"), Line(6, 8, "nod", "both", "mid")
    new = Line(1, 3, "wink", "left", "mid")
    assert replace_lines([long, other], [new], 5, 10) == (
        Line(2, 5, "smile", "both", "mid"),
        Line(6, 8, "wink", "left", "mid"),
        Line(10, 20, "smile", "both", "mid"),
    )


@pytest.mark.parametrize(
    ("count", "between"),
    [
        (120, (0.0, 1.0)),
        (120, (1.03, 2.57)),
        (120, (3.0, 4.8)),
        (430, (7.0, 9.0)),
        (300, (1.0, 11.0)),
    ],
)
def test_codes_outside_stay_and_codes_inside_are_new(
    model: MotionLanguageModel, count: int, between: tuple[float, float]
) -> None:
    codes = _codes(count)
    start, stop = frames_between(between, count)
    found = model.regenerate_motion(
        codes, between, "she nods", guidance=1.0, candidates=2, score=SCORE
    )
    assert found.indices.shape == codes.shape
    assert torch.equal(found.indices[:start], codes[:start])
    assert torch.equal(found.indices[stop:], codes[stop:])
    assert not torch.equal(found.indices[start:stop], codes[start:stop])
    assert int(found.indices.min()) >= 0 and int(found.indices.max()) < NUM_CODES
    for line in parse_lines(found.score):
        assert start // 5 <= line.start < line.stop <= -(-stop // 5)


def test_the_same_seed_draws_the_same_and_another_another(model: MotionLanguageModel) -> None:
    first, again, other = (
        model.regenerate_motion(
            _codes(120), (1.0, 2.0), "she nods", seed, guidance=2.0, score=SCORE
        ).indices
        for seed in (0, 0, 9)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_without_a_score_the_plan_is_read_from_the_codes(model: MotionLanguageModel) -> None:
    codes = _codes(120)
    read = model.describe(codes).score
    first = model.regenerate_motion(codes, (1.0, 2.0), guidance=1.0)
    second = model.regenerate_motion(codes, (1.0, 2.0), guidance=1.0, score=read)
    assert torch.equal(first.indices, second.indices) and first.score == second.score


def test_by_its_own_words_plan_and_seed_an_interval_comes_back_as_it_was(
    model: MotionLanguageModel,
) -> None:
    ((score, codes),) = model.generate_motion(["he winks"], 6.0, seed=3)
    decoder = model._decoders["text_to_motion"].fork()
    writer = FrameWriter(decoder, model.vocabulary, Sampling(), 3)
    (prompt,), lines = model.read_prompts(["he winks"]), parse_lines(score)
    steps = Infill(writer, prompt, lines, tuple(codes.tolist()), 33, 71).run()
    found, _ = run_steps(decoder, steps, rows=2)
    assert found == codes[33:71].tolist()


def test_the_candidate_that_fits_best_is_taken(model: MotionLanguageModel) -> None:
    codes = _codes(600)
    seen: list[list[int]] = []

    def misfit(drawn: Sequence[int], frame: int) -> float:
        seen.append(list(drawn))
        assert frame == 400
        return [3.0, 1.0, 2.0][len(seen) - 1]

    best = model.regenerate_motion(
        codes, (15.0, 16.0), seed=5, guidance=1.0, candidates=3, misfit=misfit, score=SCORE
    )
    assert best.misfits == (3.0, 1.0, 2.0)
    assert best.indices.tolist() == seen[1] and len({tuple(each) for each in seen}) == 3
    single = model.regenerate_motion(codes, (15.0, 16.0), seed=6, guidance=1.0, score=SCORE)
    assert torch.equal(single.indices, best.indices)


def test_at_the_end_of_a_motion_there_is_nothing_to_fit(model: MotionLanguageModel) -> None:
    found = model.regenerate_motion(
        _codes(120), (4.0, 4.8), guidance=1.0, misfit=lambda codes, frame: 0.0, score=SCORE
    )
    assert found.misfits == ()


@pytest.mark.parametrize("candidates", [0, 33])
def test_a_number_of_candidates_out_of_range_is_refused(
    model: MotionLanguageModel, candidates: int
) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 32, got {candidates}"):
        model.regenerate_motion(_codes(50), (0.0, 1.0), "nod", candidates=candidates, score=SCORE)


def test_frames_of_a_line_that_only_one_plan_has_are_changed() -> None:
    nod, wink = Line(0, 2, "nod", "both", "mid"), Line(1, 4, "wink", "left", "mid")
    smile = Line(6, 9, "smile", "both", "mid")
    changed = changed_frames([nod, smile], [wink, smile], 40)
    assert changed.nonzero().flatten().tolist() == list(range(20))
    assert not changed_frames([nod, smile], [smile, nod], 40).any()


def test_the_share_of_equal_codes_is_of_the_frames_asked_for() -> None:
    first, second = torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 9, 9])
    assert share_equal(first, second, torch.tensor([False, True, True, False])) == 0.5
    assert math.isnan(share_equal(first, second, torch.zeros(4, dtype=torch.bool)))


def test_a_text_that_did_not_change_keeps_all_and_another_seed_does_not(
    model: MotionLanguageModel,
) -> None:
    found = measure_locality(model, "he winks", "he winks", 3.0, guidance=1.0)
    assert (found.kept, found.frames) == (1.0, 75)
    assert found.control < 0.5 and found.before == found.after
