"""Part of a motion put into another so that nothing outside of it changes."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mien.head import Head
from mien.motion import Label, Motion
from mien.rotations import rotmat_to_rotvec, rotvec_to_rotmat

BLEND_S = 0.2  # how long the ends of what is put in are bent to meet what is kept
RADIUS = 1.5  # of the face about the neck, in distances between the pupils


def splice(clip: Motion, made: Motion, start: int, stop: int) -> Motion:
    """Replace frames of a clip; all others stay bit for bit.

    The new frames meet their neighbors: what they lack there is added and fades within 0.2 s. The
    clip keeps its identity, its turn and place of everything; the head's turn goes to the neck.

    Args:
        clip: What is kept, at any frame rate.
        made: The same length of motion of the same head, at any frame rate.
        start: First frame of the clip to replace.
        stop: The frame behind the last.
    """
    low, high = max(start - 1, 0), min(stop + 1, clip.num_frames)
    frames = torch.arange(low, high, dtype=torch.float64) * (made.fps / clip.fps)
    there = made.to(clip.expr).sample(frames.to(clip.expr.device))
    world_from_neck = rotvec_to_rotmat(clip.global_pose[low:high])
    neck = rotmat_to_rotvec(world_from_neck.mT @ there.head_rotmat())
    new = {
        "expr": there.expr,
        "jaw_pose": there.jaw_pose,
        "eye_pose": there.eye_pose,
        "neck_pose": neck,
    }
    tracks = {}
    for name, track in new.items():
        kept: Tensor = getattr(clip, name)
        piece = _bent(track, kept[low:high], start - low, high - stop, clip.fps)
        tracks[name] = torch.cat([kept[:start], piece, kept[stop:]])
    return clip.replace(**tracks)


def distance(first: Motion, second: Motion) -> float:
    """How far two faces are from each other in the mean of their frames and face points.

    Returns:
        In distances between the pupils; a turn of the head counts by how far it moves the face.
    """
    head = Head.default()
    apart = (head.face_points(first) - head.face_points(second)).norm(dim=-1).mean()
    turn = rotmat_to_rotvec(first.head_rotmat().mT @ second.head_rotmat()).norm(dim=-1).mean()
    return float(apart + RADIUS * turn)


def relabel(
    labels: Sequence[Label], inside: Sequence[Label], start_s: float, end_s: float
) -> tuple[Label, ...]:
    """Put other labels between two times; a label that reaches in is cut, in two if need be."""
    before = [
        Label(x.start_s, min(x.end_s, start_s), x.text) for x in labels if x.start_s < start_s
    ]
    after = [Label(max(x.start_s, end_s), x.end_s, x.text) for x in labels if x.end_s > end_s]
    return tuple(sorted([*before, *inside, *after], key=lambda x: x.start_s))


def _bent(
    track: Float[Tensor, "n d"], kept: Float[Tensor, "n d"], before: int, behind: int, fps: float
) -> Float[Tensor, "m d"]:
    """A track moved at its ends by what it lacks to the kept one, without those ends' frames.

    Args:
        track: The new track with `before` frames in front and `behind` frames after it.
        kept: The old one.
        before: 0 or 1.
        behind: 0 or 1.
        fps: Frames a second.
    """
    count = len(track) - before - behind
    steps = min(math.ceil(BLEND_S * fps), max(count // 2, 1))
    near = torch.arange(1, count + 1, device=track.device) / (steps + 1)
    fade = (0.5 + 0.5 * torch.cos(math.pi * near.clamp(max=1))).to(track.dtype)[:, None]
    piece = track[before : before + count]
    if before:
        piece = piece + fade * (kept[0] - track[0])
    if behind:
        piece = piece + fade.flip(0) * (kept[-1] - track[-1])
    return piece
