import pytest
import torch
from torch import Tensor

from mien.face_points import PointModel, PointSet
from mien.head import Head
from mien.motion import Motion


@pytest.fixture(scope="module")
def head() -> Head:
    return Head.default()


@pytest.fixture(scope="module")
def model(head: Head) -> PointModel:
    return head.point_model()


def wave(width: int, batch: int, size: float = 0.3) -> Tensor:
    return torch.sin(torch.arange(batch * width) * 0.7).view(batch, -1) * size


def mirrored_expression(head: Head, expr: Tensor) -> Tensor:
    swap = {"Left": "Right", "Right": "Left"}
    order = []
    for name in head.expr_names:
        side = next((s for s in swap if name.endswith(s)), "")
        order.append(head.expr_names.index(name.removesuffix(side) + swap.get(side, "")))
    return expr[..., order]


def test_the_points_are_those_read_off_the_posed_head(head: Head, model: PointModel) -> None:
    points = head.require_points()
    expr, jaw, eyes, shape = wave(43, 4), wave(3, 4), wave(6, 4), wave(120, 1)[0]
    posed = points.gather(head(shape, expr, jaw_pose=jaw, eye_pose=eyes))
    expected = (posed - points.gather(head.identity(shape))) / head.ipd
    # float32 positions of 0.1 m leave 1e-8 m, so 2e-7 of an eye distance
    torch.testing.assert_close(model(expr, jaw, eyes, shape), expected, rtol=1e-4, atol=2e-6)


def test_a_neutral_face_has_no_displacement(model: PointModel) -> None:
    still = model(torch.zeros(2, 43), torch.zeros(2, 3), torch.zeros(2, 6))
    assert still.abs().max() < 1e-6


def test_the_head_s_own_turn_does_not_show(head: Head) -> None:
    moving = Motion.rest(2).replace(neck_pose=wave(3, 2), global_pose=wave(3, 2), expr=wave(43, 2))
    still = moving.replace(neck_pose=torch.zeros(2, 3), global_pose=torch.zeros(2, 3))
    assert torch.equal(head.face_points(moving), head.face_points(still))


def test_a_mirrored_expression_gives_mirrored_points(head: Head, model: PointModel) -> None:
    points, expr = head.require_points(), wave(43, 3).abs()
    rest = torch.zeros(3, 3), torch.zeros(3, 6)
    flipped = model(mirrored_expression(head, expr), *rest)[:, points.mirror]
    # The two sculpted smiles differ by up to 1.1 mm (0.018) at full strength; the rest by less.
    torch.testing.assert_close(
        flipped * torch.tensor([-1.0, 1, 1]), model(expr, *rest), rtol=0, atol=1e-2
    )


def test_every_component_shows_in_the_points(head: Head, model: PointModel) -> None:
    moved = model(torch.eye(43), torch.zeros(43, 3), torch.zeros(43, 6)).norm(dim=-1).amax(1)
    weakest = int(moved.argmin())
    assert moved[weakest] > 0.02, head.expr_names[weakest]


def test_components_are_told_apart_by_the_points(model: PointModel) -> None:
    basis = model(torch.eye(43), torch.zeros(43, 3), torch.zeros(43, 6)).flatten(1).double()
    scales = torch.linalg.svdvals(basis / basis.norm(dim=1, keepdim=True))
    assert scales[0] / scales[-1] < 200


def test_the_gaze_moves_the_iris_of_its_eye_only(head: Head, model: PointModel) -> None:
    eyes = torch.tensor([[0.0, 0.3, 0.0, 0.0, 0.0, 0.0]])
    moved = model(torch.zeros(1, 43), torch.zeros(1, 3), eyes)[0]
    regions = head.require_points().regions
    assert moved[regions["iris_left"], 0].min() > 0.05
    assert moved[regions["iris_right"]].abs().max() < 1e-6


def test_the_gradient_is_the_derivative(head: Head) -> None:
    model = head.point_model().double()
    few = torch.tensor([0, 120, 300])

    def picked(expr: Tensor, jaw: Tensor, eyes: Tensor) -> Tensor:
        return model(expr, jaw, eyes)[..., few, :]  # type: ignore[no-any-return]

    inputs = [wave(n, 1)[0].double().requires_grad_() for n in (43, 3, 6)]
    assert torch.autograd.gradcheck(picked, inputs)


def test_there_are_about_five_hundred_points_and_each_has_a_region(head: Head) -> None:
    points = head.require_points()
    assert 450 <= len(points) <= 550
    named = torch.unique(torch.cat(list(points.regions.values())))
    assert torch.equal(named, torch.arange(len(points)))
    torch.testing.assert_close(points.loss_weights.mean(), torch.tensor(1.0))
    torch.testing.assert_close(points.weights.sum(1), torch.ones(len(points)))


def test_mirroring_twice_comes_back(head: Head) -> None:
    points = head.require_points()
    assert torch.equal(points.mirror[points.mirror], torch.arange(len(points)))
    place = points.gather(head.v_template)
    flipped = place[points.mirror] * torch.tensor([-1.0, 1, 1])
    assert (place - flipped).norm(dim=1).max() < 5e-4


def test_regions_of_the_two_sides_mirror_each_other(head: Head) -> None:
    points = head.require_points()
    for name, ids in points.regions.items():
        if name.endswith("_left"):
            other = points.regions[name.replace("_left", "_right")]
            assert torch.equal(points.mirror[ids].sort().values, other.sort().values), name


def test_arrays_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="one row a point, got 4, 3, 4, 4"):
        PointSet(
            torch.zeros(4, 3).long(),
            torch.zeros(3, 3),
            {},
            torch.arange(4),
            torch.ones(4),
        )
