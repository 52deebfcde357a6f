from pathlib import Path

import pytest

from mien.apps.cli import main


@pytest.mark.parametrize(
    ("verb", "option", "said"),
    [
        ("tokenizer", "--steps=0", "`steps` must be at least 1, got 0"),
        ("tokenizer", "--windows=0", "`windows` must be at least 1, got 0"),
        ("tokenizer", "--babble=-1", "`babble` must be at least 0, got -1"),
        ("tokenizer", "--chain=0", "`chain` must be at least 1, got 0"),
        ("tokenizer", "--codes=1", "`codes` must be at least 2, got 1"),
        ("tokenizer", "--quantizer=rvq", "needs `--scheme joint`, got parts"),
        ("tokenizer", "--frames-per-token=2", "needs `--scheme joint`, got parts"),
        ("llm", "--text-steps=0", "`text_steps` must be at least 1, got 0"),
        ("llm", "--adapter-steps=-3", "`adapter_steps` must be at least 1, got -3"),
        ("llm", "--seed=-1", "`seed` must be from 0"),
    ],
)
def test_settings_out_of_range_are_refused_before_a_folder_is_made(
    verb: str, option: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "out"
    corpus.mkdir()
    (corpus / "manifest.json").write_text("{}")
    assert main(["train", verb, "--data", str(corpus), "--out", str(out), option]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not out.exists()
