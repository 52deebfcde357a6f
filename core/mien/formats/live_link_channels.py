"""Live Link Face's 61 channels against ours: what its angles mean, and the signs.

The 52 units are ARKit's own. The nine angles are radians, and we found their directions so:

- *Eyes*: yaw is positive toward the subject's RIGHT, pitch positive DOWN, roll opposite to ours.
  In two real captures (JMTechArt's take, LLV's `dao`) yaw and pitch follow from the eyeLook units
  to within 0.003 rad: LeftEyeYaw = 0.62 In - 0.59 Out - 0.068, pitch = 0.61 Down - 0.44 Up; and in
  LLV's roll = 0.50 yaw pitch (correlation 1.0000), which is an eye without torsion only if roll is
  negated along with yaw. The constant, 0.068 rad outward in each eye, is the optical axis against
  the line of sight: the gaze is straight ahead where all eyeLook units are zero, so we take it off
  when reading and put it back when writing.
- *Head*: yaw is positive toward the subject's LEFT, pitch positive UP, roll as ours (toward the
  subject's right shoulder). In LLV's capture (github.com/think-biq/LLV, examples/dao.gesichter)
  the eyes' velocity goes with the head's without lag (correlation 0.88): the reflex that keeps the
  gaze on the phone, which turns the eyes *against* the head and so fixes yaw and pitch by the
  eyes' known signs. Programs that send MediaPipe's head matrix to Unreal as Live Link (MeFaMo and
  others) agree and give the roll: rotations about y, minus x, and z. No engine was at hand to see
  the roll itself.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES

__all__ = ["LIVE_LINK_NAMES", "channels_from_curves", "curves_from_channels"]

LIVE_LINK_NAMES: tuple[str, ...] = tuple(name[0].upper() + name[1:] for name in CHANNEL_NAMES)
"""The 61 column names as Live Link Face writes them, in its order."""

EYE_REST_OUTWARD_RADIANS = 0.068
_FIRST_EYE = len(ARKIT_NAMES) + 3
_SIGNS = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0])
_EYE_REST = np.array([EYE_REST_OUTWARD_RADIANS, 0.0, 0.0, -EYE_REST_OUTWARD_RADIANS, 0.0, 0.0])


def curves_from_channels(
    channels: Float[NDArray[np.float64], "t 61"],
) -> Float[NDArray[np.float64], "t 61"]:
    """Our curves for Live Link's channels; eyes whose angles are never set stay at zero."""
    curves = channels.copy()
    curves[:, len(ARKIT_NAMES) :] *= _SIGNS
    if np.any(channels[:, _FIRST_EYE:]):
        curves[:, _FIRST_EYE:] -= _EYE_REST
    return curves


def channels_from_curves(
    curves: Float[NDArray[np.float64], "t 61"],
) -> Float[NDArray[np.float64], "t 61"]:
    """Live Link's channels for our curves: the way back from `curves_from_channels`."""
    channels = curves.copy()
    channels[:, _FIRST_EYE:] += _EYE_REST
    channels[:, len(ARKIT_NAMES) :] *= _SIGNS
    return channels
