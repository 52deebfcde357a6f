import json
from pathlib import Path

import pytest

from mien.apps.tokens import TokenFile

TOKENS = TokenFile((3, 0, 7, 7), codebook_size=8, fps=25.0, text="a smile 😀")


def test_a_token_file_reads_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(TOKENS.to_json(), encoding="utf-8")
    assert TokenFile.read(path) == TOKENS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "must hold"),
        ({"version": 2}, "version 1, got 2"),
        ({"indices": []}, "1 to 1000000"),
        ({"indices": "1 2 3"}, "list `indices`"),
        ({"indices": [1, 8]}, "from 0 to 7, got 8 at place 1"),
        ({"indices": [1, -1]}, "from 0 to 7, got -1"),
        ({"indices": [1.5]}, "integers, got 1.5"),
        ({"indices": [True]}, "integers, got True"),
        ({"codebook_size": None}, "integer `codebook_size`"),
        ({"fps": 0}, "`fps` must be"),
        ({"codebook_size": True}, "integer `codebook_size`"),
        ({"fps": "25"}, "`fps` must be"),
        ({"text": {"en": "a smile"}}, "`text` must be text"),
    ],
)
def test_a_file_with_a_wrong_field_is_refused(change: dict[str, object], message: str) -> None:
    fields = json.loads(TOKENS.to_json()) | change
    with pytest.raises(ValueError, match=message):
        TokenFile.from_json(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "{", "3", "[1, 2]", "null", "[" * 100_000])
def test_a_file_that_is_no_token_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="A token file must"):
        TokenFile.from_json(text)


def test_a_file_too_large_to_hold_tokens_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as stream:
        stream.truncate(2**31)  # sparse
    with pytest.raises(ValueError, match="has 2,048 MB; at most 16 MB"):
        TokenFile.read(path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bytes.json"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match="must be JSON, in UTF-8"):
        TokenFile.read(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a device that never ends")
def test_a_device_that_never_ends_is_not_read() -> None:
    with pytest.raises(ValueError, match="must be a file"):
        TokenFile.read(Path("/dev/zero"))
