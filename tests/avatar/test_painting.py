import numpy as np
import pytest
from scipy.spatial import cKDTree

from mien.avatar.canvas import Canvas
from mien.avatar.look import Look
from mien.avatar.noise import fractal_noise, smoothstep, value_noise
from mien.avatar.pigment import skin_color
from mien.avatar.regions import lip_mask, regions
from mien.avatar.sampling import sample_surface
from mien.avatar.uv_grid import barycentric, rasterize_uv
from mien.avatar.visibility import Occluders, cone, sphere
from mien.head import Head


@pytest.fixture(scope="module")
def canvas() -> Canvas:
    return Canvas.of(Head.default())


def two_triangles() -> tuple[np.ndarray, np.ndarray]:
    """A 40 mm square, laid over the whole texture."""
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    uv = square[[[0, 1, 2], [0, 2, 3]]]
    corners = np.concatenate([uv * 40.0, np.zeros((2, 3, 1))], -1)
    return corners, uv


def test_noise_depends_on_the_position_alone() -> None:
    points = np.linspace(-50, 50, 300).reshape(100, 3)
    order = np.arange(100)[::-1]
    np.testing.assert_array_equal(
        value_noise(points, 7.0, 1)[order], value_noise(points[order], 7.0, 1)
    )
    assert not np.allclose(value_noise(points, 7.0, 1), value_noise(points, 7.0, 2))


def test_noise_is_smooth_and_bounded() -> None:
    points = np.stack([np.linspace(0, 30, 4000), np.full(4000, 2.3), np.full(4000, -7.7)], -1)
    values = fractal_noise(points, 9.0, 3, 4)
    assert np.abs(values).max() <= 1.0
    assert values.std() > 0.1
    assert np.abs(np.diff(values)).max() < 0.02


def test_noise_refuses_a_cell_without_width() -> None:
    with pytest.raises(ValueError, match="positive distance, got 0.0"):
        value_noise(np.zeros((1, 3)), 0.0, 0)


def test_smoothstep_rises_and_falls() -> None:
    x = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    np.testing.assert_allclose(smoothstep(0.0, 1.0, x), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(smoothstep(1.0, 0.0, x), [1, 1, 0.5, 0, 0])


def test_points_cover_a_square_evenly() -> None:
    corners, _ = two_triangles()
    cells = sample_surface(corners, np.full(2, 2.5), seed=0)
    assert abs(len(cells) - 256) <= 8  # 40 mm at 2.5 mm
    points = (corners[cells.faces] * cells.bary[..., None]).sum(1)
    gap = cKDTree(points).query(points, k=2)[0][:, 1]
    assert gap.mean() > 0.6 * 2.5
    x, y = np.meshgrid(np.linspace(1, 39, 60), np.linspace(1, 39, 60))
    asked = np.stack([x.ravel(), y.ravel(), np.zeros(3600)], -1)
    assert cKDTree(points).query(asked)[0].max() < 1.3 * 2.5


def test_disc_radii_lie_on_the_triangle_and_face_outward() -> None:
    corners, _ = two_triangles()
    corners = corners * [2.0, 1.0, 1.0]
    cells = sample_surface(corners, np.full(2, 2.5), seed=1)
    edges = corners[cells.faces][:, 1:] - corners[cells.faces][:, :1]
    axes = cells.axes @ edges
    lengths = np.linalg.norm(axes, axis=-1)
    np.testing.assert_allclose(lengths, np.stack([cells.sizes] * 2, -1))
    np.testing.assert_allclose((axes[:, 0] * axes[:, 1]).sum(-1), 0.0, atol=1e-9)
    assert (np.cross(axes[:, 0], axes[:, 1])[:, 2] > 0).all()


def test_points_are_denser_where_asked_and_absent_where_infinite() -> None:
    corners, _ = two_triangles()
    cells = sample_surface(corners, np.array([1.25, 5.0]), seed=2)
    assert 11 < (cells.faces == 0).sum() / (cells.faces == 1).sum() < 22
    assert (sample_surface(corners, np.array([2.5, np.inf]), seed=2).faces == 0).all()


def test_touching_sheets_each_keep_their_points() -> None:
    corners, _ = two_triangles()
    back = corners[:, ::-1] - [0.0, 0.0, 0.05]
    cells = sample_surface(np.concatenate([corners, back]), np.full(4, 2.5), seed=3)
    front = (cells.faces < 2).sum()
    assert abs(front - len(cells) / 2) < 0.06 * len(cells)


def test_sampling_nothing_is_refused() -> None:
    corners, _ = two_triangles()
    with pytest.raises(ValueError, match="None of the 2 triangles is to carry"):
        sample_surface(corners, np.full(2, np.inf), seed=0)


def test_rasterized_triangles_hold_their_texels() -> None:
    _, uv = two_triangles()
    face_map = rasterize_uv(uv * 0.7 + 0.1, 32)
    row, column = np.nonzero(face_map >= 0)
    center = (np.stack([column, row], -1) + 0.5) / 32
    weights = barycentric((uv * 0.7 + 0.1)[face_map[row, column]], center)
    assert (weights >= -1e-9).all()
    assert 400 < len(row) < 600  # 0.49 of 1024


def test_a_roof_hides_what_is_below_it_and_nothing_else() -> None:
    x, z = np.meshgrid(np.linspace(-20, 20, 41), np.linspace(-20, 20, 41))
    roof = np.stack([x.ravel(), np.full(x.size, 30.0), z.ravel()], -1)
    points = np.array([[0.0, 0.0, 0.0], [200.0, 0.0, 0.0]])
    up = np.array([[0.0, 1.0, 0.0]]).repeat(2, 0)
    occluders = Occluders(np.concatenate([roof, points]))
    np.testing.assert_array_equal(occluders.visible(points, up, up[0]), [0.0, 1.0])
    openness = occluders.openness(points, up)
    assert openness[0] < 0.8 < 0.999 < openness[1] + 1e-3


def test_directions_are_unit_and_spread() -> None:
    everywhere = sphere(200)
    np.testing.assert_allclose(np.linalg.norm(everywhere, axis=-1), 1.0)
    np.testing.assert_allclose(everywhere.mean(0), 0.0, atol=0.01)
    around = cone(np.array([0.0, 0.6, 0.8]), 10.0, 50)
    assert np.rad2deg(np.arccos(around @ [0.0, 0.6, 0.8])).max() <= 10.0


def test_more_pigment_makes_skin_darker_and_blood_makes_it_redder() -> None:
    pale, tan = skin_color(np.array([0.1, 0.8]), 0.3)
    assert (tan < pale).all()
    lip = skin_color(0.1, 1.0)
    assert lip[0] / lip[1] > 1.3 * pale[0] / pale[1]


def test_regions_lie_where_the_face_has_them(canvas: Canvas) -> None:
    middle = canvas.centroids()
    where = regions(middle, canvas)
    lips = canvas.vertices[canvas.mouth.upper.numpy()]
    in_lips = middle[where.lips * canvas.parts["skin"] > 0.9]
    assert len(in_lips) > 50
    assert np.abs(in_lips[:, 1] - lips[:, 1].mean()).max() < 16
    assert (np.abs(middle[where.ears > 0.9, 0]) > 66).all()
    assert (where.lips + where.cloth).max() <= 1.0 + 1e-9
    np.testing.assert_allclose(lip_mask(in_lips), lip_mask(in_lips * [-1, 1, 1]))


def test_a_canvas_finds_the_slits_of_the_default_head(canvas: Canvas) -> None:
    for window, side in ((canvas.eyes[0], 1), (canvas.eyes[1], -1)):
        rim = canvas.vertices[np.union1d(window.upper.numpy(), window.lower.numpy())]
        assert (rim[:, 0] * side > 10).all()
        assert window.upper[0] == window.lower[0] and window.upper[-1] == window.lower[-1]
    upper, lower = (
        canvas.vertices[ids.numpy()] for ids in (canvas.mouth.upper, canvas.mouth.lower)
    )
    assert (np.diff(upper[:, 0]) >= 0).all() and (np.diff(lower[:, 0]) >= 0).all()
    assert upper[1:-1, 1].mean() > lower[1:-1, 1].mean()


def test_a_head_without_parts_is_refused() -> None:
    head = Head.default()
    bare = Head(
        head.v_template, head.shapedirs, head.posedirs, head.J_regressor, head.lbs_weights,
        head.faces, num_shape=head.num_shape, name="bare",
    )  # fmt: skip
    with pytest.raises(ValueError, match="the head 'bare' lacks"):
        Canvas.of(bare)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"freckles": 1.5}, r"`freckles` must lie in \[0, 1\], got 1.5"),
        ({"melanin": -0.1}, "`melanin` must lie in"),
        ({"iris_color": (0.1, 0.2)}, "three values"),
        ({"hair": "mohawk"}, "`hair` must be one of bob, short, coils, down"),
    ],
)
def test_a_look_refuses_what_cannot_be_painted(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Look(**change)  # type: ignore[arg-type]
