import pytest
import torch
from tests.llm.llm_world import make_codec, make_language_model, make_model, make_vocabulary

from mien.llm.composer import CONTEXT, WINDOW, Composer, Step, _place
from mien.llm.decoder import QwenDecoder
from mien.llm.drive import run_steps
from mien.llm.plan import Line
from mien.llm.prefix import Prompt
from mien.llm.reader import join_lines, middle, split_frames
from mien.llm.sampling import Chooser, Sampling


def _composer(seconds: float) -> tuple[Composer, list[Step]]:
    vocabulary = make_vocabulary(make_codec())
    network = make_model(vocabulary)
    decoder = QwenDecoder(network.base.config.to_dict(), network.base.state_dict())
    words = torch.zeros(2, 32)
    sampling = Sampling(guidance=1.0)
    composer = Composer(decoder, vocabulary, Prompt(words), seconds, 1, sampling)
    decoder.start(1, 64)
    steps: list[Step] = []
    answer, run = None, composer.run()
    while True:
        try:
            step = run.send(answer)  # type: ignore[arg-type]
        except StopIteration:
            return composer, steps
        steps.append(step)
        answer = None
        if step.x is not None:
            if step.is_fresh:
                decoder.clear(0)
            answer = decoder.append(step.x[None], [len(step.x)])


def test_a_long_motion_is_composed_in_windows_that_repeat_the_end_of_the_last() -> None:
    _, steps = _composer(20.0)
    codes = [step.code for step in steps if step.code is not None]
    assert len(codes) == 500
    windows = 1 + -(-(500 - WINDOW) // (WINDOW - CONTEXT))
    plans = 2  # 20 s are planned in two parts
    assert sum(step.is_fresh for step in steps) == windows + plans


def test_a_code_is_ready_before_the_next_is_asked_for() -> None:
    _, steps = _composer(2.0)
    kinds = [step.code is not None for step in steps]
    first = kinds.index(True)
    assert kinds[first:] == [True, False] * 49 + [True]


def test_what_has_no_choice_is_read_along_with_what_comes_next() -> None:
    composer, steps = _composer(2.0)
    before = steps[: [step.code is not None for step in steps].index(True)]
    vocabulary = composer.vocabulary
    sides = dict(zip(vocabulary.entries, vocabulary.entry_sides, strict=True))
    forced = 1 + sum(len(sides[line.entry]) == 1 for line in composer.lines)  # the duration too
    read = 1 + 5 * len(composer.lines)
    assert len(before) <= read + 2 - forced
    assert sum(len(step.x) for step in before[:-1] if step.x is not None) >= 3 + read - 2


@pytest.mark.parametrize(
    ("shares", "place"), [([0.4, 0.25, 0.35], 1), ([0.6, 0.1, 0.3], 0), ([0.1, 0.2, 0.7], 2)]
)
def test_the_middle_of_a_scale_is_where_half_lies_behind(shares: list[float], place: int) -> None:
    assert middle(torch.tensor(shares).log()) == place


def test_the_noise_of_a_choice_depends_on_its_place_alone() -> None:
    first, second = Chooser(3, 8), Chooser(3, 8)
    first.choose(torch.linspace(0, 1, 2), torch.arange(2), 1.0, 1.0, (4,))
    logits, places = torch.linspace(0, 1, 8), torch.arange(8)
    picks = [c.choose(logits, places, 1.0, 1.0, (1, 7)) for c in (first, second)]
    assert picks[0] == picks[1]
    spread = {first.choose(logits, places, 1.0, 1.0, (1, n)) for n in range(99)}
    assert spread == set(range(8))


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = torch.tensor([0.0, 2.0, 1.0])
    assert Chooser(0, 3).choose(logits, torch.arange(3), 0.0, 0.5, (0,)) == 1


def test_a_small_share_leaves_only_the_likeliest() -> None:
    chooser, logits = Chooser(0, 3), torch.tensor([0.0, 2.0, 1.0])
    picks = {chooser.choose(logits, torch.arange(3), 1.0, 0.1, (i,)) for i in range(40)}
    assert picks == {1}


@pytest.mark.parametrize("key", [(1, 0), (0, 1)])
def test_choices_follow_the_probabilities(key: tuple[int, int]) -> None:
    logits, places = torch.tensor([0.25, 0.75]).log(), torch.arange(2)
    at, seeds = key
    picks = [
        Chooser(i * seeds, 2).choose(logits, places, 1.0, 1.0, (i * at,)) for i in range(2000)
    ]
    assert abs(sum(picks) / 2000 - 0.75) < 0.04


def test_a_line_that_two_plans_share_draws_alike_in_both() -> None:
    smile, nod = [9, 20, 30, 40, 41], [10, 20, 30, 44, 45]
    assert _place([5, *smile, 10, 20]) == _place([5, 10, 20])
    assert _place([5, *nod, 10, 20]) != _place([5, 10, 20])
    assert _place([5, *smile]) != _place([5, *smile, *nod])
    places = [_place([5, *smile, *nod][:n]) for n in range(12)]
    assert len(set(places)) == 12


def test_windows_cover_every_frame_once_on_the_clock() -> None:
    for frames in (1, 199, 200, 201, 457, 3000):
        cuts = split_frames(frames)
        assert cuts[0][0] == 0 and cuts[-1][1] == frames
        assert all(a[1] == b[0] for a, b in zip(cuts, cuts[1:], strict=False))
        assert all(start % 10 == 0 and 0 < stop - start <= 200 for start, stop in cuts)


def test_a_line_that_windows_parted_is_one_again() -> None:
    parts = [Line(30, 40, "smile", "both", "mid"), Line(40, 60, "smile", "both", "strong")]
    other = Line(35, 45, "nod", "both", "mid")
    assert join_lines([*parts, other]) == (Line(30, 60, "smile", "both", "strong"), other)


def test_lines_far_apart_stay_two() -> None:
    lines = (Line(0, 10, "nod", "both", "mid"), Line(20, 30, "nod", "both", "mid"))
    assert join_lines(lines) == lines


def _planned(names: torch.Tensor | None, naming: float) -> str:
    model = make_language_model()
    words = model.read_prompts(["she does left wink"])[0].words
    sampling = Sampling(plan_temperature=0.0, naming=naming, guidance=1.0)
    decoder = model._decoders["text_to_motion"].fork()
    composer = Composer(decoder, model.vocabulary, Prompt(words, names), 4.0, 1, sampling)
    run_steps(decoder, composer.run())
    return composer.lines[0].entry


def test_the_name_of_a_sentence_decides_between_entries_as_far_as_it_may() -> None:
    vocabulary = make_vocabulary(make_codec())
    alone = _planned(None, 1.0)
    for i, name in enumerate(vocabulary.entries):
        names = torch.full((len(vocabulary.entries),), -20.0)
        names[i] = 0.0
        assert _planned(names, 10.0) == name
        assert _planned(names, 0.0) == alone
