import random

import pytest

from mien.llm.captions import QUIET, caption_pieces
from mien.llm.plan import parse_lines
from mien.llm.text_codec import TextCodec

SCORE = "sad both strong 0.0 3.0 ; wink left mid 1.0 1.6 ; nod both slight 3.0 4.0"


@pytest.mark.parametrize("seed", range(10))
def test_each_line_has_a_piece(seed: int) -> None:
    pieces = caption_pieces(parse_lines(SCORE), random.Random(seed))
    assert len(pieces) == 3
    assert "left" in pieces[1]
    assert pieces[0].startswith("At first the person ") and pieces[2].endswith(".")


def test_nothing_is_said_to_be_nothing() -> None:
    assert caption_pieces([], random.Random(0)) == [QUIET]


@pytest.mark.parametrize("seed", range(10))
def test_pieces_are_encoded_as_the_whole(seed: int) -> None:
    pieces = caption_pieces(parse_lines(SCORE), random.Random(seed))
    codec = TextCodec.train(pieces * 3, 300)
    parts = codec.encode_pieces(pieces)
    assert [token for part in parts for token in part] == codec.encode("".join(pieces))
    assert len(parts) == 3 and all(parts)
    assert codec.decode(parts[1]) in pieces[1]
