"""How much of a motion survives on its way through other forms and back, measured.

Every hop begins and ends on the same head, so that what came back can be compared with what left.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES, curves_from_motion, motion_from_curves
from mien.fit import fit
from mien.flame_twin import make_flame_face_arrays
from mien.formats import read_live_link
from mien.head import Head, head_from_flame
from mien.motion import Motion
from mien.retarget import retarget
from mien.shapes_files import read_ict_npz

__all__ = [
    "Hop",
    "format_hops",
    "measure_hops",
    "random_curves",
    "random_motion",
    "through_curves",
    "through_head",
    "through_points",
]

_SECONDS_BETWEEN_KEYS = 0.4
_SHARE_ON = 0.15
_SAME_NOISE_MM, _OTHER_NOISE_MM = 0.1, 1.0  # heads that can do the same, and others


@dataclass(frozen=True)
class Hop:
    """One way there and back.

    Attributes:
        name: What the motion went through.
        num_frames: How many frames were measured.
        moved_mm: How far the face points move in the motion: the error of an answer at rest.
        error_mm: Mean distance of the points that came back from those that left.
        lips_mm: The same over the lips.
        lids_mm: The same over both lids.
        coefficient_error: Mean absolute difference of the expression coefficients.
        coefficient_worst: The largest.
        frames_per_second: Frames there and back in a second of one processor core.
    """

    name: str
    num_frames: int
    moved_mm: float
    error_mm: float
    lips_mm: float
    lids_mm: float
    coefficient_error: float
    coefficient_worst: float
    frames_per_second: float


def through_points(
    motion: Motion,
    head: Head | None = None,
    name: str = "points",
    noise_mm: float = _SAME_NOISE_MM,
) -> Hop:
    """Head to face points, and back by `fit` on the same head and person.

    Args:
        motion: Of the head.
        head: The default head if None.
        name: Of the hop.
        noise_mm: For `fit`.
    """
    head = head or Head.default()
    start = time.process_time()
    with torch.no_grad():
        points = head.face_points(motion, own=True)
    found = fit(
        head, points, motion.head_rotmat(), motion.fps, shape=motion.shape, noise_mm=noise_mm
    )
    seconds = time.process_time() - start
    return _compared(name, motion, found.motion, head, seconds)


def through_curves(curves: Float[Tensor, "t 61"], fps: float, name: str = "ARKit, points") -> Hop:
    """ARKit curves to the default head's points and back; coefficients are the 52 units."""
    head = Head.default()
    start = time.process_time()
    motion = motion_from_curves(curves, fps)
    with torch.no_grad():
        points = head.face_points(motion)
    found = fit(head, points, motion.head_rotmat(), fps).motion
    back = curves_from_motion(found)
    seconds = time.process_time() - start
    wanted = curves_from_motion(motion)
    units = len(ARKIT_NAMES)
    error = (back - wanted)[:, :units].abs()
    return _compared(name, motion, found, head, seconds, error)


def through_head(
    motion: Motion,
    source: Head,
    target: Head,
    name: str | None = None,
    noise_mm: float = _OTHER_NOISE_MM,
) -> Hop:
    """One head to another by `retarget`, and back.

    Args:
        motion: Of `source`.
        source: Where the motion begins and ends.
        target: What it goes through.
        name: The two heads' names if None.
        noise_mm: How far the two differ in what they can do, for `fit`.
    """
    start = time.process_time()
    there = retarget(motion, source, target, noise_mm=noise_mm).motion
    back = retarget(there, target, source, noise_mm=noise_mm).motion
    seconds = time.process_time() - start
    name = name or f"{source.name}, {target.name}"
    return _compared(name, motion, back, source, seconds, other=target)


def random_motion(
    head: Head, num_frames: int, seed: int, fps: float = 25.0, strength: float = 1.0
) -> Motion:
    """Some expression components on at a time at any strength, changing smoothly; nothing turns.

    Args:
        head: Whose components.
        num_frames: How many.
        seed: The same motion for the same seed.
        fps: Frames a second.
        strength: The most that a component reaches; unnamed ones go to both sides.
    """
    generator = torch.Generator().manual_seed(seed)
    time_at = torch.arange(num_frames) / (fps * _SECONDS_BETWEEN_KEYS)
    count = int(time_at[-1]) + 2
    keys = torch.rand(count, head.num_expr, generator=generator)
    if head.expr_names[0] == "expr_0":
        keys = 2 * keys - 1
    keys = keys * (torch.rand(keys.shape, generator=generator) < _SHARE_ON)
    start = time_at.long()
    expr = strength * torch.lerp(keys[start], keys[start + 1], (time_at - start)[:, None])
    rest = Motion.rest(num_frames, head.num_expr, fps)
    return rest.replace(expr=expr, head=head.name)


def measure_hops(
    num_frames: int = 100,
    seed: int = 0,
    *,
    flame: Head | None = None,
    ict: str | Path | None = None,
    takes: Sequence[str | Path] = (),
) -> list[Hop]:
    """Measure all hops there is material for.

    Args:
        num_frames: At most so many of each motion.
        seed: Of the random motions.
        flame: A head in FLAME's format with face points; if None, one made from the seed that can
            do what the default head can.
        ict: ICT-FaceKit's npz, see `mien.shapes_files`; that hop is left out if None.
        takes: Live Link Face CSVs, each measured through points, FLAME and ICT.
    """
    default = Head.default()
    noise = _SAME_NOISE_MM if flame is None else _OTHER_NOISE_MM
    flame = flame or head_from_flame(make_flame_face_arrays(seed))
    acted = random_motion(default, num_frames, seed)
    hops = [
        through_curves(random_curves(num_frames, seed), 25.0),
        through_points(acted, name="default, points"),
        through_head(acted, default, flame, "default, FLAME format", noise),
    ]
    others = [("FLAME format", flame, noise)]
    if ict is not None:
        face = read_ict_npz(ict).head("ict")
        others.append(("ICT", face, _OTHER_NOISE_MM))
        hops.append(through_head(random_motion(face, num_frames, seed), face, default))
    for path in takes:
        take = read_live_link(path)
        take = take.slice(0, min(num_frames, take.num_frames))
        stem = Path(path).stem
        hops.append(through_points(take, name=f"{stem}: points"))
        for name, face, trust in others:
            hops.append(through_head(take, default, face, f"{stem}: {name}", trust))
    return hops


def format_hops(hops: Sequence[Hop]) -> str:
    """Lay hops out as a table in plain text.

    Example:
        >>> print(format_hops([Hop("points", 9, 1.5, 0.01, 0.02, 0.03, 0.004, 0.05, 600.0)]))
        through  frames  moved mm  mean mm  lips mm  lids mm   units  worst  frames/s
        points        9      1.50   0.0100   0.0200   0.0300  0.0040   0.05       600
    """
    head = ("through", "frames", "moved mm", "mean mm", "lips mm", "lids mm", "units", "worst")
    rows: list[tuple[str, ...]] = [(*head, "frames/s")]
    for hop in hops:
        rows.append(
            (
                hop.name,
                f"{hop.num_frames}",
                f"{hop.moved_mm:.2f}",
                *(f"{value:.4f}" for value in (hop.error_mm, hop.lips_mm, hop.lids_mm)),
                f"{hop.coefficient_error:.4f}",
                f"{hop.coefficient_worst:.2f}",
                f"{hop.frames_per_second:.0f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def random_curves(num_frames: int, seed: int) -> Float[Tensor, "t 61"]:
    """Give ARKit units as `random_motion` makes them, with jaw and gaze; no head turn."""
    motion = random_motion(Head.default(), num_frames, seed)
    curves = curves_from_motion(motion)
    generator = torch.Generator().manual_seed(seed + 1)
    phase = torch.rand(3, generator=generator) * 6.28
    time_at = torch.arange(num_frames) / 25.0
    curves[:, CHANNEL_NAMES.index("jawOpen")] = 0.5 + 0.5 * torch.sin(4 * time_at + phase[0])
    for side in ("left", "right"):
        for angle, place, size in (("Yaw", phase[1], 0.3), ("Pitch", phase[2], 0.2)):
            column = CHANNEL_NAMES.index(f"{side}Eye{angle}")
            curves[:, column] = size * torch.sin(3 * time_at + place)
    return curves


def _compared(
    name: str,
    motion: Motion,
    back: Motion,
    head: Head,
    seconds: float,
    coefficient_error: Tensor | None = None,
    other: Head | None = None,
) -> Hop:
    """Compare what came back with what left, on the points that all heads on the way have."""
    points = head.require_points()
    seen = points.loss_weights > 0
    if other is not None:
        seen = seen & (other.require_points().loss_weights > 0)
    with torch.no_grad():
        wanted, found = (head.face_points(each, own=True) for each in (motion, back))
    to_mm = 1000 * float(head.interpupillary(motion.shape))
    error = (found - wanted).norm(dim=-1) * to_mm
    if coefficient_error is None:
        coefficient_error = (back.expr - motion.expr.to(back.expr)).abs()
    lids = torch.cat([points.regions["lid_left"], points.regions["lid_right"]])
    return Hop(
        name=name,
        num_frames=motion.num_frames,
        moved_mm=float(wanted[:, seen].norm(dim=-1).mean()) * to_mm,
        error_mm=float(error[:, seen].mean()),
        lips_mm=float(error[:, points.regions["lips"]].mean()),
        lids_mm=float(error[:, lids].mean()),
        coefficient_error=float(coefficient_error.mean()),
        coefficient_worst=float(coefficient_error.max()),
        frames_per_second=motion.num_frames / max(seconds, 1e-9),
    )
