from functools import partial
from pathlib import Path

import pytest
import torch
from tests.llm.llm_world import NUM_CODES, make_language_model

from mien.llm.composer import Composer
from mien.llm.drive import run_steps
from mien.llm.model import MAX_SECONDS, MotionLanguageModel
from mien.llm.plan import parse_lines
from mien.llm.sampling import Sampling


@pytest.fixture(scope="module")
def model() -> MotionLanguageModel:
    return make_language_model()


@pytest.mark.parametrize("seconds", [0.04, 0.5, 3.0, 8.0, 8.04, 13.0, 31.0])
def test_a_motion_is_as_long_as_asked(model: MotionLanguageModel, seconds: float) -> None:
    ((score, codes),) = model.generate_motion(["she nods"], seconds)
    assert len(codes) == round(seconds * 25)
    assert int(codes.min()) >= 0 and int(codes.max()) < NUM_CODES
    assert all(x.stop * 0.2 <= seconds + 0.2 for x in parse_lines(score))


def test_without_a_duration_the_model_chooses_one(model: MotionLanguageModel) -> None:
    ((_, codes),) = model.generate_motion(["she nods"])
    assert 2.0 <= len(codes) / 25 <= 8.0


@pytest.mark.parametrize(("seconds", "guidance"), [(2.0, 1.0), (2.0, 2.0), (17.0, 2.0)])
def test_streamed_is_offline_code_by_code(
    model: MotionLanguageModel, seconds: float, guidance: float
) -> None:
    ((score, codes),) = model.generate_motion(["he winks"], seconds, seed=4, guidance=guidance)
    stream = model.stream_motion("he winks", seconds, seed=4, guidance=guidance)
    assert list(stream) == codes.tolist()
    assert stream.score == score
    assert stream.num_frames == len(codes)


def test_guidance_changes_the_motion_and_not_the_plan(model: MotionLanguageModel) -> None:
    (plain,), (guided,) = (
        model.generate_motion(["he winks"], 4.0, seed=4, guidance=g) for g in (1.0, 3.0)
    )
    assert plain[0] == guided[0]
    assert not torch.equal(plain[1], guided[1])


def test_two_streams_do_not_disturb_each_other(model: MotionLanguageModel) -> None:
    alone = list(model.stream_motion("he winks", 2.0, seed=4))
    first, second = (model.stream_motion(t, 2.0, seed=4) for t in ("he winks", "she nods"))
    pairs = list(zip(first, second, strict=True))
    assert [a for a, _ in pairs] == alone


def test_the_same_seed_gives_the_same_motion_and_another_another(
    model: MotionLanguageModel,
) -> None:
    first, again, other = (
        model.generate_motion(["she nods"], 3.0, seed=seed)[0][1] for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def sum_of_codes(score: str, takes: torch.Tensor) -> list[float]:
    assert parse_lines(score) and takes.dtype == torch.long
    return [float(codes.sum()) for codes in takes]


def test_of_several_takes_the_one_with_the_best_mark_is_kept(model: MotionLanguageModel) -> None:
    ((score, best),) = model.generate_motion(
        ["he winks"], 4.0, seed=4, guidance=1.0, takes=3, marks=sum_of_codes
    )
    (prompt,), sampling = model.read_prompts(["he winks"]), Sampling(guidance=1.0)
    decoder = model._decoders["text_to_motion"].fork()
    composer = Composer(decoder, model.vocabulary, prompt, 4.0, 4, sampling)
    run_steps(decoder, composer.plan())
    takes = [run_steps(decoder, composer.compose(take))[0] for take in range(3)]
    assert composer.lines == parse_lines(score) and len({tuple(codes) for codes in takes}) == 3
    assert best.tolist() == max(takes, key=sum)
    ((_, single),) = model.generate_motion(["he winks"], 4.0, seed=4, guidance=1.0)
    assert takes[0] == single.tolist()


def test_a_batch_of_takes_gives_what_single_prompts_give(model: MotionLanguageModel) -> None:
    texts, seconds = ["she nods", "he winks"], [2.0, 17.0]
    drawn = partial(model.generate_motion, guidance=1.0, takes=2, marks=sum_of_codes)
    together = drawn(texts, seconds, seed=3)
    for i, (text, duration) in enumerate(zip(texts, seconds, strict=True)):
        alone = drawn([text], duration, seed=3 + i)
        assert together[i][0] == alone[0][0]
        assert torch.equal(together[i][1], alone[0][1])


def test_several_takes_without_marks_are_refused(model: MotionLanguageModel) -> None:
    with pytest.raises(ValueError, match="`marks` must not be None"):
        model.generate_motion(["she nods"], 2.0, takes=2)


@pytest.mark.parametrize("takes", [0, 17])
def test_an_impossible_number_of_takes_is_refused(model: MotionLanguageModel, takes: int) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 16, got {takes}"):
        model.generate_motion(["nod"], takes=takes)


def test_a_batch_gives_what_single_prompts_give(model: MotionLanguageModel) -> None:
    texts, seconds = ["she nods", "he winks slowly and smiles", "look"], [2.0, 9.0, None]
    together = model.generate_motion(texts, seconds, seed=3)
    for i, (text, duration) in enumerate(zip(texts, seconds, strict=True)):
        ((score, codes),) = model.generate_motion([text], duration, seed=3 + i)
        assert together[i][0] == score
        assert torch.equal(together[i][1], codes)


def test_describing_a_batch_gives_what_single_motions_give(model: MotionLanguageModel) -> None:
    generator = torch.Generator().manual_seed(1)
    motions = [torch.randint(0, NUM_CODES, (n,), generator=generator) for n in (1, 60, 450)]
    together = model.describe_batch(motions)
    assert [d.score for d in together] == [model.describe(m).score for m in motions]
    assert [d.caption for d in together] == [model.describe(m).caption for m in motions]


@pytest.mark.parametrize("seconds", [0, -1, 600, float("nan"), float("inf")])
def test_an_impossible_duration_is_refused(model: MotionLanguageModel, seconds: float) -> None:
    with pytest.raises(ValueError, match=f"above 0 and at most {MAX_SECONDS:.0f}"):
        model.generate_motion(["nod"], seconds)


def test_as_many_durations_as_texts_are_needed(model: MotionLanguageModel) -> None:
    with pytest.raises(ValueError, match=r"one item a text \(2\), got 1"):
        model.generate_motion(["nod", "wink"], [1.0])


@pytest.mark.parametrize(
    ("codes", "message"), [([], "at least one frame"), ([NUM_CODES], "codes must be from 0 to 31")]
)
def test_codes_that_are_none_are_refused(
    model: MotionLanguageModel, codes: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model.describe(torch.tensor(codes, dtype=torch.long))


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"plan_temperature": 99.0},
        {"plan_top_p": 1.1},
        {"guidance": 0.5},
    ],
)
def test_sampling_out_of_range_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Sampling(**bad)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold a language model"):
        MotionLanguageModel.load(tmp_path)
