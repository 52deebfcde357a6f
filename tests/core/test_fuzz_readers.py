"""Every reader, on spoiled files: a value or a `ValueError`, in bounded time and memory.

A few dozen files a reader by default. For many, from a new place each time, with a row of a table
for each reader (tried, read, refused):

    MIEN_FUZZ=2000 pytest -s -q tests/core/test_fuzz_readers.py

A failure names the reader and the seed; `MIEN_FUZZ_SEED=12345` reads that one file again.
"""

import functools
import gzip
import io
import json
import os
import pickle
import random
import re
import struct
import sys
import time
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mien import shapes_files
from mien.apps.tokens import TokenFile
from mien.apps.video import write_video
from mien.arkit import motion_from_curves
from mien.avatar.gaussians import Gaussians
from mien.avatar.ply import read_ply, write_ply
from mien.flame import read_flame
from mien.formats import read_live_link, read_llv, write_live_link
from mien.formats.curves_json import read_curves_json, write_curves_json
from mien.formats.flame_params import load_flame_params
from mien.formats.glb import write_glb
from mien.formats.live_link_take import Take
from mien.formats.live_link_udp import packets_from_motion, parse_packet
from mien.head import head_from_flame
from mien.motion import Label, Motion
from mien.person import Person
from mien.shapes_files import read_gnm_npz, read_ict_npz, read_obj_folder
from mien.tracking import Footage

MAX_CPU_S = 3.0  # a fuzzed file is some kilobytes
MAX_PEAK_BYTES = 192 * 2**20
MAX_MESSAGE = 2000

MANY = int(os.environ.get("MIEN_FUZZ", "0"))
ONE_SEED = os.environ.get("MIEN_FUZZ_SEED")
EXAMPLES = MANY or 20
TRIED: Counter[tuple[str, str]] = Counter()
Mutate = Callable[[bytes, random.Random], bytes]

_NUMBERS = (
    *(b"nan", b"inf", b"-inf", b"NaN", b"Infinity", b"1e999", b"-1e308", b"1e-320", b"-0", b"0"),
    *(b"-1", b"2147483648", b"18446744073709551616", b"9" * 400, b"9" * 5000, b"0x10", b"1_0"),
    *(b"true", b"null", b'"x"', b"[]", b"{}", b"", b"1,5", b"\xd9\xa3"),
)
_PIECES = (
    *(b"\0", b"\xff", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\n", b"\r", b"\n\n", b",", b";"),
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b":", b"nan", b"\xe2\x80\xa8", b"\x1f\x8b", b"PK"),
    *(b"\x80\x04", b".", b"()", b"'", b"%s", b"../", b"__reduce__"),
)
_COUNTS = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)
_NESTED = (b"[", b'{"a":', b"(", b"[[", b"]")


@dataclass(frozen=True)
class Target:
    """A reader and what it reads.

    Attributes:
        name: For the table.
        parts: A sound file in parts, each of which is spoiled by itself.
        pack: The file's bytes from its parts: compresses, counts, sums up.
        read: Reads what `pack` gave.
    """

    name: str
    parts: tuple[bytes, ...]
    pack: Callable[[Sequence[bytes]], bytes]
    read: Callable[[bytes], Any]


def flip(data: bytes, rng: random.Random) -> bytes:
    """A few bits changed."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def cut(data: bytes, rng: random.Random) -> bytes:
    """Cut off, at any place."""
    return data[: rng.randrange(len(data))]


def drop(data: bytes, rng: random.Random) -> bytes:
    """A run left out."""
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 2, 4, 16, 300)) :]


def insert(data: bytes, rng: random.Random) -> bytes:
    """A run put in: a piece of some format, noise, or zeros."""
    start = rng.randrange(len(data) + 1)
    noise = rng.randbytes(rng.choice((1, 4, 64)))
    return data[:start] + rng.choice((*_PIECES, noise, bytes(1000))) + data[start:]


def repeat(data: bytes, rng: random.Random) -> bytes:
    """A run that comes again."""
    start = rng.randrange(len(data))
    stop = start + rng.choice((1, 8, 100, 2000))
    return data[:stop] + data[start:stop] * rng.choice((1, 1, 20)) + data[stop:]


def swap(data: bytes, rng: random.Random) -> bytes:
    """Two fields that change places."""
    fields = re.split(rb"([,:\n])", data)
    if len(fields) < 3:
        return flip(data, rng)
    one, other = rng.randrange(0, len(fields), 2), rng.randrange(0, len(fields), 2)
    fields[one], fields[other] = fields[other], fields[one]
    return b"".join(fields)


def count(data: bytes, rng: random.Random) -> bytes:
    """A number in binary that says something huge."""
    width = rng.choice((1, 2, 4, 8))
    value: int = rng.choice(_COUNTS) % 2 ** (8 * width)
    start = rng.randrange(min(len(data), rng.choice((16, 64, 100_000))))
    told = value.to_bytes(width, "big")
    told = told if rng.random() < 0.5 else told[::-1]
    return data[:start] + told + data[start + width :]


def number(data: bytes, rng: random.Random) -> bytes:
    """A number in text that is another, or none."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", data))
    if not found:
        return flip(data, rng)
    where = rng.choice(found)
    return data[: where.start()] + rng.choice(_NUMBERS) + data[where.end() :]


def nest(data: bytes, rng: random.Random) -> bytes:
    """Deep nesting."""
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.choice(_NESTED) * rng.choice((2, 900, 30_000)) + data[start:]


MUTATIONS: tuple[Mutate, ...] = (
    flip,
    cut,
    drop,
    insert,
    repeat,
    swap,
    count,
    number,
    number,
    nest,
)


def spoiled(target: Target, seed: int) -> bytes:
    """A sound file with one to three faults, in its parts and after packing."""
    rng = random.Random(seed)
    parts = list(target.parts)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        index = rng.randrange(len(parts))
        parts[index] = rng.choice(MUTATIONS)(parts[index] or b"\0", rng)
    data = target.pack(parts)
    if len(target.parts) > 1 and rng.random() < 0.25:
        data = rng.choice(MUTATIONS)(data or b"\0", rng)
    return data


def attempt(target: Target, seed: int, trace: bool = True) -> str:
    """Read one spoiled file; gives "read" or "refused".

    Raises:
        AssertionError: If anything else happens, or it takes too long or too much memory.
    """
    data = spoiled(target, seed)
    where = f"{target.name}, seed {seed}"
    start = time.process_time()
    if trace:
        tracemalloc.start()
    try:
        target.read(data)
        outcome = "read"
    except ValueError as error:
        outcome = "refused"
        text = str(error)
        assert "\n" not in text and "\r" not in text, f"{where}: more than a line: {text[:300]!r}"
        assert 0 < len(text) <= MAX_MESSAGE, f"{where}: a message of {len(text)} letters"
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {str(error)[:300]}") from error
    finally:
        peak = tracemalloc.get_traced_memory()[1] if trace else 0
        if trace:
            tracemalloc.stop()
    seconds = time.process_time() - start
    assert peak < MAX_PEAK_BYTES, f"{where}: {peak / 2**20:.0f} MB for {len(data)} bytes"
    assert seconds < MAX_CPU_S, f"{where}: {seconds:.1f} s for {len(data)} bytes"
    return outcome


def by_file(folder: Path, name: str, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    """A reader of bytes from a reader of paths."""

    def read_bytes(data: bytes) -> Any:
        path = folder / name
        path.write_bytes(data)
        return read(path)

    return read_bytes


def clip() -> Motion:
    generator = torch.Generator().manual_seed(4)
    curves = torch.rand(4, 61, generator=generator)
    curves[:, 52:] = 0.4 * curves[:, 52:] - 0.2
    labels = (Label(0.0, 0.1, "a smile"),)
    return motion_from_curves(curves, 25.0, text="she smiles", labels=labels)


def whole(parts: Sequence[bytes]) -> bytes:
    return b"".join(parts)


def recording(parts: Sequence[bytes]) -> bytes:
    """An LLV recording: what comes first, then packets after their sizes; gzipped."""
    framed = b"".join(struct.pack(">I", len(part)) + part for part in parts[1:])
    return gzip.compress(parts[0] + framed, 1)


def archive(names: Sequence[str], parts: Sequence[bytes]) -> bytes:
    """A zip file of these parts, whose sums are right."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, part in zip(names, parts, strict=True):
            packed.writestr(name, part)
    return stream.getvalue()


def npz_target(name: str, data: bytes, read: object) -> Target:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        names = packed.namelist()
        parts = tuple(packed.read(each) for each in names)
    return Target(name, parts, lambda found: archive(names, found), read)  # type: ignore[arg-type]


def tensors(parts: Sequence[bytes]) -> bytes:
    """A safetensors file: its header's size, the header, the data."""
    return len(parts[0]).to_bytes(8, "little") + parts[0] + parts[1]


def safetensors_target(name: str, data: bytes, read: object) -> Target:
    size = int.from_bytes(data[:8], "little")
    return Target(name, (data[8 : 8 + size], data[8 + size :]), tensors, read)  # type: ignore[arg-type]


def small_flame() -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(0)
    weights = rng.random((9, 5))
    return {
        "v_template": rng.normal(size=(9, 3)),
        "shapedirs": rng.normal(size=(9, 3, 4)),
        "posedirs": rng.normal(size=(9, 3, 36)),
        "J_regressor": np.full((5, 9), 1 / 9),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "weights": weights / weights.sum(1, keepdims=True),
        "f": np.array([[0, 1, 2], [2, 3, 4]], np.uint32),
    }


def saved_npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def splats() -> Gaussians:
    generator = torch.Generator().manual_seed(1)
    size = {"means": 3, "quats": 4, "scales": 3, "colors": 3}
    parts = {name: torch.rand(5, width, generator=generator) for name, width in size.items()}
    return Gaussians(**parts, opacities=torch.rand(5, generator=generator))


@functools.cache
def sound_packets() -> tuple[bytes, ...]:
    return tuple(packets_from_motion(clip()))


def read_datagram(data: bytes) -> None:
    """A packet by itself, then among others: a take never fails for one."""
    take = Take()
    for packet in sound_packets():
        take.add(packet)
    assert take.add(data) in (True, False)
    take.motion()
    parse_packet(data)


def read_obj(path: Path) -> object:
    return read_obj_folder(path.parent)


def read_frames(path: Path) -> None:
    """Look at what a video or a photo shows, for at most as long as a sound one would be."""
    for _ in islice(Footage.open(path).frames(), 200):
        pass


def small_ict() -> dict[str, NDArray[Any]]:
    return {
        "neutral": np.zeros((9, 3), np.float32),
        "faces": np.array([[0, 1, 2, 3], [2, 3, 4, -1]], np.int32),
        "expression_names": np.array(["jawOpen", "mouthSmile_L"]),
        "expression_deltas": np.ones((2, 9, 3), np.float32),
        "landmarks68": np.zeros(68, np.int64),
    }


def small_gnm() -> dict[str, NDArray[Any]]:
    return {
        "template_vertex_positions": np.zeros((9, 3), np.float32),
        "triangles": np.array([[0, 1, 2], [2, 3, 4]], np.int32),
        "expression_basis": np.ones((2, 9, 3), np.float32),
        "vertex_groups": np.ones((2, 9), np.float32),
        "vertex_group_names": np.array(["skin", "tongue"]),
    }


@pytest.fixture(scope="module")
def small_faces() -> Iterator[None]:
    """ICT-FaceKit of a few vertices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes_files, "_ICT_VERTICES", 9)
        yield


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory, small_faces: None) -> dict[str, Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    motion = clip()
    write_live_link(motion, folder / "a.csv")
    motion.save(folder / "a.npz")
    motion.save(folder / "a.safetensors")
    write_curves_json(motion, folder / "a.json")
    write_ply(folder / "a.ply", splats())
    packets = sound_packets()
    tokens = TokenFile((1, 2, 3), 512, text="a smile").to_json().encode()
    person = Person(age=0.3, features={"nose-hump": 0.2}).to_json().encode()
    mesh = b"# a mesh\nv 0 0 0\nv 1 0 0\nv 0 1 0.5\nvt 0 0\nf 1 2 3\nf 1/1 2/1 3/1\n"
    params = {
        "expr": np.zeros((3, 1), np.float32),
        "jaw_pose": np.zeros((3, 3), np.float32),
        "rotation": np.zeros((3, 3), np.float32),
        "neck_pose": np.zeros((3, 3), np.float32),
        "eyes_pose": np.zeros((3, 6), np.float32),
        "translation": np.zeros((3, 3), np.float32),
        "shape": np.zeros(3, np.float32),
    }
    flame = head_from_flame(small_flame())

    def read_params(path: Path) -> object:
        return load_flame_params(path, flame)

    pictures = [np.full((48, 64, 3), 40 * i, np.uint8) for i in range(4)]
    write_video(folder / "a.mp4", iter(pictures), 25.0)
    Image.fromarray(pictures[1]).save(folder / "a.png")
    Image.fromarray(pictures[1]).save(folder / "a.jpg")
    (folder / "obj").mkdir()
    (folder / "obj" / "neutral.obj").write_bytes(mesh)

    def at(name: str, read: object) -> object:
        return by_file(folder, name, read)  # type: ignore[arg-type]

    def plain(name: str, data: bytes, read: object) -> Target:
        return Target(name, (data,), whole, read)  # type: ignore[arg-type]

    made = [
        plain("Live Link CSV", (folder / "a.csv").read_bytes(), at("b.csv", read_live_link)),
        plain("Live Link packet", packets[0], read_datagram),
        Target(
            "LLV recording",
            (struct.pack(">BI", 6, len(packets)), *packets),
            recording,
            at("b.gesichter", read_llv),  # type: ignore[arg-type]
        ),
        npz_target("Motion npz", (folder / "a.npz").read_bytes(), at("b.npz", Motion.load)),
        safetensors_target(
            "Motion safetensors",
            (folder / "a.safetensors").read_bytes(),
            at("b.safetensors", Motion.load),
        ),
        plain("curves JSON", (folder / "a.json").read_bytes(), at("b.json", read_curves_json)),
        plain("tokens JSON", tokens, at("c.json", TokenFile.read)),
        plain("person JSON", person, at("d.json", Person.read)),
        plain("FLAME pickle", pickle.dumps(small_flame(), 2), at("b.pkl", read_flame)),
        npz_target("FLAME npz", saved_npz(small_flame()), at("c.npz", read_flame)),
        npz_target("FLAME parameters", saved_npz(params), at("d.npz", read_params)),
        plain("OBJ mesh", mesh, by_file(folder / "obj", "shape.obj", read_obj)),
        plain("splat PLY", (folder / "a.ply").read_bytes(), at("b.ply", read_ply)),
        npz_target("ICT-FaceKit npz", saved_npz(small_ict()), at("e.npz", read_ict_npz)),
        npz_target("GNM Head npz", saved_npz(small_gnm()), at("f.npz", read_gnm_npz)),
        plain("video", (folder / "a.mp4").read_bytes(), at("b.mp4", read_frames)),
        plain("photo PNG", (folder / "a.png").read_bytes(), at("b.png", read_frames)),
        plain("photo JPEG", (folder / "a.jpg").read_bytes(), at("b.jpg", read_frames)),
    ]
    return {target.name: target for target in made}


NAMES = (
    *("Live Link CSV", "Live Link packet", "LLV recording", "Motion npz", "Motion safetensors"),
    *("curves JSON", "tokens JSON", "person JSON", "FLAME pickle", "FLAME npz"),
    *("FLAME parameters", "OBJ mesh", "splat PLY", "ICT-FaceKit npz", "GNM Head npz"),
    *("video", "photo PNG", "photo JPEG"),
)


@pytest.fixture(autouse=True)
def row(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tell of a reader when its files are through, so that a run that is stopped has told some."""
    begun = TRIED.total()
    yield
    if MANY and TRIED.total() > begun:
        name = request.node.callspec.params["name"]
        read, refused = TRIED[name, "read"], TRIED[name, "refused"]
        sys.stdout.write(f"\n| {name} | {read + refused} | {read} | {refused} |\n")
        sys.stdout.flush()


@pytest.mark.parametrize("name", NAMES)
def test_the_sound_file_is_read(name: str, targets: dict[str, Target]) -> None:
    target = targets[name]
    target.read(target.pack(target.parts))


@pytest.mark.filterwarnings("ignore:.*duplicate name:UserWarning")
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_spoiled_files_are_read_or_refused(name: str, targets: dict[str, Target]) -> None:
    if ONE_SEED is not None:
        attempt(targets[name], int(ONE_SEED))
        return

    @seed(random.SystemRandom().randrange(2**32) if MANY else 1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.function_scoped_fixture),
    )
    @given(number=st.integers(0, 2**63))
    def run(number: int) -> None:
        # Following memory makes reading slow; of many files one in ten is followed.
        outcome = attempt(targets[name], number, trace=not MANY or number % 10 == 0)
        TRIED[name, outcome] += 1

    run()


def test_tokens_that_are_deeply_nested_are_refused() -> None:
    for text in ("[" * 100_000, '{"format":' * 50_000, json.dumps({"format": "mien-tokens"})):
        with pytest.raises(ValueError, match="A token file must|The token file must"):
            TokenFile.from_json(text)


EXTREMES = (0.0, 1.0, -1.0, 1e-30, 1e10, 3e38, -3e38, 1e300)


def extreme(rng: random.Random, *shape: int) -> torch.Tensor:
    """Numbers of which a fifth are far from any face's."""
    count = int(np.prod(shape))
    rates = [rng.choice(EXTREMES) if rng.random() < 0.2 else rng.random() for _ in range(count)]
    return torch.tensor(rates, dtype=torch.float64).reshape(shape)


def test_glb_of_any_numbers_is_sound_or_refused(tmp_path: Path) -> None:
    head, path = head_from_flame(small_flame()), tmp_path / "a.glb"
    outcomes = Counter[str]()
    for number in range(EXAMPLES * 5):
        rng = random.Random(number)
        frames, wild = rng.choice((1, 2, 5)), rng.random() < 0.5
        make = extreme if wild else lambda rng, *shape: torch.zeros(shape) + rng.random()
        widths = {"jaw_pose": 3, "neck_pose": 3, "global_pose": 3, "eye_pose": 6, "translation": 3}
        tracks: dict[str, Any] = {name: make(rng, frames, n) for name, n in widths.items()}
        fps = rng.choice((1e-300, 0.01, 25.0, 1000.0))
        motion = Motion(fps, make(rng, frames, 1), **tracks, head="flame")
        scale = rng.choice((1.0, 1.0, 0.0, float("nan"), 1e300, 1e-300, -1.0))
        gains = rng.choice((None, {"jawOpen": 0.5}, {"jawOpen": 1e300}))
        path.unlink(missing_ok=True)
        try:
            write_glb(path, head, motion, scale=scale, gains=gains, bake_joints=rng.random() < 0.3)
        except ValueError as error:
            assert "\n" not in str(error) and not path.exists()
            outcomes["refused"] += 1
            continue
        data = path.read_bytes()
        size = int.from_bytes(data[12:16], "little")
        json.loads(data[20 : 20 + size], parse_constant=lambda name: pytest.fail(name))
        outcomes["written"] += 1
    assert min(outcomes["written"], outcomes["refused"]) > 5, outcomes
