"""A run that is killed outright, with processes of its own, loses and doubles nothing."""

import dataclasses
import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mien.data_synth.corpus import CorpusConfig, read_corpus, write_corpus

CONFIG = CorpusConfig(seed=5, num_clips=400, clips_per_shard=16)
CHILD = f"""
import sys
from pathlib import Path
from mien.data_synth.corpus import CorpusConfig, write_corpus

config = CorpusConfig(5, {CONFIG.num_clips}, {CONFIG.clips_per_shard}, int(sys.argv[2]))
for _ in write_corpus(Path(sys.argv[1]), config):
    pass
"""


def start(folder: Path, workers: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(workers)])


def shards_of(folder: Path) -> dict[str, str]:
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("clips-*.parquet")
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One worker, in this process, without a break."""
    folder = tmp_path_factory.mktemp("unbroken")
    list(write_corpus(folder, CONFIG))
    return folder


def test_a_run_of_two_workers_killed_in_the_middle_ends_as_one_of_one_without_a_break(
    tmp_path: Path, unbroken: Path
) -> None:
    with start(tmp_path, 2) as child:
        while len(list(tmp_path.glob("clips-*.parquet"))) < 2 and child.poll() is None:
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL  # it was still at work
    assert 1 <= len(shards_of(tmp_path)) < CONFIG.num_shards  # either worker may be ahead
    assert not (tmp_path / "manifest.json").exists()
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob("clips-*.parquet")}
    list(write_corpus(tmp_path, dataclasses.replace(CONFIG, workers=2)))
    assert shards_of(tmp_path) == shards_of(unbroken)  # bit for bit
    assert all(p.stat().st_mtime_ns == at for p, at in kept.items())  # none made twice
    assert read_corpus(tmp_path)["index"][:] == list(range(CONFIG.num_clips))
    wanted = json.loads((unbroken / "manifest.json").read_text())
    assert json.loads((tmp_path / "manifest.json").read_text()) == wanted
    assert not list(tmp_path.glob("*.part"))
