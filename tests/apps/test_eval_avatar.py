"""Training and measuring avatars by the commands, on a collection of two painted people."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.avatar.seen_pictures import PHOTO_SIDE, SIDE, seen_pictures

from mien.apps.avatar_evaluation import (
    ceilings,
    change_errors,
    choose_sittings,
    draw,
    encode,
    mean_of,
    measure,
)
from mien.apps.avatar_report import Ablation, AvatarReport
from mien.apps.avatar_timing import time_of
from mien.apps.cli import main, parse
from mien.apps.eval_avatar import changes_of
from mien.apps.portraits import PHOTO_ROOM, held_out_expressions, open_people
from mien.apps.synth_portraits import SynthPortraits
from mien.avatar.avatar import Avatar
from mien.avatar.encoder_file import LoadedEncoder, load_encoder
from mien.avatar.face_identity import FaceIdentity, compose, separation, train_face_identity
from mien.avatar.known_changes import KnownChanges, write_known_changes
from mien.avatar.known_maps import KnownMaps, write_known_maps
from mien.avatar.learned import make_unet
from mien.avatar.learner import mean_start
from mien.avatar.people_cache import write_people
from mien.avatar.people_data import People
from mien.avatar.sizes import DecoderSize, tiny
from mien.data_synth import portrait_paintings
from mien.data_synth.lexicon import Lexicon
from mien.head import Head

TINY = 32  # side of the tiny encoder's photos


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished collection whose pictures are prepared already; it holds no shards."""
    folder = tmp_path_factory.mktemp("portraits")
    manifest = {
        "format": "mien-portraits",
        "version": 1,
        "shards": {},
        "portraits_hash": "key",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    pictures = seen_pictures()
    for split in ("train", "test"):
        side = round(TINY * PHOTO_ROOM)
        write_people(
            folder / "prepared" / f"{split}-{side}", pictures, side, "key", Head.default()
        )
    return folder


@pytest.fixture(scope="module")
def trained(portraits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "no-mouth"
    argv = ["--data", str(portraits), "--out", str(out), "--size", "tiny", "--steps", "2"]
    assert main(["train", "avatar", *argv, "--no-mouth-loss"]) == 0
    return out


@pytest.fixture(scope="module")
def loaded(trained: Path) -> LoadedEncoder:
    return load_encoder(trained)


@pytest.fixture(scope="module")
def people(portraits: Path) -> People:
    return open_people(portraits, "test", tiny(), TINY)


def test_the_card_tells_how_it_was_trained(loaded: LoadedEncoder) -> None:
    assert loaded.card["portraits_hash"] == "key"
    assert loaded.card["command"].startswith("mien")
    assert loaded.card["config"]["held_out"] == list(held_out_expressions())
    assert changes_of(loaded.card) == {"mouth_loss": False}
    assert changes_of({}) == {}


def test_maps_are_learned_from_people_painted_once(
    portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def paint(
        folder: Path, names: list[str], size: DecoderSize, workers: int
    ) -> Iterator[tuple[int, torch.Tensor]]:
        assert (folder, size, workers) == (portraits, tiny(), 2)
        asked.append(names)
        return enumerate(mean_start([Avatar.load(name)], size) for name in names)

    monkeypatch.setattr(portrait_paintings, "painted_maps", paint)
    for out in ("first", "second"):
        argv = ["--data", str(portraits), "--out", str(tmp_path / out), "--size", "tiny"]
        argv += ["--workers", "2"]
        assert main(["train", "avatar", *argv, "--map-steps", "2", "--steps", "0"]) == 0
    assert asked == [["child-dark", "adult-small"]], "and kept beside their pictures"
    cards = [load_encoder(tmp_path / out).card for out in ("first", "second")]
    assert [card["steps"] for card in cards] == [2, 2]
    assert cards[0]["config"]["map_steps"] == 2
    again = ["--out", str(tmp_path / "third"), "--warm-start", str(tmp_path / "first")]
    argv = ["--data", str(portraits), "--size", "tiny", "--steps", "1", *again]
    assert main(["train", "avatar", *argv]) == 0


def test_everything_is_measured_and_written(
    portraits: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--data", str(portraits), "--encoder", str(trained), "--compare", str(trained)]
    small = ["--pictures", "2", "--judge-steps", "2", "--repeats", "1", "--refine-steps", "1"]
    assert main(["eval", "avatar", *argv, *small, "--speed", "tiny", "-o", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "avatar.json").read_text())
    assert {shot["photos"] for shot in written["shots"]} == {1, 2, 3, 4}
    assert len(written["floor"]) == len(written["ablations"][0]["shots"]) == 2
    assert written["ceiling"] == [], "nobody knows what these people were painted as"
    assert written["speed"][0]["gaussians"] > 500
    assert {"encode 1", "encode 4", "refine 1 steps"} <= set(written["making"])
    table = (tmp_path / "avatar.md").read_text()
    assert table.strip() == capsys.readouterr().out.strip()
    for text in ("4 photos: all pictures", "no-mouth (mouth_loss False): aside", "frames/s"):
        assert text in table
    assert "nan" not in table
    with Image.open(tmp_path / "avatar.png") as sheet:
        assert sheet.size == (6 * (SIDE + 4), 2 * (SIDE + 4)), "true pictures, below them ours"


def test_paintings_are_the_ceiling(people: People, loaded: LoadedEncoder, tmp_path: Path) -> None:
    """The people of this collection are shipped ones: their maps at rest draw them best."""
    painted = [mean_start([Avatar.load(n)], tiny()) for n in ("child-dark", "adult-small")]
    write_known_maps(tmp_path / "maps.npy", enumerate(painted), 2, 32)
    known = KnownMaps(tmp_path / "maps.npy", 2, 32)
    judge = train_face_identity(people, 1)
    sittings = choose_sittings(people, ["smile"], most_photos=2, pictures=3)
    best = ceilings(loaded, people, sittings, judge, ["smile"], known)
    ours = [s for each in measure(loaded, people, sittings, judge, ["smile"], [1]) for s in each]
    assert len(best) == len(ours) == 3
    assert mean_of(best)["psnr"] > mean_of(ours)["psnr"] + 1


def test_a_network_that_moves_nothing_leaves_the_whole_change(
    people: People, loaded: LoadedEncoder, tmp_path: Path
) -> None:
    painted = [mean_start([Avatar.load(n)], tiny()) for n in ("child-dark", "adult-small")]
    write_known_maps(tmp_path / "maps.npy", enumerate(painted), 2, 32)
    known = KnownMaps(tmp_path / "maps.npy", 2, 32)
    count = people.everyone[-1].frames[-1] + 1
    write_known_changes(
        tmp_path / "c.npy", ((n, torch.full((3, 32, 32), 0.1)) for n in range(count)), count, 32
    )
    changes = KnownChanges(tmp_path / "c.npy", count, 32)
    sittings = choose_sittings(people, ["smile"], most_photos=2, pictures=3)
    still = dataclasses.replace(loaded, unet=make_unet(tiny()))
    found = change_errors(still, people, sittings, known, changes)
    assert found["instants"] == 2, "at rest there is nothing to move"
    assert found["known"] == pytest.approx(0.1, rel=1e-3) == found["left"]
    brighter = make_unet(tiny())
    torch.nn.init.constant_(brighter.exit.bias, 0.4)  # type: ignore[arg-type]
    moved = change_errors(
        dataclasses.replace(loaded, unet=brighter), people, sittings, known, changes
    )
    assert moved["left"] < 0.5 * moved["known"]


def test_photos_are_never_what_is_drawn(people: People) -> None:
    sittings = choose_sittings(people, ["smile"], most_photos=2, pictures=3)
    assert [sitting.person.name for sitting in sittings] == ["child-dark"]
    (sitting,) = sittings
    assert not set(sitting.photos) & set(sitting.pictures)
    shown = [people.expressions[people.frame_of[photo]] for photo in sitting.photos]
    assert shown == ["rest", "brows"]
    drawn = {people.expressions[people.frame_of[picture]] for picture in sitting.pictures}
    assert "smile" in drawn, "some pictures show what training did not"


def test_true_pictures_get_full_marks(people: People, loaded: LoadedEncoder) -> None:
    judge = FaceIdentity().eval()
    sitting = choose_sittings(people, ["smile"], most_photos=2, pictures=3)[0]
    (shots,) = measure(loaded, people, [sitting], judge, ["smile"], [1])
    assert len(shots) == 3
    for shot in shots:
        assert 5 < shot.psnr < 40 and 0 < shot.ssim < 1 and shot.perceptual > 0
    hidden = [shot for shot in shots if shot.group == "held-out expression"]
    assert len(hidden) == 1
    maps = encode(loaded, people, sitting.photos)
    drawn = draw(loaded, people, sitting.person, maps, sitting.pictures)
    true = compose(people, sitting.pictures)
    assert drawn.shape == true.shape
    assert float((drawn - true).abs().mean()) < 0.3


def test_means_are_taken_over_what_is_asked_for(people: People, loaded: LoadedEncoder) -> None:
    sitting = choose_sittings(people, ["smile"], most_photos=2, pictures=3)[0]
    judge = FaceIdentity().eval()
    (shots,) = measure(loaded, people, [sitting], judge, ["smile"], [1, 2])
    assert mean_of(shots)["count"] == 6
    assert mean_of(shots, photos=2)["count"] == 3
    one = [shot.psnr for shot in shots if shot.photos == 1]
    assert mean_of(shots, photos=1)["psnr"] == pytest.approx(sum(one) / 3)
    near, far = (mean_of(shots, photos=1, aside=aside)["count"] for aside in (False, True))
    assert near + far == 3
    assert math.isnan(mean_of(shots, photos=9)["psnr"])


def test_a_judge_learns_to_tell_two_people_apart(people: People) -> None:
    judge = train_face_identity(people, steps=25, batch=2)
    found = separation(judge, people, pairs=20)
    assert found["same"] > found["other"] + 0.3
    assert found["auc"] > 0.9
    vectors = judge(compose(people, [0, 1]))
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(2))


def test_a_judge_is_kept_and_a_missing_one_refused(tmp_path: Path, people: People) -> None:
    judge = FaceIdentity().eval()
    judge.save(tmp_path, {"steps": 0})
    pictures = compose(people, [0, 3])
    assert torch.equal(FaceIdentity.load(tmp_path)(pictures), judge(pictures))
    with pytest.raises(ValueError, match="must hold a judge of identity"):
        FaceIdentity.load(tmp_path / "none")


def test_tables_leave_out_what_was_not_measured() -> None:
    assert AvatarReport({}).as_markdown().strip() == ""
    only = AvatarReport({}, ablations=(Ablation("a", {"sinks": False}, ()),)).as_markdown()
    assert "a (sinks False): all | 0 |" in only
    assert "frames/s" not in only


def test_time_is_the_median_of_the_runs() -> None:
    calls: list[int] = []
    assert time_of(lambda: calls.append(1), 3) >= 0
    assert len(calls) == 4


def test_some_expressions_are_held_out() -> None:
    held_out, entries = held_out_expressions(), Lexicon.default().entries
    assert set(held_out) < set(entries)
    assert 0.02 < len(held_out) / len(entries) < 0.25
    assert "rest" not in held_out


def test_portraits_are_asked_for_as_their_configuration_says() -> None:
    asked = parse(["synth", "portraits", "--sessions", "3", "--views", "2", "--size", "64"])
    assert isinstance(asked, SynthPortraits)
    config = asked.config()
    assert (config.num_sessions, config.views, config.size, config.seed) == (3, 2, 64, 0)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["synth", "portraits", "--size", "4"], "`size` must be 16 to 1024 pixels, got 4"),
        (["synth", "portraits", "--workers", "0"], "`workers` must be from 1 to 1024, got 0"),
        (["train", "avatar", "--data", "nowhere"], "make one with `mien synth portraits`"),
        (["train", "avatar", "--data", "HERE", "--steps", "-1"], "`steps` must be 0 or more"),
        (["eval", "avatar", "--data", "nowhere"], "wanted a folder with portraits"),
        (
            ["eval", "avatar", "--data", "HERE", "--encoder", "nowhere"],
            "nowhere",
        ),
        (
            ["eval", "avatar", "--data", "HERE", "--encoder", "x", "--pictures", "0"],
            "`pictures` must be at least 1, got 0",
        ),
    ],
)
def test_wrong_input_is_refused_in_one_line(
    argv: list[str],
    message: str,
    portraits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(portraits) if word == "HERE" else word for word in argv]
    assert main(given) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("mien: error: ") and message in told


def test_prepared_pictures_are_found_again(portraits: Path, people: People) -> None:
    before = (people.folder / "pictures.npy").stat().st_mtime_ns
    open_people(portraits, "test", tiny(), TINY)
    assert (people.folder / "pictures.npy").stat().st_mtime_ns == before
    assert round(TINY * PHOTO_ROOM) == PHOTO_SIDE
