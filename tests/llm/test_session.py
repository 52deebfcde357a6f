import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from tests.llm.llm_world import make_language_model
from torch import Tensor

from mien.llm.composer import CONTEXT, WINDOW
from mien.llm.decoder import QwenDecoder
from mien.llm.model import MotionLanguageModel
from mien.llm.plan import parse_lines
from mien.llm.prefix import Prompt
from mien.llm.sampling import Sampling
from mien.llm.session import IDLE, RELEASE_TICKS, MotionSession

POSITIONS = 1024  # of the built-in base


class Spy(QwenDecoder):
    """Remembers which ids were looked up lately."""

    def start(self, batch: int, capacity: int) -> None:
        super().start(batch, capacity)
        self.seen: list[list[int]] = []

    def embed(self, ids: Tensor) -> Tensor:
        self.seen.append(ids.tolist())
        return super().embed(ids)


class Counter:
    """Counts positions in place of a model; its scores are a function of their number."""

    def start(self, batch: int, capacity: int) -> None:
        self.lengths, self.most = [0] * batch, 0

    def clear(self, row: int) -> None:
        self.lengths[row] = 0

    def fork(self) -> "Counter":
        return Counter()

    def embed(self, ids: Tensor) -> Tensor:
        return torch.zeros(len(ids), 1)

    def append(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        self.lengths = [a + b for a, b in zip(self.lengths, counts, strict=True)]
        self.most = max(self.most, *self.lengths, 0)
        return torch.tensor(self.lengths, dtype=torch.float32)[:, None]

    def logits(self, hidden: Tensor, ids: Tensor) -> Tensor:
        return torch.sin(ids * hidden[0])


@pytest.fixture(scope="module")
def model() -> MotionLanguageModel:
    return make_language_model(Spy)


@pytest.fixture
def start(model: MotionLanguageModel) -> Callable[..., MotionSession]:
    """Start a session of one row."""

    def starting(text: str, seed: int = 4) -> MotionSession:
        session = model.start_session(text, seed, guidance=1.0)
        free = replace(session._planner.sampling, plan_temperature=0.5, pace_temperature=0.5)
        session._planner = replace(session._planner, sampling=free)
        return session

    return starting


def _take(session: MotionSession, count: int) -> list[int]:
    return list(itertools.islice(session, count))


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_up_to_its_plans_end_a_session_is_the_clip_of_its_prompt(
    model: MotionLanguageModel, guidance: float
) -> None:
    ((score, codes),) = model.generate_motion(["he winks"], seed=4, guidance=guidance)
    session = model.start_session("he winks", seed=4, guidance=guidance)
    assert _take(session, len(codes)) == codes.tolist()
    assert session.score == score and session.frame == len(codes)


def test_the_face_goes_on_when_its_plan_has_run_out(start: Callable[..., MotionSession]) -> None:
    session = start("he winks")
    codes = _take(session, 500)
    assert len(codes) == 500
    assert max(line.stop for line in parse_lines(session.score)) >= 100
    assert _take(start("he winks"), 500) == codes


def test_ten_minutes_stay_within_the_positions_and_keep_nothing(
    model: MotionLanguageModel,
) -> None:
    decoder, words = Counter(), torch.zeros(128, 1)
    session = MotionSession(
        decoder, model.vocabulary, lambda text: Prompt(words), "smile, then frown, then nod"
    )
    sizes = []
    for index, _ in enumerate(itertools.islice(session, 10 * 60 * 25)):
        if index % 1500 == 700:
            session.say("wink")
        if index % 250 == 0:
            sizes.append((len(session._codes), len(parse_lines(session.score))))
    assert session.frame == 15_000
    assert decoder.most <= POSITIONS
    assert max(codes for codes, _ in sizes) <= WINDOW
    assert max(lines for _, lines in sizes) <= 3 * 8  # plans of up to 8 lines that share a window


def test_the_memory_of_the_decoder_does_not_grow(start: Callable[..., MotionSession]) -> None:
    session = start("he winks")
    decoder = session._writer.decoder
    assert isinstance(decoder, Spy)
    shapes = []
    for _ in range(3):
        _take(session, 300)
        shapes.append(decoder._cache.shape)
    assert len(set(shapes)) == 1


@pytest.mark.parametrize("when", [0, 33, 40])
def test_a_new_prompt_takes_over_at_the_next_clock(
    start: Callable[..., MotionSession], when: int
) -> None:
    alone = _take(start("he winks"), 100)
    session = start("he winks")
    codes = _take(session, when)
    session.say("smile, then frown, then nod")
    codes += _take(session, 100 - when)
    clock = -(-when // 10) * 10
    assert codes[:clock] == alone[:clock]
    assert codes != alone
    again = start("he winks")
    first = _take(again, when)
    again.say("smile, then frown, then nod")
    assert first + _take(again, 100 - when) == codes


def test_the_last_frames_are_the_context_of_a_new_prompt(
    model: MotionLanguageModel, start: Callable[..., MotionSession]
) -> None:
    session = start("he winks")
    codes = _take(session, 90)
    decoder = session._writer.decoder
    assert isinstance(decoder, Spy)
    session.say("she nods")
    decoder.seen.clear()
    next(session)
    openings = [
        [i - model.vocabulary.motion_start for i in ids if i >= model.vocabulary.motion_start]
        for ids in decoder.seen
        if model.vocabulary.control("motion") in ids
    ]
    assert openings == [codes[-CONTEXT:]]


def test_what_shows_is_let_go_and_what_was_to_come_is_dropped(
    start: Callable[..., MotionSession],
) -> None:
    session = start("he winks")
    _take(session, 30)
    before = parse_lines(session.score)
    session.say("she nods")
    _take(session, 1)
    after = parse_lines(session.score)
    assert [x.start for x in after if x.start < 6] == [x.start for x in before if x.start < 6]
    assert all(x.stop <= 6 + RELEASE_TICKS for x in after if x.start < 6)
    assert any(x.start >= 6 for x in after)


def test_of_several_texts_before_a_clock_the_last_counts(
    start: Callable[..., MotionSession],
) -> None:
    first, second = start("he winks"), start("he winks")
    for session, texts in ((first, ["she nods", "he smiles"]), (second, ["he smiles"])):
        _take(session, 12)
        for text in texts:
            session.say(text)
    assert _take(first, 60) == _take(second, 60)


def test_a_text_that_is_refused_changes_nothing(model: MotionLanguageModel) -> None:
    def read_prompt(text: str) -> Prompt:
        if not text:
            raise ValueError("The text needs a word.")
        return Prompt(torch.zeros(2, 32))

    decoder = model._decoders["text_to_motion"]
    sessions = [
        MotionSession(
            decoder.fork(), model.vocabulary, read_prompt, "nod", sampling=Sampling(guidance=1)
        )
        for _ in range(2)
    ]
    with pytest.raises(ValueError, match="needs a word"):
        sessions[0].say("")
    assert _take(sessions[0], 30) == _take(sessions[1], 30)


@pytest.mark.parametrize(("idle", "read"), [(IDLE, ["nod", IDLE]), (None, ["nod"])])
def test_what_comes_afterwards_is_read_when_it_is_needed(
    model: MotionLanguageModel, idle: str | None, read: list[str]
) -> None:
    texts: list[str] = []

    def read_prompt(text: str) -> Prompt:
        texts.append(text)
        return Prompt(torch.full((2, 1), float(len(texts))))

    session = MotionSession(Counter(), model.vocabulary, read_prompt, "nod", idle)
    _take(session, 50)
    assert texts == ["nod"]
    _take(session, 600)
    assert texts == read
