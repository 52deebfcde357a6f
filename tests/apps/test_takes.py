"""Takes are chosen by what is seen of their plan."""

import torch

from mien import pipeline
from mien.apps.takes import marks_by
from mien.data_synth.performer import perform_motion
from mien.data_synth.score import parse_score

SCORE = "smile both strong 0.4 2.4"


def test_codes_that_show_the_plan_have_the_higher_mark() -> None:
    tokenizer = pipeline.tokenizer()
    shown, other = (
        tokenizer.encode(perform_motion(parse_score(score, seconds=3.0), 1))
        for score in (SCORE, "frown both strong 0.4 2.4")
    )

    first, second = marks_by(tokenizer)(SCORE, torch.stack([other, shown]))

    assert second > first + 0.3


def test_a_motion_too_short_for_its_plan_is_marked_too() -> None:
    tokenizer = pipeline.tokenizer()

    assert marks_by(tokenizer)("smile both mid 0.0 0.2", torch.zeros(2, 5, dtype=torch.long))


def test_several_takes_show_more_than_one() -> None:
    prompts = ["a small smile", "raise your left eyebrow", "she puffs her cheeks", "a wink"]
    marks = marks_by(pipeline.tokenizer())
    one, best = (
        [
            pipeline.language_model().generate_motion([text], 3.0, 1, takes=takes, marks=marks)[0]
            for text in prompts
        ]
        for takes in (1, 4)
    )

    gains = [
        marks(score, codes[None])[0] - marks(first, single[None])[0]
        for (first, single), (score, codes) in zip(one, best, strict=True)
    ]

    assert min(gains) >= 0 and max(gains) > 0
