import math
from pathlib import Path

import pytest

from mien.apps.cli import main
from mien.apps.request import (
    MAX_WORDS,
    check_avatar,
    check_fps,
    check_sampling,
    check_seconds,
    check_seed,
    check_size,
    check_takes,
    plain_prompt,
)


def test_a_prompt_becomes_one_line_of_the_same_words() -> None:
    assert plain_prompt("  she\n\tsmiles,  then\x00 winks ") == "she smiles, then winks"


@pytest.mark.parametrize(
    ("emoji", "words"),
    [
        ("😀", "grinning face"),
        ("😉", "winking face"),
        ("😡", "pouting face"),
        ("👍🏽", "thumbs up sign"),
    ],
)
def test_emoji_are_read_by_their_names(emoji: str, words: str) -> None:
    assert plain_prompt(emoji) == words
    assert plain_prompt(f"he sees it{emoji}!") == f"he sees it {words} !"


def test_accents_and_a_few_foreign_letters_are_no_obstacle() -> None:
    assert plain_prompt("a naïve smile à la Chaplin, 笑") == "a naïve smile à la Chaplin, 笑"


@pytest.mark.parametrize(
    "text", ["", "   ", "\n", "...!?", "12345", "a", "x y z", "\u200d\ufe0f", "\x00"]
)
def test_a_prompt_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must say in words"):
        plain_prompt(text)


@pytest.mark.parametrize(
    "text", ["smile " * 10_000, "smile " * (MAX_WORDS + 1), "a" * 501, "," * 600 + "smile"]
)
def test_a_prompt_that_is_too_long_is_refused_with_its_length(text: str) -> None:
    with pytest.raises(ValueError, match="up to 100 words and 500 letters, got"):
        plain_prompt(text)


@pytest.mark.parametrize("text", ["她害羞地笑了", "она улыбается", "彼女は笑う", "هي تبتسم"])
def test_a_prompt_in_another_script_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="must be in English.*another script"):
        plain_prompt(text)


@pytest.mark.parametrize("seconds", [0, -1, 600, 0.1, 120.1, math.nan, math.inf, -math.inf])
def test_lengths_out_of_range_are_refused_with_the_range(seconds: float) -> None:
    with pytest.raises(ValueError, match="from 0.2 to 120, got"):
        check_seconds(seconds)


def test_lengths_in_range_and_none_are_taken() -> None:
    for seconds in (None, 0.2, 4, 120):
        check_seconds(seconds)


@pytest.mark.parametrize("fps", [0, -25, 1000, math.nan])
def test_frame_rates_out_of_range_are_refused(fps: float) -> None:
    with pytest.raises(ValueError, match="`fps` must be from 1 to 240"):
        check_fps(fps)


@pytest.mark.parametrize("size", [0, -2, 63, 65, 511, 4096])
def test_picture_sizes_that_a_video_cannot_have_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="even number from 64 to 2048"):
        check_size(size)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range_are_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="`seed` must be from 0"):
        check_seed(seed)


@pytest.mark.parametrize(
    ("temperature", "top_p"),
    [(-0.1, 0.9), (math.nan, 0.9), (9, 0.9), (1, 0), (1, 1.1), (1, math.nan)],
)
def test_sampling_settings_out_of_range_are_refused(temperature: float, top_p: float) -> None:
    with pytest.raises(ValueError, match="`temperature` must|`top_p` must"):
        check_sampling(temperature, top_p)


@pytest.mark.parametrize("avatar", ["", " "])
def test_an_avatar_without_a_name_is_refused(
    avatar: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_avatar("adult")
    argv = ["animate", "a nod", "-o", str(tmp_path / "out.mp4"), "--avatar", avatar]
    assert main(argv) == 2
    wanted = "`avatar` must be a name from `mien avatar list` or a folder"
    assert capsys.readouterr().err == f"mien: error: {wanted}, got {avatar!r}.\n"


@pytest.mark.parametrize("takes", [0, 17])
def test_takes_out_of_range_are_refused(takes: int) -> None:
    with pytest.raises(ValueError, match="`takes` must be from 1 to 16"):
        check_takes(takes)
