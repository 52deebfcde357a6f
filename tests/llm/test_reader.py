"""Reading motions that are too short for any action."""

import numpy as np
import pytest
import torch
from tests.llm.llm_world import NUM_CODES, make_codec, make_language_model, make_vocabulary

from mien.llm.model import MotionLanguageModel
from mien.llm.plan import TICK_S, Line
from mien.llm.reader import BRIEF, Reader, pull_lines


@pytest.fixture(scope="module")
def model() -> MotionLanguageModel:
    return make_language_model()


def brief(num_frames: int, seed: int) -> torch.Tensor:
    codes = np.random.default_rng(seed).integers(0, NUM_CODES, num_frames)
    return torch.as_tensor(codes)


@pytest.mark.parametrize("num_frames", [1, 2, 5, 6, BRIEF - 1])
def test_a_brief_motion_shows_each_action_once_and_within_it(
    model: MotionLanguageModel, num_frames: int
) -> None:
    for seed in range(4):
        found = model.describe(brief(num_frames, seed))
        names = [event.text for event in found.events]
        assert len(names) == len(set(names))
        most = TICK_S * (1 if num_frames <= 5 else 2)
        assert all(0 <= e.start_s < e.end_s <= most + 1e-9 for e in found.events)


def test_brief_motions_read_together_are_read_as_alone(model: MotionLanguageModel) -> None:
    motions = [brief(n, n) for n in (3, 40, 7)]
    assert model.describe_batch(motions) == [model.describe(motion) for motion in motions]


def test_lines_are_pulled_into_the_ticks_there_are() -> None:
    lines = [Line(0, 5, "nod", "both", "mid"), Line(3, 5, "smile", "both", "mid")]
    assert [(x.start, x.stop) for x in pull_lines(lines, 2)] == [(0, 2), (1, 2)]
    assert pull_lines(lines, 5) == tuple(lines)


class Dictated:
    """A decoder that says what it was told to say."""

    def __init__(self, ids: list[int]) -> None:
        self.rest = list(ids)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(ids), 4)

    def logits(self, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return (ids == self.rest.pop(0)).float()


@pytest.mark.parametrize(
    ("is_last", "dictated", "read"),
    [
        (True, "they nod. Finally they nod.", "they nod."),
        (False, "they nod. Finally they nod.", "they nod"),
        (False, ". Finally they nod", ". Finally they nod"),
    ],
)
def test_a_line_is_told_in_one_sentence(is_last: bool, dictated: str, read: str) -> None:
    codec = make_codec()
    vocabulary = make_vocabulary(codec)
    stop = vocabulary.control("end") if is_last else vocabulary.entry(vocabulary.entries[0])
    decoder = Dictated([*codec.encode(dictated), stop])
    reader = Reader(decoder, vocabulary, codec, "")  # type: ignore[arg-type]
    run = reader._read_piece(torch.zeros(1, 4), stop)
    with pytest.raises(StopIteration) as done:
        next(run)
        while True:
            run.send(torch.zeros(1, 4))
    assert codec.decode(done.value.value) == codec.decode(codec.encode(read))
