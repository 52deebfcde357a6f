import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mien import pipeline
from mien.apps.cli import main
from mien.apps.video import read_video
from mien.arkit import CHANNEL_NAMES, curves_from_motion
from mien.motion import Motion

TEXT = "she smiles broadly, then turns her head to the left"


@pytest.fixture(scope="module")
def motion() -> Motion:
    return pipeline.animate(TEXT, seconds=2.0, seed=1)


def test_a_text_becomes_a_motion_of_the_length_asked_for_that_moves(motion: Motion) -> None:
    assert (motion.num_frames, motion.fps, motion.text) == (50, 25.0, TEXT)
    curves = np.asarray(curves_from_motion(motion))
    assert curves.shape == (50, len(CHANNEL_NAMES))
    assert np.ptp(curves, axis=0).max() > 0.1


def test_the_labels_of_a_motion_lie_within_it(motion: Motion) -> None:
    assert motion.labels
    for label in motion.labels:
        assert 0 <= label.start_s < label.end_s <= motion.seconds and label.text


def test_the_same_seed_gives_the_same_motion_and_another_another(motion: Motion) -> None:
    again = pipeline.animate(TEXT, seconds=2.0, seed=1)
    torch.testing.assert_close(again.expr, motion.expr, rtol=0, atol=0)
    other = pipeline.animate(TEXT, seconds=2.0, seed=2)
    assert not torch.equal(other.expr, motion.expr)


def test_without_a_length_the_model_chooses_one() -> None:
    motion = pipeline.animate("a quick nod")
    assert 0.5 <= motion.seconds <= 20


def test_the_frame_rate_is_that_asked_for_and_the_length_stays() -> None:
    motion = pipeline.animate("a nod", seconds=1.0, fps=60)
    assert (motion.fps, motion.num_frames) == (60.0, 60)


def test_a_word_that_is_not_known_is_named(caplog: pytest.LogCaptureFixture) -> None:
    pipeline.animate("she flurbles and smiles at him", seconds=0.4)
    assert "flurbles" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"text": ""}, "must say"),
        ({"seconds": 0}, "0.2 to 120"),
        ({"fps": 0}, "fps"),
        ({"seed": -1}, "seed"),
        ({"temperature": -1}, "temperature"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pipeline.animate(**({"text": "a smile"} | arguments))  # type: ignore[arg-type]


def test_a_caption_has_words_and_events_in_order_within_the_clip(motion: Motion) -> None:
    found = pipeline.caption(motion)
    assert found.caption.strip()
    starts = [event.start for event in found.events]
    assert starts == sorted(starts)
    assert all(0 <= e.start < e.end <= motion.seconds and e.text for e in found.events)


def test_a_clip_of_another_frame_rate_is_described_by_its_seconds(motion: Motion) -> None:
    found = pipeline.caption(motion.resample(60))
    assert all(event.end <= motion.seconds for event in found.events)


def test_a_file_and_its_motion_are_described_alike(motion: Motion, tmp_path: Path) -> None:
    motion.save(tmp_path / "clip.npz")
    assert pipeline.caption(tmp_path / "clip.npz") == pipeline.caption(motion)


def test_a_real_take_is_described(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    take = shared / "jmtechart_livelink" / "MySlate_3_iPhone.csv"
    assert main(["caption", str(take), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["caption"] and found["source"] == str(take)
    assert found["events"] and all(set(e) == {"start", "end", "text"} for e in found["events"])
    assert max(event["end"] for event in found["events"]) <= found["seconds"]


def test_the_commands_go_from_text_to_files_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("out.mp4", "out.csv", "out.npz")
    outputs = [arg for name in names for arg in ("-o", str(tmp_path / name))]
    argv = ["animate", "a wide smile", "--seconds", "1.2", "--size", "64", *outputs]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert out == "" and all(f"wrote {tmp_path}/{name}" in err for name in names)
    assert len(list(read_video(tmp_path / "out.mp4"))) == 30
    header, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert len(header.split(",")) == 2 + 61 and len(rows) == 30

    assert main(["caption", str(tmp_path / "out.npz")]) == 0
    assert capsys.readouterr().out.strip()

    tokens, again = tmp_path / "tokens.json", tmp_path / "again.npz"
    assert main(["tokenize", str(tmp_path / "out.npz"), "-o", str(tokens)]) == 0
    assert len(json.loads(tokens.read_text())["indices"]) == 30
    assert main(["detokenize", str(tokens), "-o", str(again)]) == 0
    assert Motion.load(again).num_frames == 30


def test_tokens_go_to_stdout_where_no_file_is_named(
    motion: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    motion.save(tmp_path / "clip.npz")
    assert main(["tokenize", str(tmp_path / "clip.npz")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["indices"]) == 50 and found["text"] == TEXT


def test_tokens_of_a_tokenizer_with_another_codebook_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {"format": "mien-tokens", "version": 1, "fps": 25, "codebook_size": 7, "indices": [1]}
    (tmp_path / "tokens.json").write_text(json.dumps(fields))
    argv = ["detokenize", str(tmp_path / "tokens.json"), "-o", str(tmp_path / "out.npz")]
    assert main(argv) == 2
    assert "got 7" in capsys.readouterr().err


def test_evaluation_measures_everything_and_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.apps.eval.QUICK_CLIPS", 2)
    monkeypatch.setattr("mien.apps.eval.QUICK_PROMPTS", 2)
    prompts = Path(__file__).parents[1] / "prompts" / "free_wording.toml"
    assert main(["eval", "--quick", "--prompts", str(prompts), "-o", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert table == (tmp_path / "eval.md").read_text()
    report = json.loads((tmp_path / "eval.json").read_text())
    assert report["clips"] == 2 and len(report["trials"]) == 2
    assert 0 <= report["free_passed"] <= 1 and report["tokenizer"]["mean_mm"] > 0
    model, truth, swapped = report["caption_marks"]["action"]
    assert 1 <= model <= 5 and truth > swapped
