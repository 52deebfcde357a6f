"""Landmarks of a clip to expression, jaw, eyes and the head's place, all frames at once.

The picture is taken to be a scaled, turned and shifted view without perspective. Each frame has
the head's 43 units, three rotation vectors (jaw, eyes), a turn, a shift and a scale; Gauss-Newton
steps within bounds bring the landmarks' places nearest, along the view as little as across counts.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mien.box_qp import solve_box_qp
from mien.point_basis import NUM_POSE
from mien.rotations import rotvec_to_rotmat
from mien.tracking.person import Person

__all__ = ["Placed", "Prior", "Settings", "Solver", "place"]

NUM_EXPR = 43
NUM_FACE = NUM_EXPR + NUM_POSE
NUM_PLACE = 7  # turn, shift, logarithm of the scale
_CHUNK = 64
_STEP = 1e-2  # of numerical slopes, radians
_FREE = 10.0  # a bound that nothing reaches
_JAW = ((-0.1, 0.7), (-0.2, 0.2), (-0.2, 0.2))
_EYE = ((-0.8, 0.8), (-0.9, 0.9), (-0.2, 0.2))
_EYES_AT, _SURE = (NUM_EXPR + 3, NUM_EXPR + 6), 0.005  # columns; radians
_RATES = [10.0] * NUM_EXPR + [6.0, 0.6, 0.6] + [6.0, 6.0, 0.6] * 2  # a second


@dataclass(frozen=True)
class Settings:
    """What the landmarks and the priors are worth.

    Attributes:
        noise: How far landmarks lie from a perfect face's, interpupillary distances.
        depth: Weight of the landmarks' depth against their place in the picture.
        smooth: Weight of slowness.
        num_iterations: Gauss-Newton steps.
    """

    noise: float = 0.002
    depth: float = 0.1
    smooth: float = 1.0
    num_iterations: int = 4


@dataclass(frozen=True, eq=False)
class Prior:
    """What is expected before any landmark is seen.

    Attributes:
        mean: Of units and rotation vectors, by frame.
        spread: How far from it they lie.
    """

    mean: Float[Tensor, "t 52"]
    spread: Float[Tensor, "52"]

    def looking(self, gaze: Float[Tensor, "t 2"]) -> "Prior":
        """The same of a face that surely looks there with both eyes; yaw and pitch, radians."""
        mean, spread = self.mean.clone(), self.spread.clone()
        for eye in _EYES_AT:
            mean[:, [eye + 1, eye]] = gaze
        spread[_EYES_AT[0] :] = _SURE
        return Prior(mean, spread)


@dataclass(frozen=True, eq=False)
class Placed:
    """A face in every frame.

    Attributes:
        face: Units, then the rotation vectors of jaw, left eye and right eye.
        rotmat: World from head.
        shift: Where the head's origin lies, as the landmarks are given.
        log_scale: Of the head.
    """

    face: Float[Tensor, "t 52"]
    rotmat: Float[Tensor, "t 3 3"]
    shift: Float[Tensor, "t 3"]
    log_scale: Float[Tensor, " t"]

    def __getitem__(self, part: slice | Tensor) -> "Placed":
        return Placed(self.face[part], self.rotmat[part], self.shift[part], self.log_scale[part])

    def project(self, points: Float[Tensor, "t k 3"]) -> Float[Tensor, "t k 3"]:
        """Points of the head's own frame to where the landmarks are given."""
        scale = self.log_scale.exp()[:, None, None]
        return scale * points @ self.rotmat.mT + self.shift[:, None]


def place(
    landmarks: Float[Tensor, "t k 3"], points: Float[Tensor, "k 3"], weights: Float[Tensor, " k"]
) -> Placed:
    """The turn, shift and scale that bring points nearest to each frame's landmarks.

    Source:
        Umeyama 1991, "Least-squares estimation of transformation parameters between two point
        patterns".
    """
    share = (weights / weights.sum())[:, None]
    center, middle = (share * points).sum(0), (share * landmarks).sum(1, keepdim=True)
    spread = share * (points - center)
    left, sizes, right = torch.linalg.svd((landmarks - middle).mT @ spread)
    signs = torch.ones_like(sizes)
    signs[:, 2] = torch.sign(torch.linalg.det(left @ right))
    rotmat = (left * signs[:, None]) @ right
    scale = (sizes * signs).sum(1) / (spread * (points - center)).sum()
    shift = middle[:, 0] - scale[:, None] * (rotmat @ center)
    face = landmarks.new_zeros(len(landmarks), NUM_FACE)
    return Placed(face, rotmat, shift, scale.log())


class Solver:
    """The least squares of one person in one clip.

    Args:
        person: Whose face it is.
        landmarks: x right, y up, z toward the viewer; about one interpupillary distance a unit.
        weights: Of the landmarks, mean about one.
        prior: Expected parameters.
        fps: Frames a second.
        settings: What counts how much.
    """

    def __init__(
        self,
        person: Person,
        landmarks: Float[Tensor, "t k 3"],
        weights: Float[Tensor, " k"],
        prior: Prior,
        fps: float,
        settings: Settings,
    ) -> None:
        self.person, self.landmarks, self.weights = person, landmarks, weights
        self.settings = settings
        self.axes = landmarks.new_tensor([1.0, 1.0, settings.depth])
        bounds = [(0.0, 1.0)] * NUM_EXPR + [*_JAW, *_EYE, *_EYE] + [(-_FREE, _FREE)] * NUM_PLACE
        self.lower, self.upper = landmarks.new_tensor(bounds).T.contiguous()
        free = landmarks.new_zeros(NUM_PLACE)
        self.stay = torch.cat([(settings.noise / prior.spread) ** 2, free])
        self.expected = torch.nn.functional.pad(prior.mean, (0, NUM_PLACE))
        rates = landmarks.new_tensor(_RATES) / fps
        self.smooth = torch.cat([settings.smooth * (settings.noise / rates) ** 2, free])

    def solve(self, placed: Placed) -> Placed:
        """Improve a first guess until it stays."""
        for _ in range(self.settings.num_iterations):
            before, placed = placed.face, self.improve(placed)
            if float((placed.face - before).abs().max()) < 1e-3:
                break
        return placed

    def improve(self, placed: Placed) -> Placed:
        """One Gauss-Newton step of every frame."""
        found = []
        beside, count = _neighbors(placed.face)
        for first in range(0, len(self.landmarks), _CHUNK):
            part = slice(first, first + _CHUNK)
            hessian, slope, now = self._normal_equations(placed[part], self.landmarks[part])
            near = self.smooth * count[part]
            linear = slope + torch.einsum("tpq,tq->tp", hessian, now)
            linear = linear + self.stay * self.expected[part] + self.smooth * beside[part]
            hessian = hessian + torch.diag_embed((self.stay + near).clamp(min=1e-6))
            solved = solve_box_qp(hessian, linear, now, self.lower, self.upper)
            found.append(solved)
        return _moved(placed, torch.cat(found))

    def points(self, face: Float[Tensor, "t 52"]) -> Float[Tensor, "t k 3"]:
        """The landmarks of a moving face in the head's own frame."""
        return self.person.neutral + self.person.basis.evaluate(face)

    def visible(self, placed: Placed) -> Float[Tensor, "t k 3"]:
        """Weights by frame, landmark and axis: what turns away from the viewer says less."""
        facing = (placed.rotmat @ self.person.normals.T)[:, 2]  # [T, K]
        seen = ((facing + 0.1) / 0.5).clamp(0.05, 1.0)
        return (seen * self.weights)[..., None] * self.axes

    def _normal_equations(
        self, placed: Placed, landmarks: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        face = placed.face
        posed = self.points(face)
        turned = placed.log_scale.exp()[:, None, None] * posed @ placed.rotmat.mT
        turning = placed.log_scale.exp()[:, None, None] * placed.rotmat
        slopes = torch.cat(
            [
                torch.einsum("tab,tkbp->tkap", turning, face_slopes(self.person, face)),
                _skew(turned),
                torch.eye(3).to(turned).expand(*turned.shape, 3),
                turned[..., None],
            ],
            -1,
        ).flatten(1, 2)
        missing = (landmarks - turned - placed.shift[:, None]).flatten(1)
        weighted = slopes * self.visible(placed).flatten(1)[..., None]
        hessian = weighted.mT @ slopes
        slope = torch.einsum("trp,tr->tp", weighted, missing)
        now = torch.nn.functional.pad(face, (0, NUM_PLACE))
        return hessian / len(self.weights), slope / len(self.weights), now


def face_slopes(person: Person, face: Float[Tensor, "t 52"]) -> Float[Tensor, "t k 3 52"]:
    """How the landmarks change with units and rotation vectors.

    What a unit does turns with the joint that carries the point; the rest is a difference.
    """
    rotmats = rotvec_to_rotmat(face[:, NUM_EXPR:].reshape(-1, 3, 3))
    carried = torch.einsum("kj,tjab->tkab", person.carried, rotmats)
    carried = carried + (1 - person.carried.sum(1))[:, None, None] * torch.eye(3).to(face)
    by_unit = carried @ person.by_unit
    steps = _STEP * torch.eye(NUM_FACE).to(face)[NUM_EXPR:]
    ends = [person.basis.evaluate(face + s) - person.basis.evaluate(face - s) for s in steps]
    return torch.cat([by_unit, torch.stack(ends, -1) / (2 * _STEP)], -1)


def _skew(points: Tensor) -> Tensor:
    """How points change when they are turned by a small rotation vector."""
    axes = torch.eye(3).to(points).expand(*points.shape[:-1], 3, 3)
    rows: Tensor = torch.linalg.cross(axes, points[..., None, :].expand_as(axes))
    return rows.mT


def _moved(placed: Placed, solved: Tensor) -> Placed:
    turn, shift, grown = torch.split(solved[:, NUM_FACE:], [3, 3, 1], 1)
    return replace(
        placed,
        face=solved[:, :NUM_FACE],
        rotmat=rotvec_to_rotmat(turn) @ placed.rotmat,
        shift=placed.shift + shift,
        log_scale=placed.log_scale + grown[:, 0],
    )


def _neighbors(face: Tensor) -> tuple[Tensor, Tensor]:
    """The sum over the frames before and after each frame, and how many there are."""
    total, count = torch.zeros_like(face), face.new_full((len(face), 1), 2.0)
    total[1:] += face[:-1]
    total[:-1] += face[1:]
    count[0] -= 1
    count[-1] -= 1
    return torch.nn.functional.pad(total, (0, NUM_PLACE)), count
