import numpy as np
import pytest

from mien.avatar.visibility import cone
from mien.data_synth.cast_light import Lamp, lit_share

LAMP = Lamp((0.3, 0.9, 0.2))
# A plate of 6 cm, 4 cm above the floor, as two triangles, between walls that make room.
PLATE = np.array(
    [[-0.03, 0.04, -0.03], [0.03, 0.04, -0.03], [0.03, 0.04, 0.03], [-0.03, 0.04, 0.03]]
)
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def floor(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    flat = rng.uniform(-0.09, 0.09, (count, 2))
    points = np.column_stack([flat[:, 0], np.zeros(count), flat[:, 1]])
    return points, np.tile([0.0, 1.0, 0.0], (count, 1))


def reference(points: np.ndarray) -> np.ndarray:
    """Rays to each place of the lamp, and whether they cross the plate."""
    lit = np.zeros(len(points))
    for way in cone(np.array(LAMP.direction), LAMP.spread_deg, LAMP.samples):
        meet = points + way * ((0.04 - points[:, 1]) / way[1])[:, None]
        lit += 1 - (np.abs(meet[:, [0, 2]]) < 0.03).all(1)
    return lit / LAMP.samples


@pytest.fixture(scope="module")
def lit() -> np.ndarray:
    points, normals = floor()
    return lit_share(LAMP, PLATE, FACES, points, normals, np.zeros((0, 3)))


def test_a_plate_shades_the_floor_as_rays_say(lit: np.ndarray) -> None:
    apart = np.abs(lit - reference(floor()[0]))
    assert apart.mean() < 0.03  # cells of 3.4 mm blur the edge
    assert np.quantile(apart, 0.9) < 0.15


def test_there_is_full_shadow_half_shadow_and_full_light(lit: np.ndarray) -> None:
    assert lit.min() == 0.0
    assert lit.max() == 1.0
    assert ((lit > 0.1) & (lit < 0.9)).any()


def test_nothing_above_leaves_all_light() -> None:
    points, normals = floor(50)
    lit = lit_share(LAMP, PLATE - [0, 0.2, 0], FACES, points, normals, np.zeros((0, 3)))
    np.testing.assert_array_equal(lit, 1.0)


def test_hair_above_takes_light_away() -> None:
    points, normals = floor(50)
    rng = np.random.default_rng(0)
    hair = np.column_stack([rng.uniform(-0.2, 0.2, 120_000), np.full(120_000, 0.04),
                            rng.uniform(-0.2, 0.2, 120_000)])  # fmt: skip
    lit = lit_share(LAMP, PLATE - [0, 0.2, 0], FACES, points, normals, hair)
    assert lit.max() < 0.2


def test_a_moved_world_is_lit_alike() -> None:
    points, normals = floor(60)
    shift = np.array([0.4, -1.3, 2.0])
    here = lit_share(LAMP, PLATE, FACES, points, normals, np.zeros((0, 3)))
    there = lit_share(LAMP, PLATE + shift, FACES, points + shift, normals, np.zeros((0, 3)))
    np.testing.assert_allclose(here, there, atol=0.02)
