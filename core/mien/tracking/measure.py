"""How well tracking does on clips whose motion is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mien.arkit import CHANNEL_NAMES, curves_from_motion
from mien.head import Head
from mien.motion import Motion

__all__ = ["Errors", "measure", "table"]

_REGIONS = {
    "lips": ("lips",),
    "lids": ("lid_left", "lid_right"),
    "brows": ("brow_left", "brow_right"),
    "irises": ("iris_left", "iris_right"),
}
_MOVES = 0.03  # a channel that deviates less than this is not correlated
ALL = "all points"


@dataclass(frozen=True)
class Errors:
    """How far one tracked clip is from the truth.

    Attributes:
        points_mm: Mean distance of face points, by region.
        rest_mm: The same for a face that never moves: what there is to find.
        about_mean_mm: The same as `points_mm` without the clip's constant part.
        turn_deg: Mean angle between the head's turns.
        turn_about_first_deg: Between the turns since the first frame.
        correlations: By ARKit channel, of those that move.
        jerk_ratio: Mean jerk of the tracked points over that of the true ones.
    """

    points_mm: dict[str, float]
    rest_mm: dict[str, float]
    about_mean_mm: dict[str, float]
    turn_deg: float
    turn_about_first_deg: float
    correlations: dict[str, float]
    jerk_ratio: float


@torch.no_grad()
def measure(tracked: Motion, truth: Motion, view: Float[Tensor, "3 3"] | None = None) -> Errors:
    """Compare a tracked motion with the true one, frame by frame.

    Args:
        tracked: As `track` gives it.
        truth: With the person's own identity; as many frames.
        view: Turn of the world to the camera's axes (x right, y up, z toward the viewer).

    Raises:
        ValueError: If they differ in frames.
    """
    if tracked.num_frames != truth.num_frames:
        raise ValueError(
            f"Both motions must have as many frames, got {tracked.num_frames} and "
            f"{truth.num_frames}."
        )
    head = Head.default()
    found, true = (head.face_points(motion, own=True) for motion in (tracked, truth))
    scale = head.ipd * 1000
    off = (found - true) * scale
    turned = tracked.head_rotmat()
    wanted = truth.head_rotmat() if view is None else view @ truth.head_rotmat()
    return Errors(
        _by_region(off),
        _by_region(true * scale),
        _by_region(off - off.mean(0)),
        _angle_deg(turned, wanted),
        _angle_deg(turned[:1].mT @ turned, wanted[:1].mT @ wanted),
        _correlations(curves_from_motion(tracked), curves_from_motion(truth)),
        _jerk(found) / max(_jerk(true), 1e-9),
    )


def table(errors: Sequence[Errors]) -> str:
    """The mean over clips as a Markdown table."""
    rows = ["| measure | tracked | about the clip's mean | a face at rest |", "|---|---|---|---|"]
    for region in (ALL, *_REGIONS):
        parts = (
            _mean([getattr(each, name)[region] for each in errors])
            for name in ("points_mm", "about_mean_mm", "rest_mm")
        )
        rows.append(f"| {region}, mm | " + " | ".join(f"{part:.2f}" for part in parts) + " |")
    turn, about = (
        _mean([getattr(each, name) for each in errors])
        for name in ("turn_deg", "turn_about_first_deg")
    )
    jerk = _mean([each.jerk_ratio for each in errors])
    rows += [
        f"| head turn, degrees | {turn:.2f} | {about:.2f} (since the first frame) | |",
        f"| jerk, tracked over true | {jerk:.2f} | | |",
        "",
        "| channel | correlation | clips |",
        "|---|---|---|",
    ]
    for name in CHANNEL_NAMES:
        values = [each.correlations[name] for each in errors if name in each.correlations]
        if values:
            rows.append(f"| {name} | {_mean(values):.2f} | {len(values)} |")
    return "\n".join(rows)


def _by_region(off: Float[Tensor, "t k 3"]) -> dict[str, float]:
    distance = torch.linalg.vector_norm(off, dim=-1)
    regions = Head.default().require_points().regions
    found = {ALL: float(distance.mean())}
    for name, parts in _REGIONS.items():
        ids = torch.cat([regions[part] for part in parts])
        found[name] = float(distance[:, ids].mean())
    return found


def _angle_deg(first: Tensor, second: Tensor) -> float:
    cosine = ((first.mT @ second).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return float(torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).mean())


def _correlations(found: Tensor, true: Tensor) -> dict[str, float]:
    correlations = {}
    for index, name in enumerate(CHANNEL_NAMES):
        if float(true[:, index].std()) > _MOVES:
            both = torch.stack([found[:, index], true[:, index]])
            both = both + torch.tensor([[1e-9], [0.0]]) * torch.arange(both.shape[1])
            correlations[name] = float(torch.corrcoef(both)[0, 1].nan_to_num())
    return correlations


def _jerk(points: Tensor) -> float:
    return float(torch.linalg.vector_norm(points.diff(n=3, dim=0), dim=-1).mean())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
