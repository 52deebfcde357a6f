"""A motion that uses all of a face."""

import torch

from mien.head import Head
from mien.motion import Motion
from mien.roundtrips import random_motion


def acting(num_frames: int) -> Motion:
    """Units at random on a jaw that opens and eyes that wander."""
    motion = random_motion(Head.default(), num_frames, seed=5)
    phase = torch.arange(num_frames)[:, None] / 4.0
    jaw = (0.15 + 0.15 * torch.sin(phase)) * torch.tensor([[1.0, 0.0, 0.0]])
    gaze = 0.2 * torch.sin(phase + torch.arange(6)) * torch.tensor([[1.0, 1, 0, 1, 1, 0]])
    return motion.replace(jaw_pose=jaw, eye_pose=gaze)
