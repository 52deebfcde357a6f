import io
import json
import os
import signal
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mien.camera import Camera
from mien.data_synth import portrait_shards
from mien.data_synth.picture_files import decode_picture
from mien.data_synth.portrait_card import count_portraits, write_portrait_card
from mien.data_synth.portrait_people import sample_session, sample_sitter
from mien.data_synth.portrait_reader import PortraitFiles, ShardFile
from mien.data_synth.portrait_shards import CAMERAS, pack, shard_path, write_portraits
from mien.data_synth.portraits import Portrait, PortraitConfig
from mien.motion import Motion

CONFIG = PortraitConfig(
    seed=5, num_sessions=3, many_view_people=1, one_view_people=1, views=2, instants=2,
    one_view_instants=1, size=16,
)  # fmt: skip


def plain_session(config: PortraitConfig, number: int) -> tuple[list[Portrait], list[Any]]:
    """Pictures of nothing much, with all else as it is."""
    session = sample_session(config.seed, number)
    sitters = [sample_sitter(config.seed, session, k, config.subset(k)) for k in range(2)]
    pictures = []
    for index in range(number * config.session_pictures, (number + 1) * config.session_pictures):
        at = config.place(index)
        sitter = sitters[at.person]
        ramp = torch.linspace(0.1, 0.7, config.size * config.size).reshape(config.size, -1)
        shift = 0.01 * index
        motion = Motion.rest(1).replace(shape=sitter.identity.shape)
        motion = motion.replace(expr=motion.expr + 0.1 * at.instant)
        pictures.append(
            Portrait(
                torch.stack([ramp + shift, ramp, 1 - ramp], -1),
                1 - ramp,
                Camera.portrait(config.size, config.size, yaw=0.1 * at.view),
                motion,
                sitter.name,
                index=index,
                split=session.split,
                subset=sitter.subset,
                expression="smile" if at.instant else "rest",
                instant=at.instant,
            )
        )
    return pictures, sitters


def plain_bytes(config: PortraitConfig, number: int) -> bytes:
    return pack(*plain_session(config, number))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished collection of plain pictures."""
    monkeypatch.setattr(portrait_shards, "session_bytes", plain_bytes)
    assert list(write_portraits(tmp_path, CONFIG)) == [(k, 3) for k in range(4)]
    return tmp_path


def rewrite(path: Path, **entries: bytes | None) -> Path:
    """The shard with some entries in place of its own; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        held: dict[str, bytes | None] = {n: archive.read(n) for n in archive.namelist()}
    held |= entries
    changed = path.with_name("changed.zip")
    with zipfile.ZipFile(changed, "w") as archive:
        for name, data in held.items():
            if data is not None:
                archive.writestr(name, data)
    return changed


def edited(path: Path, edit: Callable[[dict[str, Any]], Any]) -> Path:
    with zipfile.ZipFile(path) as archive:
        table = json.loads(archive.read(CAMERAS))
    edit(table)
    return rewrite(path, **{CAMERAS: json.dumps(table).encode()})


def png(width: int, height: int, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def test_what_is_written_is_read(folder: Path) -> None:
    given = [picture for number in range(3) for picture in plain_session(CONFIG, number)[0]]
    found = PortraitFiles(folder)
    assert len(found) == len(given) == CONFIG.num_pictures
    for one, other in zip(given, found, strict=True):
        assert float((one.image - other.image).abs().max()) < 0.04  # JPEG
        assert float((one.mask - other.mask).abs().max()) <= 0.5 / 255 + 1e-6
        assert torch.equal(one.camera.viewmat, other.camera.viewmat)
        assert torch.equal(one.camera.K, other.camera.K)
        assert torch.equal(one.motion.expr, other.motion.expr)
        assert one.motion.shape is not None and other.motion.shape is not None
        assert torch.equal(one.motion.shape, other.motion.shape)
        assert (one.motion.head, one.identity) == (other.motion.head, other.identity)
        assert (one.index, one.split, one.subset) == (other.index, other.split, other.subset)
        assert (one.expression, one.instant) == (other.expression, other.instant)


def test_subsets_and_splits_are_read_apart(folder: Path) -> None:
    assert {p.subset for p in PortraitFiles(folder, subset="one_view")} == {"one_view"}
    assert len(PortraitFiles(folder, subset="one_view")) == 3
    split = sample_session(CONFIG.seed, 0).split
    assert {p.split for p in PortraitFiles(folder, split=split)} == {split}
    held = {sample_session(CONFIG.seed, number).split for number in range(3)}
    with pytest.raises(ValueError, match="holds no portraits with split"):
        missing = ({"train", "val", "test"} - held).pop()
        PortraitFiles(folder, split=missing)  # type: ignore[arg-type]


def test_slices_give_lists(folder: Path) -> None:
    assert [p.index for p in PortraitFiles(folder)[2:4]] == [2, 3]


def test_a_run_killed_outright_goes_on_where_it_stopped(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path_factory.mktemp("broken")
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # dies within the second shard, the first is in its place

        def stuck(config: PortraitConfig, number: int) -> bytes:
            if number:
                (broken / "portraits-00001.zip.0a.part").write_bytes(b"half")
                os.write(write_end, b"!")
                signal.pause()
            return plain_bytes(config, number)

        try:
            monkeypatch.setattr(portrait_shards, "session_bytes", stuck)
            list(write_portraits(broken, CONFIG))
        finally:
            os._exit(1)
    assert os.read(read_end, 1) == b"!"
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert [path.name for path in broken.glob("*.zip")] == ["portraits-00000.zip"]
    kept = shard_path(broken, 0).stat().st_mtime_ns
    assert list(write_portraits(broken, CONFIG)) == [(1, 3), (2, 3), (3, 3)]
    assert shard_path(broken, 0).stat().st_mtime_ns == kept
    assert not list(broken.glob("*.part"))
    names = [path.name for path in sorted(folder.iterdir())]
    assert [path.name for path in sorted(broken.iterdir())] == names
    assert all((broken / n).read_bytes() == (folder / n).read_bytes() for n in names)


def test_a_damaged_shard_is_refused_and_made_again(folder: Path) -> None:
    path = shard_path(folder, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:])
    with pytest.raises(ValueError, match="must be the shard of the manifest"):
        PortraitFiles(folder)
    assert list(write_portraits(folder, CONFIG)) == [(2, 3), (3, 3)]
    assert path.read_bytes() == whole


def test_another_configuration_is_refused(folder: Path) -> None:
    other = PortraitConfig(**{**vars(CONFIG), "seed": 9})
    with pytest.raises(ValueError, match=r"holds other portraits \(seed differ\)"):
        next(write_portraits(folder, other))


def test_an_unfinished_collection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no manifest"):
        PortraitFiles(tmp_path)


def test_a_shard_that_ends_early_is_refused(folder: Path) -> None:
    path = shard_path(folder, 0)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is damaged"):
        ShardFile.open(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t["pictures"][0].pop("camera"), "picture 0 has no camera"),
        (lambda t: t["pictures"][0]["camera"].update(width=17), "must be 17x16 pixels"),
        (lambda t: t["pictures"][0]["camera"].update(width=10**9), "a side must be 1 to 8192"),
        (lambda t: t["pictures"][0]["camera"].update(K=[[1e999] * 3] * 3), "must be finite"),
        (lambda t: t["pictures"][0]["camera"]["K"][0].__setitem__(0, 0), "focal lengths"),
        (lambda t: t["pictures"][0]["camera"].update(viewmat=[[2.0] * 4] * 4), "a turn and a"),
        (lambda t: t["pictures"][0].update(instant=99), "must be 0 to 2, got 99"),
        (lambda t: t["pictures"][0].update(picture="../../etc/passwd"), "cannot be read"),
        (lambda t: t["people"][0].update(split="mine"), "must be of train, val, test"),
    ],
)
def test_tables_that_lie_are_refused(
    folder: Path, edit: Callable[[dict[str, Any]], Any], message: str
) -> None:
    shard = ShardFile.open(edited(shard_path(folder, 0), edit))
    with pytest.raises(ValueError, match=message) as refusal:
        shard.read(0)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("data", [b"{", b"[" * 100_000, b"[1]", b'{"people": 3}', b"\xff"])
def test_tables_that_are_none_are_refused(folder: Path, data: bytes) -> None:
    path = rewrite(shard_path(folder, 0), **{CAMERAS: data})
    with pytest.raises(ValueError, match=CAMERAS) as refusal:
        ShardFile.open(path)
    assert "\n" not in str(refusal.value)


def test_motions_of_other_counts_are_refused(folder: Path) -> None:
    path = edited(shard_path(folder, 0), lambda table: table["people"].pop())
    with pytest.raises(ValueError, match=r"`shape` must be \[1, .\]"):
        ShardFile.open(path)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="bomb is|must be 16x16"):
        decode_picture(bomb, "bomb", 16, 16)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a readable PNG or JPEG"),
        (b"hello, I am text", "not a readable PNG or JPEG"),
        (png(16, 16)[:-30], "not a readable PNG or JPEG"),
        (png(8, 16), "must be 16x16 pixels as its camera is, got 8x16"),
        (png(16, 16, "I;16"), "8 bits a channel, got I"),
    ],
)
def test_pictures_that_are_none_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_picture(data, "it", 16, 16)


def test_the_card_counts_everybody_once(folder: Path) -> None:
    card = write_portrait_card(folder)
    assert card == count_portraits(folder)
    assert card["pictures"] == CONFIG.num_pictures
    assert card["people"] == 6
    assert card["people_in_two_splits"] == 0
    assert sum(card["splits"].values()) == sum(card["yaw"].values()) == CONFIG.num_pictures
    assert sum(card["ages"].values()) == sum(card["skins"].values()) == 6
    assert card["subsets"] == {"many_view": 12, "one_view": 3}
    assert f"{CONFIG.num_pictures} pictures" in (folder / "data_card.md").read_text("utf-8")
