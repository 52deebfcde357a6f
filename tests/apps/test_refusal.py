from pathlib import Path

import pytest

from mien.apps.refusal import MAX_CHARACTERS, Refusal, describe, refusing


def test_bad_input_becomes_a_refusal_that_names_its_subject_once() -> None:
    with pytest.raises(Refusal, match=r"^clip.csv: wanted 61 columns$"), refusing("clip.csv"):
        raise ValueError("wanted 61 columns")
    with pytest.raises(Refusal, match=r"^clip.csv is empty$"), refusing("clip.csv"):
        raise ValueError("clip.csv is empty")


def test_a_system_error_says_which_file_and_why() -> None:
    with pytest.raises(Refusal, match="^/no/such/file: No such file or directory$"), refusing():
        Path("/no/such/file").read_text()


def test_a_bug_is_not_taken_for_bad_input() -> None:
    with pytest.raises(KeyError), refusing():
        raise KeyError("bug")
    with pytest.raises(ValueError, match="bug"), refusing(kinds=(OSError,)):
        raise ValueError("bug")


def test_a_message_is_one_line_of_bounded_length() -> None:
    assert describe(ValueError("two\n  lines")) == "two lines"
    assert len(describe(ValueError("x" * 10_000))) == MAX_CHARACTERS
    assert describe(ValueError()) == "ValueError"
