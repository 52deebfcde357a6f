"""How far made motion is from the truth in millimeters, and whether it moves as much."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from mien.arkit import motion_from_curves
from mien.data_synth.clip import FPS
from mien.tokenizer.features import FaceSpace, frames_of
from mien.tokenizer.metrics import rotation_angle_deg

UPPER_FACE = ("brow", "forehead", "eye_area", "lid")


@dataclass(frozen=True, eq=False)
class FaceMotion:
    """Points and head of a clip.

    Attributes:
        points: Displacements from the neutral face in the head's frame, mm at adult scale.
        rotation: world_from_head.
    """

    points: Float[Tensor, "t k 3"]
    rotation: Float[Tensor, "t 3 3"]


@torch.no_grad()
def face_motion(curves: Float[ndarray, "t 61"], space: FaceSpace) -> FaceMotion:
    """Points and head of ARKit curves at 25 frames a second."""
    frames = frames_of(motion_from_curves(curves, FPS))
    return FaceMotion(space.displacements(frames) * space.ipd_mm, frames.rotation)


@dataclass(frozen=True)
class Deviation:
    """What a clip deviates from its truth by; the longer of the two is cut.

    Attributes:
        l2_mm: Mean distance of a point from its true place.
        lve_mm: Lip vertex error as distance: the largest lip error of a frame, mean over frames.
        lve_mm2: The same as squared distance, as in the public code of FaceFormer, CodeTalker and
            FaceDiffuser (there in square meters).
        fdd_codetalker_mm2: FDD as CodeTalker's code has it; signed, 0 is best.
        fdd_facediffuser_mm2: FDD as FaceDiffuser's code adds it; absolute a clip, 0 is best.
        fdd_paper_mm: FDD as CodeTalker's paper writes it; signed, 0 is best.
        head_deg: Mean angle of the head from its true pose.
        jerk: Mean size of the points' third difference, mm a frame cubed.
        true_jerk: The truth's.
        energy: Mean squared speed of the points, square mm a frame squared.
        true_energy: The truth's.
    """

    l2_mm: float
    lve_mm: float
    lve_mm2: float
    fdd_codetalker_mm2: float
    fdd_facediffuser_mm2: float
    fdd_paper_mm: float
    head_deg: float
    jerk: float
    true_jerk: float
    energy: float
    true_energy: float


def deviation(made: FaceMotion, true: FaceMotion, space: FaceSpace) -> Deviation:
    """Measure one clip against its truth."""
    count = min(len(made.points), len(true.points))
    a, b = made.points[:count], true.points[:count]
    upper = torch.unique(torch.cat([space.region(prefix) for prefix in UPPER_FACE]))
    lips = space.region("lips")
    squared = fdd(a[:, upper], b[:, upper], squared=True)
    return Deviation(
        l2_mm=float((a - b).norm(dim=-1).mean()),
        lve_mm=lip_vertex_error(a, b, lips, squared=False),
        lve_mm2=lip_vertex_error(a, b, lips, squared=True),
        fdd_codetalker_mm2=squared,
        fdd_facediffuser_mm2=abs(squared),
        fdd_paper_mm=fdd(a[:, upper], b[:, upper], squared=False),
        head_deg=float(rotation_angle_deg(made.rotation[:count], true.rotation[:count]).mean()),
        jerk=jerk(made.points),
        true_jerk=jerk(true.points),
        energy=energy(made.points),
        true_energy=energy(true.points),
    )


def lip_vertex_error(
    made: Float[Tensor, "t k 3"],
    true: Float[Tensor, "t k 3"],
    lips: Int[Tensor, " n"],
    squared: bool,
) -> float:
    """The largest error of a lip point in each frame, averaged over the frames of one clip.

    Public code averages over the frames of all clips at once; here each clip counts alike.

    Source:
        MeshTalk (arXiv:2104.08223), section 5; squared as in CodeTalker, main/cal_metric.py.
    """
    errors = (made[:, lips] - true[:, lips]).square().sum(-1).amax(1)
    return float(errors.mean() if squared else errors.sqrt().mean())


def fdd(made: Float[Tensor, "t u 3"], true: Float[Tensor, "t u 3"], squared: bool) -> float:
    r"""Upper-face dynamics deviation of one clip: :math:`\sum_v (dyn(true_v) - dyn(made_v)) / U`.

    Two definitions go by that name. In CodeTalker's paper (arXiv:2301.02379, section 4.1) `dyn` is
    the standard deviation over time of the length of a point's displacement from the neutral face;
    in its code (Doubiiu/CodeTalker, main/cal_metric.py) it is that of the *squared* length. Both
    are signed, so that clips with too much and too little motion cancel in the mean. FaceDiffuser
    (uuembodiedsocialai/FaceDiffuser, evaluation/compute_objective_metrics.py) computes the squared
    one and prints the mean of its absolute value a clip beside it, as "ABS FDD".

    Args:
        made: Upper-face displacements.
        true: The truth's.
        squared: The code's definition; otherwise the paper's.
    """
    return float((_dynamics(true, squared) - _dynamics(made, squared)).mean())


def _dynamics(points: Float[Tensor, "t u 3"], squared: bool) -> Float[Tensor, " u"]:
    lengths = points.square().sum(-1)
    spread: Tensor = (lengths if squared else lengths.sqrt()).std(dim=0, correction=0)
    return spread


def jerk(points: Float[Tensor, "t k 3"]) -> float:
    """Mean size of the points' third difference; 0 under four frames."""
    return float(points.diff(n=3, dim=0).norm(dim=-1).mean()) if len(points) > 3 else 0.0


def energy(points: Float[Tensor, "t k 3"]) -> float:
    """Mean squared speed of the points; 0 under two frames."""
    return float(points.diff(dim=0).square().sum(-1).mean()) if len(points) > 1 else 0.0


def clip_statistics(features: Float[ndarray, "t c"]) -> Float[ndarray, " s"]:
    """What a Frechet distance without any learned model compares: level, spread and speed.

    Args:
        features: Principal coordinates of the frames' features.
    """
    steps = np.abs(np.diff(features, axis=0)).mean(0) if len(features) > 1 else 0 * features[0]
    return np.concatenate([features.mean(0), features.std(0), steps])
