import copy
import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mien.arkit import CHANNEL_NAMES, motion_from_curves
from mien.box_qp import solve_box_qp
from mien.fit import fit
from mien.flame_twin import make_flame_face_arrays
from mien.formats import read_live_link
from mien.head import Head, head_from_flame
from mien.motion import Motion
from mien.point_basis import NUM_POSE, PointBasis
from mien.rotations import rotvec_to_rotmat

HEAD = Head.default()


def random_parameters(generator: torch.Generator, count: int = 4) -> Tensor:
    parameters = torch.rand(count, 43 + NUM_POSE, generator=generator)
    parameters[:, 43:] = (parameters[:, 43:] - 0.5) * 0.8
    return parameters


def acting(num_frames: int, generator: torch.Generator) -> Motion:
    """Any three units in ten on at any strength, changing slowly, on a turning head."""
    keys = torch.rand(num_frames // 10 + 2, 61, generator=generator)
    keys = keys * (torch.rand(keys.shape, generator=generator) < 0.3)
    keys[:, 52:] = (keys[:, 52:] - 0.1) * 0.5
    keys[:, CHANNEL_NAMES.index("leftEyeYaw") :] = 0
    time = torch.arange(num_frames) / 10
    start = time.long()
    curves = torch.lerp(keys[start], keys[start + 1], (time - start)[:, None])
    return motion_from_curves(curves, 25.0)


def some_shape(generator: torch.Generator) -> Tensor:
    return torch.randn(HEAD.num_shape, generator=generator) * 0.3


@pytest.mark.parametrize("make_shape", [lambda generator: None, some_shape])
def test_the_basis_is_the_point_model(
    make_shape: Callable[[torch.Generator], Tensor | None], generator: torch.Generator
) -> None:
    shape = make_shape(generator)
    parameters = random_parameters(generator)
    ours = PointBasis(HEAD, shape, parameters).evaluate(parameters)
    theirs = HEAD.point_model()(
        parameters[:, :43], parameters[:, 43:46], parameters[:, 46:], shape
    )
    # both in float32 over positions of a few interpupillary distances: worst seen 4e-7
    torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-6)


def central_differences(basis: PointBasis, row: Tensor, step: float = 1e-5) -> Tensor:
    """The points' change per parameter, `[K, 3, P]`, all sides in one batch."""
    sides = step * torch.eye(len(row)).to(row)
    there, back = basis.evaluate(row + sides), basis.evaluate(row - sides)
    return ((there - back) / (2 * step)).permute(1, 2, 0)


@pytest.mark.parametrize("scale", [1.0, 0.0, 1e-4])
def test_normal_equations_are_those_of_the_slopes(
    scale: float, generator: torch.Generator
) -> None:
    parameters = random_parameters(generator, 2).double()
    parameters[:, 43:] *= scale
    basis = PointBasis(HEAD, None, parameters)
    points = torch.randn(2, basis.num_points, 3, generator=generator, dtype=torch.float64)
    hessian, slope = basis.normal_equations(parameters, points)
    for frame, row in enumerate(parameters):
        jacobian = central_differences(basis, row)
        weighted = jacobian * basis.weights[:, None, None]
        missing = points[frame] - basis.evaluate(row[None])[0]
        # differences are good to 1e-10 a point, and hundreds are summed
        torch.testing.assert_close(
            hessian[frame], torch.einsum("kap,kaq->pq", weighted, jacobian), rtol=0, atol=1e-7
        )
        torch.testing.assert_close(
            slope[frame], torch.einsum("kap,ka->p", weighted, missing), rtol=0, atol=1e-7
        )


def test_at_rest_every_frame_has_the_same_slopes(generator: torch.Generator) -> None:
    zero = torch.zeros(2, 43 + NUM_POSE, dtype=torch.float64)
    basis = PointBasis(HEAD, some_shape(generator), zero)
    points = torch.randn(2, basis.num_points, 3, generator=generator, dtype=torch.float64)
    hessian, slope = basis.normal_equations(zero, points)
    shared, project = basis.at_rest
    torch.testing.assert_close(hessian, shared.expand_as(hessian), rtol=0, atol=1e-12)
    # the stored head is in float32, so that at rest its points are off by 1e-9: worst seen 3e-7
    torch.testing.assert_close(slope, points.flatten(1) @ project, rtol=0, atol=2e-6)


def test_box_problems_where_one_step_gets_stuck_are_solved(generator: torch.Generator) -> None:
    """Strong coupling and narrow boxes: clipped Newton steps alone stop short of these."""
    root = torch.randn(400, 6, 5, generator=generator, dtype=torch.float64)
    hessian = root.transpose(1, 2) @ root + 1e-3 * torch.eye(5).double()
    linear = torch.randn(400, 5, generator=generator, dtype=torch.float64) * 10
    lower, upper = torch.zeros(5).double(), torch.full((5,), 0.3).double()
    start = torch.rand(400, 5, generator=generator).double() * 0.3
    found = solve_box_qp(hessian, linear, start, lower, upper, 60, tolerance=1e-9)
    gradient = torch.einsum("tpq,tq->tp", hessian, found) - linear
    assert float(((found - gradient).clamp(lower, upper) - found).abs().max()) < 1e-5


def test_box_problems_with_fewer_steps_are_never_worse_than_their_start(
    generator: torch.Generator,
) -> None:
    root = torch.randn(50, 6, 5, generator=generator, dtype=torch.float64)
    hessian = root.transpose(1, 2) @ root + 1e-3 * torch.eye(5).double()
    linear = torch.randn(50, 5, generator=generator, dtype=torch.float64) * 10
    lower, upper = torch.zeros(5).double(), torch.full((5,), 0.3).double()

    def value(point: Tensor) -> Tensor:
        curved = torch.einsum("tpq,tp,tq->t", hessian, point, point)
        return 0.5 * curved - (linear * point).sum(1)

    point = torch.rand(50, 5, generator=generator).double() * 0.3
    for _ in range(6):
        better = solve_box_qp(hessian, linear, point, lower, upper, 1)
        assert bool((value(better) <= value(point) + 1e-12).all())
        point = better


def test_box_problems_end_where_no_bound_can_be_left(generator: torch.Generator) -> None:
    """The conditions of Karush, Kuhn and Tucker, on many random problems."""
    root = torch.randn(60, 12, 9, generator=generator, dtype=torch.float64)
    hessian = root.transpose(1, 2) @ root + 0.1 * torch.eye(9).double()
    linear = torch.randn(60, 9, generator=generator, dtype=torch.float64) * 5
    lower, upper = torch.linspace(-0.5, 0.0, 9).double(), torch.linspace(0.2, 0.9, 9).double()
    start = torch.zeros(60, 9).double()
    found = solve_box_qp(hessian, linear, start, lower, upper, num_iterations=30)
    gradient = torch.einsum("tpq,tq->tp", hessian, found) - linear
    at_lower, at_upper = found <= lower, found >= upper
    assert bool(((found >= lower) & (found <= upper)).all())
    assert 0.2 < float((at_lower | at_upper).double().mean()) < 0.95
    assert bool((gradient[at_lower] > -1e-3).all() and (gradient[at_upper] < 1e-3).all())
    assert float(gradient[~(at_lower | at_upper)].abs().max()) < 1e-3


def test_the_real_take_comes_back(shared: Path) -> None:
    motion = read_live_link(shared / "jmtechart_livelink/MySlate_3_iPhone.csv").slice(0, 80)
    found = fit(HEAD, HEAD.face_points(motion), motion.head_rotmat(), motion.fps)
    assert float(found.error_mm.max()) < 0.02
    assert float((found.motion.expr - motion.expr).abs().max()) < 0.02
    assert float((found.motion.jaw_pose - motion.jaw_pose).abs().max()) < 2e-3
    assert found.motion.fps == 60.0 and found.motion.num_frames == 80


def test_strong_random_acting_comes_back(generator: torch.Generator) -> None:
    motion = acting(60, generator)
    found = fit(HEAD, HEAD.face_points(motion), motion.head_rotmat())
    assert float(found.error_mm.max()) < 0.05
    error = (found.motion.expr - motion.expr).abs()
    # eyeWide under a closed lid and mouthFrown under a roll hardly move a point: worst seen 0.02
    assert float(error.max()) < 0.04 and float(error.mean()) < 2e-3
    torch.testing.assert_close(found.motion.head_rotmat(), motion.head_rotmat(), rtol=0, atol=1e-5)
    gaze = rotvec_to_rotmat(found.motion.eye_pose.reshape(-1, 2, 3))[..., 2]
    wanted = rotvec_to_rotmat(motion.eye_pose.reshape(-1, 2, 3))[..., 2]
    assert float((gaze - wanted).norm(dim=-1).max()) < 0.01


def test_one_persons_points_move_another_person(generator: torch.Generator) -> None:
    """Points are free of identity only to a degree; the fit says how far it is off."""
    motion = acting(30, generator)
    shape = some_shape(generator)
    points = HEAD.face_points(motion.replace(shape=shape), own=True)
    same = fit(HEAD, points, shape=shape)
    other = fit(HEAD, points)
    assert float(same.error_mm.max()) < 0.05
    assert float(same.error_mm.mean()) < float(other.error_mm.mean()) < 1.0
    assert same.motion.shape is not None and other.motion.shape is None


def test_the_result_stays_in_its_bounds(generator: torch.Generator) -> None:
    motion = acting(20, generator)
    points = 3 * HEAD.face_points(motion)
    found = fit(HEAD, points).motion.expr
    assert float(found.min()) >= 0 and float(found.max()) == 1
    narrow = fit(HEAD, points, expr_bounds=(-0.1, 0.4)).motion.expr
    assert float(narrow.min()) < 0 and float(narrow.max()) == pytest.approx(0.4)


def test_noise_does_not_become_motion(generator: torch.Generator) -> None:
    motion = acting(40, generator)
    clean = HEAD.face_points(motion)
    noise_mm = 0.3
    noise = torch.randn(clean.shape, generator=generator) * noise_mm / 1000 / HEAD.ipd
    found = fit(HEAD, clean + noise, noise_mm=noise_mm)
    given = noise.norm(dim=-1).mean() * HEAD.ipd * 1000
    kept = (HEAD.face_points(found.motion) - clean).norm(dim=-1).mean() * HEAD.ipd * 1000
    assert float(kept) < 0.35 * float(given)
    assert float(found.error_mm.mean()) == pytest.approx(float(given), rel=0.15)


def test_a_side_that_is_not_seen_follows_the_other(generator: torch.Generator) -> None:
    points = HEAD.require_points()
    is_hidden = torch.zeros(len(points), dtype=torch.bool)
    for name, ids in points.regions.items():
        if name in ("lid_right", "iris_right", "eye_area_right", "brow_right"):
            is_hidden[ids] = True
    half_seen = copy.copy(HEAD)
    half_seen.points = dataclasses.replace(
        points, loss_weights=points.loss_weights.masked_fill(is_hidden, 0.0)
    )
    curves = torch.zeros(3, 61)
    for name, value in (("eyeBlinkLeft", 0.8), ("eyeBlinkRight", 0.8), ("eyeLookDownLeft", 0.5)):
        curves[:, CHANNEL_NAMES.index(name)] = value
    found = fit(half_seen, HEAD.face_points(motion_from_curves(curves, 25.0))).motion
    left, right = (HEAD.expr_names.index(f"eyeBlink{side}") for side in ("Left", "Right"))
    assert float(found.expr[:, left].min()) > 0.75
    assert float(found.expr[:, right].min()) > 0.3  # a prior, no more
    assert float(found.eye_pose[:, 0].min()) > 0.2 and float(found.eye_pose[:, 3].min()) > 0.03


def test_a_head_without_names_bends_both_ways() -> None:
    head = head_from_flame(make_flame_face_arrays(0))
    expr = torch.zeros(2, head.num_expr)
    expr[0, 3], expr[1, 5] = -1.5, 2.0
    motion = Motion.rest(2, head.num_expr).replace(expr=expr, head=head.name)
    found = fit(head, head.face_points(motion))
    assert float(found.error_mm.max()) < 0.05
    assert float(found.motion.expr.min()) < -0.2


def test_rest_is_found_exactly_and_regions_are_named() -> None:
    found = fit(HEAD, torch.zeros(1, len(HEAD.require_points()), 3))
    assert float(found.error_mm.max()) < 1e-4
    assert float(found.motion.expr.max()) < 1e-5
    assert float(found.motion.eye_pose.abs().max()) < 1e-5
    assert {"lips", "iris_left", "brow_right"} <= set(found.region_error_mm)
    assert found.motion.head == HEAD.name


def test_a_basis_given_changes_nothing(generator: torch.Generator) -> None:
    motion = acting(3, generator)
    shape = some_shape(generator)
    points = HEAD.face_points(motion.replace(shape=shape), own=True)
    basis = PointBasis(HEAD, shape, points)
    for _ in range(2):
        ours, theirs = fit(HEAD, points, shape=shape, basis=basis), fit(HEAD, points, shape=shape)
        torch.testing.assert_close(ours.motion.expr, theirs.motion.expr, rtol=0, atol=0)


def test_chunks_do_not_show(generator: torch.Generator) -> None:
    motion = acting(70, generator)
    points = HEAD.face_points(motion)
    whole, part = fit(HEAD, points), fit(HEAD, points[40:])
    torch.testing.assert_close(whole.motion.expr[45:], part.motion.expr[5:], rtol=0, atol=5e-3)


@pytest.mark.parametrize("shape", [(3, 10, 3), (0, 500, 3), (500, 3), (2, 500, 2)])
def test_other_shapes_are_refused(
    shape: tuple[int, ...], refuses: Callable[[str], AbstractContextManager[None]]
) -> None:
    with refuses(r"`points` must be \[T, \d+, 3\] for this head, got"):
        fit(HEAD, torch.zeros(shape))


def test_points_that_are_not_finite_are_refused() -> None:
    points = torch.zeros(2, len(HEAD.require_points()), 3)
    points[1, 5, 0] = torch.nan
    with pytest.raises(ValueError, match="`points` must be finite"):
        fit(HEAD, points)
