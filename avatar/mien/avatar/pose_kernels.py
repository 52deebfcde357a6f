"""Compiled CPU kernels that place and light splats; `placing` and `shading` say in torch what.

Each runs on one thread without the GIL, splat by splat.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numba import njit
from torch import Tensor

from mien.avatar.placing import ROUNDNESS, Placed
from mien.avatar.shading import MaterialTable, Studio, linear_to_srgb
from mien.avatar.splats import Kind, Splats
from mien.head import Head
from mien.jit import kernel

_CODES = 2048  # entries of the sRGB table, by the root of the linear value
_FAINT = -14.0  # natural logarithm of a highlight that no display shows


@njit(inline="always")
def _at_least(value: Any, least: Any) -> Any:
    return value if value > least else least


@njit(inline="always")
def _dot(ax: Any, ay: Any, az: Any, bx: Any, by: Any, bz: Any) -> Any:
    return ax * bx + ay * by + az * bz


@njit(inline="always")
def _to_world(c: Any, i: int, e1: Any, e2: Any, n: Any, k: int) -> Any:
    return c[i, 0] * e1[k] + c[i, 1] * e2[k] + c[i, 2] * n[k]


@kernel(
    "void(i8[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f4[:,::1],"
    " f4[:,::1], f4[:,:,::1], f4[:,::1])"
)
def place_splats(
    ids: Any, bary: Any, offset: Any, long_axis: Any, wide_axis: Any, thickness: Any,
    vertices: Any, normals: Any, means: Any, rotmats: Any, scales: Any,
) -> None:  # fmt: skip
    """Computes `placing.place`."""
    roundness = np.float32(ROUNDNESS)
    rows = np.empty((7, 3), np.float32)
    flat, n, e1, e2, first, second, weights = (
        rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6]
    )  # fmt: skip
    for i in range(len(ids)):
        weights[1], weights[2] = bary[i, 0], bary[i, 1]
        weights[0] = np.float32(1.0) - weights[1] - weights[2]
        a, b, c = ids[i, 0], ids[i, 1], ids[i, 2]
        for k in range(3):
            flat[k] = (
                weights[0] * vertices[a, k]
                + weights[1] * vertices[b, k]
                + weights[2] * vertices[c, k]
            )
            n[k] = (
                weights[0] * normals[a, k]
                + weights[1] * normals[b, k]
                + weights[2] * normals[c, k]
            )
            e1[k], e2[k] = vertices[b, k] - vertices[a, k], vertices[c, k] - vertices[a, k]
            means[i, k] = flat[k]
        for corner in range(3):
            v = ids[i, corner]
            height = np.float32(0.0)
            for k in range(3):
                height += (flat[k] - vertices[v, k]) * normals[v, k]
            for k in range(3):
                means[i, k] -= roundness * weights[corner] * height * normals[v, k]
        length = max(math.sqrt(_dot(n[0], n[1], n[2], n[0], n[1], n[2])), np.float32(1e-12))
        for k in range(3):
            n[k] /= length
        along1 = _dot(e1[0], e1[1], e1[2], n[0], n[1], n[2])
        along2 = _dot(e2[0], e2[1], e2[2], n[0], n[1], n[2])
        for k in range(3):
            e1[k] -= along1 * n[k]
            e2[k] -= along2 * n[k]
        for k in range(3):
            means[i, k] += _to_world(offset, i, e1, e2, n, k)
            first[k] = _to_world(long_axis, i, e1, e2, n, k)
            second[k] = _to_world(wide_axis, i, e1, e2, n, k)
        size1 = max(
            math.sqrt(_dot(first[0], first[1], first[2], first[0], first[1], first[2])),
            np.float32(1e-9),
        )
        for k in range(3):
            first[k] /= size1
        overlap = _dot(first[0], first[1], first[2], second[0], second[1], second[2])
        for k in range(3):
            second[k] -= overlap * first[k]
        size2 = max(
            math.sqrt(_dot(second[0], second[1], second[2], second[0], second[1], second[2])),
            np.float32(1e-9),
        )
        for k in range(3):
            second[k] /= size2
            rotmats[i, k, 0], rotmats[i, k, 1] = first[k], second[k]
        rotmats[i, 0, 2] = first[1] * second[2] - first[2] * second[1]
        rotmats[i, 1, 2] = first[2] * second[0] - first[0] * second[2]
        rotmats[i, 2, 2] = first[0] * second[1] - first[1] * second[0]
        scales[i, 0], scales[i, 1], scales[i, 2] = size1, size2, thickness[i]


@kernel("void(f4[:,:,::1], f4[:,::1])")
def rotmats_to_quats(rotmats: Any, quats: Any) -> None:
    """Computes `mien.rotations.rotmat_to_quat` up to sign; not normalized."""
    for i in range(len(rotmats)):
        m00, m01, m02 = rotmats[i, 0, 0], rotmats[i, 0, 1], rotmats[i, 0, 2]
        m10, m11, m12 = rotmats[i, 1, 0], rotmats[i, 1, 1], rotmats[i, 1, 2]
        m20, m21, m22 = rotmats[i, 2, 0], rotmats[i, 2, 1], rotmats[i, 2, 2]
        trace = m00 + m11 + m22
        one = np.float32(1.0)
        if trace >= m00 and trace >= m11 and trace >= m22:
            w, x, y, z = one + trace, m21 - m12, m02 - m20, m10 - m01
        elif m00 >= m11 and m00 >= m22:
            w, x, y, z = m21 - m12, one + m00 - m11 - m22, m01 + m10, m02 + m20
        elif m11 >= m22:
            w, x, y, z = m02 - m20, m01 + m10, one - m00 + m11 - m22, m12 + m21
        else:
            w, x, y, z = m10 - m01, m02 + m20, m12 + m21, one - m00 - m11 + m22
        scale = one / math.sqrt(w * w + x * x + y * y + z * z)
        quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3] = (
            w * scale,
            x * scale,
            y * scale,
            z * scale,
        )


@kernel(
    "void(f4[:,:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], f4[::1], f4[::1], f4[:,::1],"
    " f4[:,::1], f4[::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], i8, i8, f4[::1],"
    " f4[:,::1])"
)
def light_splats(
    rotmats: Any, bump: Any, albedo: Any, wrap: Any, sharpness: Any, strength: Any, grazing: Any,
    open_reach: Any, key_reach: Any, dimming: Any, directions: Any, halves: Any, tints: Any,
    around: Any, to_viewer: Any, hair_start: int, hair_stop: int, codes: Any, colors: Any,
) -> None:  # fmt: skip
    """Computes `shading.shade`."""
    zero, one = np.float32(0.0), np.float32(1.0)
    last = len(codes) - 1
    for i in range(len(rotmats)):
        r = rotmats[i]
        nx = r[0, 2] + r[0, 0] * bump[i, 0] + r[0, 1] * bump[i, 1]
        ny = r[1, 2] + r[1, 0] * bump[i, 0] + r[1, 1] * bump[i, 1]
        nz = r[2, 2] + r[2, 0] * bump[i, 0] + r[2, 1] * bump[i, 1]
        inverse = one / _at_least(math.sqrt(_dot(nx, ny, nz, nx, ny, nz)), np.float32(1e-12))
        nx, ny, nz = nx * inverse, ny * inverse, nz * inverse
        in_hair = hair_start <= i < hair_stop
        facing = min(abs(_dot(nx, ny, nz, to_viewer[0], to_viewer[1], to_viewer[2])), one)
        edge = one - facing
        fresnel = (one + grazing[i] * edge * edge * edge * np.float32(4.0)) * strength[i]
        lift = ny * np.float32(0.5) + np.float32(0.5)
        lit0 = (around[1, 0] + (around[0, 0] - around[1, 0]) * lift) * open_reach[i, 0]
        lit1 = (around[1, 1] + (around[0, 1] - around[1, 1]) * lift) * open_reach[i, 1]
        lit2 = (around[1, 2] + (around[0, 2] - around[1, 2]) * lift) * open_reach[i, 2]
        shine0, shine1, shine2 = zero, zero, zero
        for k in range(3):
            reach = key_reach[i] if k == 0 else open_reach[i]
            cosine = _dot(nx, ny, nz, directions[k, 0], directions[k, 1], directions[k, 2])
            w0 = max((cosine + wrap[i, 0]) / (one + wrap[i, 0]), zero)
            w1 = max((cosine + wrap[i, 1]) / (one + wrap[i, 1]), zero)
            w2 = max((cosine + wrap[i, 2]) / (one + wrap[i, 2]), zero)
            lit0 += w0 * math.sqrt(w0) * tints[k, 0] * reach[0]
            lit1 += w1 * math.sqrt(w1) * tints[k, 1] * reach[1]
            lit2 += w2 * math.sqrt(w2) * tints[k, 2] * reach[2]
            if in_hair:
                lies = _dot(r[0, 0], r[1, 0], r[2, 0], halves[k, 0], halves[k, 1], halves[k, 2])
                base = math.sqrt(max(one - lies * lies, zero))
            else:
                base = _dot(nx, ny, nz, halves[k, 0], halves[k, 1], halves[k, 2])
            if base > zero and fresnel > zero:
                log_lobe = math.log(base if base < one else one) * sharpness[i]
                if log_lobe > np.float32(_FAINT):
                    shine = math.exp(log_lobe) * fresnel
                    shine0 += shine * tints[k, 0] * reach[0]
                    shine1 += shine * tints[k, 1] * reach[1]
                    shine2 += shine * tints[k, 2] * reach[2]
        for k in range(3):
            lit = lit0 if k == 0 else (lit1 if k == 1 else lit2)
            shine = shine0 if k == 0 else (shine1 if k == 1 else shine2)
            if in_hair:
                shine *= math.sqrt(albedo[i, k])
            linear = (albedo[i, k] * lit + shine) * dimming[i]
            if linear > np.float32(0.7):
                over = (linear - np.float32(0.7)) / np.float32(0.3)
                linear = np.float32(0.7) + np.float32(0.3) * (one - math.exp(-over))
            place = math.sqrt(min(max(linear, zero), one)) * np.float32(last)
            index = min(int(place), last - 1)
            share = place - np.float32(index)
            colors[i, k] = codes[index] + (codes[index + 1] - codes[index]) * share


@functools.cache
def _codes() -> Any:
    """SRGB of the squares of 0 to 1, evenly spaced."""
    roots = torch.linspace(0, 1, _CODES, dtype=torch.float64).unsqueeze(-1)
    return linear_to_srgb(roots * roots).squeeze(-1).float().numpy()


@dataclass(frozen=True, eq=False)
class CompiledPose:
    """An avatar's splats laid out for the kernels.

    Attributes:
        ids: Corners of each splat's triangle, `[N, 3]`.
        shapes: `bary`, `offset`, `long_axis`, `wide_axis`, `thickness`.
        paints: `bump`, linear albedo, `wrap`, `sharpness`, `strength`, `grazing`,
            `open_reach`, `key_reach`.
        hair: First and last splat of hair.
    """

    ids: Any
    shapes: tuple[Any, ...]
    paints: tuple[Any, ...]
    hair: tuple[int, int]

    @classmethod
    def of(cls, head: Head, splats: Splats, materials: MaterialTable) -> CompiledPose:
        """Lay splats out."""
        names = ("bary", "offset", "long_axis", "wide_axis", "thickness")
        paints = (
            splats.bump, materials.albedo, materials.wrap, materials.sharpness,
            materials.strength, materials.grazing, materials.open_reach, materials.key_reach,
        )  # fmt: skip
        hair = splats.span(Kind.HAIR)
        return cls(
            head.faces[splats.faces].contiguous().numpy(),
            tuple(_array(getattr(splats, name)) for name in names),
            tuple(_array(value) for value in paints),
            (hair.start, hair.stop),
        )

    def place(
        self, vertices: Float[Tensor, "v 3"], normals: Float[Tensor, "v 3"]
    ) -> tuple[Placed, Float[Tensor, "n 4"]]:
        """Give what `placing.place` gives, and the rotations as quaternions."""
        count = len(self.ids)
        means, scales = np.empty((2, count, 3), np.float32)
        rotmats, quats = np.empty((count, 3, 3), np.float32), np.empty((count, 4), np.float32)
        mesh = _array(vertices), _array(normals)
        place_splats(self.ids, *self.shapes, *mesh, means, rotmats, scales)
        rotmats_to_quats(rotmats, quats)
        placed = Placed(*(torch.from_numpy(a) for a in (means, rotmats, scales)))
        return placed, torch.from_numpy(quats)

    def shade(
        self, placed: Placed, to_viewer: Tensor, dimming: Tensor, studio: Studio
    ) -> Float[Tensor, "n 3"]:
        """Give what `shading.shade` gives."""
        viewer = _array(to_viewer)
        ways = np.array([studio.key, studio.fill, studio.rim], np.float32)
        ways /= np.linalg.norm(ways, axis=-1, keepdims=True)
        halves = ways + viewer
        halves /= np.linalg.norm(halves, axis=-1, keepdims=True)
        tints = np.array([studio.key_color, studio.fill_color, studio.rim_color], np.float32)
        around = np.array([studio.sky_color, studio.ground_color], np.float32)
        colors = np.empty((len(self.ids), 3), np.float32)
        light_splats(
            _array(placed.rotmats), *self.paints, _array(dimming), ways, halves, tints, around,
            viewer, *self.hair, _codes(), colors,
        )  # fmt: skip
        return torch.from_numpy(colors)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().float().contiguous().numpy()
