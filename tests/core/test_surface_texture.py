import numpy as np
import pytest

from mien.formats.surface_texture import texture_from_points
from mien.head import Head


def test_points_color_the_place_where_they_lie() -> None:
    head = Head.default()
    generator = np.random.default_rng(0)
    faces = generator.integers(0, len(head.faces), 40_000)
    bary = generator.random((40_000, 2)) / 2
    corners = head.uv.numpy()[head.uv_faces.numpy()[faces]]
    shares = np.concatenate([1 - bary.sum(1, keepdims=True), bary], 1)
    u, v = (corners * shares[..., None]).sum(1).T
    texture = texture_from_points(head, faces, bary, np.stack([u, v, 0 * u], 1), resolution=128)
    row, column = ((1 - v) * 128).astype(int), (u * 128).astype(int)
    found = texture[row, column] / 255
    assert np.abs(found - np.stack([u, v, 0 * u], 1)).mean() < 0.01  # 0.004 is half a texel
    assert texture[..., 2].max() == 0


def test_one_color_stays_one_color_everywhere() -> None:
    color = np.array([[0.2, 0.4, 0.8]])
    texture = texture_from_points(Head.default(), np.array([7]), np.zeros((1, 2)), color)
    np.testing.assert_array_equal(texture, np.broadcast_to([51, 102, 204], (512, 512, 3)))


def test_points_without_weight_do_not_show() -> None:
    faces, bary = np.array([7, 900]), np.full((2, 2), 0.25)
    colors = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    weights = np.array([1.0, 0])
    texture = texture_from_points(Head.default(), faces, bary, colors, weights, 64)
    assert texture[..., 0].min() == 255 and texture[..., 1].max() == 0


def test_points_and_resolution_are_checked() -> None:
    head, none = Head.default(), np.zeros((0, 2))
    with pytest.raises(ValueError, match="At least one point"):
        texture_from_points(head, np.zeros(0, int), none, np.zeros((0, 3)))
    with pytest.raises(ValueError, match="power of two"):
        texture_from_points(head, np.zeros(1, int), np.zeros((1, 2)), np.ones((1, 3)), None, 100)
