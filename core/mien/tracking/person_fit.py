"""The person behind the landmarks: identity coefficients, and what these cannot say."""

import torch
from jaxtyping import Float
from torch import Tensor

from mien.head import Head
from mien.tracking.landmark_points import LandmarkPoints
from mien.tracking.person import Person
from mien.tracking.solver import Placed, Solver

__all__ = ["MOST_PARTED", "close_mouth", "fit_person"]

SHAPE_NOISE, OFFSET_NOISE = 0.03, 0.005  # interpupillary distances
# Lips of a resting face lie on each other: on films and photos their inner lines lay 0.00 to 0.01
# apart, and 0.04 to 0.06 on people who never close their mouths in a clip.
MOST_PARTED = 0.01
_UPPER_LIP = [13, 82, 312, 81, 311, 80, 310]  # its inner line
_LOWER_LIP = [  # below each of these, inner line first
    [14, 15, 16, 17],
    [87, 86, 85, 84],
    [317, 316, 315, 314],
    [178, 179, 180, 181],
    [402, 403, 404, 405],
    [88, 89, 90, 91],
    [318, 319, 320, 321],
]


def fit_person(solver: Solver, placed: Placed) -> Person:
    """The person whose landmarks come nearest, given what the face does in some frames.

    Identity first, held to what people look like; then each landmark's own offset from it, held
    to how far it strays on other people.

    Args:
        solver: With the person so far; its offset is found anew.
        placed: What the face does in each of the solver's frames.
    """
    person, count = solver.person, len(placed.face)
    weights = solver.visible(placed)
    turning = placed.log_scale.exp()[:, None, None] * placed.rotmat
    missing = solver.landmarks - placed.project(solver.points(placed.face) - person.offset)
    slopes = torch.einsum("tab,kbs->tkas", turning, _shape_slopes(person))
    change = _shape_change(person, slopes, weights, missing)
    left = missing - torch.einsum("tkas,s->tka", slopes, change)
    turned = turning[:, None].expand(-1, left.shape[1], -1, -1)
    inner = torch.einsum("tkab,tka,tkac->kbc", turned, weights, turned)
    toward = torch.einsum("tkab,tka->kb", turned, weights * left)
    hold = solver.weights * (OFFSET_NOISE / LandmarkPoints.shipped().spread) ** 2 * count
    offset = torch.linalg.solve(inner + hold[:, None, None] * torch.eye(3).to(inner), toward)
    return close_mouth(Person(person.shape + change, offset))


def close_mouth(person: Person) -> Person:
    """The same person with the lower lip raised to the upper one where they are parted."""
    upper, lower = torch.tensor(_UPPER_LIP), torch.tensor(_LOWER_LIP)
    height = person.neutral[:, 1]
    parted = (height[upper] - height[lower[:, 0]] - MOST_PARTED).clamp(min=0)
    offset = person.offset.clone()
    offset[lower, 1] += parted[:, None]
    return Person(person.shape, offset)


def _shape_slopes(person: Person) -> Float[Tensor, "k 3 s"]:
    """How the resting landmarks change with identity, interpupillary distances."""
    head, points = Head.default(), LandmarkPoints.shipped()
    slopes = points.gather(head.shapedirs[..., : head.num_shape].flatten(1))
    return slopes.reshape(len(slopes), 3, -1) / float(head.interpupillary(person.shape))


def _shape_change(person: Person, slopes: Tensor, weights: Tensor, missing: Tensor) -> Tensor:
    """Least squares for identity, held to the spread of random people."""
    points = LandmarkPoints.shipped()
    weighted = (slopes * weights[..., None]).flatten(0, 2)
    hessian = weighted.T @ slopes.flatten(0, 2)
    slope = weighted.T @ missing.flatten()
    stay = len(slopes) * (SHAPE_NOISE / points.shape_spread) ** 2
    slope = slope + stay * (points.shape_mean - person.shape)
    change: Tensor = torch.linalg.solve(hessian + torch.diag(stay), slope)
    return change
