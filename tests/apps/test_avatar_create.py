"""`mien avatar create`, with a landmarker that needs no picture, and at the smallest size."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from tests.apps.staging import stage_landmarks

from mien.apps.cli import main
from mien.avatar import create
from mien.avatar.avatar import Avatar
from mien.avatar.encoder import ENCODER_SIZES, PhotoEncoder
from mien.avatar.encoder_file import save_encoder
from mien.avatar.finer import finer_size
from mien.avatar.learned import make_unet
from mien.avatar.render import render
from mien.avatar.sizes import DecoderSize, tiny
from mien.avatar.starts import start_from
from mien.camera import Camera
from mien.motion import Motion
from mien.tracking.landmark_points import LandmarkPoints
from mien.tracking.staged import StagedLandmarker

SIZE = DecoderSize("test", 32, 900, 4, (8, 8, 8, 8, 8))
Refused = Callable[..., str]


class Stage(nullcontext[StagedLandmarker]):
    """Stands for MediaPipe: one face that looks at the camera."""

    yaw = 0.0
    lost: range = range(0)
    others = 0

    def __init__(self, model: Path) -> None:
        motion = Motion.rest(1).replace(shape=LandmarkPoints.shipped().shape_mean)
        motion.neck_pose[:, 1] = self.yaw
        super().__init__(
            StagedLandmarker(motion, 46.3, (128.0, 109.0), lost=self.lost, others=self.others)
        )


@cache
def portrait() -> np.ndarray:
    """A painted face where the stage says that a face is."""
    camera = Camera.portrait(256, 256)
    drawn = render(next(Avatar.load("adult-small").drive(Motion.rest(1), camera)), camera)
    return (drawn.image.clamp(0, 1).numpy() * 255).astype(np.uint8)


@cache
def learned() -> Avatar:
    """What `create` writes, in the smallest."""
    return start_from(Avatar.load("adult-small"), SIZE)


@pytest.fixture(autouse=True)
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Stage]:
    own = stage_landmarks(Stage, tmp_path, monkeypatch)
    monkeypatch.setattr(create, "SHIPPED_ENCODER", tmp_path / "none")
    monkeypatch.setattr(create, "photo_size", lambda: SIZE)
    monkeypatch.setattr(create, "paint_start", lambda *given: Avatar.load("adult-small"))
    return own


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "me.png"
    Image.fromarray(portrait()).save(path)
    return path


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must be refused in one line and write nothing; gives that line."""

    def run(*argv: object) -> str:
        before = sorted(tmp_path.iterdir())
        capsys.readouterr()
        assert main([str(arg) for arg in argv]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("mien: error: ") and err.count("\n") == 1
        assert sorted(tmp_path.iterdir()) == before
        return err

    return run


def test_a_photo_becomes_an_avatar_that_moves(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "me.avatar"
    argv = ["avatar", "create", str(photo), "-o", str(folder), "--steps", "1"]
    assert main(argv) == 0
    said = capsys.readouterr().err
    assert "there is no trained encoder" in said and f"wrote {folder}" in said
    made = Avatar.load(folder)
    assert made.learned is not None and made.name == "me"
    assert "1 photos, 1 steps" in made.made_by
    sheet = tmp_path / "me.png"
    assert main(["avatar", "show", str(folder), "-o", str(sheet), "--size", "64"]) == 0
    assert np.asarray(Image.open(sheet)).std() > 10
    mesh = tmp_path / "me.glb"
    assert main(["avatar", "export", str(folder), "-o", str(mesh)]) == 0
    assert mesh.read_bytes()[:4] == b"glTF"
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_an_earlier_avatar_is_replaced_and_nothing_else_is(
    photo: Path, tmp_path: Path, refused: Refused
) -> None:
    folder = tmp_path / "me.avatar"
    Avatar.load("adult-small").save(folder)
    assert main(["avatar", "create", str(photo), "-o", str(folder), "--steps", "0"]) == 0
    assert Avatar.load(folder).learned is not None
    other = tmp_path / "letters.avatar"
    other.mkdir()
    (other / "letter.txt").write_text("dear diary")
    line = refused("avatar", "create", photo, "-o", other)
    assert "is there and is no avatar" in line and (other / "letter.txt").is_file()


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("lost", range(1), "no face was found"),
        ("others", 1, "2 faces were found"),
        ("yaw", 1.3, "must look toward the camera"),
    ],
)
def test_a_photo_without_one_clear_face_is_refused(
    photo: Path,
    tmp_path: Path,
    stage: type[Stage],
    refused: Refused,
    attribute: str,
    value: object,
    message: str,
) -> None:
    setattr(stage, attribute, value)
    line = refused("avatar", "create", photo, "-o", tmp_path / "me.avatar")
    assert message in line and "me.png" in line


def test_files_that_are_no_photos_are_refused(tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "me.avatar"
    letter, tiny, deep = (tmp_path / name for name in ("letter.jpg", "tiny.png", "deep.png"))
    letter.write_text("dear diary")
    Image.new("RGB", (10, 10)).save(tiny)
    Image.fromarray(portrait()[..., 0].astype(np.uint16) * 256).save(deep)
    assert "not a photo" in refused("avatar", "create", letter, "-o", out)
    assert "at least 64 pixels" in refused("avatar", "create", tiny, "-o", out)
    assert "8 bits a channel" in refused("avatar", "create", deep, "-o", out)
    assert "no such file" in refused("avatar", "create", tmp_path / "no.jpg", "-o", out)


def test_contradictions_are_refused(photo: Path, tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "me.avatar"
    assert "ends in .avatar" in refused("avatar", "create", photo, "-o", tmp_path / "me.glb")
    assert "no folder" in refused("avatar", "create", photo, "-o", tmp_path / "no" / "me.avatar")
    assert "0 or more" in refused("avatar", "create", photo, "-o", out, "--steps", "-1")
    assert "1 to 16 photos" in refused("avatar", "create", *[photo] * 17, "-o", out)
    nowhere = tmp_path / "encoder"
    line = refused("avatar", "create", photo, "-o", out, "--encoder", nowhere)
    assert "no encoder's folder" in line
    line = refused("avatar", "create", photo, "-o", out, "--model", photo)
    assert "not a face_landmarker.task bundle" in line


def test_a_folder_that_is_no_encoder_is_refused(
    photo: Path, tmp_path: Path, refused: Refused
) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    line = refused("avatar", "create", photo, "-o", tmp_path / "a.avatar", "--encoder", folder)
    assert "encoder" in line


def _spoil_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | changes))


def _without_card(folder: Path) -> None:
    (folder / "card.json").unlink()


def _cut_weights(folder: Path) -> None:
    path = folder / "decoder.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _poison_weights(folder: Path) -> None:
    path = folder / "decoder.safetensors"
    arrays = load_file(path)
    arrays["maps.color"][0, 0, 0] = np.nan
    save_file(arrays, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_card, "card.json is missing"),
        (_cut_weights, "decoder.safetensors"),
        (_poison_weights, "NaN or infinity"),
        (lambda folder: _spoil_card(folder, format=9), "format 1"),
        (lambda folder: _spoil_card(folder, head={"name": "flame", "faces": 9976}), "head"),
        (lambda folder: _spoil_card(folder, learned={"size": {}}), "decoder's size"),
    ],
)
def test_a_spoiled_avatar_is_refused_in_one_line(
    tmp_path: Path, refused: Refused, spoil: Callable[[Path], None], message: str
) -> None:
    folder = tmp_path / "me.avatar"
    learned().save(folder)
    spoil(folder)
    assert message in refused("avatar", "show", folder, "-o", tmp_path / "a.png")


def test_a_failed_write_leaves_nothing_and_the_earlier_avatar(
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "me.avatar"
    Avatar.load("adult-small").save(folder)

    def full_disk(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mien.avatar.avatar_file.write_learned", full_disk)
    assert main(["avatar", "create", str(photo), "-o", str(folder), "--steps", "0"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("No space left on device")
    assert Avatar.load(folder).learned is None
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_a_trained_encoder_gives_the_start(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder, unet = PhotoEncoder(ENCODER_SIZES["tiny"], tiny()), make_unet(tiny())
    mean = start_from(Avatar.load("adult-small"), tiny()).learned
    assert mean is not None
    encoder.set_template(mean.maps.attributes())
    folder, out = tmp_path / "encoder", tmp_path / "me.avatar"
    save_encoder(folder, encoder, unet, tiny(), {"made_by": "a test"})
    argv = ["avatar", "create", str(photo), "-o", str(out), "--encoder", str(folder)]
    assert main([*argv, "--steps", "0"]) == 0
    assert "no trained encoder" not in capsys.readouterr().err
    made = Avatar.load(out)
    assert made.learned is not None and made.learned.size == finer_size(tiny())
    assert "1 photos, a trained encoder, 0 steps" in made.made_by
