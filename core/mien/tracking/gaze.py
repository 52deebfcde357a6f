"""Where the eyes look: the irises between the corners of the eyes, while lids let them be seen.

Both eyes are taken to look the same way. An iris that lids hide says nothing: the gaze before and
after counts. Small looks are as likely misread and shrink toward straight ahead, large ones stay;
how far, comes from what gaze does in the corpus and how it was misread on films of known faces.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import solveh_banded
from torch import Tensor

from mien.arkit import ARKIT_NAMES
from mien.tracking.person import Person
from mien.tracking.solver import Placed, place

__all__ = [
    "ENOUGH_SEEN",
    "IRISES",
    "SHIPPED",
    "EyeCues",
    "Reading",
    "find_gaze",
    "settle_gaze",
    "split_gaze",
]

IRISES = slice(468, 478)
_NOISE = 0.03  # radians, of wide open eyes
_SHUT = 0.4  # from this blink score on, irises are hidden
_LEAST_SEEN, ENOUGH_SEEN = 0.05, 0.5
_FACING = (0.3, 0.4)  # cosine of the head's turn at which eyes come into view, and more for all
_SPREAD, _LASTS_S = 0.15, 4.0  # of gaze, radians, and how long it stays alike
_RIDGE = 0.01


@dataclass(frozen=True)
class _Eye:
    """Landmarks of an eye."""

    iris: list[int]
    corners: list[int]
    upper_lid: list[int]
    lower_lid: list[int]


_EYES = (
    _Eye([468, 469, 470, 471, 472], [33, 133], [158, 159, 160], [153, 145, 144]),
    _Eye([473, 474, 475, 476, 477], [362, 263], [385, 386, 387], [380, 374, 373]),
)


@dataclass(frozen=True)
class Reading:
    """How gaze is read off the eyes' cues, and how far that is to be trusted; radians.

    The lines are least squares on ten films of stills, `python -m mien.data_synth.gaze_survey`.
    How far they are to be trusted was rounded by hand after other films; on films by which
    nothing was chosen that is as good as what the survey finds, see reports/gaze.md.

    Attributes:
        yaw: Of `EyeCues.across`, and besides.
        pitch: Of `EyeCues.up` and `EyeCues.opening`, and besides.
        always: How far yaw and pitch are misread all through a clip, which is the person's own.
        otherwise: How far about that, from frame to frame.
        lively: Share of gaze that looks aside at all.
        still_spread: Of the rest, about straight ahead.
        lively_spread: Of the gaze that looks aside.
    """

    yaw: tuple[float, float] = (5.45, -0.02)
    pitch: tuple[float, float, float] = (-7.83, -2.30, 0.40)
    always: tuple[float, float] = (0.06, 1.0)
    otherwise: tuple[float, float] = (0.03, 0.06)
    lively: float = 0.25
    still_spread: float = 0.01
    lively_spread: float = 0.15

    def believe(self, seeming: Float[Tensor, "*t"], misread: float) -> Float[Tensor, "*t"]:
        """What is likely behind a seeming angle: mostly nothing, now and then a look aside."""
        spreads = seeming.new_tensor([self.still_spread, self.lively_spread]) ** 2
        total = spreads + misread**2
        shares = seeming.new_tensor([1 - self.lively, self.lively])
        odds = shares.log() - total.log() / 2 - seeming[..., None] ** 2 / (2 * total)
        return seeming * (odds.softmax(-1) * spreads / total).sum(-1)


SHIPPED = Reading()


@dataclass(frozen=True, eq=False)
class EyeCues:
    """What eyes show, the mean of both, in interpupillary distances of the head's own frame.

    Attributes:
        across: How far the irises lie from where a straight look has them, toward +X.
        up: The same toward +Y.
        opening: Between the lids.
        seen: How well irises can be seen, 0 to 1.
    """

    across: Float[Tensor, " t"]
    up: Float[Tensor, " t"]
    opening: Float[Tensor, " t"]
    seen: Float[Tensor, " t"]

    @staticmethod
    def of(
        landmarks: Float[Tensor, "t 478 3"],
        weights: Float[Tensor, " 478"],
        person: Person,
        scores: Float[Tensor, "t 52"],
    ) -> "EyeCues":
        """Read them off landmarks (see `Solver`) and scores."""
        placed = place(landmarks, person.neutral, weights)
        bare = Person(person.shape, torch.zeros_like(person.offset)).neutral
        scale = placed.log_scale.exp()[:, None, None]
        own = landmarks / scale
        off = own - placed.project(bare[None]) / scale
        by_eye = [
            torch.cat([_iris_offset(off, placed, eye), _opening(own, placed, eye)], 1)
            for eye in _EYES
        ]
        across, up, opening = torch.stack(by_eye).mean(0).T
        return EyeCues(across, up, opening, _seen(placed, scores))

    def angles(self, reading: Reading = SHIPPED) -> Float[Tensor, "t 2"]:
        """Yaw and pitch as they seem, radians, as in `eye_pose`."""
        across, aside = reading.yaw
        up, opening, besides = reading.pitch
        yaw = across * self.across + aside
        pitch = up * self.up + opening * self.opening + besides
        return torch.stack([yaw, pitch], 1)


def find_gaze(
    landmarks: Float[Tensor, "t 478 3"],
    weights: Float[Tensor, " 478"],
    person: Person,
    scores: Float[Tensor, "t 52"],
    fps: float,
) -> Float[Tensor, "t 2"]:
    """The gaze of a clip, yaw and pitch, radians; zero where a clip never shows the irises.

    Args:
        landmarks: See `Solver`.
        weights: Of the landmarks.
        person: Whose eyes they are.
        scores: The landmarker's, which tell how far lids are closed.
        fps: Frames a second.
    """
    cues = EyeCues.of(landmarks, weights, person, scores)
    return settle_gaze(cues.angles(), cues.seen, fps)


def settle_gaze(
    angles: Float[Tensor, "t 2"],
    seen: Float[Tensor, " t"],
    fps: float,
    reading: Reading = SHIPPED,
) -> Float[Tensor, "t 2"]:
    """The likeliest gaze behind what seems to be one, of gaze that wanders about straight ahead.

    Args:
        angles: Yaw and pitch as they seem.
        seen: How well irises can be seen, 0 to 1.
        fps: Frames a second.
        reading: How far what seems is to be trusted.
    """
    if not bool((seen > ENOUGH_SEEN).any()):
        return torch.zeros_like(angles)
    middle, about = split_gaze(angles, seen, fps)
    settled = [
        reading.believe(middle[column], reading.always[column])
        + reading.believe(about[:, column], reading.otherwise[column])
        for column in range(2)
    ]
    return torch.stack(settled, 1)


def split_gaze(
    angles: Float[Tensor, "t 2"], seen: Float[Tensor, " t"], fps: float
) -> tuple[Float[Tensor, "2"], Float[Tensor, "t 2"]]:
    """What a gaze is all through a clip, and about that, steadied; some frames must be clear."""
    middle = angles[seen > ENOUGH_SEEN].median(0).values
    precision = (seen.clamp(min=_LEAST_SEEN).square() / _NOISE).square().double().numpy()
    columns = [_wander(each.double().numpy(), precision, fps) for each in (angles - middle).T]
    return middle, torch.from_numpy(np.stack(columns, 1)).to(angles)


def _wander(
    values: Float[ndarray, " t"], precision: Float[ndarray, " t"], fps: float
) -> Float[ndarray, " t"]:
    """The mean of an Ornstein-Uhlenbeck process that was seen with noise."""
    if len(values) == 1:
        single: Float[ndarray, " t"] = values * precision / (precision + 1 / _SPREAD**2)
        return single
    stays = float(np.exp(-1 / (_LASTS_S * fps)))
    stiff = 1 / (_SPREAD**2 * (1 - stays**2))
    diagonal = np.full(len(values), stiff * (1 + stays**2))
    diagonal[[0, -1]] = stiff
    bands = np.stack([np.full(len(values), -stays * stiff), diagonal + precision])
    found: Float[ndarray, " t"] = solveh_banded(bands, precision * values)
    return found


def _iris_offset(off: Tensor, placed: Placed, eye: _Eye) -> Float[Tensor, "t 2"]:
    """How far an iris lies from its place between the corners, across and up the face."""
    apart = (off[:, eye.iris].mean(1) - off[:, eye.corners].mean(1))[:, :2]
    view = placed.rotmat[:, :2, :2]
    inner = view.mT @ view + _RIDGE * torch.eye(2).to(view)
    solved: Tensor = torch.linalg.solve(inner, view.mT @ apart[..., None])
    return solved[..., 0]


def _opening(landmarks: Tensor, placed: Placed, eye: _Eye) -> Float[Tensor, "t 1"]:
    apart = (landmarks[:, eye.upper_lid] - landmarks[:, eye.lower_lid]) @ placed.rotmat
    return apart[..., 1].mean(1, keepdim=True)


def _seen(placed: Placed, scores: Tensor) -> Float[Tensor, " t"]:
    blinks = [ARKIT_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    open_share = (1 - scores[:, blinks].mean(1) / _SHUT).clamp(0, 1)
    start, width = _FACING
    facing = (placed.rotmat[:, 2, 2] - start) / width
    return open_share * facing.clamp(0, 1)
