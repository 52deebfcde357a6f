import random
from collections import Counter

import pytest

from mien.data_synth.free_wording import FreeWording, parse_plan
from mien.llm.free_prompts import _with_denial, free_sample
from mien.llm.plan import parse_lines


@pytest.mark.parametrize("index", range(60))
def test_a_sample_is_a_function_of_its_index_and_fits_its_duration(index: int) -> None:
    sample = free_sample(3, index)
    assert sample == free_sample(3, index)
    lines = parse_lines(sample.score)
    assert 1 <= len(lines) <= 8
    assert all(0 <= x.start < x.stop <= round(sample.seconds / 0.2) for x in lines)
    assert sample.seconds <= 8.0
    assert any(map(str.isalnum, sample.text))
    assert "{" not in sample.text


def test_samples_are_alone_joined_and_planned() -> None:
    lengths = Counter(len(parse_lines(free_sample(0, index).score)) for index in range(300))
    assert lengths[1] > 100
    assert lengths[2] > 60
    assert lengths[3] > 10


def test_few_samples_are_alike() -> None:
    texts = {free_sample(0, index).text for index in range(500)}
    assert len(texts) > 480
    assert len(FreeWording.default().plans) > 1000


def test_a_denial_is_said_of_what_is_not_asked_for() -> None:
    plan = parse_plan("smile")
    texts = {_with_denial("a smile.", plan, random.Random(seed)) for seed in range(40)}
    assert len(texts) > 30 and all(text.startswith("a smile") for text in texts)
    assert any("without" in text for text in texts) and any("don't" in text for text in texts)
    assert not any("smil" in text.removeprefix("a smile") for text in texts)
    whole = parse_plan("smile + raise-brows + close-eyes + look-up + nod")
    assert _with_denial("all at once!", whole, random.Random(0)) == "all at once!"
