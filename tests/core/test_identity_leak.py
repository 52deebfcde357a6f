import re

import pytest
from tests.core.acting import acting

from mien.flame_twin import make_flame_face_arrays
from mien.head import Head, head_from_flame
from mien.identity import Identity, semantic
from mien.identity_leak import format_people, through_identity
from mien.roundtrips import random_motion

DEFAULT = Head.default()
PEOPLE = (
    semantic(age=0.0),
    semantic(age=1 / 3),
    semantic(gender=0.0, seed=1),
    semantic(gender=1.0, seed=2),
    semantic(age=1.0, seed=3),
)


@pytest.fixture(scope="module")
def flame() -> Head:
    return head_from_flame(make_flame_face_arrays(0))


def test_who_moves_is_not_in_the_motion(flame: Head) -> None:
    """One performance by five people, from infant to old.

    Scans hold how far each one's own jaw and eyes reach, up to 8 percent of the distance between
    the eyes; the performance's points, other heads, and what `fit` finds from the scans do not.
    """
    leak = through_identity(acting(16), [person.shape for person in PEOPLE], other=flame)
    assert 0.1 < leak.scanned < 15
    assert max(leak.points, leak.retargeted, leak.fitted) < 0.1


def test_expression_alone_knows_no_person() -> None:
    motion = random_motion(DEFAULT, 16, 3)
    leak = through_identity(motion, [person.shape for person in PEOPLE])
    assert leak.scanned < 1e-3 and leak.fitted < 0.1


def test_a_line_says_how_far_people_differ_before_and_after_a_fit() -> None:
    line = format_people(6)
    points, retargeted, scanned, fitted = map(float, re.findall(r"by ([\d.]+\d)", line))
    assert line.startswith("one performance by 5 people") and "\n" not in line
    assert max(points, retargeted, fitted) < 0.1 < scanned < 15


def test_people_differ() -> None:
    """So that the tests above test something."""
    faces = [DEFAULT.identity(person.shape) for person in PEOPLE]
    apart = [1000 * float((face - faces[0]).norm(dim=-1).mean()) for face in faces[1:]]
    assert min(apart) > 1
    assert all(isinstance(person, Identity) for person in PEOPLE)
