"""The canvas: the default head's mean adult at rest, prepared for painting.

All painting is a function of the position on this one head, in millimetres, so it fits every
identity whose head has the same triangles.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from mien.avatar.placing import place, vertex_normals
from mien.avatar.sampling import Cells, sample_surface
from mien.avatar.splats import Kind, Splats
from mien.avatar.windows import Window
from mien.head import Head

MM = 1e-3
Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Canvas:
    """Rest geometry in millimetres, with the parts a painter asks for.

    Attributes:
        vertices: Mean adult at rest, millimetres.
        normals: Unit normals of the vertices.
        faces: Triangles.
        parts: For each part its triangles, as a mask.
        eyes: Lid margins, left and right.
        mouth: The line where the lips meet.
    """

    vertices: Float[Array, "v 3"]
    normals: Float[Array, "v 3"]
    faces: Int[Array, "f 3"]
    parts: dict[str, Bool[Array, " f"]]
    eyes: tuple[Window, Window]
    mouth: Window

    @classmethod
    def of(cls, head: Head) -> Canvas:
        """Prepare a head.

        Raises:
            ValueError: If the head lacks parts of the default head.
        """
        wanted = {
            "skin",
            "socket_left",
            "socket_right",
            "mouth_bag",
            "eye_left",
            "eye_right",
            "tongue",
        }
        missing = sorted(wanted - set(head.parts))
        if missing:
            raise ValueError(
                f"Painting needs the default head's parts; the head {head.name!r} lacks "
                f"{missing}. Use Head.default()."
            )
        template = head.v_template.double()
        faces = head.faces.numpy()
        parts: dict[str, Array] = {
            name: np.asarray(np.isin(faces, ids.numpy()).all(1))
            for name, ids in head.parts.items()
        }
        parts["skin"] = parts["skin"] & ~parts["socket_left"] & ~parts["socket_right"]
        parts["skin"] = parts["skin"] & ~parts["mouth_bag"]
        vertices = template.numpy() / MM
        left, right, mouth = find_openings(head)
        return cls(
            vertices,
            vertex_normals(template, head.faces).numpy(),
            faces,
            parts,
            (left, right),
            mouth,
        )

    def reshaped(self, head: Head, shape: Float[torch.Tensor, " s"]) -> Canvas:
        """The same canvas with one person's vertices."""
        vertices = head.identity(shape).double()
        normals = vertex_normals(vertices, head.faces)
        return dataclasses.replace(self, vertices=vertices.numpy() / MM, normals=normals.numpy())

    def sample(self, part: Bool[Array, " f"], spacing: Float[Array, " f"], seed: int = 0) -> Cells:
        """Spread discs `spacing` millimetres apart over a part."""
        ids = np.flatnonzero(part)
        cells = sample_surface(self.vertices[self.faces[ids]], spacing[ids], seed)
        return dataclasses.replace(cells, faces=ids[cells.faces])

    def positions(self, faces: Int[Array, " n"], bary: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
        """Points on triangles, millimetres."""
        return np.asarray((self.vertices[self.faces[faces]] * bary[..., None]).sum(1))

    def carried(self, splats: Splats) -> Float[Array, "n 3"]:
        """Where splats lie on this canvas, wherever they were painted, millimetres."""
        vertices = torch.from_numpy(self.vertices * MM).float()
        normals = torch.from_numpy(self.normals).float()
        return (
            np.asarray(place(splats, vertices, normals, torch.from_numpy(self.faces)).means) / MM
        )

    def smooth_normals(
        self, faces: Int[Array, " n"], bary: Float[Array, "n 3"]
    ) -> Float[Array, "n 3"]:
        """Interpolated unit normals at points on triangles."""
        normals = (self.normals[self.faces[faces]] * bary[..., None]).sum(1)
        return np.asarray(normals / np.linalg.norm(normals, axis=-1, keepdims=True))

    def rim(
        self, window: Window, row: Literal["upper", "lower"], step: float = 0.3
    ) -> Float[Array, "n 3"]:
        """Points every `step` millimetres along a slit's edge, from its right to its left end."""
        corners = self.vertices[getattr(window, row).numpy()]
        lengths = np.linalg.norm(np.diff(corners, axis=0), axis=-1)
        travelled = np.concatenate([[0.0], np.cumsum(lengths)])
        asked = np.linspace(0.0, travelled[-1], max(2, int(travelled[-1] / step)))
        return np.stack([np.interp(asked, travelled, column) for column in corners.T], -1)

    def lid_edge(self, window: Window, row: Literal["upper", "lower"]) -> Float[Array, "n 3"]:
        """The front edge of a lid, where lashes grow; the slit's own edge lies behind it.

        The lid is a shelf some millimetres thick. Its front edge is where the skin turns from
        facing the viewer to facing the other lid.
        """
        rim = self.rim(window, row)
        near = cKDTree(rim).query(self.centroids())[0] < 10.0
        ids = np.flatnonzero(near & self.parts["skin"])
        bary = np.array([[i, j, 8 - i - j] for i in range(9) for j in range(9 - i)]) / 8
        faces, bary = np.repeat(ids, len(bary)), np.tile(bary, (len(ids), 1))
        points, normals = self.positions(faces, bary), self.smooth_normals(faces, bary)
        facing = normals[:, 1] * (1.0 if row == "lower" else -1.0)
        turns = np.exp(-(((normals[:, 2] - 0.55) / 0.15) ** 2))
        points, turns = points[facing > 0.3], turns[facing > 0.3]
        offset = points[None] - rim[:, None]
        beside = np.exp(-((offset[..., 0] / 0.6) ** 2)) * ((offset**2).sum(-1) < 81.0)
        weight = turns * beside
        weight[:, 0] += 1e-6
        found = (weight @ points) / weight.sum(1, keepdims=True)
        edge = np.where(weight.sum(1, keepdims=True) > 0.2, found, rim)
        padded = np.pad(edge, ((4, 4), (0, 0)), mode="edge")
        return np.stack(
            [np.convolve(column, np.full(9, 1 / 9), "valid") for column in padded.T], -1
        )

    def cut_edge(self) -> Float[Array, "n 3"]:
        """Middles of the edges where the mesh of the neck ends, millimetres."""
        skin = self.faces[self.parts["neck"]]
        edges = np.sort(np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]]), -1)
        found, times = np.unique(edges, axis=0, return_counts=True)
        middle = self.vertices[found[times == 1]].mean(1)
        return np.asarray(middle[middle[:, 1] < np.quantile(self.vertices[skin, 1], 0.4)])

    def centroids(self) -> Float[Array, "f 3"]:
        """Middle of each triangle, millimetres."""
        return np.asarray(self.vertices[self.faces].mean(1))


def find_openings(head: Head) -> tuple[Window, Window, Window]:
    """Find the slits between the lids, left and right, and between the lips."""
    left, right, mouth = (_opening(head, p) for p in ("socket_left", "socket_right", "mouth_bag"))
    return left, right, mouth


def _opening(head: Head, part: str) -> Window:
    """Split the loop that a bag shares with the skin at its two corners."""
    ring = head.parts[part][torch.isin(head.parts[part], head.parts["skin"])]
    x, y = head.v_template[ring, :2].double().unbind(-1)
    right, left = int(x.argmin()), int(x.argmax())
    chord = y[right] + (x - x[right]) / (x[left] - x[right]) * (y[left] - y[right])
    above = y > chord
    below = ~above
    above[[right, left]] = below[[right, left]] = True
    order = torch.argsort(x, stable=True)
    return Window(ring[order[above[order]]], ring[order[below[order]]])


def along_axes(canvas: Canvas, cells: Cells, vectors: Float[Array, "n 3"]) -> Float[Array, "n 2"]:
    """Components of vectors along the discs' two axes."""
    corners = canvas.vertices[canvas.faces[cells.faces]]
    edges = corners[:, 1:] - corners[:, :1]
    axes = cells.axes @ edges
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    return np.asarray((axes * vectors[:, None]).sum(-1))


def splats_of_cells(
    kind: Kind,
    cells: Cells,
    albedo: Float[Array, "n 3"],
    *,
    overlap: float = 1.58,
    lift_mm: Array | float = 0.0,
    thickness: float = 0.25,
    opacity: Array | float = 0.995,
    occlusion: Array | float = 1.0,
    key_light: Array | float = 1.0,
    gloss: Array | float = 0.0,
    bump: Array | None = None,
) -> Splats:
    """Make one flat, round splat of each disc.

    Args:
        kind: What it is made of.
        cells: From `Canvas.sample`, radii in millimetres.
        albedo: Diffuse color, sRGB.
        overlap: Standard deviation over the disc's radius.
        lift_mm: Height above the surface.
        thickness: Third standard deviation over the other two.
        opacity: See `Splats`, and so for the rest.
        occlusion: See `Splats`.
        key_light: See `Splats`.
        gloss: See `Splats`.
        bump: See `Splats`.
    """
    count = len(cells)
    axes = np.concatenate([cells.axes * overlap, np.zeros((count, 2, 1))], -1)

    def column(value: Array | float) -> torch.Tensor:
        return torch.tensor(np.broadcast_to(value, count).copy(), dtype=torch.float32)

    return Splats(
        kinds=torch.full((count,), int(kind), dtype=torch.uint8),
        faces=torch.from_numpy(cells.faces.astype(np.int64)),
        bary=torch.tensor(cells.bary[:, 1:], dtype=torch.float32),
        offset=torch.stack([column(0.0), column(0.0), column(lift_mm) * MM], -1),
        long_axis=torch.tensor(axes[:, 0], dtype=torch.float32),
        wide_axis=torch.tensor(axes[:, 1], dtype=torch.float32),
        thickness=column(cells.sizes * overlap * thickness * MM),
        albedo=torch.tensor(np.clip(albedo, 0, 1), dtype=torch.float32),
        opacity=column(opacity),
        occlusion=column(np.clip(occlusion, 0, 1)),
        key_light=column(np.clip(key_light, 0, 1)),
        gloss=column(np.clip(gloss, 0, 1)),
        bump=torch.tensor(np.zeros((count, 2)) if bump is None else bump, dtype=torch.float32),
    )
