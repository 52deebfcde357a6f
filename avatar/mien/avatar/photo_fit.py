"""Landmarks of photographs to one person: identity, and expression, turn and camera by photo.

`mien.tracking` takes a picture to be a view without perspective and lets each landmark stray
from the head; a texture lifted from a photo needs the mesh itself to lie on the pixels. So what
it finds is the first guess here, and the mesh is fitted under a camera with perspective.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mien.camera import Camera
from mien.head import Head
from mien.motion import Motion
from mien.rotations import quat_to_rotvec, rotmat_to_quat
from mien.tracking import Face
from mien.tracking.landmark_points import LandmarkPoints
from mien.tracking.person import Person
from mien.tracking.solver import NUM_EXPR, Placed, Settings
from mien.tracking.tracker import solve

_APART_FPS = 0.01  # photos are so far apart that one says nothing of the next
_STEPS = 80
_NOISE, _SPREAD_SHARE = 0.006, 0.3  # interpupillary distances; share of the landmarks' spread
_WORTH = 0.25  # of a landmark: its neighbors say much the same
_DEPTH = 0.03  # weight of the landmarks' own depth
_EXPR_SPREAD, _TURN_SPREAD, _EYE_SPREAD = 0.25, 0.3, 0.1
_SHAPE_SPREAD = 0.8  # of random people's
_DISTANCE_M, _DISTANCE_SPREAD = 1.1, 0.35  # of the camera; spread of its logarithm
_FLIP = (1.0, -1.0, -1.0)  # picture axes to the world's: x right, y up, z toward the viewer


@dataclass(frozen=True, eq=False)
class FittedFaces:
    """A person in several photos.

    Attributes:
        shape: Identity coefficients of the default head.
        motions: One frame for each photo, its `shape` the person's.
        cameras: Of each photo, in the photo's own pixels.
        strays: How far the landmarks lie from the mesh's, the median over landmarks,
            interpupillary distances, by photo.
    """

    shape: Float[Tensor, " s"]
    motions: tuple[Motion, ...]
    cameras: tuple[Camera, ...]
    strays: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Unknowns:
    """What is solved for, as one list of leaf tensors."""

    shape: Float[Tensor, " s"]
    expr: Float[Tensor, "n 43"]
    jaw: Float[Tensor, "n 3"]
    eyes: Float[Tensor, "n 2"]
    turn: Float[Tensor, "n 3"]
    shift: Float[Tensor, "n 2"]
    log_distance: Float[Tensor, " n"]
    log_scale: Float[Tensor, " n"]

    def clone(self) -> _Unknowns:
        return _Unknowns(*(value.clone() for value in vars(self).values()))

    def eye_pose(self) -> Float[Tensor, "n 6"]:
        """Both eyes look the same way."""
        one = torch.nn.functional.pad(self.eyes.flip(-1), (0, 1))  # pitch, yaw, no roll
        return torch.cat([one, one], -1)


def fit_faces(faces: Sequence[Face], sizes: Sequence[tuple[int, int]]) -> FittedFaces:
    """Fit one person to the faces of some photos.

    Args:
        faces: The same person's, one a photo.
        sizes: Width and height of each photo, pixels.

    Raises:
        ValueError: If there is no face, or not one size for each.
    """
    if not faces or len(faces) != len(sizes):
        raise ValueError(
            f"Wanted a face or more and a size for each, got {len(faces)} and {len(sizes)}."
        )
    placed, person = solve(list(faces), _APART_FPS, Settings(smooth=0.0))
    marks = torch.stack([torch.from_numpy(face.landmarks).float() for face in faces])
    marks = marks * marks.new_tensor(_FLIP)
    fitter = _Fitter(marks, _middles(sizes), placed, person)
    found = fitter.solve()
    with torch.no_grad():
        missing = fitter.missing(found).norm(dim=-1)
    strays = tuple(float(row) for row in missing.median(-1).values)
    motions = tuple(_motion(found, row) for row in range(len(faces)))
    cameras = tuple(_camera(found, fitter, row, size) for row, size in enumerate(sizes))
    return FittedFaces(found.shape, motions, cameras, strays)


def _middles(sizes: Sequence[tuple[int, int]]) -> Float[Tensor, "n 2"]:
    """Where each camera looks, in pixels with y up."""
    return torch.tensor([(width / 2, -height / 2) for width, height in sizes])


class _Fitter:
    """The least squares of a person in some photos."""

    def __init__(
        self,
        marks: Float[Tensor, "n 478 3"],
        middles: Float[Tensor, "n 2"],
        placed: Placed,
        person: Person,
    ) -> None:
        points = LandmarkPoints.shipped()
        self.marks, self.middles = marks, middles
        self.part = points.on_head()
        self.landmarks = self.part.require_points()
        self.sigma = (_NOISE**2 + (_SPREAD_SHARE * points.spread) ** 2).sqrt()
        facing = (placed.rotmat @ person.normals.T)[:, 2]
        self.seen = ((facing + 0.1) / 0.5).clamp(0.02, 1.0)
        self.usual, self.usual_spread = points.shape_mean, _SHAPE_SPREAD * points.shape_spread
        self.start = self._begin(placed, person)
        self.ipd = float(Head.default().ipd)

    def _begin(self, placed: Placed, person: Person) -> _Unknowns:
        face = placed.face
        expr, jaw = face[:, :NUM_EXPR].clamp(0, 1), face[:, NUM_EXPR : NUM_EXPR + 3]
        eyes = face[:, NUM_EXPR + 3 : NUM_EXPR + 5].flip(-1)  # yaw, pitch
        turn = quat_to_rotvec(rotmat_to_quat(placed.rotmat))
        count = len(face)
        zeros = face.new_zeros(count, 2), face.new_zeros(count), face.new_zeros(count)
        guess = _Unknowns(person.shape.clone(), expr, jaw, eyes, turn, *zeros)
        posed = self.posed(guess)[..., :2]
        flat = self.marks[..., :2]
        spread = (flat - flat.mean(1, keepdim=True)).norm(dim=-1).mean(1)
        scale = spread / (posed - posed.mean(1, keepdim=True)).norm(dim=-1).mean(1)
        shift = (flat.mean(1) - self.middles) / scale[:, None] - posed.mean(1)
        distance = torch.full_like(scale, _DISTANCE_M).log()
        return _Unknowns(guess.shape, expr, jaw, eyes, turn, shift, distance, scale.log())

    def posed(self, at: _Unknowns) -> Float[Tensor, "n 478 3"]:
        """The landmarks on the posed head, metres."""
        vertices = self.part(
            at.shape.expand(len(at.expr), -1),
            at.expr,
            neck_pose=at.turn,
            jaw_pose=at.jaw,
            eye_pose=at.eye_pose(),
        )
        return self.landmarks.gather(vertices)

    def missing(self, at: _Unknowns) -> Float[Tensor, "n 478 2"]:
        """From the head's landmarks to the photo's, interpupillary distances."""
        return self._flat(at, self.posed(at))

    def _flat(self, at: _Unknowns, posed: Tensor) -> Tensor:
        distance = at.log_distance.exp()[:, None]
        nearer = distance / (distance - posed[..., 2])
        scale = at.log_scale.exp()[:, None, None]
        drawn = scale * (posed[..., :2] + at.shift[:, None]) * nearer[..., None]
        return (self.marks[..., :2] - self.middles[:, None] - drawn) / (scale * self.ipd)

    def loss(self, at: _Unknowns) -> Tensor:
        """Squared strays over what is usual, and how unlikely the person and face are."""
        posed = self.posed(at)
        flat = self._flat(at, posed) / self.sigma[:, None]
        across = _robust(flat.square().sum(-1))
        depth = self.marks[..., 2] / at.log_scale.exp()[:, None] - posed[..., 2]
        depth = (depth - depth.mean(1, keepdim=True)) / self.ipd / self.sigma
        strays = self.seen * (across + _DEPTH * _robust(depth.square()))
        return _WORTH * strays.sum() + self._unlikely(at)

    def _unlikely(self, at: _Unknowns) -> Tensor:
        begun = self.start
        parts = [
            (at.shape - self.usual) / self.usual_spread,
            (at.expr - begun.expr) / _EXPR_SPREAD,
            (at.jaw - begun.jaw) / _TURN_SPREAD,
            (at.eyes - begun.eyes) / _EYE_SPREAD,
            (at.log_distance - begun.log_distance) / _DISTANCE_SPREAD,
            at.expr.clamp(max=0) * 100.0,
            (at.expr - 1).clamp(min=0) * 100.0,
        ]
        return 0.5 * torch.stack([part.square().sum() for part in parts]).sum()

    def solve(self) -> _Unknowns:
        """Improve the first guess until it stays."""
        at = self.start.clone()
        leaves = [value.requires_grad_() for value in vars(at).values()]
        optimizer = torch.optim.LBFGS(
            leaves, lr=1.0, max_iter=_STEPS, history_size=30, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = self.loss(at)
            torch.autograd.backward(loss)
            return loss

        with torch.enable_grad():
            optimizer.step(closure)  # type: ignore[no-untyped-call]
        found = _Unknowns(*(value.detach() for value in vars(at).values()))
        if not all(bool(torch.isfinite(value).all()) for value in vars(found).values()):
            return self.start
        return found


def _robust(squares: Tensor) -> Tensor:
    """Half of small squares; of large ones the root, so that outliers pull no harder."""
    return 4 * (torch.sqrt(1 + squares / 4) - 1)


def _motion(found: _Unknowns, row: int) -> Motion:
    still = found.jaw.new_zeros(1, 3)
    return Motion(
        fps=25.0,
        expr=found.expr[row : row + 1].clamp(0, 1),
        jaw_pose=found.jaw[row : row + 1],
        neck_pose=found.turn[row : row + 1],
        global_pose=still,
        eye_pose=found.eye_pose()[row : row + 1],
        translation=still.clone(),
        shape=found.shape,
    )


def _camera(found: _Unknowns, fitter: _Fitter, row: int, size: tuple[int, int]) -> Camera:
    width, height = size
    distance = float(found.log_distance[row].exp())
    focal = float(found.log_scale[row].exp()) * distance
    across, up = (float(value) for value in found.shift[row])
    viewmat = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    viewmat[:3, 3] = torch.tensor([across, -up, distance])
    middle_x, middle_y = float(fitter.middles[row, 0]), -float(fitter.middles[row, 1])
    K = torch.tensor([[focal, 0.0, middle_x], [0.0, focal, middle_y], [0.0, 0.0, 1.0]])
    return Camera(viewmat, K, width, height)
