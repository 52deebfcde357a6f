from pathlib import Path

import pytest
import torch

from mien.identity import sample, semantic
from mien.person import Person


def test_a_person_is_the_semantic_identity() -> None:
    person = Person(age=0.3, gender=0.1, features={"nose-hump": 0.5})
    found = person.identity()
    wanted = semantic(age=0.3, gender=0.1, features={"nose-hump": 0.5})
    assert torch.equal(found.shape, wanted.shape)
    assert (found.scale, found.gains) == (wanted.scale, wanted.gains)


def test_the_sampler_gives_the_same_people_as_the_identities() -> None:
    for seed in range(3):
        torch.testing.assert_close(
            Person.sample(seed).identity().shape, sample(seed).shape, rtol=0, atol=1e-6
        )
    features = Person(age=0.05).with_random_features(3).features
    torch.testing.assert_close(
        Person(age=0.05, features=features).identity().shape,
        semantic(age=0.05, seed=3).shape,
        rtol=0,
        atol=1e-6,
    )


def test_an_edit_changes_what_it_names_alone() -> None:
    child = Person.sample(7)
    grown = child.edit(age=0.9, features={"chin-width": 1.0})
    assert (grown.age, grown.gender, grown.race) == (0.9, child.gender, child.race)
    changed = {name for name, value in grown.features.items() if child.features[name] != value}
    assert changed == {"chin-width"}
    assert child.edit() == child


def test_a_person_comes_back_from_a_file(tmp_path: Path) -> None:
    person = Person.sample(2)
    person.write(tmp_path / "a.json")
    assert Person.read(tmp_path / "a.json") == person
    assert Person.from_json('{"format": "mien-person", "version": 1}') == Person()


BAD = [
    ("", "must be JSON"),
    ("[" * 100_000, "must be JSON"),
    ("[]", 'object with "format": "mien-person"'),
    ('{"format": "mien-person"}', "Version 1 of a person is read, got None"),
    ('{"format": "mien-person", "version": 1, "hat": 1}', "has no 'hat'"),
    ('{"format": "mien-person", "version": 1, "age": 2}', r"`age` must lie in \[0, 1\], got 2"),
    ('{"format": "mien-person", "version": 1, "age": NaN}', "`age` must lie in"),
    ('{"format": "mien-person", "version": 1, "age": "old"}', "got another value"),
    ('{"format": "mien-person", "version": 1, "age": true}', "got another value"),
    ('{"format": "mien-person", "version": 1, "race": [0, 0, 0]}', "three shares"),
    ('{"format": "mien-person", "version": 1, "race": [1, 2]}', "three shares"),
    ('{"format": "mien-person", "version": 1, "features": []}', "by name"),
    (
        '{"format": "mien-person", "version": 1, "features": {"nose-of-gold": 1}}',
        "no feature 'nose-of-gold'; there are 106, such as nose-base",
    ),
    (
        '{"format": "mien-person", "version": 1, "features": {"nose-hump": 1e999}}',
        r"'nose-hump' must lie in \[-1, 1\]",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_files_that_are_no_person_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        Person.read(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_unknown_traits_are_refused() -> None:
    with pytest.raises(ValueError, match="A person has no hat, shoes"):
        Person().edit(shoes=1, hat=2)
