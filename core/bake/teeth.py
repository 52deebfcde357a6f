"""Our own tooth arches: 28 crowns and two gums, modelled on the mean adult in its own units.

The base mesh's helper teeth are two crude strips; they only lend their motion. Every vertex made
here is an affine combination of the strip of its jaw, so it follows identity, age and the jaw
units.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from bake.makehuman import Array, Ids

MILLIMETRE = 1e-3
# Outer face of the crowns on the subject's left, (x, z) in mm, midline first; fits the mean adult.
UPPER_ARCH = (
    (0, 20.6),
    (5, 20.0),
    (10, 18.0),
    (14.8, 14.4),
    (18.6, 9.6),
    (21.6, 4.0),
    (25.4, -6),
    (28.0, -17),
    (29.2, -26),
)
LOWER_ARCH = (
    (0, 18.6),
    (4, 18.1),
    (8.6, 16.2),
    (13.2, 12.6),
    (17.0, 7.8),
    (20.2, 2.2),
    (24.2, -7.5),
    (27.0, -18),
    (28.4, -27),
)
# Mesiodistal width, height and depth of each crown in mm, midline first (Wheeler's averages).
UPPER_CROWNS = (
    (8.6, 10.4, 6.6),
    (6.7, 9.2, 6.0),
    (7.6, 10.2, 7.6),
    (7.0, 8.6, 8.6),
    (6.8, 8.0, 8.6),
    (10.2, 7.4, 10.4),
    (9.6, 7.0, 10.4),
)
LOWER_CROWNS = (
    (5.2, 8.8, 5.6),
    (5.8, 9.2, 5.9),
    (6.9, 10.4, 7.2),
    (7.0, 8.6, 7.6),
    (7.1, 8.0, 8.0),
    (10.8, 7.4, 9.8),
    (10.2, 7.0, 9.8),
)
UPPER_EDGE, LOWER_EDGE = -72.0, -70.6  # height of the incisal edges, mm below the eyes
AROUND, LEVELS = 10, (0.0, 0.45, 0.8, 0.96)  # vertices around a crown; rings from gum to edge
ANTERIOR = 3  # incisors and canines; the rest have a chewing surface


@dataclass(frozen=True)
class Teeth:
    """Meshes of one jaw: positions in metres and triangles, crowns first and then the gum.

    Attributes:
        vertices: `[N, 3]`.
        triangles: `[F, 3]`.
        uv: `[N, 2]`, each crown and the gum in a unit square of its own.
        crown_of: `[N]`, the crown's index 0 to 13, or -1 for the gum.
        gum_grid: Rows and columns of the gum's grid, its last rows x columns vertices.
    """

    vertices: Array
    triangles: Ids
    uv: Array
    crown_of: Ids
    gum_grid: tuple[int, int]


class _Arch:
    """A curve along the outer faces of the crowns, by arc length from the midline."""

    def __init__(self, knots: tuple[tuple[float, float], ...]) -> None:
        half = np.array(knots, dtype=float)
        both = np.concatenate([half[:0:-1] * [-1, 1], half])
        steps = np.linalg.norm(np.diff(both, axis=0), axis=1)
        along = np.concatenate([[0], np.cumsum(steps)])
        self._curve = CubicSpline(along - along[-1] / 2, both)

    def frame(self, s: float) -> tuple[Array, Array, Array]:
        """Give position, direction to the subject's left, and outward normal, in (x, z)."""
        tangent = self._curve(s, 1)
        tangent = tangent / np.linalg.norm(tangent)
        outward = np.array([-tangent[1], tangent[0]])
        return self._curve(s), tangent, outward


def build_teeth(is_upper: bool) -> Teeth:
    """Model the crowns and the gum of one jaw."""
    arch = _Arch(UPPER_ARCH if is_upper else LOWER_ARCH)
    crowns = UPPER_CROWNS if is_upper else LOWER_CROWNS
    up, edge = (1.0, UPPER_EDGE) if is_upper else (-1.0, LOWER_EDGE)
    ends = np.concatenate([[0], np.cumsum([width for width, _, _ in crowns])])
    vertices: list[Array] = []
    faces: list[Ids] = []
    uv: list[Array] = []
    crown_of: list[Ids] = []
    for index in range(14):
        tooth, side = (index - 7, 1) if index >= 7 else (6 - index, -1)
        middle = side * (ends[tooth] + ends[tooth + 1]) / 2
        points, tooth_uv = _crown(arch, middle, crowns[tooth], tooth, up, edge)
        faces.append(_crown_triangles(is_upper) + len(vertices) * len(points))
        vertices.append(points)
        uv.append(tooth_uv)
        crown_of.append(np.full(len(points), index))
    gum, gum_uv, grid = _gum(arch, crowns, ends, up, edge)
    start = sum(len(v) for v in vertices)
    triangles = np.concatenate([*faces, _grid_triangles(*grid, is_upper) + start])
    return Teeth(
        np.concatenate([*vertices, gum]) * MILLIMETRE,
        triangles,
        np.concatenate([*uv, gum_uv]),
        np.concatenate([*crown_of, np.full(len(gum), -1)]),
        grid,
    )


def _crown(
    arch: _Arch,
    middle: float,
    size: tuple[float, float, float],
    tooth: int,
    up: float,
    edge: float,
) -> tuple[Array, Array]:
    """Model one crown: rings from the gum to the edge, then one vertex closing it."""
    width, height, depth = size
    position, tangent, outward = arch.frame(middle)
    anterior = tooth < ANTERIOR
    lift = _edge_lift(tooth)
    angles = 2 * np.pi * np.arange(AROUND) / AROUND
    cosine, sine = np.cos(angles), np.sin(angles)
    square = (np.abs(cosine) ** 3.2 + np.abs(sine) ** 3.2) ** (-1 / 3.2)
    rows, uv = [], []
    for level in (*LEVELS, 1.0):
        wide = width * _width_profile(level, tooth) / 2
        deep = depth * _depth_profile(level, anterior) / 2
        if level == 1.0:
            wide = deep = 0.0
        # The outer face bulges a little at mid height and leans in at the edge.
        bulge = 0.5 * np.sin(np.pi * level) - 0.6 * level**2 * anterior
        center = position + outward * (
            bulge - depth * _depth_profile(min(level, 0.96), anterior) / 2
        )
        ring = (
            center
            + np.outer(wide * square * cosine, tangent)
            + np.outer(deep * square * sine, outward)
        )
        tip = 1 - 0.16 * (tooth == 2) * np.abs(cosine) * (level > 0.7)
        y = edge + up * (lift + height * (1 - level * tip))
        count = 1 if level == 1.0 else AROUND
        rows.append(np.stack([ring[:, 0], np.broadcast_to(y, (AROUND,)), ring[:, 1]], 1)[:count])
        radius = 1 - 0.93 * level if level < 1 else 0.0
        uv.append((0.5 + 0.47 * radius * np.stack([cosine, sine], 1))[:count])
    flat = np.concatenate(uv)
    if up < 0:
        flat[:, 0] = 1 - flat[:, 0]  # keeps the texture's orientation: its triangles are reversed
    return np.concatenate(rows), flat


def _edge_lift(tooth: int) -> float:
    """Give how far a crown's edge stays short of the central incisor's, mm."""
    return (0.0, 0.7, 0.1, 0.8, 1.0, 1.2, 1.3)[tooth]


def _width_profile(level: float, tooth: int) -> float:
    """Narrow at the neck, widest near the edge; a canine comes to a point."""
    tapered = 0.80 + 0.185 * np.sin(np.pi / 2 * min(1.0, level * 1.35))
    return float(tapered * (1 - 0.30 * (tooth == 2) * max(0.0, level - 0.55) / 0.45))


def _depth_profile(level: float, anterior: bool) -> float:
    """An incisor thins to its edge; a molar keeps its depth."""
    return 1 - 0.72 * level if anterior else 1 - 0.22 * level**2


def _crown_triangles(is_upper: bool) -> Ids:
    """Connect the rings of one crown, facing outwards."""
    faces = []
    for row in range(len(LEVELS) - 1):
        for i in range(AROUND):
            a, b = row * AROUND + i, row * AROUND + (i + 1) % AROUND
            faces += [(a, b, b + AROUND), (a, b + AROUND, a + AROUND)]
    last, tip = (len(LEVELS) - 1) * AROUND, len(LEVELS) * AROUND
    faces += [(last + i, last + (i + 1) % AROUND, tip) for i in range(AROUND)]
    found = np.array(faces)
    return found if is_upper else found[:, ::-1]


def _gum(
    arch: _Arch,
    crowns: tuple[tuple[float, float, float], ...],
    ends: Array,
    up: float,
    edge: float,
) -> tuple[Array, Array, tuple[int, int]]:
    """Sweep a gum along the arch: scalloped round the necks, pointed between the crowns."""
    half = np.unique(np.concatenate([ends, (ends[:-1] + ends[1:]) / 2]))
    stations = np.concatenate([-half[:0:-1], half])
    rows = []
    for s in stations:
        tooth = min(int(np.searchsorted(ends, abs(s), side="left")) - 1, 6)
        tooth = max(tooth, 0)
        is_between = np.abs(ends - abs(s)).min() < 1e-9
        height, depth = crowns[tooth][1:]
        neck = edge + up * (height + _edge_lift(tooth) - 0.9 - (1.9 if is_between else 0.0))
        position, _, outward = arch.frame(float(s))
        # (outward from the crown's outer face, away from the bite), mm, from the lip to the tongue
        out = -0.4 if is_between else 0.5
        profile = (
            (0.4, 10.0),
            (1.3, 6.0),
            (out + 0.9, 2.2),
            (out + 0.1, 0.1),
            (out - 1.6, 0.0),
            (-depth + 1.6 - out, 0.0),
            (-depth - out - 0.1, 0.2),
            (-depth - 1.6, 2.5),
            (-depth - 2.4, 9.0),
        )
        rows.append([(*(position + outward * o), neck + up * a) for o, a in profile])
    grid = np.array(rows)[:, :, [0, 2, 1]]
    n, m = grid.shape[:2]
    v, u = np.meshgrid(np.linspace(0, 1, m), np.linspace(0, 1, n))
    flat = np.stack([u if up > 0 else 1 - u, v], -1).reshape(-1, 2)
    return grid.reshape(-1, 3), flat, (n, m)


def _grid_triangles(rows: int, columns: int, is_upper: bool) -> Ids:
    ids = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = ids[:-1, :-1], ids[1:, :-1], ids[1:, 1:], ids[:-1, 1:]
    both = np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    )
    return both[:, ::-1] if is_upper else both
