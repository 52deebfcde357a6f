"""What the landmarker's own scores lead to expect of a face, in the head's parameters."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.arkit import ARKIT_NAMES, EXPR_NAMES, JAW_OPEN_RADIANS
from mien.tracking.landmark_points import LandmarkPoints
from mien.tracking.solver import NUM_EXPR, NUM_FACE, Prior

__all__ = ["expect", "resting_frames"]

_LEAST_SPREAD, _MOST_SPREAD = 0.08, 0.3
_JAW_SIDEWAYS, _EYE, _EYE_ROLL = 0.03, 0.12, 0.03  # radians
_RESTING_QUANTILE = 0.1
_MOST_RESTING = 12
_USUAL_ROOM, _ROOM = 1.5, 0.05  # how far a resting face may score beyond three in four others
_EXPR_COLUMNS = [ARKIT_NAMES.index(name) for name in EXPR_NAMES]
_JAW_COLUMN = ARKIT_NAMES.index("jawOpen")
_FACE_COLUMNS = [i for i, name in enumerate(ARKIT_NAMES) if "Look" not in name]


def above_rest(scores: Float[Tensor, "t 52"]) -> Float[Tensor, "t 52"]:
    """Scores above those of the same face at rest, as far as the clip and other faces tell.

    What the face shows where it does least is its rest, unless faces at rest hardly show it.
    """
    usual = LandmarkPoints.shipped().score_rest.to(scores)
    own = scores[resting_frames(scores)].mean(0)
    return (scores - torch.minimum(own, _USUAL_ROOM * usual + _ROOM)).clamp(min=0)


def expect(scores: Float[Tensor, "t 52"]) -> Prior:
    """The prior of a clip; how much a score tells was measured on faces of known motion."""
    points = LandmarkPoints.shipped()
    units = (above_rest(scores) * points.score_gain.to(scores)).clamp(0, 1)
    mean = scores.new_zeros(len(scores), NUM_FACE)
    mean[:, :NUM_EXPR] = units[:, _EXPR_COLUMNS]
    mean[:, NUM_EXPR] = units[:, _JAW_COLUMN] * JAW_OPEN_RADIANS
    found = points.score_spread.to(scores).clamp(_LEAST_SPREAD, _MOST_SPREAD)
    eye = [_EYE, _EYE, _EYE_ROLL]
    jaw = [float(found[_JAW_COLUMN]) * JAW_OPEN_RADIANS, _JAW_SIDEWAYS, _JAW_SIDEWAYS]
    spread = torch.cat([found[_EXPR_COLUMNS], scores.new_tensor([*jaw, *eye, *eye])])
    return Prior(mean, spread)


def resting_frames(scores: Float[Tensor, "t 52"]) -> Int[Tensor, " n"]:
    """The frames in which the face does least, in order."""
    count = min(_MOST_RESTING, max(1, round(len(scores) * 2 * _RESTING_QUANTILE)))
    lowest = scores.quantile(_RESTING_QUANTILE, dim=0)
    moving = (scores - lowest).clamp(min=0)[:, _FACE_COLUMNS].sum(1)
    return moving.argsort()[:count].sort().values
