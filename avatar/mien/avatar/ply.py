"""Splat PLY files in the layout of 3D Gaussian Splatting, which every splat viewer opens.

The file stores values before activation: log scales, opacity logits, and colors as the constant
term of spherical harmonics. It keeps the head frame (Y up); viewers made for photogrammetry
show such files upside down and have a switch for it.

Source:
    3D Gaussian Splatting (Kerbl et al. 2023), `scene/gaussian_model.py`, `save_ply`.
"""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from mien.avatar.gaussians import Gaussians
from mien.files import check_size, whole_file
from mien.text import one_line

MAX_PLY_BYTES = 2**30
SH_C0 = 0.28209479177387814  # Y_00, the constant spherical harmonic

_MAX_HEADER_LINES = 1000
_SMALLEST_SCALE = 1e-9  # metres; log needs a positive number
_OPACITY_MARGIN = 1e-6  # the logit needs opacities off 0 and 1
_FIELDS = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)
_NEEDED = tuple(name for name in _FIELDS if not name.startswith("n"))
_DTYPES = {
    **{"char": "<i1", "int8": "<i1", "uchar": "<u1", "uint8": "<u1"},
    **{"short": "<i2", "int16": "<i2", "ushort": "<u2", "uint16": "<u2"},
    **{"int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4"},
    **{"float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8"},
}


def write_ply(path: str | Path, gaussians: Gaussians) -> None:
    """Writes Gaussians as a binary splat PLY, whole or not at all.

    Opacities are kept within 1e-6 of 0 and 1 and scales above 1e-9 m, where the logit and the
    logarithm are finite.
    """
    g = gaussians.to("cpu", torch.float32)
    opacities = g.opacities.detach().clamp(_OPACITY_MARGIN, 1 - _OPACITY_MARGIN)
    columns = [
        g.means,
        torch.zeros_like(g.means),  # normals, which the layout has and nobody uses
        (g.colors - 0.5) / SH_C0,
        torch.logit(opacities)[:, None],
        g.scales.clamp(min=_SMALLEST_SCALE).log(),
        torch.nn.functional.normalize(g.quats, dim=-1),
    ]
    rows = torch.cat([column.detach() for column in columns], dim=1).numpy().astype("<f4")
    properties = "".join(f"property float {name}\n" for name in _FIELDS)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(g)}\n{properties}"
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        stream.write(f"{header}end_header\n".encode("ascii"))
        stream.write(rows.tobytes())


def read_ply(path: str | Path) -> Gaussians:
    """Reads a binary splat PLY.

    Further vertex properties, such as the higher spherical harmonics `f_rest_*` of captured
    scenes, are left out: colors are then those seen on average.

    Raises:
        ValueError: If the file is missing, above 1 GiB, cut short, or not such a PLY.
    """
    check_size(path, MAX_PLY_BYTES)
    with Path(path).open("rb") as stream:
        count, dtype = _read_header(stream, str(path))
        data = stream.read()
    if len(data) < count * dtype.itemsize:
        raise ValueError(
            f"{str(path)!r} should hold {count} splats of {dtype.itemsize} bytes, "
            f"got {len(data)} bytes: it is cut short."
        )
    rows = np.frombuffer(data, dtype, count)

    def gather(*names: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([rows[n].astype(np.float32) for n in names], -1))

    return Gaussians(
        means=gather("x", "y", "z"),
        quats=gather("rot_0", "rot_1", "rot_2", "rot_3"),
        scales=gather("scale_0", "scale_1", "scale_2").exp(),
        opacities=gather("opacity")[:, 0].sigmoid(),
        colors=gather("f_dc_0", "f_dc_1", "f_dc_2") * SH_C0 + 0.5,
    )


def _read_header(stream: BinaryIO, path: str) -> tuple[int, "np.dtype[Any]"]:
    """Gives the number of vertices and the layout of one."""
    lines = _header_lines(stream, path)
    if lines[:2] != [["ply"], ["format", "binary_little_endian", "1.0"]]:
        raise ValueError(
            f"{path!r} must be a binary little-endian PLY, got {one_line(str(lines[:2]), 90)}."
        )
    elements = [line for line in lines if line[0] == "element"]
    if not elements or elements[0][1] != "vertex" or not elements[0][2].isdecimal():
        got = one_line(str(elements[:1]), 90)
        raise ValueError(f"{path!r} must start with an `element vertex N`, got {got}.")
    start = lines.index(elements[0]) + 1
    stop = lines.index(elements[1]) if len(elements) > 1 else len(lines)
    fields = []
    for line in lines[start:stop]:
        if len(line) != 3 or line[0] != "property" or line[1] not in _DTYPES:
            raise ValueError(
                f"{path!r} has a vertex property that is not read: {one_line(' '.join(line))}."
            )
        fields.append((line[2], _DTYPES[line[1]]))
    missing = sorted(set(_NEEDED) - {name for name, _ in fields})
    if missing:
        raise ValueError(f"{path!r} is no splat PLY: it has no {', '.join(missing)}.")
    try:
        return int(elements[0][2]), np.dtype(fields)
    except ValueError as error:  # a name given twice
        raise ValueError(f"{path!r} has a broken list of properties ({error}).") from error


def _header_lines(stream: BinaryIO, path: str) -> list[list[str]]:
    """Gives the words of each header line, without comments and empty lines."""
    lines: list[list[str]] = []
    for _ in range(_MAX_HEADER_LINES):
        line = stream.readline(1000).decode("ascii", errors="replace").strip()
        if line == "end_header":
            return lines
        if not lines and line != "ply":
            raise ValueError(f"{path!r} must be a PLY file, whose first line is `ply`.")
        words = line.split()
        if words and words[0] not in ("comment", "obj_info"):
            if words[0] == "element" and len(words) != 3:
                raise ValueError(f"{path!r} has a broken header line: {line!r}.")
            lines.append(words)
    raise ValueError(f"{path!r} has no `end_header` in its first {_MAX_HEADER_LINES} lines.")
