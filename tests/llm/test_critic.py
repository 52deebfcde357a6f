"""The mark of a plan behind a motion."""

import pytest
import torch
from tests.llm.llm_world import NUM_CODES, make_language_model

from mien.llm import MotionLanguageModel
from mien.llm.critic import Critic
from mien.llm.drive import run_steps
from mien.llm.grammar import PlanGrammar
from mien.llm.model import INSTRUCTION
from mien.llm.plan import Line, parse_lines
from mien.llm.sequences import SequenceWriter
from mien.llm.vocabulary import MAX_TICKS

LINES = (Line(1, 6, "wink", "left", "mid"), Line(5, 12, "smile", "both", "strong"))


def _codes(count: int) -> list[int]:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, NUM_CODES, (count,), generator=generator).tolist()


def _mark(model: MotionLanguageModel, codes: list[int], lines: tuple[Line, ...]) -> float:
    decoder = model._decoders["motion_to_text"].fork()
    critic = Critic(decoder, model.vocabulary, model.codec.encode(INSTRUCTION))
    return float(run_steps(decoder, critic.judge(codes, lines))[1])


def test_it_is_the_sum_of_what_the_reader_gives_each_token() -> None:
    model, codes = make_language_model(), _codes(75)
    vocabulary = model.vocabulary
    decoder = model._decoders["motion_to_text"].fork()
    ids = SequenceWriter(vocabulary).describe_ids(model.codec.encode(INSTRUCTION), codes)
    plan = [*vocabulary.plan_ids(LINES, 15), vocabulary.control("caption")]
    grammar, expected = PlanGrammar(vocabulary, "caption", 15, min_lines=0), 0.0
    for before, token in enumerate(plan[1:], start=1):
        decoder.start(1, 1)
        given = torch.tensor(ids + plan[:before])
        hidden = decoder.append(decoder.embed(given)[None], [len(given)])[0]
        allowed = torch.tensor(grammar.allowed(MAX_TICKS))
        chances = decoder.logits(hidden, allowed).log_softmax(dim=-1)
        expected += float(chances[(allowed == token).nonzero()[0, 0]])
        grammar.advance(token)
    assert _mark(model, codes, LINES) == pytest.approx(expected, abs=1e-4)


def test_a_long_motion_is_marked_window_by_window() -> None:
    model, codes = make_language_model(), _codes(400)
    halves = [_mark(model, codes[:200], LINES), _mark(model, codes[200:], ())]
    assert _mark(model, codes, LINES) == pytest.approx(sum(halves), abs=1e-4)


def test_the_shipped_reader_prefers_what_a_motion_shows() -> None:
    model = MotionLanguageModel.load()
    ((score, codes),) = model.generate_motion(["she closes both eyes, then smiles"], 4.0)
    ((other, _),) = model.generate_motion(["he looks left and frowns"], 4.0)
    shown, wrong = (_mark(model, codes.tolist(), parse_lines(x)) for x in (score, other))
    assert shown > wrong + 1
