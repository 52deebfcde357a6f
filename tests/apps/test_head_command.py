import json
from pathlib import Path

import numpy as np
import pytest

from mien.apps.head import MakeHead
from mien.apps.refusal import Refusal
from mien.head import Head
from mien.person import Person


def vertices(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    lines = path.read_text(encoding="ascii").splitlines()
    return np.array([line.split()[1:] for line in lines if line.startswith("v ")], np.float64)


def test_a_baby_is_written_as_mesh_rig_and_person(tmp_path: Path) -> None:
    paths = tuple(tmp_path / f"baby.{suffix}" for suffix in ("obj", "glb", "json"))
    MakeHead(output=paths, age=0.05, seed=3).run()
    person = Person.read(paths[2])
    assert person.age == 0.05 and len(person.features) > 90
    identity = person.identity()
    wanted = Head.default()(identity.shape).numpy() * identity.scale
    np.testing.assert_allclose(vertices(paths[0]), wanted, rtol=0, atol=1e-6)
    assert paths[1].read_bytes()[:4] == b"glTF" and identity.gains["jawOpen"] < 0.8


def test_a_person_is_edited(tmp_path: Path) -> None:
    young, old = tmp_path / "young.json", tmp_path / "old.json"
    MakeHead(output=(young,), sample=True, seed=4).run()
    MakeHead(output=(old,), person=young, age=0.9, features=("nose-hump=0.5",)).run()
    before, after = Person.read(young), Person.read(old)
    assert before == Person.sample(4)
    assert after == before.edit(age=0.9, features={"nose-hump": 0.5})


def test_features_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    MakeHead(list_features=True).run()
    assert "nose-hump" in capsys.readouterr().out.split()


BAD = [
    ({"age": 2.0}, r"`age` must lie in \[0, 1\], got 2"),
    ({"age": float("nan")}, "`age` must lie in"),
    ({"features": ("nose",)}, "must look like nose-hump=0.5, got 'nose'"),
    ({"features": ("nose-of-gold=1",)}, "There is no feature 'nose-of-gold'"),
    ({"race": (0.0, 0.0, 0.0)}, "three shares"),
    ({"seed": -1}, "`seed` must be from 0"),
    ({"sample": True, "person": Path("p.json")}, "with --person or with --sample, got both"),
    ({"person": Path("none.json")}, "There is no file 'none.json'"),
    ({"person": Path("p.json"), "output": (Path("p.json"),)}, "p.json: named twice"),
    ({"output": (Path("a.stl"),)}, r"wanted one of \.obj \.glb \.json, got \.stl"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options_are_refused_and_nothing_is_written(
    options: dict[str, object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.json").write_text(json.dumps({"format": "mien-person", "version": 1}))
    with pytest.raises(Refusal, match=message):
        MakeHead(**options).run()  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]
