"""`track`: the frames of a video to the motion of the default head."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from mien.arkit import EXPR_NAMES
from mien.motion import Label, Motion
from mien.rotations import quat_to_rotvec, rotmat_to_quat, rotvec_to_quat
from mien.tracking.expectation import expect, resting_frames
from mien.tracking.gaze import IRISES, find_gaze
from mien.tracking.landmark_points import LandmarkPoints
from mien.tracking.landmarker import Face, FaceLandmarker
from mien.tracking.person import Person
from mien.tracking.person_fit import fit_person
from mien.tracking.sightings import Sightings, follow
from mien.tracking.smoothing import Smoothing, smooth
from mien.tracking.solver import (
    NUM_EXPR,
    Placed,
    Prior,
    Settings,
    Solver,
    place,
)

__all__ = ["LOST", "MAX_GAP_S", "Tracking", "read_landmarks", "track", "track_sightings"]

MAX_GAP_S = 0.5
LOST = "face not seen"
_ROUNDS = 3  # person and face in turn
_SPREAD_FLOOR = 0.02
_IRIS_WEIGHT = 1e-3  # gaze is found apart, and irises say nothing else
_LIDS = [i for i, name in enumerate(EXPR_NAMES) if name.startswith(("eyeBlink", "eyeWide"))]
_BLINKS = [EXPR_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]
# What a found blink x is in truth, x (a + b x): least squares on eight films of known motion, in
# which landmarks never quite closed and the tallest blinks came out at two thirds.
_BLINK = (0.377, 2.117)
_FLIP = (1.0, -1.0, -1.0)  # picture axes to ours: x right, y up, z toward the viewer


@dataclass(frozen=True, eq=False)
class Tracking:
    """What was found in a clip.

    Attributes:
        motion: Of the default head, with the person's identity; its turn is seen from the camera.
        start_s: When the motion begins in the clip.
        seen: Share of its frames in which the face was found, 0 to 1.
        notes: What the user should know, a line each.
    """

    motion: Motion
    start_s: float
    seen: float
    notes: tuple[str, ...]


def track(
    frames: Iterable[UInt8[ndarray, "h w 3"]],
    fps: float,
    landmarker: FaceLandmarker,
    smoothing: Smoothing = "zero-phase",
) -> Tracking:
    """Track the largest face.

    Args:
        frames: sRGB, at an even rate.
        fps: Frames a second.
        landmarker: Finds faces in a frame.
        smoothing: How jitter is taken out.

    Raises:
        ValueError: If there is no frame, or no face in any.
    """
    return track_sightings(follow(frames, fps, landmarker), fps, smoothing)


def track_sightings(
    sightings: Sightings, fps: float, smoothing: Smoothing = "zero-phase"
) -> Tracking:
    """The same from faces that were found before.

    A face lost for up to `MAX_GAP_S` is filled in and labeled; where it is lost for longer, the
    longest stretch between such gaps is kept, and a note says so.

    Raises:
        ValueError: If there is no frame, or no face in any.
    """
    if not sightings.faces:
        raise ValueError("There must be at least one frame to track, got none.")
    start, stop = sightings.longest(round(MAX_GAP_S * fps))
    kept = Sightings(sightings.faces[start:stop], sightings.most_faces)
    faces = [face for face in kept.faces if face is not None]
    placed, person = solve(faces, fps)
    motion = _motion(placed, kept, person, fps, smoothing)
    seen = len(faces) / len(kept.faces)
    return Tracking(motion, start / fps, seen, _notes(sightings, start, stop, fps))


def solve(
    faces: list[Face], fps: float, settings: Settings | None = None
) -> tuple[Placed, Person]:
    """The person, and what the face does in every frame that shows it."""
    settings = settings or Settings()
    landmarks, weights, scores, person = read_landmarks(faces, settings)
    prior = expect(scores).looking(find_gaze(landmarks, weights, person, scores, fps))
    solver = Solver(person, landmarks, weights, prior, fps, settings)
    return solver.solve(place(landmarks, person.neutral, weights)), person


def read_landmarks(
    faces: list[Face], settings: Settings | None = None
) -> tuple[Float[Tensor, "t k 3"], Float[Tensor, " k"], Float[Tensor, "t 52"], Person]:
    """Landmarks and their weights as `Solver` takes them, scores, and whose face it is."""
    landmarks, weights = _normalized(faces)
    scores = torch.from_numpy(np.stack([face.scores for face in faces])).float()
    person = _person(landmarks, weights, scores, settings or Settings())
    return landmarks, weights, scores, person


def _person(landmarks: Tensor, weights: Tensor, scores: Tensor, settings: Settings) -> Person:
    """Whose face it is, from the frames in which it does least."""
    prior = expect(scores)
    resting = resting_frames(scores)
    still = Prior(prior.mean[resting], prior.spread * 0.01)
    still_settings = Settings(settings.noise, settings.depth, smooth=0.0, num_iterations=2)
    person = Person.average()
    for _ in range(_ROUNDS):
        begun = place(landmarks[resting], person.neutral, weights)
        begun = Placed(still.mean, begun.rotmat, begun.shift, begun.log_scale)
        solver = Solver(person, landmarks[resting], weights, still, 25.0, still_settings)
        person = fit_person(solver, solver.solve(begun))
    return person


def _normalized(faces: list[Face]) -> tuple[Float[Tensor, "t k 3"], Float[Tensor, " k"]]:
    """Landmarks in our axes, centered, an interpupillary distance a unit; and their weights."""
    flip = torch.tensor(_FLIP)
    landmarks = torch.from_numpy(np.stack([face.landmarks for face in faces])).float() * flip
    spread = LandmarkPoints.shipped().spread
    weights = 1 / (spread**2 + _SPREAD_FLOOR**2)
    weights = weights / weights.mean()
    weights[IRISES] *= _IRIS_WEIGHT
    near = place(landmarks, Person.average().neutral, weights)
    scale = near.log_scale.exp()[:, None, None]
    return (landmarks - near.shift[:, None]) / scale, weights


def _motion(
    placed: Placed, sightings: Sightings, person: Person, fps: float, smoothing: Smoothing
) -> Motion:
    seen = torch.from_numpy(sightings.seen).nonzero().flatten()
    expr = placed.face[:, :NUM_EXPR].clone()
    blinks = expr[:, _BLINKS]
    expr[:, _BLINKS] = (blinks * (_BLINK[0] + _BLINK[1] * blinks)).clamp(0, 1)
    still = placed.face.new_zeros(len(placed.face), 3)
    motion = Motion(
        fps=fps,
        expr=expr,
        jaw_pose=placed.face[:, NUM_EXPR : NUM_EXPR + 3],
        neck_pose=quat_to_rotvec(rotmat_to_quat(placed.rotmat)),
        global_pose=still,
        eye_pose=placed.face[:, NUM_EXPR + 3 :],
        translation=still.clone(),
        shape=person.shape.float(),
    )
    motion = motion.sample(_positions(seen, len(sightings.faces)))
    labels = tuple(Label(a / fps, b / fps, LOST) for a, b in sightings.gaps())
    return _smoothed(motion, smoothing).replace(labels=labels)


def _positions(seen: Tensor, count: int) -> Float[Tensor, " t"]:
    """Where each frame lies between the frames that were seen."""
    wanted = torch.arange(count)
    after = torch.searchsorted(seen, wanted).clamp(max=len(seen) - 1)
    before = torch.where(seen[after] == wanted, after, (after - 1).clamp(min=0))
    span = (seen[after] - seen[before]).clamp(min=1)
    return before + (wanted - seen[before]).double() / span


def _smoothed(motion: Motion, kind: Smoothing) -> Motion:
    turns = rotvec_to_quat(motion.neck_pose)
    flips = torch.sign((turns[1:] * turns[:-1]).sum(-1, keepdim=True))
    turns = torch.cat([turns[:1], turns[1:] * flips.cumprod(0)])
    columns = [motion.expr, motion.jaw_pose, motion.eye_pose, turns]
    widths = [each.shape[1] for each in columns]
    joined = smooth(torch.cat(columns, 1), motion.fps, kind, _LIDS)
    parts = torch.split(joined, widths, 1)
    neck = quat_to_rotvec(torch.nn.functional.normalize(parts[3], dim=-1))
    return motion.replace(
        expr=parts[0].clamp(0, 1), jaw_pose=parts[1], eye_pose=parts[2], neck_pose=neck
    )


def _notes(sightings: Sightings, start: int, stop: int, fps: float) -> tuple[str, ...]:
    notes = []
    total = len(sightings.faces)
    if sightings.most_faces > 1:
        notes.append(f"{sightings.most_faces} faces were seen at once; the largest was followed.")
    if stop - start < total:
        notes.append(
            f"The face is lost for more than {MAX_GAP_S:g} s or at an end; kept "
            f"{start / fps:.2f} to {stop / fps:.2f} s of {total / fps:.2f} s."
        )
    inside = [b - a for a, b in sightings.gaps() if start < a and b < stop]
    if inside:
        notes.append(f"The face is lost in {sum(inside)} frames, which were filled in.")
    return tuple(notes)
