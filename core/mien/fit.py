"""`fit`: from face points back to the parameters of a head."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mien.box_qp import solve_box_qp
from mien.head import Head
from mien.motion import Motion
from mien.point_basis import NUM_POSE, PointBasis
from mien.rotations import rotmat_to_rotvec

__all__ = ["FitResult", "fit"]

_CHUNK = 256
_ARRIVED = 5e-4  # a frame whose parameters move less is done
_FINE, _ROUGH = 1e-4, 1e-2  # the first step only needs to come near
_JAW = ((-0.1, 0.7, 0.3), (-0.2, 0.2, 0.03), (-0.2, 0.2, 0.03))  # lowest, highest, prior's spread
_EYE = ((-0.8, 0.8, 0.3), (-0.9, 0.9, 0.3), (-0.2, 0.2, 0.03))
_EXPR_SPREAD = 0.5
_EXPR_MEAN = 0.3  # of units that cannot be negative: few are on at a time
_SIDES_APART = 0.5  # prior's spread of left against right, by expression
_EYES_APART = 0.15  # radians
_UNNAMED_BOUNDS = (-4.0, 4.0)
_UNITS_PER_SECOND = 10.0  # a blink closes in a tenth of a second


@dataclass(frozen=True, eq=False)
class FitResult:
    """What `fit` found.

    Attributes:
        motion: The head's motion.
        error_mm: Mean distance between given and fitted points by frame, millimetres on that head.
        region_error_mm: The mean over all frames, by region of the face.
    """

    motion: Motion
    error_mm: Float[Tensor, " t"]
    region_error_mm: dict[str, float]


def fit(
    head: Head,
    points: Float[Tensor, "t k 3"],
    head_rotmat: Float[Tensor, "t 3 3"] | None = None,
    fps: float = 25.0,
    *,
    shape: Float[Tensor, " s"] | None = None,
    expr_bounds: tuple[float, float] | None = None,
    noise_mm: float = 0.1,
    num_iterations: int = 6,
    basis: PointBasis | None = None,
) -> FitResult:
    """The motion of a head whose face points come nearest to given ones.

    Regularised least squares by Gauss-Newton over expression, jaw and eyes, within bounds, all
    frames at once; parameters that the points do not tell stay near zero, change slowly, and are
    alike on both sides; of units that cannot be negative, few are on at a time.

    Args:
        head: A head that carries face points.
        points: Displacements from the neutral face in the head's own frame, in interpupillary
            distances: what `head.face_points` gives for any head.
        head_rotmat: World from head; it becomes the neck's turn. No turn if None.
        fps: Frames a second of `points`.
        shape: Identity whose motion it is; the head's mean if None.
        expr_bounds: Least and greatest expression coefficient; by default 0 and 1 on a head whose
            components are named, else -4 and 4.
        noise_mm: How far to trust the points: the larger, the smoother and smaller the result.
            Points of the same head are exact, 0.1; points of another are off by 1 to 2 in what
            this head cannot do, and 2 keeps its units from chasing that.
        num_iterations: Gauss-Newton steps.
        basis: `PointBasis(head, shape, points)`, made here if None: give it where many short
            pieces are fit, such as live frames one by one.

    Raises:
        ValueError: If `points` is not `[T, K, 3]` with the head's K, or not finite.
    """
    basis = PointBasis(head, shape, points) if basis is None else basis
    _check(points, basis.num_points)
    problem = _Problem(head, basis, fps, expr_bounds, noise_mm)
    with torch.no_grad():
        parameters = problem.solve(points, num_iterations)
        motion = _motion(head, parameters, head_rotmat, fps, shape)
        distance_mm = problem.distance(parameters, points) * (basis.ipd * 1000)
    regions = head.require_points().regions
    by_region = {name: float(distance_mm[:, ids].mean()) for name, ids in regions.items()}
    return FitResult(motion, distance_mm.mean(1), by_region)


class _Problem:
    """The weighted, regularised and bounded least squares of one head."""

    def __init__(
        self,
        head: Head,
        basis: PointBasis,
        fps: float,
        expr_bounds: tuple[float, float] | None,
        noise_mm: float,
    ) -> None:
        self.basis = basis
        like = basis.still.rest
        is_named = head.expr_names[:1] not in ((), ("expr_0",))
        lowest, highest = expr_bounds or ((0.0, 1.0) if is_named else _UNNAMED_BOUNDS)
        rows = [(lowest, highest, _EXPR_SPREAD)] * basis.num_expr + [*_JAW, *_EYE, *_EYE]
        self.lower, self.upper, spread = like.new_tensor(rows).T.contiguous()
        noise = noise_mm / 1000 / basis.ipd
        self.pull = torch.zeros_like(spread)
        self.pull[: basis.num_expr] = noise**2 / _EXPR_MEAN if lowest >= 0 else 0.0
        self.prior = torch.diag((noise / spread) ** 2)
        for left, right, apart in _sides(head.expr_names, basis.num_expr):
            pull = (noise / apart) ** 2
            self.prior[[left, right], [left, right]] += pull
            self.prior[[left, right], [right, left]] -= pull
        self.smooth = (noise / (_UNITS_PER_SECOND / fps)) ** 2 * (_EXPR_SPREAD / spread) ** 2

    def solve(self, points: Tensor, num_iterations: int) -> Tensor:
        """The parameters of every frame, `[T, P]`; frames that have arrived stay."""
        parameters = self._start(points)
        rows = torch.arange(len(points), device=points.device)
        for _ in range(num_iterations - 1):
            beside, count = _neighbors(parameters)
            step = parameters.new_zeros(len(points))
            for part in torch.split(rows, _CHUNK):
                now = parameters[part]
                better = self._improve(now, points[part], beside[part], count[part])
                parameters[part] = better
                step[part] = (better - now).abs().amax(1)
            rows = (step > _ARRIVED).nonzero()[:, 0]
            if not len(rows):
                break
        return parameters

    def _start(self, points: Tensor) -> Tensor:
        """One step from rest, where all frames share their slopes."""
        hessian, project = self.basis.at_rest
        hessian = hessian + self.prior
        found = []
        for part in torch.split(points, _CHUNK):
            linear = part.flatten(1) @ project - self.pull
            zero = torch.zeros_like(linear)
            shared = hessian.expand(len(part), -1, -1)
            found.append(
                solve_box_qp(shared, linear, zero, self.lower, self.upper, tolerance=_ROUGH)
            )
        return torch.cat(found)

    def _improve(self, now: Tensor, points: Tensor, beside: Tensor, count: Tensor) -> Tensor:
        """One Gauss-Newton step of some frames."""
        hessian, slope = self.basis.normal_equations(now, points)
        linear = slope + torch.bmm(hessian, now[..., None])[..., 0] + self.smooth * beside
        linear -= self.pull
        hessian += self.prior
        hessian.diagonal(dim1=1, dim2=2).add_(self.smooth * count)
        return solve_box_qp(hessian, linear, now, self.lower, self.upper, tolerance=_FINE)

    def distance(self, parameters: Tensor, points: Tensor) -> Tensor:
        """How far each point is from its fitted place, interpupillary distances, `[T, K]`."""
        distances = []
        for first in range(0, len(points), _CHUNK):
            part = slice(first, first + _CHUNK)
            offset = self.basis.evaluate(parameters[part]) - points[part]
            distances.append(torch.linalg.vector_norm(offset, dim=-1))
        return torch.cat(distances)


def _sides(expr_names: tuple[str, ...], num_expr: int) -> list[tuple[int, int, float]]:
    """Parameters that belong together, left and right, and how far apart they tend to be."""
    place = {name: index for index, name in enumerate(expr_names)}
    pairs = [
        (index, place[name.removesuffix("Left") + "Right"], _SIDES_APART)
        for name, index in place.items()
        if name.endswith("Left") and name.removesuffix("Left") + "Right" in place
    ]
    sideways = {"jawLeft", "mouthLeft"}  # these two exclude each other
    pairs = [pair for pair in pairs if expr_names[pair[0]] not in sideways]
    eyes = num_expr + 3
    return pairs + [(eyes + axis, eyes + 3 + axis, _EYES_APART) for axis in (0, 1)]


def _neighbors(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """The sum over the frames before and after each frame, and how many there are."""
    total = torch.zeros_like(parameters)
    total[1:] += parameters[:-1]
    total[:-1] += parameters[1:]
    count = parameters.new_full((len(parameters), 1), 2.0)
    count[0] -= 1
    count[-1] -= 1
    return total, count


def _check(points: Tensor, num_points: int) -> None:
    if points.ndim != 3 or points.shape[0] < 1 or tuple(points.shape[1:]) != (num_points, 3):
        raise ValueError(
            f"`points` must be [T, {num_points}, 3] for this head, got {list(points.shape)}."
        )
    if not bool(torch.isfinite(points).all()):
        raise ValueError("`points` must be finite.")


def _motion(
    head: Head,
    parameters: Tensor,
    head_rotmat: Tensor | None,
    fps: float,
    shape: Tensor | None,
) -> Motion:
    num_frames = len(parameters)
    poses = parameters[:, -NUM_POSE:]
    still = parameters.new_zeros(num_frames, 3)
    neck = still if head_rotmat is None else rotmat_to_rotvec(head_rotmat.to(parameters))
    return Motion(
        fps=fps,
        expr=parameters[:, :-NUM_POSE].clone(),
        jaw_pose=poses[:, :3].clone(),
        neck_pose=neck,
        global_pose=still.clone(),
        eye_pose=poses[:, 3:].clone(),
        translation=still.clone(),
        shape=shape,
        head=head.name,
    )
