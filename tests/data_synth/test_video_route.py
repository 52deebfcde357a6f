"""Prompts, quality checks and the way to shards, on drawn videos and a staged landmarker."""

import json
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image, ImageFilter

from mien.arkit import CHANNEL_NAMES, EXPR_NAMES
from mien.data_synth.clip import split_of
from mien.data_synth.corpus import clip_from_row, read_corpus
from mien.data_synth.data_card import count_corpus
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.video_route import (
    Check,
    Limits,
    Video,
    VideoConfig,
    check_video,
    make_prompt,
    make_take,
    motion_agreement,
    write_video_corpus,
)
from mien.data_synth.video_route.quality import camera_speed, sharpness
from mien.motion import Motion
from mien.tracking import Face, Sightings
from mien.tracking.staged import StagedLandmarker

FPS = 16.0
HEIGHT, WIDTH = 180, 320
BOX = (110, 30, 210, 150)  # the face: left, top, right, bottom


def draw(
    count: int = 33, pan: float = 0.0, zoom: float = 0.0, blur: float = 0.0, cut: int = 0
) -> Video:
    """A marked face before a marked wall; the camera pans in pixels, zooms in shares a frame."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(40, 215, (40, 60)).astype(np.uint8)
    wall = Image.fromarray(coarse).resize((960, 640), Image.Resampling.BICUBIC)
    skin = Image.fromarray(rng.uniform(90, 180, (30, 25)).astype(np.uint8))
    face = skin.resize((BOX[2] - BOX[0], BOX[3] - BOX[1]), Image.Resampling.BICUBIC)
    other = Image.fromarray(255 - np.asarray(wall)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    frames = []
    for index in range(count):
        source = other if cut and index >= cut else wall
        half_w, half_h = (0.5 * x / (1 + zoom) ** index for x in (WIDTH, HEIGHT))
        x, y = 480 + pan * index, 320
        view = source.transform(
            (WIDTH, HEIGHT),
            Image.Transform.EXTENT,
            (x - half_w, y - half_h, x + half_w, y + half_h),
            Image.Resampling.BICUBIC,
        )
        view.paste(face, BOX[:2])
        frames.append(np.asarray(view.filter(ImageFilter.GaussianBlur(blur)).convert("RGB")))
    return Video(np.stack(frames), FPS)


def sightings(count: int = 33, lost: int = 0, most: int = 1) -> Sightings:
    """A face in the box in all frames but the first few."""
    across, down = np.meshgrid(np.linspace(BOX[0], BOX[2], 22), np.linspace(BOX[1], BOX[3], 22))
    marks = np.stack([across.ravel()[:478], down.ravel()[:478], np.zeros(478)], 1)
    marks[-1, :2] = BOX[2:]
    face = Face(marks, np.zeros(52), np.eye(3))
    return Sightings((None,) * lost + (face,) * (count - lost), most)


def failed(checks: tuple[Check, ...]) -> set[str]:
    return {check.question for check in checks if not check.passed}


def smiling(count: int = 33) -> Motion:
    motion = Motion.rest(count, fps=FPS)
    grown = (torch.arange(count) / count).clamp(0, 1)
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        motion.expr[:, EXPR_NAMES.index(name)] = 0.9 * grown
    return motion


def staged() -> nullcontext[StagedLandmarker]:
    return nullcontext(StagedLandmarker(smiling(), pixels=40.0, center=(160.0, 95.0)))


class Drawn:
    """A text-to-video model that draws; its first try at odd seeds' prompts may be blurred."""

    def __init__(self, name: str = "drawn", blurred: int = 0) -> None:
        self.name, self.blurred, self.calls = name, blurred, list[tuple[str, float, int]]()

    def make(self, prompt: str, seconds: float, seed: int) -> Video:
        self.calls.append((prompt, seconds, seed))
        return draw(blur=8.0 if len(self.calls) <= self.blurred else 0.0)


def test_prompts_repeat_and_name_person_deed_and_camera() -> None:
    first = make_prompt(3, 17)
    assert first == make_prompt(3, 17)
    assert first.text != make_prompt(3, 18).text != make_prompt(4, 18).text
    assert first.motion_text in first.text and first.motion_text.split()[0] in ("she", "he")
    assert first.split == split_of(first.performance(2.0))


def test_every_category_side_and_look_comes_equally_often() -> None:
    lexicon = Lexicon.default()
    prompts = [make_prompt(0, i, lexicon) for i in range(3 * len(lexicon))]
    entries = Counter(prompt.actions[0][0] for prompt in prompts)
    assert len(entries) == len(lexicon) and set(entries.values()) == {3}
    deeds = Counter(prompt.actions[0][:2] for prompt in prompts)
    assert deeds["smile", "both"] == deeds["smile", "left"] == deeds["smile", "right"] == 1
    strengths = Counter(prompt.actions[0][2] for prompt in prompts)
    assert max(strengths.values()) - min(strengths.values()) <= 3
    women = sum(" woman " in prompt.text for prompt in prompts)
    assert abs(women - len(prompts) / 2) <= 1
    with_micro = sum(len(prompt.actions) == 2 for prompt in prompts)
    assert 0.35 < with_micro / len(prompts) < 0.65
    assert len({prompt.text for prompt in prompts}) == len(prompts)


def test_a_good_video_passes_every_check() -> None:
    checks = check_video(draw(), sightings(), Limits())
    assert not failed(checks) and len(checks) == 4


@pytest.mark.parametrize(
    ("video", "seen", "question"),
    [
        (draw(), sightings(lost=8), "face found"),
        (draw(), sightings(most=2), "one face"),
        (draw(blur=6.0), sightings(), "sharp"),
        (draw(pan=4.0), sightings(), "camera steady"),
        (draw(zoom=0.02), sightings(), "camera steady"),
        (draw(cut=16), sightings(), "camera steady"),
    ],
    ids=["lost", "two", "blurred", "panned", "zoomed", "cut"],
)
def test_each_check_finds_its_fault_and_no_other(
    video: Video, seen: Sightings, question: str
) -> None:
    assert failed(check_video(video, seen, Limits())) == {question}


def test_a_video_without_a_face_is_not_looked_at_on() -> None:
    checks = check_video(draw(4), sightings(4, lost=4), Limits())
    assert failed(checks) == {"face found"} and len(checks) == 2


def test_more_blur_is_less_sharp_and_speed_is_measured() -> None:
    values = [sharpness(draw(4, blur=b).frames, sightings(4)) for b in (0.0, 1.0, 3.0)]
    assert values[0] > 2 * values[1] > 4 * values[2]
    # 2 pixels a frame of 320, 16 frames a second
    assert camera_speed(draw(pan=2.0), sightings()) == pytest.approx(0.1, rel=0.15)


def test_a_blank_wall_with_sensor_noise_is_steady() -> None:
    rng = np.random.default_rng(1)
    frames = (rng.normal(128, 4, (17, HEIGHT, WIDTH, 3))).clip(0, 255).astype(np.uint8)
    assert camera_speed(Video(frames, FPS), sightings(17)) == 0.0


def test_a_take_is_tracked_at_the_corpus_rate() -> None:
    prompt = make_prompt(0, 1)
    take = make_take(draw(), prompt, staged)
    assert take.clip is not None
    clip = take.clip
    assert clip.texts == (prompt.text,) and clip.split == prompt.split
    assert clip.curves.shape == (50, 61) and clip.performance.seconds == 2.0  # of 33 at 16
    smile = clip.curves[:, CHANNEL_NAMES.index("mouthSmileLeft")]
    assert smile[-5:].mean() > 0.4 > smile[:5].mean()


@pytest.mark.parametrize(("value", "kept"), [(0.19, False), (0.2, True)])
def test_the_injected_scorer_decides_on_agreement(value: float, kept: bool) -> None:
    asked: list[str] = []

    def scorer(video: Video, prompt: object, curves: ndarray) -> float:
        asked.append(f"{len(video.frames)} {curves.shape[1]}")
        return value

    take = make_take(draw(), make_prompt(0, 1), staged, Limits(), scorer)
    assert (take.clip is not None) is kept and asked == ["33 61"]
    assert take.checks[-1] == Check("prompt agreement", value, 0.2, kept)


def test_the_motion_scorer_tells_what_was_done_from_what_was_not() -> None:
    smile = replace(make_prompt(0, 0), actions=(("smile", "both", 0.5),))
    frown = replace(make_prompt(0, 0), actions=(("frown", "both", 0.5),))
    curves = np.zeros((50, 61), np.float32)
    for name in ("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft", "cheekSquintRight"):
        curves[10:, CHANNEL_NAMES.index(name)] = 0.8
    assert motion_agreement(draw(1), smile, curves) > 0.5
    assert motion_agreement(draw(1), frown, curves) < 0.2


CONFIG = VideoConfig(seed=1, num_prompts=3, clips_per_shard=2, seconds=2.0)


def test_videos_become_shards_like_those_of_the_corpus(tmp_path: Path) -> None:
    models = (Drawn("one", blurred=1), Drawn("two"))
    steps = write_video_corpus(tmp_path, CONFIG, models, staged)
    assert list(steps) == [(0, 2), (1, 2), (2, 2)]
    rows = read_corpus(tmp_path)
    assert rows["index"][:] == [0, 1, 2]
    assert [clip_from_row(row).texts[0] for row in rows] == [
        make_prompt(1, i).text for i in range(3)
    ]
    notes = json.loads((tmp_path / "takes-00000.json").read_text())
    assert [(n["index"], n["model"], n["kept"]) for n in notes] == [
        (0, "one", False), (0, "one", True), (1, "two", True),
    ]  # fmt: skip
    assert notes[0]["checks"]["sharp"][2] is False
    assert models[0].calls[0][2] != models[0].calls[1][2]  # another try is another seed
    assert count_corpus(tmp_path)["clips"] == 3


def test_a_stopped_run_goes_on_at_its_shard_with_the_same_bytes(tmp_path: Path) -> None:
    first, whole = Drawn(), Drawn()
    list(islice(write_video_corpus(tmp_path / "a", CONFIG, [first], staged), 2))
    again = Drawn()
    list(write_video_corpus(tmp_path / "a", CONFIG, [again], staged))
    list(write_video_corpus(tmp_path / "b", CONFIG, [whole], staged))
    assert first.calls + again.calls == whole.calls
    for path in (tmp_path / "b").glob("clips-*.parquet"):
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()


def test_a_shard_of_which_nothing_was_good_is_empty(tmp_path: Path) -> None:
    config = VideoConfig(num_prompts=1, tries=2, seconds=2.0)
    list(write_video_corpus(tmp_path, config, [Drawn(blurred=9)], staged))
    with pytest.raises(ValueError, match="none of its 1 shards has any"):
        read_corpus(tmp_path)
    assert count_corpus(tmp_path)["clips"] == 0
    assert len(json.loads((tmp_path / "takes-00000.json").read_text())) == 2


def test_wrong_configurations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`tries` must be at least 1, got 0"):
        VideoConfig(tries=0)
    with pytest.raises(ValueError, match="`seconds` must be from 1 to 20, got 60"):
        VideoConfig(seconds=60)
    with pytest.raises(ValueError, match="at least one text-to-video model"):
        list(write_video_corpus(tmp_path, CONFIG, [], staged))
    with pytest.raises(ValueError, match=r"\[T, H, W, 3\]"):
        Video(np.zeros((2, 4, 4), np.uint8), FPS)
    with pytest.raises(ValueError, match="uint8"):
        Video(np.zeros((2, 4, 4, 3), np.float32), FPS)
