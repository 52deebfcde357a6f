import tomllib
from pathlib import Path

import pytest

from mien.data_synth.lexicon import Lexicon
from mien.llm.free_prompts import free_sample, read_prompts
from mien.llm.plan import parse_lines


@pytest.mark.parametrize("file", ["free_prompts", "free_phrases"])
def test_every_prompt_belongs_to_an_entry_and_a_side_it_has(file: str) -> None:
    lexicon = Lexicon.default()
    for (name, side), prompts in read_prompts(file).items():
        assert side in lexicon[name].sides
        assert prompts and all(prompt.strip() for prompt in prompts)


def test_no_prompt_is_one_that_tests_ask_for() -> None:
    path = Path(__file__).parents[1] / "prompts/free_wording.toml"
    asked = {_plain(row["text"]) for row in tomllib.loads(path.read_text())["prompt"]}
    ours = {_plain(p) for prompts in read_prompts().values() for p in prompts}
    assert not asked & ours


def _plain(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


@pytest.mark.parametrize("index", range(30))
def test_a_sample_is_a_function_of_its_index_and_fits_its_duration(index: int) -> None:
    sample = free_sample(3, index)
    assert sample == free_sample(3, index)
    lines = parse_lines(sample.score)
    assert 1 <= len(lines) <= 2
    assert all(0 <= x.start < x.stop <= round(sample.seconds / 0.2) for x in lines)
    assert sample.seconds <= 8.0
