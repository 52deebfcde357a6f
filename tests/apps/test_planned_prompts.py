"""Prompts to develop on, from text to plan to what performers make of it."""

from pathlib import Path

import numpy as np
import pytest

from mien.apps.trials import Prompt, read_prompts
from mien.data_synth.clip import FPS
from mien.data_synth.observations import observe_all
from mien.data_synth.performer import perform
from mien.data_synth.score import parse_score
from mien.llm import MotionLanguageModel
from mien.llm.composer import Composer
from mien.llm.drive import run_all
from mien.llm.plan import format_lines

FOLDER = Path(__file__).parents[1] / "prompts"
SEED = 77  # of the performance


def is_seen(prompt: Prompt, score: str, seconds: float) -> bool:
    """Whether all that a prompt asks for is seen in a performance of a score."""
    acted = np.asarray(perform(parse_score(score, seconds=seconds), SEED, FPS))
    return observe_all(prompt.see, acted, FPS, prompt.ordered)[0]


@pytest.mark.parametrize(
    ("name", "count", "step", "least"),
    [
        ("several_things", 120, 2, 0.8),
        ("more_wording", 300, 4, 0.8),
        ("fresh_wording", 435, 8, 0.72),
        ("fresh_sequences", 220, 6, 0.72),
        ("slang_and_stories", 336, 8, 0.66),
    ],
)
def test_the_shipped_model_plans_most_of_what_is_asked_for(
    name: str, count: int, step: int, least: float
) -> None:
    model = MotionLanguageModel.load()
    prompts = read_prompts(FOLDER / f"{name}.toml")
    assert len(prompts) == count and sum(prompt.ordered for prompt in prompts) > 40
    prompts = prompts[::step]
    decoder = model._decoders["text_to_motion"].fork()
    read = model.read_prompts([prompt.text for prompt in prompts])
    composers = [Composer(decoder, model.vocabulary, x, None, i) for i, x in enumerate(read)]
    run_all(decoder, [composer.plan() for composer in composers], 32)
    seen = [
        is_seen(prompt, format_lines(composer.lines), composer.num_frames / FPS)
        for prompt, composer in zip(prompts, composers, strict=True)
    ]
    assert np.mean(seen) > least
