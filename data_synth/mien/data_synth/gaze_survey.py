"""What the irises' landmarks say of gaze, measured on films of known faces.

`python -m mien.data_synth.gaze_survey face_landmarker.task [FILMS]` films random people who look
about with lids more or less closed, and prints the lines by which `mien.tracking.gaze` reads yaw
and pitch, and how far these err the more the lids close. The films are none of the report's.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from mien.arkit import ARKIT_NAMES
from mien.data_synth.film import Film, random_film
from mien.head import Head
from mien.motion import Motion
from mien.tracking import Face, MediaPipeLandmarker
from mien.tracking.gaze import EyeCues
from mien.tracking.tracker import read_landmarks

__all__ = ["fit_lines", "gazing_faces", "main"]

FIRST_SEED, NUM_FILMS, STILLS = 40_000, 10, 30
RESTING = 3  # of the stills, so that the person can be told from the gaze
MOST_YAW, MOST_PITCH = 0.45, 0.3  # radians
_OPEN = 0.35  # blink score up to which eyes count as open
_RIDGE = 1e-3
_EDGES = (0.0, 0.1, 0.2, 0.35, 0.5, 1.01)
_BLINKS = [ARKIT_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]


def main() -> None:
    """Film, look, and print what to expect."""
    torch.set_num_threads(1)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else NUM_FILMS
    seen = [
        _watched(random_film(seed, motion=gazing_faces(seed)), Path(sys.argv[1]))
        for seed in range(FIRST_SEED, FIRST_SEED + count)
    ]
    cues, gaze, lids = (torch.cat(each) for each in zip(*seen, strict=True))
    sys.stdout.write("\n".join(_lines(cues, gaze, lids)) + "\n")


def gazing_faces(seed: int) -> Motion:
    """Stills of a face at rest that looks somewhere, some with lids half closed, tight or wide."""
    rng = np.random.default_rng(seed)
    motion, names = Motion.rest(STILLS), Head.default().expr_names
    yaw = rng.uniform(-MOST_YAW, MOST_YAW, STILLS)
    pitch = rng.uniform(-MOST_PITCH, MOST_PITCH, STILLS)
    shut, squint, wide = (
        rng.uniform(0, most, STILLS) * (rng.uniform(size=STILLS) < often)
        for most, often in ((1.0, 0.4), (0.8, 0.25), (0.8, 0.25))
    )
    for values in (yaw, pitch, shut, squint, wide):
        values[:RESTING] = 0
    for side in ("Left", "Right"):
        units = (("eyeBlink", shut), ("eyeSquint", squint), ("eyeWide", wide * (shut == 0)))
        for name, values in units:
            motion.expr[:, names.index(name + side)] = torch.from_numpy(values).float()
    for eye in (0, 3):
        motion.eye_pose[:, eye] = torch.from_numpy(pitch).float()
        motion.eye_pose[:, eye + 1] = torch.from_numpy(yaw).float()
    return motion


def fit_lines(
    cues: Float[Tensor, "i 3"], gaze: Float[Tensor, "i 2"]
) -> tuple[Float[Tensor, "2"], Float[Tensor, "3"]]:
    """Least squares: yaw of `across`, pitch of `up` and `opening`; the constant is last."""
    ones = torch.ones(len(cues), 1)
    yaw, pitch = (
        torch.linalg.solve(x.T @ x + _RIDGE * torch.eye(x.shape[1]), x.T @ y)
        for x, y in (
            (torch.cat([cues[:, :1], ones], 1), gaze[:, 0]),
            (torch.cat([cues[:, 1:], ones], 1), gaze[:, 1]),
        )
    )
    return yaw, pitch


def _watched(film: Film, model: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Cues, true gaze and blink scores of the frames in which a face is found."""
    with MediaPipeLandmarker(model) as landmarker:
        found = list(_largest(film, landmarker))
    kept = [index for index, face in enumerate(found) if face is not None]
    faces = [face for face in found if face is not None]
    landmarks, weights, scores, person = read_landmarks(faces)
    cues = EyeCues.of(landmarks, weights, person, scores)
    eyes = film.truth.eye_pose[kept].reshape(-1, 2, 3).mean(1)
    columns = torch.stack([cues.across, cues.up, cues.opening], 1)
    return columns, eyes[:, [1, 0]], scores[:, _BLINKS].mean(1)


def _largest(film: Film, landmarker: MediaPipeLandmarker) -> Iterator[Face | None]:
    for index, frame in enumerate(film.frames()):
        found = landmarker.find(frame, index * 10.0)  # far apart: none follows from the last
        yield max(found, key=lambda face: face.area) if found else None


def _lines(cues: Tensor, gaze: Tensor, lids: Tensor) -> Iterator[str]:
    is_open = lids < _OPEN
    yaw, pitch = fit_lines(cues[is_open], gaze[is_open])
    yield "yaw   = {:.2f} across {:+.2f}".format(*yaw.tolist())
    yield "pitch = {:.2f} up {:+.2f} opening {:+.2f}".format(*pitch.tolist())
    read = torch.stack([cues[:, :1] @ yaw[:1] + yaw[1], cues[:, 1:] @ pitch[:2] + pitch[2]], 1)
    off: ndarray = (read - gaze).numpy()
    for low, high in zip(_EDGES, _EDGES[1:], strict=False):
        part = off[((lids >= low) & (lids < high)).numpy()]
        if len(part):
            rms = np.sqrt((part**2).mean(0))
            yield f"blink score {low:.2f} to {high:.2f}: off by {rms[0]:.3f}, {rms[1]:.3f} rad"


if __name__ == "__main__":
    main()
