"""A prompt for one thing alone is planned as that thing alone."""

import pytest

from mien import pipeline
from mien.llm.composer import Composer
from mien.llm.drive import run_all
from mien.llm.plan import TICK_S, parse_lines
from mien.llm.sampling import Sampling


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("mid-air disgust, strong, hold it", 1),
        ("frightened out of his wits", 1),
        ("turn to your left, somebody has come in", 1),
        ("frown, then look up, then wink", 3),
    ],
)
def test_the_shipped_model_plans_as_many_things_as_are_asked_for(text: str, kinds: int) -> None:
    model = pipeline.language_model()
    decoder, (prompt,) = model._decoders["text_to_motion"].fork(), model.read_prompts([text])
    sampling = Sampling()
    composers = [
        Composer(decoder, model.vocabulary, prompt, None, seed, sampling) for seed in range(8)
    ]

    run_all(decoder, [composer.plan() for composer in composers], 8, sampling.rows)

    planned = [len({line.entry for line in composer.lines}) for composer in composers]
    assert sum(number == kinds for number in planned) >= 7, [c.lines for c in composers]


def test_a_length_that_is_asked_for_is_filled_with_what_is_asked_for() -> None:
    ((score, _),) = pipeline.language_model().generate_motion(["she is happy"], 8.0, seed=1)

    lines = parse_lines(score)

    assert {line.entry for line in lines} == {"happy"}
    assert max(line.stop for line in lines) * TICK_S > 7.0
