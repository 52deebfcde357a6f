import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mien import pipeline
from mien.apps.cli import main
from mien.apps.splice import relabel, splice
from mien.apps.video import read_video
from mien.arkit import CHANNEL_NAMES, EXPR_NAMES, curves_from_motion
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import Performance, shaped_action
from mien.data_synth.performer import perform_motion
from mien.motion import Label, Motion

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


@pytest.mark.parametrize("num_frames", [2, 6])
def test_a_clip_of_a_moment_is_described_without_repeating(
    motion: Motion, num_frames: int
) -> None:
    for start in (0, 20, 30):
        found = pipeline.caption(motion.slice(start, start + num_frames))
        names = [event.text for event in found.events]
        assert len(found.caption) < 150 and names and len(names) == len(set(names))


def test_a_caption_tells_how_strongly_the_clip_moves() -> None:
    smile = Lexicon.default()["smile"]
    for intensity, words in (
        (0.1, ("slight", "little", "faint")),
        (1.0, ("strong", "intense", "lot")),
    ):
        action = shaped_action(smile, "both", intensity, 0.4, 3.0, is_held=False)

        found = pipeline.caption(perform_motion(Performance((action,), 3.6), 1))

        assert any(word in found.caption for word in words), found.caption


def test_a_motion_of_another_head_is_refused(motion: Motion) -> None:
    other = motion.replace(expr=torch.zeros(motion.num_frames, 50), head="flame")

    with pytest.raises(ValueError, match="fit the default head"):
        pipeline.caption(other)


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


# Part of a clip --------------------------------------------------------------------------------


def _waving(num_frames: int, fps: float, speed: float, seed: int) -> Motion:
    """A motion in which every track moves, each column by its own sine."""
    rest = Motion.rest(num_frames, fps=fps)
    names = ("expr", "jaw_pose", "neck_pose", "global_pose", "eye_pose", "translation")
    times = torch.arange(num_frames, dtype=torch.float32)[:, None] / fps
    tracks = {}
    for at, name in enumerate(names):
        phases = torch.arange(getattr(rest, name).shape[1]) + seed + 10 * at
        tracks[name] = 0.3 * torch.sin(speed * times + phases)
    return rest.replace(**tracks)


@pytest.mark.parametrize(("start", "stop"), [(0, 20), (31, 77), (60, 61), (100, 120), (0, 120)])
def test_frames_outside_of_a_splice_stay_bit_for_bit(start: int, stop: int) -> None:
    clip, made = _waving(120, 60.0, 3.0, 0), _waving(50, 25.0, 4.0, 5)
    found = splice(clip, made, start, stop)
    for name in ("expr", "jaw_pose", "neck_pose", "eye_pose"):
        new, old = getattr(found, name), getattr(clip, name)
        assert torch.equal(new[:start], old[:start]) and torch.equal(new[stop:], old[stop:])
        assert not torch.equal(new[start:stop], old[start:stop])
    for name in ("global_pose", "translation"):
        assert torch.equal(getattr(found, name), getattr(clip, name))


def test_a_splice_has_no_jump_at_its_ends() -> None:
    clip, made = _waving(120, 60.0, 3.0, 0), _waving(50, 25.0, 4.0, 5)
    steps = splice(clip, made, 31, 77).expr.diff(dim=0).abs().amax(dim=1)
    apart = (made.resample(60.0).expr - clip.expr).abs().amax()
    assert apart > 0.3 and steps.max() < 0.1


def test_far_from_its_ends_a_splice_is_what_was_made_and_turns_the_head_as_it_does() -> None:
    clip = _waving(120, 60.0, 3.0, 0)
    made = _waving(120, 60.0, 4.0, 5)
    found = splice(clip, made, 20, 100)
    torch.testing.assert_close(found.expr[40:80], made.expr[40:80])
    torch.testing.assert_close(found.head_rotmat()[40:80], made.head_rotmat()[40:80])


def test_labels_that_reach_into_an_interval_are_cut() -> None:
    labels = (Label(0.0, 3.0, "a smile"), Label(1.2, 1.8, "a nod"))
    found = relabel(labels, [Label(1.0, 2.0, "a wink")], 1.0, 2.0)
    assert [(x.start_s, x.end_s, x.text) for x in found] == [
        (0.0, 1.0, "a smile"),
        (1.0, 2.0, "a wink"),
        (2.0, 3.0, "a smile"),
    ]


@pytest.mark.parametrize("fps", [25.0, 60.0])
def test_an_interval_of_a_clip_is_made_anew_and_the_rest_stays(motion: Motion, fps: float) -> None:
    clip = motion.resample(fps)
    found = pipeline.animate("she winks", seed=3, keep=clip, between=(0.6, 1.4))
    start, stop = round(0.6 * fps), round(1.4 * fps)
    assert (found.num_frames, found.fps) == (clip.num_frames, fps)
    for name in ("expr", "jaw_pose", "neck_pose", "eye_pose"):
        new, old = getattr(found, name), getattr(clip, name)
        assert torch.equal(new[:start], old[:start]) and torch.equal(new[stop:], old[stop:])
    assert not torch.equal(found.expr[start:stop], clip.expr[start:stop])
    assert TEXT in found.text and "she winks" in found.text
    assert all(0 <= label.start_s < label.end_s <= found.seconds for label in found.labels)


def test_the_clips_own_text_keeps_its_labels(motion: Motion) -> None:
    found = pipeline.animate(TEXT, seed=3, keep=motion, between=(0.6, 1.4))
    assert (found.text, found.labels) == (motion.text, motion.labels)
    assert not torch.equal(found.expr, motion.expr)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"between": (1.0, 2.0)}, "lacks a clip"),
        ({"keep": Motion.rest(50)}, "lacks `between`"),
        ({"keep": Motion.rest(50), "between": (1.0, 2.0), "seconds": 2.0}, "keeps its length"),
        ({"keep": Motion.rest(50), "between": (1.0, 3.0)}, "from 0 to 2.00 s"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pipeline.animate("a smile", **change)  # type: ignore[arg-type]


def test_the_command_changes_an_interval(motion: Motion, tmp_path: Path) -> None:
    motion.save(tmp_path / "clip.npz")
    argv = ["animate", "she winks", "--edit", str(tmp_path / "clip.npz")]
    assert main([*argv, "--between", "0.6", "1.4", "-o", str(tmp_path / "new.npz")]) == 0
    found = Motion.load(tmp_path / "new.npz")
    wanted = pipeline.animate("she winks", keep=motion, between=(0.6, 1.4))
    torch.testing.assert_close(found.expr, wanted.expr, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--edit", "CLIP", "--between", "1.0", "9.0"], "from 0 to 2.00 s"),
        (["--edit", "CLIP", "--between", "1.5", "0.5"], "got 1.5 and 0.5"),
        (["--edit", "CLIP", "--between", "soon", "1.5"], "soon"),
        (["--edit", "CLIP", "--between", "1.0"], "--between"),
        (["--edit", "CLIP"], "--between START END"),
        (["--between", "1.0", "1.5"], "--edit CLIP"),
        (["--edit", "CLIP", "--between", "0.5", "1", "--seconds", "2"], "keeps its length"),
        (["--edit", "none.npz", "--between", "0.5", "1"], "no such file"),
    ],
)
def test_a_change_on_the_command_line_is_refused_in_one_line(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clip.npz"
    Motion.rest(50).save(path)
    argv = [str(path) if option == "CLIP" else option for option in options]
    assert main(["animate", "she winks", *argv, "-o", str(tmp_path / "out.npz")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err
    assert err.startswith("mien: error: ") and err.count("\n") == 1
    assert not (tmp_path / "out.npz").exists()


# A face that lives on --------------------------------------------------------------------------


def test_a_session_is_the_motion_of_its_text_and_then_goes_on() -> None:
    whole = pipeline.animate("a quick nod", seed=2, takes=1)
    face = pipeline.session("a quick nod", seed=2)
    delay = pipeline.tokenizer().look_ahead
    frames = list(itertools.islice(face, whole.num_frames + 40))
    assert all((frame.num_frames, frame.fps) == (1, 25.0) for frame in frames)
    moved = torch.cat([frame.expr for frame in frames])
    known = whole.num_frames - delay
    torch.testing.assert_close(moved[:known], whole.expr[:known], rtol=0, atol=0)
    assert face.seconds == (whole.num_frames + 40 + delay) / 25


def test_a_face_is_told_something_else() -> None:
    faces = [pipeline.session("she smiles", seed=2) for _ in range(2)]
    delay = pipeline.tokenizer().look_ahead
    first, second = (list(itertools.islice(face, 24)) for face in faces)
    faces[1].say("he shakes his head 😠")
    with pytest.raises(ValueError, match="must say"):
        faces[1].say("...")
    first += itertools.islice(faces[0], 40)
    second += itertools.islice(faces[1], 40)
    one, two = (torch.cat([frame.neck_pose for frame in each]) for each in (first, second))
    clock = 10 * -(-(24 + delay) // 10)
    assert torch.equal(one[: clock - delay], two[: clock - delay])
    assert not torch.equal(one, two)
    assert faces[1].score != faces[0].score


@pytest.mark.parametrize("bad", [{"text": ""}, {"seed": -1}, {"top_p": 0.0}])
def test_a_session_that_cannot_be_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        pipeline.session(**({"text": "a smile"} | bad))  # type: ignore[arg-type]


def test_evaluation_measures_everything_and_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.apps.eval.QUICK_CLIPS", 2)
    monkeypatch.setattr("mien.apps.eval.QUICK_PROMPTS", 2)
    monkeypatch.setattr("mien.apps.evaluation.EXPR_NAMES", EXPR_NAMES[::10])
    prompts = Path(__file__).parents[1] / "prompts" / "free_wording.toml"
    assert main(["eval", "--quick", "--prompts", str(prompts), "-o", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert table == (tmp_path / "eval.md").read_text()
    report = json.loads((tmp_path / "eval.json").read_text())
    assert report["clips"] == 2 and len(report["trials"]) == 2
    assert 0 <= report["free_passed"] <= 1 and report["tokenizer"]["mean_mm"] > 0
    model, truth, swapped = report["caption_marks"]["action"]
    assert 1 <= model <= 5 and truth > swapped
