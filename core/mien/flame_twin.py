"""Heads in FLAME's exact format and size, made from a seed, for tests and trials.

The licensed FLAME model cannot be shipped. These twins have its counts (5023 vertices, 9976
triangles, 300 + 100 components), its axes and joints and smooth directions of plausible size.
The face of one is an egg with a nose. The other's vertices lie on the face where FLAME's do, and
its expressions are the default head's, mixed by a random rotation: like FLAME's, none of its
components means anything by itself, but what they can do together is known.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.flame_points import NUM_VERTICES, correspondence
from mien.head import Head

__all__ = ["make_flame_arrays", "make_flame_face_arrays"]

Array = NDArray[np.float64]

NUM_SHAPE, NUM_EXPR = 300, 100
RINGS, SEGMENTS = 65, 60  # skin: a pole, a ring of 30, 65 rings of 60, open at the neck
EYE_RINGS, EYE_SEGMENTS = 16, 34  # an eyeball: 546 vertices, 1088 triangles
EYE_CENTERS = ((0.031, 0.03, 0.058), (-0.031, 0.03, 0.058))
JOINTS = ((0, -0.10, -0.03), (0, -0.06, -0.02), (0, -0.01, -0.01), *EYE_CENTERS)
NUM_BUMPS = 80  # random smooth fields are sums of this many Gaussian bumps
BUMP_WIDTH = 0.035  # metres
MIXED_IN = 0.0003  # metres: directions beyond those of the default head


def make_flame_arrays(seed: int) -> dict[str, Any]:
    """Make what a FLAME pickle holds, of an egg, whose mesh carries no face points.

    Args:
        seed: Of the random directions; the mean head is always the same.

    Returns:
        `v_template [5023,3]`, `shapedirs [5023,3,400]`, `posedirs [5023,3,36]`,
        `J_regressor [5,5023]`, `kintree_table [2,5]`, `weights [5023,5]` and `f [9976,3]`.
    """
    rng = np.random.default_rng(seed)
    vertices, faces, first, second = _egg()
    bumps = _bumps(vertices, rng)
    decay = 1 / np.sqrt(1 + np.arange(NUM_SHAPE + NUM_EXPR) % NUM_SHAPE)
    directions = (bumps @ rng.normal(size=(NUM_BUMPS, 3 * len(decay)))).reshape(-1, 3, len(decay))
    directions *= 0.002 * decay
    front = 1 / (1 + np.exp(-(vertices[:, 2] - 0.02) / 0.015))
    directions[..., NUM_SHAPE:] *= front[:, None, None]
    posedirs = (bumps @ rng.normal(size=(NUM_BUMPS, 108))).reshape(-1, 3, 36) * 0.001
    return {
        "v_template": vertices,
        "shapedirs": directions,
        "posedirs": posedirs,
        "J_regressor": _regressor(vertices, first, second),
        "kintree_table": _kintree(),
        "weights": _weights(vertices, first, second),
        "f": faces.astype(np.uint32),
    }


def make_flame_face_arrays(
    seed: int,
    v_template: Array | None = None,
    joints: Array | None = None,
    faces: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Make what a FLAME pickle holds, of a head that can do what the default head can.

    Args:
        seed: Of the rotations and of what is mixed in.
        v_template: `[5023, 3]` in FLAME's order; the default head's surface if None.
        joints: `[5, 3]`; the default head's if None.
        faces: `[F, 3]`; the egg's if None, which then join vertices at random.

    Returns:
        As `make_flame_arrays`.
    """
    rng = np.random.default_rng(seed)
    head = Head.default()
    template = _on_flame(head.v_template.numpy()) if v_template is None else v_template
    places = head.joint_template.numpy().astype(np.float64) if joints is None else joints
    size = float(np.linalg.norm(places[3] - places[4])) / head.ipd
    own = size * _on_flame(head.shapedirs.numpy())
    bumps = _bumps(template, rng)

    def mixed(directions: Array, count: int) -> Array:
        extra = (
            bumps @ rng.normal(size=(NUM_BUMPS, 3 * (count - directions.shape[2])))
        ) * MIXED_IN
        extra = extra.reshape(NUM_VERTICES, 3, -1)
        rotation, _ = np.linalg.qr(rng.normal(size=(count, count)))
        return np.asarray(np.concatenate([directions, extra], 2) @ rotation)

    parts = own[..., : head.num_shape], own[..., head.num_shape :]
    posedirs = head.posedirs.numpy().reshape(36, -1, 3).transpose(1, 2, 0)
    return {
        "v_template": template,
        "shapedirs": np.concatenate([mixed(parts[0], NUM_SHAPE), mixed(parts[1], NUM_EXPR)], 2),
        "posedirs": size * _on_flame(posedirs),
        "J_regressor": np.stack([_exact_regressor(template, place) for place in places]),
        "kintree_table": _kintree(),
        "weights": _on_flame(head.lbs_weights.numpy()),
        "f": (_egg()[1] if faces is None else faces).astype(np.uint32),
    }


def _on_flame(values: NDArray[Any]) -> Array:
    """Read values off the default head's vertices at the places of FLAME's, `[5023, ...]`."""
    found = correspondence()
    weights = found.default_weights.numpy().astype(np.float64)
    weights = weights.reshape(*weights.shape, *(1,) * (values.ndim - 1))
    return np.asarray((values[found.default_vertex_ids.numpy()] * weights).sum(1))


def _exact_regressor(vertices: Array, place: Array) -> Array:
    """Give weights of the nearest 400 vertices that sum to one and meet a place exactly."""
    near = np.argsort(np.linalg.norm(vertices - place, axis=1))[:400]
    rows = np.concatenate([vertices[near].T, np.ones((1, len(near)))])
    row = np.zeros(len(vertices))
    row[near] = np.linalg.pinv(rows) @ np.append(place, 1.0)
    return row


def _kintree() -> NDArray[np.uint32]:
    return np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], dtype=np.uint32)


def _egg() -> tuple[Array, NDArray[np.int64], int, int]:
    """Give vertices, triangles, and where the left and the right eyeball begin."""
    skin, skin_faces = _skin()
    eye, eye_faces = _sphere()
    vertices = np.concatenate([skin, *(eye + np.array(center) for center in EYE_CENTERS)])
    first, second = len(skin), len(skin) + len(eye)
    return (
        vertices,
        np.concatenate([skin_faces, eye_faces + first, eye_faces + second]),
        first,
        second,
    )


def _skin() -> tuple[Array, NDArray[np.int64]]:
    """Model an egg, open at the neck, with a nose."""
    polar = np.concatenate([[0.02], np.linspace(0.05, 1.0, RINGS)]) * 2.6
    counts = [SEGMENTS // 2] + [SEGMENTS] * RINGS
    points = [(0.0, 0.13, 0.0)]
    for angle, count in zip(polar, counts, strict=True):
        around = 2 * np.pi * np.arange(count) / count
        x, z = 0.078 * np.sin(angle) * np.sin(around), 0.1 * np.sin(angle) * np.cos(around)
        y = np.full(count, 0.13 * np.cos(angle))
        z = z + 0.025 * np.exp(-((x / 0.012) ** 2) - (y / 0.02) ** 2) * (z > 0)
        points += list(zip(x.tolist(), y.tolist(), z.tolist(), strict=True))
    return np.array(points), _rings_to_faces(counts, has_last_pole=False)


def _sphere() -> tuple[Array, NDArray[np.int64]]:
    """Model an eyeball about the origin, its poles on the gaze axis."""
    points = [(0.0, 0.0, 0.0128)]
    for angle in np.pi * np.arange(1, EYE_RINGS + 1) / (EYE_RINGS + 1):
        for turn in 2 * np.pi * np.arange(EYE_SEGMENTS) / EYE_SEGMENTS:
            radial = 0.0128 * np.sin(angle)
            points.append((radial * np.sin(turn), radial * np.cos(turn), 0.0128 * np.cos(angle)))
    points.append((0.0, 0.0, -0.0128))
    return np.array(points), _rings_to_faces([EYE_SEGMENTS] * EYE_RINGS, has_last_pole=True)


def _rings_to_faces(counts: list[int], has_last_pole: bool) -> NDArray[np.int64]:
    """Connect a pole and rings of vertices; a ring may have twice as many as the one before."""
    faces = [(0, 1 + i, 1 + (i + 1) % counts[0]) for i in range(counts[0])]
    start = 1
    for count, following in zip(counts, counts[1:], strict=False):
        after, step = start + count, following // count
        for i in range(count):
            a, b = start + i, start + (i + 1) % count
            below = [after + (step * i + k) % following for k in range(step + 1)]
            faces += [(a, below[k], below[k + 1]) for k in range(step)] + [(a, below[-1], b)]
        start = after
    if has_last_pole:
        pole = start + counts[-1]
        faces += [(start + i, pole, start + (i + 1) % counts[-1]) for i in range(counts[-1])]
    return np.array(faces)


def _bumps(vertices: Array, rng: np.random.Generator) -> Array:
    """Give smooth fields over the head, `[V, NUM_BUMPS]`."""
    centers = vertices[rng.choice(len(vertices), NUM_BUMPS, replace=False)]
    distance = np.linalg.norm(vertices[:, None] - centers[None], axis=-1)
    return np.asarray(np.exp(-((distance / BUMP_WIDTH) ** 2)))


def _regressor(vertices: Array, first: int, second: int) -> Array:
    """Regress each joint from the vertices round it; rows sum to one."""
    rows = np.zeros((5, len(vertices)))
    for joint, center in enumerate(JOINTS[:3]):
        distance = np.linalg.norm(vertices[:first] - np.array(center), axis=1)
        near = np.argsort(distance)[:40]
        rows[joint, near] = 1 / len(near)
    rows[3, first:second] = 1 / (second - first)
    rows[4, second:] = 1 / (len(vertices) - second)
    return rows


def _weights(vertices: Array, first: int, second: int) -> Array:
    """Blend the neck upwards and the jaw downwards; the eyeballs are rigid."""
    _, y, z = vertices.T
    neck = 1 / (1 + np.exp(-(y + 0.085) / 0.01))
    jaw = neck / (1 + np.exp((y + 0.035) / 0.008)) / (1 + np.exp(-(z - 0.01) / 0.015))
    weights = np.stack([1 - neck, neck - jaw, jaw, 0 * y, 0 * y], axis=1)
    weights[first:] = 0.0
    weights[first:second, 3] = 1.0
    weights[second:, 4] = 1.0
    return weights
