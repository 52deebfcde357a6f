import torch
from tests.llm.llm_world import make_codec, make_model, make_vocabulary

from mien.llm.composer import CONTEXT, WINDOW, Composer, Step
from mien.llm.decoder import QwenDecoder
from mien.llm.plan import Line
from mien.llm.reader import join_lines, split_frames
from mien.llm.sampling import Chooser, Sampling


def _composer(seconds: float) -> tuple[Composer, list[Step]]:
    vocabulary = make_vocabulary(make_codec())
    network = make_model(vocabulary)
    decoder = QwenDecoder(network.base.config.to_dict(), network.base.state_dict())
    words = torch.zeros(2, 32)
    sampling = Sampling(guidance=1.0)
    composer = Composer(decoder, vocabulary, words, seconds, 1, sampling)
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


def test_the_noise_of_a_step_does_not_depend_on_what_was_offered() -> None:
    logits = torch.linspace(0, 1, 8)
    first, second = Chooser(3, 8), Chooser(3, 8)
    first.choose(logits[:2], torch.arange(2), 1.0, 1.0)
    second.choose(logits, torch.arange(8), 0.0, 1.0)
    places = torch.arange(8)
    picks = [c.choose(logits, places, 1.0, 1.0) for c in (first, second)]
    assert picks[0] == picks[1]


def test_temperature_zero_takes_the_likeliest() -> None:
    assert Chooser(0, 3).choose(torch.tensor([0.0, 2.0, 1.0]), torch.arange(3), 0.0, 0.5) == 1


def test_a_small_share_leaves_only_the_likeliest() -> None:
    chooser = Chooser(0, 3)
    picks = {
        chooser.choose(torch.tensor([0.0, 2.0, 1.0]), torch.arange(3), 1.0, 0.1) for _ in range(40)
    }
    assert picks == {1}


def test_choices_follow_the_probabilities() -> None:
    chooser = Chooser(0, 2)
    logits = torch.tensor([0.25, 0.75]).log()
    picks = [chooser.choose(logits, torch.arange(2), 1.0, 1.0) for _ in range(2000)]
    assert abs(sum(picks) / 2000 - 0.75) < 0.04


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
