from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.registration import fit_similarity, register
from mien.surface import Surface

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
Refuses = Callable[[str], AbstractContextManager[None]]


def patch(count: int, height: Callable[[Array, Array], Array]) -> tuple[Array, Ids]:
    """An open, bumpy sheet of `count` squared vertices over [-1, 1] squared."""
    x, y = np.meshgrid(np.linspace(-1, 1, count), np.linspace(-1, 1, count))
    vertices = np.stack([x, y, height(x, y)], axis=-1).reshape(-1, 3)
    corner = np.arange(count * (count - 1)).reshape(-1, count)[:, :-1].ravel()
    first = np.stack([corner, corner + 1, corner + count + 1], axis=1)
    second = np.stack([corner, corner + count + 1, corner + count], axis=1)
    return vertices, np.concatenate([first, second])


def bump(x: Array, y: Array) -> Array:
    return np.asarray(0.5 * np.exp(-3 * (x**2 + y**2)) + 0.1 * np.sin(3 * x))


def bent(vertices: Array) -> Array:
    """A smooth change of shape."""
    x, y, z = vertices.T
    return np.stack([x + 0.08 * np.sin(2 * y), 1.1 * y + 0.05 * x**2, 1.2 * z + 0.06 * y], axis=1)


def brute_force(points: Array, vertices: Array, faces: Ids) -> Array:
    """The distance to a surface by many samples of every triangle, never too small."""
    steps = np.arange(41) / 40
    first, second = np.meshgrid(steps, steps)
    inside = first + second <= 1 + 1e-9
    weights = np.stack([1 - first - second, first, second], axis=-1)[inside]
    samples = np.einsum("sk,fka->fsa", weights, vertices[faces]).reshape(-1, 3)
    return np.array([np.linalg.norm(samples - point, axis=1).min() for point in points])


def test_a_similarity_is_found_again() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(7, 3))
    rotmat, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotmat *= np.sign(np.linalg.det(rotmat))
    target = 2.5 * source @ rotmat.T + np.array([1.0, -2.0, 3.0])
    found = fit_similarity(source, target)
    np.testing.assert_allclose(found.rotmat, rotmat, atol=1e-12)
    assert found.scale == pytest.approx(2.5)
    np.testing.assert_allclose(found.apply(source), target, atol=1e-12)


def test_a_mirrored_shape_is_not_mirrored_back() -> None:
    source = np.random.default_rng(1).normal(size=(9, 3))
    found = fit_similarity(source, source * np.array([-1.0, 1.0, 1.0]))
    assert np.linalg.det(found.rotmat) == pytest.approx(1.0)


def test_points_on_a_line_tell_no_similarity(refuses: Refuses) -> None:
    line = np.outer(np.arange(5.0), [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="not on one line"):
        fit_similarity(line, line)
    with refuses("must both be"):
        fit_similarity(line, line[:3])


def test_closest_points_are_the_closest() -> None:
    """Against brute force, on triangles of very different size, some without area."""
    rng = np.random.default_rng(2)
    small = rng.normal(size=(40, 1, 3)) + 0.05 * rng.normal(size=(40, 3, 3))
    large = 2 * rng.normal(size=(5, 3, 3))
    flat = np.repeat(rng.normal(size=(2, 1, 3)), 3, axis=1)
    vertices = np.concatenate([small, large, flat]).reshape(-1, 3)
    faces = np.arange(len(vertices)).reshape(-1, 3)
    points = 1.5 * rng.normal(size=(60, 3))
    found = Surface(vertices, faces).closest(points)
    sampled = brute_force(points, vertices, faces)
    assert bool((found.distance <= sampled + 1e-12).all())
    assert float((sampled - found.distance).max()) < 0.1
    np.testing.assert_allclose(found.weights.sum(1), 1.0)
    assert float(found.weights.min()) >= 0
    np.testing.assert_array_equal(found.vertex_ids, faces[found.face_ids])
    gathered = (vertices[found.vertex_ids] * found.weights[..., None]).sum(1)
    np.testing.assert_allclose(gathered, found.positions)


def test_points_of_the_surface_are_found_on_it() -> None:
    vertices, faces = patch(12, bump)
    inside = vertices[faces].mean(1)
    found = Surface(vertices, faces).closest(inside)
    assert float(found.distance.max()) < 1e-12
    np.testing.assert_array_equal(found.face_ids, np.arange(len(faces)))


def test_the_rim_is_where_the_surface_ends() -> None:
    vertices, faces = patch(5, bump)
    beyond = np.array([[-3.0, 0.1, 0.0], [0.1, 4.0, 0.0], [0.1, 0.05, 2.0]])
    assert Surface(vertices, faces).closest(beyond).is_on_rim.tolist() == [True, True, False]


def test_one_sheet_is_bent_onto_another_of_other_vertices() -> None:
    source, source_faces = patch(24, bump)
    target, target_faces = patch(31, bump)
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])

    def place(points: Array) -> Array:
        return np.asarray(40 * bent(points) @ turn.T + 7)

    target = place(target)
    goal = place(source)
    picked = [24 * row + column for row in (2, 8, 15, 21) for column in (2, 8, 15, 21)]
    pairs = [(own, int(np.linalg.norm(target - goal[own], axis=1).argmin())) for own in picked]
    found = register(source, source_faces, target, target_faces, pairs)
    inner = np.abs(source[:, :2]).max(1) < 0.9
    on_target = Surface(target, target_faces).closest(found)
    assert float(on_target.distance[inner].mean()) < 0.02 * 40 / 24  # of a step of the sheet
    # landmarks are the target's nearest vertices, up to 0.9 from their places on a step of 1.3
    assert float(np.linalg.norm(found - goal, axis=1)[inner].mean()) < 1.0
    again = register(source, source_faces, target, target_faces, pairs)
    np.testing.assert_array_equal(found, again)


def test_without_landmarks_like_shapes_still_meet() -> None:
    source, faces = patch(18, bump)
    target = 3 * bent(source) + 5
    found = register(source, faces, target, faces)
    inner = np.abs(source[:, :2]).max(1) < 0.8
    assert float(Surface(target, faces).closest(found).distance[inner].mean()) < 0.01
    assert float(np.linalg.norm(found - target, axis=1)[inner].mean()) < 0.4


def test_arguments_stay_as_they_were() -> None:
    source, faces = patch(8, bump)
    target = bent(source)
    before = source.copy(), target.copy()
    register(source, faces, target, faces, [(9, 9), (14, 14), (49, 49)])
    np.testing.assert_array_equal(source, before[0])
    np.testing.assert_array_equal(target, before[1])


def test_what_is_no_mesh_is_refused(refuses: Refuses) -> None:
    vertices, faces = patch(6, bump)
    broken = vertices.copy()
    broken[3, 1] = np.nan
    cases: Any = (
        ((broken, faces), "finite"),
        ((vertices[:, :2], faces), r"must be \[V, 3\]"),
        ((vertices, np.zeros((4, 4), dtype=np.int64)), "must be triangles"),
        ((vertices, faces[:0]), "must be triangles"),
        ((vertices, faces + 1), "must name vertices 0 to 35"),
        ((vertices, faces.astype(np.float64)), "whole numbers"),
    )
    for mesh, message in cases:
        with refuses(f"target mesh.*{message}"):
            register(vertices, faces, mesh[0], mesh[1])
        with refuses(f"source mesh.*{message}"):
            register(mesh[0], mesh[1], vertices, faces)


def test_landmarks_that_are_nowhere_are_refused() -> None:
    vertices, faces = patch(6, bump)
    with pytest.raises(ValueError, match="`landmarks` must pair source vertices 0 to 35"):
        register(vertices, faces, vertices, faces, [(0, 0), (5, 36)])
