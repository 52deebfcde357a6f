import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mien.apps.cli import main
from mien.apps.evaluation import Report, held_out_clips
from mien.apps.trials import Trial, read_prompts
from mien.data_synth.clip import make_clip, split_of

PROMPTS = Path(__file__).parents[1] / "prompts" / "free_wording.toml"

FIGURES = {
    "frames": 100.0,
    "mean_mm": 0.5,
    "lips_mm": 0.8,
    "lids_mm": 0.6,
    "still_mm": 2.5,
    "rotation_deg": 0.4,
    "jerk_ratio": 1.02,
    "code_use": 0.7,
    "perplexity": 300.0,
    "encode_fps": 5000.0,
    "decode_fps": 900.0,
}
TRIALS = tuple(Trial("a grin", seed, seed == 0, 0.1, ()) for seed in range(2))
REPORT = Report(
    clips=3,
    seeds=2,
    seed=7,
    tokenizer=FIGURES,
    units_kept=(0.9, 0.8),
    take=None,
    motion_score=(0.8, 0.95, 0.1),
    motion_passed=(0.75, 0.9, 0.05),
    known_score=(0.85, 0.96, 0.1),
    known_passed=(0.8, 0.92, 0.05),
    free_passed=0.5,
    free_by_seed=(1.0, 0.0),
    free_chance=0.1,
    caption_marks={"emotion": (4.1, 4.9, 1.5)},
    trials=TRIALS,
)


def test_held_out_clips_are_of_performers_that_training_never_sees() -> None:
    clips = list(held_out_clips(3, seed=5))
    assert [clip.split for clip in clips] == ["test"] * 3
    assert all(split_of(clip.performance) == "test" for clip in clips)
    again = make_clip(5, clips[1].index)
    np.testing.assert_array_equal(again.curves, clips[1].curves)
    assert len({clip.index for clip in clips}) == 3
    assert {clip.split for clip in held_out_clips(2, 5, "val")} == {"val"}


def test_the_forty_prompts_are_read() -> None:
    prompts = read_prompts(PROMPTS)
    assert len(prompts) == 40
    assert sum(prompt.ordered for prompt in prompts) >= 3
    assert all(prompt.see and prompt.text for prompt in prompts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "wanted .*prompt"),
        ("[[prompt]]\ntext = 3", "wanted .*prompt"),
        ("[[prompt", "wanted .*prompt"),
        ('[[prompt]]\ntext = "a grin"\nsee = ["grins"]', "must name an ARKit stem"),
    ],
)
def test_a_file_that_holds_no_prompts_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_prompts(path)


def test_the_table_shows_each_figure_with_its_bounds() -> None:
    table = REPORT.as_markdown()
    assert all(row.count("|") == 5 for row in table.splitlines())
    assert "0.50 mm | coding nothing 2.50 mm" in table
    assert "75.0% | truth 90.0%, another clip's 5.0%" in table
    assert "1 prompts in free wording, 2 seeds | 50.0% | by seed 100.0%, 0.0%" in table
    assert "4.10 | truth 4.90, another clip's 1.50" in table
    with_take = dataclasses.replace(REPORT, take=FIGURES)
    assert "the real take" in with_take.as_markdown() and "the real take" not in table


def test_outside_the_repository_the_usual_prompts_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "--quick"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(tmp_path) in error
    assert "run from the repository's folder" in error and "--prompts PATH.toml" in error
    assert not list(tmp_path.iterdir())
    assert main(["eval", "--prompts", "mine.toml"]) == 2
    assert capsys.readouterr().err == "mien: error: mine.toml: there is no such file.\n"
