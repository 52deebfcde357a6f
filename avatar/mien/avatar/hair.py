"""Grows hair: strands that leave the scalp, follow a flow and keep off the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from mien.avatar.canvas import Canvas
from mien.avatar.look import HairStyle, Look
from mien.avatar.noise import fractal_noise, smoothstep, value_noise
from mien.avatar.splats import Kind, Splats
from mien.avatar.strands import Ribbons, bind_ribbons

Array = np.ndarray

# The hairline seen from the side: depth and height, millimetres, from the forehead's middle past
# temple, sideburn and ear to the nape.
_HAIRLINE = np.array(
    [
        [32, 100], [14, 67], [2, 60], [-14, 50], [-28, 35], [-40, 20], [-46, 2], [-50, -14],
        [-60, -14], [-66, 4], [-92, 6], [-100, -18], [-108, -50], [-118, -68], [-190, -76],
    ]
)[::-1]  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How a hair style grows.

    Attributes:
        strands: At fineness 1.
        length_mm: Mean and spread of a strand's length.
        piece_mm: Length of one splat.
        width_mm: Half width of one splat.
        lift_mm: Height of the outer layer above the scalp.
        part_x: Where the parting runs, toward the subject's left; None grows from a crown.
        end_y: Height below which no strand grows.
        hides_ears: Whether hair covers the ears, which then carry no splats.
        opacity: Of one splat.
        coil_mm: Radius of the coils it grows in; 0 follows a flow instead.
        cover: How much of the scalp it hides, 0 to 1.
    """

    strands: int
    length_mm: tuple[float, float]
    piece_mm: float
    width_mm: float
    lift_mm: float
    part_x: float | None
    end_y: float
    hides_ears: bool
    opacity: float
    coil_mm: float = 0.0
    cover: float = 1.0


STYLES: dict[HairStyle, Style] = {
    "bob": Style(1700, (235.0, 25.0), 11.0, 1.05, 13.0, 17.0, -98.0, True, 0.9),
    "short": Style(3200, (38.0, 9.0), 7.0, 0.75, 9.0, None, -70.0, False, 0.85),
    "coils": Style(3000, (34.0, 6.0), 4.6, 1.0, 15.0, None, -62.0, False, 0.9, coil_mm=1.9),
    "down": Style(2600, (16.0, 5.0), 5.5, 0.55, 3.0, None, -60.0, False, 0.35, cover=0.3),
}


def hairline_height(points: Float[Array, "n 3"], seed: int) -> Float[Array, " n"]:
    """Distance above the hairline, roughly, millimetres; negative is bare skin."""
    line = np.interp(points[:, 2], _HAIRLINE[:, 0], _HAIRLINE[:, 1])
    ragged = 1.6 * value_noise(points, 14.0, seed + 71) + 1.2 * value_noise(points, 5.0, seed + 72)
    ear = (np.abs(points[:, 0]) > 71.5) & (np.abs(points[:, 1] + 20) < 37)
    return np.where(ear, -20.0, points[:, 1] - line + ragged)


def hair_cover(canvas: Canvas, look: Look) -> Float[Array, " f"]:
    """How much hair lies over each triangle, 0 to 1."""
    return np.where(canvas.parts["skin"], cover_at(canvas.centroids(), look), 0.0)


def cover_at(points: Float[Array, "n 3"], look: Look) -> Float[Array, " n"]:
    """How much hair lies over points of the skin, 0 to 1."""
    style = STYLES[look.hair]
    start = -5.0 if style.part_x is not None else -1.0  # long strands hang over the hairline
    above = smoothstep(start, start + 10.0, hairline_height(points, look.seed))
    return np.asarray(above * style.cover)


def hidden_ears(canvas: Canvas, look: Look) -> Float[Array, " f"]:
    """Mask of triangles that the hair hides altogether."""
    return _ear_box(canvas.centroids()) & STYLES[look.hair].hides_ears


def _ear_box(points: Float[Array, "n 3"]) -> Array:
    within = (np.abs(points[:, 1] + 19) < 44) & (points[:, 2] < -56) & (points[:, 2] > -112)
    return np.asarray((np.abs(points[:, 0]) > 69.0) & within)


def paint_hair(canvas: Canvas, look: Look, fineness: float) -> Splats:
    """Grow and paint the hair of a look."""
    style = STYLES[look.hair]
    rng = np.random.default_rng(look.seed + 73)
    coarse = 1.0 / min(fineness, 1.2)
    count = int(style.strands / coarse**1.1)
    roots, normals = _roots(canvas, look, count, rng)
    grow = _coil if style.coil_mm else _grow
    paths, depth = grow(canvas, style, roots, normals, rng, coarse)
    return _ribbons(canvas, look, style, paths, depth, rng, coarse)


def _roots(
    canvas: Canvas, look: Look, count: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw points on the scalp, evenly by area."""
    corners = canvas.vertices[canvas.faces]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1
    )
    above = hairline_height(canvas.centroids(), look.seed)
    chance = np.where(hair_cover(canvas, look) > 0.01, area, 0.0)
    chance = chance * (1.0 + 3.5 * np.exp(-((above / 8.0) ** 2)))
    part_x = STYLES[look.hair].part_x
    if part_x is not None:
        aside = canvas.centroids()[:, 0] - part_x
        chance = chance * (1.0 + 2.0 * np.exp(-((aside / 12.0) ** 2)) * (above < 60))
    faces = rng.choice(len(chance), count, p=chance / chance.sum())
    bary = rng.dirichlet([1.0, 1.0, 1.0], count)
    points = canvas.positions(faces, bary)
    keep = hairline_height(points, look.seed) > 0.0
    return points[keep], canvas.smooth_normals(faces, bary)[keep]


@dataclass(frozen=True, eq=False)
class _Body:
    """What hair must not enter: the head's surface as points with normals."""

    tree: cKDTree
    points: Array
    normals: Array

    def height(self, points: Array) -> tuple[Array, Array]:
        """Signed height over the nearest surface and the way up from there."""
        distance, near = self.tree.query(points, k=20)
        weight = np.exp(-((distance / (distance[:, :1] + 7.0)) ** 2))
        weight /= weight.sum(-1, keepdims=True)
        normal = (self.normals[near] * weight[..., None]).sum(1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        foot = (self.points[near] * weight[..., None]).sum(1)
        return ((points - foot) * normal).sum(-1), normal


def _body(canvas: Canvas, style: Style) -> _Body:
    solid = canvas.parts["skin"].copy()
    if style.hides_ears:
        solid &= ~_ear_box(canvas.centroids())
    ids = np.flatnonzero(solid)
    points = canvas.centroids()[ids]
    return _Body(cKDTree(points), points, canvas.normals[canvas.faces[ids]].mean(1))


def _grow(
    canvas: Canvas, style: Style, roots: Array, normals: Array, rng: np.random.Generator,
    coarse: float,
) -> tuple[Array, Array]:  # fmt: skip
    """Walk every strand; give joints [S, K + 1, 3] and each strand's layer, 0 inner to 1 outer."""
    body = _body(canvas, style)
    piece = style.piece_mm * coarse**0.5
    length = np.clip(rng.normal(*style.length_mm, len(roots)), 8.0, None)
    if style.part_x is None:  # cut shorter around the face and at the nape
        length = length * (0.55 + 0.45 * smoothstep(0.0, 30.0, hairline_height(roots, 0)))
    layer = rng.uniform(0.0, 1.0, len(roots))
    wander = rng.normal(0.0, 0.06, (len(roots), 3))
    wave = rng.uniform(0, 2 * np.pi, len(roots))
    edge = smoothstep(-5.0, 45.0, hairline_height(roots, 0))
    full = style.lift_mm * (0.25 + 0.75 * layer) * (0.4 + 0.6 * edge)
    points, paths = roots + normals * 0.3, [roots + normals * 0.3]
    way = normals * 0.2
    for index in range(int(np.ceil(length.max() / piece))):
        done = piece * index
        height, up = body.height(points)
        wanted = _flow(style, roots, points, done)
        wanted = (
            wanted + wander + 0.05 * np.sin(done / 34.0 + wave)[:, None] * np.cross(wanted, up)
        )
        along = wanted - up * (wanted * up).sum(-1, keepdims=True) * (height < 25)[:, None]
        way = 0.55 * way + 0.45 * along / np.maximum(
            np.linalg.norm(along, axis=-1, keepdims=True), 1e-6
        )
        way /= np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)
        growing = (done < length) & (points[:, 1] > style.end_y + 14 * (layer - 0.5))
        points = points + way * (piece * growing)[:, None]
        height, up = body.height(points)
        target = full * np.minimum(1.0, (done + piece) / 60.0) + 0.6
        points = points + up * (_correction(height, target) * growing)[:, None]
        points = _off_face(points, roots)
        paths.append(points)
    return np.stack(paths, 1), layer


def _coil(
    canvas: Canvas, style: Style, roots: Array, normals: Array, rng: np.random.Generator,
    coarse: float,
) -> tuple[Array, Array]:  # fmt: skip
    """Wind every strand up in a helix over its root; give what `_grow` gives."""
    layer = rng.uniform(0.0, 1.0, len(roots))
    edge = smoothstep(-2.0, 26.0, hairline_height(roots, 0))
    top = style.lift_mm * (0.22 + 0.78 * edge) * (0.55 + 0.45 * layer)
    axis = normals + rng.normal(0.0, 0.22, normals.shape) + [0.0, 0.12, 0.0]
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    first = np.cross(axis, rng.normal(size=axis.shape))
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    second = np.cross(axis, first)
    phase, turn = rng.uniform(0, 2 * np.pi, len(roots)), rng.choice([-1.0, 1.0], len(roots))
    pieces = max(3, round(style.length_mm[0] / (style.piece_mm * coarse**0.5)))
    radius = style.coil_mm * rng.uniform(0.7, 1.3, len(roots)) * coarse**0.3
    paths = []
    for share in np.linspace(0.0, 1.0, pieces + 1):
        angle = phase + turn * share * style.length_mm[0] / style.coil_mm / 2
        around = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second
        spread = (radius * min(1.0, 4 * share + 0.2))[:, None]
        paths.append(roots + axis * (0.4 + top * share)[:, None] + around * spread)
    return np.stack(paths, 1), layer


def _correction(height: Array, target: Array) -> Array:
    """Move up out of the head at once, and down to the layer's height slowly."""
    sink = -0.6 * np.clip(height - target - 1.0, 0, 40)
    return np.asarray(np.where(height < target, target - height, sink))


def _flow(style: Style, roots: Array, points: Array, done: float) -> Array:
    """The way a strand wants to go at each point."""
    if style.part_x is None:
        crown = np.array([0.0, 95.0, -105.0])
        away = points - crown
        away /= np.linalg.norm(away, axis=-1, keepdims=True)
        forward = np.exp(-(((points - [0, 75, 0]) / [60, 40, 45]) ** 2).sum(-1))[:, None]
        return np.asarray(away + [0.0, -0.25, 0.0] + forward * np.array([-1.5, 0.35, 0.0]))
    part = style.part_x * smoothstep(-110.0, -40.0, roots[:, 2])
    side = np.where(roots[:, 0] > part, 1.0, -1.0)
    start = np.exp(-done / 30.0)
    level = smoothstep(20.0, 80.0, points[:, 1])
    flow = np.zeros_like(points)
    flow[:, 0] = side * (0.25 + 0.95 * level)
    flow[:, 1] = -1.0 + 0.35 * start * level
    flow[:, 2] = -0.55 * start - 0.35 * level
    curl = smoothstep(-55.0, -98.0, points[:, 1])
    flow[:, 0] -= np.sign(points[:, 0]) * 0.55 * curl
    flow[:, 2] += 0.25 * curl * (points[:, 2] < -60)
    return flow


def _off_face(points: Array, roots: Array) -> Array:
    """Push strands that would cross the face out beside it, a little at each step."""
    center, radius = np.array([0.0, -25.0]), np.array([65.0, 92.0])
    reach = np.maximum(np.linalg.norm((points[:, :2] - center) / radius, axis=-1), 1e-3)
    crosses = (reach < 1.0) & (points[:, 2] > -40.0)
    grown = np.where(crosses, np.minimum(1.0 / reach, 1.0 + 2.5 / (60.0 * reach)), 1.0)
    moved = points.copy()
    moved[:, :2] = center + (points[:, :2] - center) * grown[:, None]
    return moved


def _ribbons(
    canvas: Canvas, look: Look, style: Style, paths: Array, layer: Array,
    rng: np.random.Generator, coarse: float,
) -> Splats:  # fmt: skip
    start, end = paths[:, :-1], paths[:, 1:]
    step = end - start
    moved = np.linalg.norm(step, axis=-1) > 0.5
    strand = np.broadcast_to(np.arange(len(paths))[:, None], moved.shape)[moved]
    index = np.broadcast_to(np.arange(moved.shape[1])[None], moved.shape)[moved]
    share = index / np.maximum(moved.sum(1)[strand] - 1, 1)
    centers, along = ((start + end) / 2)[moved], step[moved] / 2
    _, outward = _body(canvas, style).height(centers)
    tone = 1 + 0.30 * rng.normal(0, 1, len(paths)).clip(-2, 2) * 0.6
    streak = fractal_noise(paths[:, 0], 12.0, 2, look.seed + 75)
    color = np.array(look.hair_color) * (tone + 0.22 * streak)[strand][:, None]
    color = color * (0.86 + 0.16 * share)[:, None]
    ribbons = Ribbons(
        centers=centers,
        along=along,
        outward=outward,
        width=style.width_mm
        * coarse**1.2
        * (1.0 - 0.55 * share**3)
        * (0.45 + 0.55 * smoothstep(-0.5, 3.0, index))
        * rng.uniform(0.7, 1.3, len(paths))[strand],
        color=color,
        opacity=style.opacity * (1.0 - 0.45 * share**4) * smoothstep(-0.8, 1.6, index),
        occlusion=(0.30 + 0.70 * layer[strand]) * (0.45 + 0.55 * smoothstep(-1, 3, index)),
        gloss=0.5 + 0.5 * layer[strand],
    )
    return bind_ribbons(Kind.HAIR, ribbons, canvas, _carriers(canvas))


def _carriers(canvas: Canvas) -> Array:
    """Triangles of the upper skull, which no expression moves."""
    middle = canvas.centroids()
    steady = (middle[:, 1] > 45) & (middle[:, 2] < -30) | (middle[:, 1] > -20) & (
        middle[:, 2] < -110
    )
    return np.flatnonzero(canvas.parts["skin"] & steady)
