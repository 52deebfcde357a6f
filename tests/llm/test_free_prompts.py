from collections import Counter

import pytest

from mien.data_synth.free_wording import FreeWording
from mien.llm.free_prompts import free_sample
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
