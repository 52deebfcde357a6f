from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.arkit import EXPR_NAMES, JAW_OPEN_RADIANS
from mien.flame_twin import make_flame_arrays
from mien.head import Head, head_from_flame
from mien.motion import Motion
from mien.rotations import rotvec_to_rotmat

Array = NDArray[np.float64]
SIZES = {"shape": 120, "expr": 43, "global_pose": 3, "neck_pose": 3, "jaw_pose": 3, "eye_pose": 6}


@pytest.fixture(scope="module")
def head() -> Head:
    return Head.default()


@pytest.fixture(scope="module")
def sharp(head: Head) -> Head:
    """A few vertices of every part in float64: numerics without float32's rounding."""
    picked = torch.cat([ids[:: max(1, len(ids) // 6)] for ids in head.parts.values()])
    return head.subset(torch.unique(picked)).double()


@pytest.fixture(scope="module")
def twin() -> dict[str, Array]:
    return make_flame_arrays(seed=3)


def wave(width: int, batch: int, size: float = 0.3) -> Tensor:
    return torch.sin(torch.arange(batch * width, dtype=torch.float64) * 0.7).view(batch, -1) * size


def expression(head: Head, **values: float) -> Tensor:
    expr = torch.zeros(head.num_expr)
    for name, value in values.items():
        for spelled in (name, f"{name}Left", f"{name}Right"):
            if spelled in head.expr_names:
                expr[head.expr_names.index(spelled)] = value
    return expr


def jaw(radians: float) -> Tensor:
    return torch.tensor([radians, 0.0, 0.0])


def rotation(rotvec: Array) -> Array:
    angle = float(np.linalg.norm(rotvec))
    x, y, z = rotvec / max(angle, 1e-300)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: Array = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned


def plain_flame(arrays: dict[str, Array], betas: Array, poses: Array) -> Array:
    """FLAME's forward pass in numpy, for one frame."""
    shaped = arrays["v_template"] + arrays["shapedirs"] @ betas
    joints = arrays["J_regressor"] @ shaped
    rotmats = [rotation(pose) for pose in poses]
    features = np.concatenate([(turn - np.eye(3)).ravel() for turn in rotmats[1:]])
    rest = shaped + arrays["posedirs"] @ features
    world: list[tuple[Array, Array]] = []
    for joint, parent in enumerate((-1, 0, 1, 1, 1)):
        turn, shift = rotmats[joint], joints[joint] - rotmats[joint] @ joints[joint]
        if parent >= 0:
            turn, shift = world[parent][0] @ turn, world[parent][0] @ shift + world[parent][1]
        world.append((turn, shift))
    posed = [rest @ turn.T + shift for turn, shift in world]
    return np.asarray(sum(arrays["weights"][:, [j]] * posed[j] for j in range(5)))


def test_the_default_head_has_the_arkit_components_in_order(head: Head) -> None:
    assert head.expr_names == EXPR_NAMES
    assert (head.num_shape, head.num_expr) == (120, 43)
    assert 0.058 < head.ipd < 0.066


def test_nothing_given_gives_the_template(head: Head) -> None:
    assert torch.equal(head(), head.v_template)


def test_zero_inputs_give_the_template(head: Head) -> None:
    zeros = {name: torch.zeros(2, width) for name, width in SIZES.items()}
    posed = head(**zeros, translation=torch.zeros(2, 3))
    torch.testing.assert_close(posed, head.v_template.expand(2, -1, -1), rtol=0, atol=1e-7)


def test_a_batch_equals_a_loop(sharp: Head) -> None:
    inputs = {name: wave(width, 3) for name, width in SIZES.items()}
    batch = sharp(**inputs, translation=wave(3, 3))
    for i in range(3):
        single = sharp(**{k: v[i] for k, v in inputs.items()}, translation=wave(3, 3)[i])
        torch.testing.assert_close(batch[i], single, rtol=1e-12, atol=1e-14)


def test_one_identity_spreads_over_many_frames_and_leading_dimensions(sharp: Head) -> None:
    shape, expr = wave(120, 1)[0], wave(43, 6).view(2, 3, 43)
    posed = sharp(shape, expr)
    assert posed.shape == (2, 3, sharp.num_vertices, 3)
    torch.testing.assert_close(posed[1, 2], sharp(shape, expr[1, 2]), rtol=1e-12, atol=1e-14)


def test_a_subset_equals_picking_from_the_whole(head: Head) -> None:
    ids = torch.tensor([5990, 3, 700, 4200])
    inputs = {name: wave(width, 2).float() for name, width in SIZES.items()}
    torch.testing.assert_close(head.subset(ids)(**inputs), head(**inputs)[:, ids])


def test_a_subset_keeps_whole_triangles_only(head: Head) -> None:
    tongue = head.subset(head.parts["tongue"])
    assert len(tongue.faces) == len(tongue.uv_faces) > 400
    assert int(tongue.faces.max()) < tongue.num_vertices
    assert tongue.points is None


def test_the_gradient_is_the_derivative(head: Head) -> None:
    few = head.subset(torch.tensor([5, 2000, 4000])).double()
    inputs = [wave(width, 1)[0].requires_grad_() for width in SIZES.values()]
    assert torch.autograd.gradcheck(few, inputs)


def test_the_gradient_at_rest_is_finite(sharp: Head) -> None:
    pose = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    sharp(jaw_pose=pose).sum().backward()
    assert pose.grad is not None
    assert torch.isfinite(pose.grad).all() and pose.grad.abs().max() > 0


def test_a_flame_head_agrees_with_flame_in_numpy(twin: dict[str, Array]) -> None:
    flame = head_from_flame(twin).double()
    betas, poses = np.sin(np.arange(400) * 1.1), np.cos(np.arange(15) * 0.8).reshape(5, 3) * 0.4
    split = torch.from_numpy(betas)
    pose = torch.from_numpy(poses)
    posed = flame(split[:300], split[300:], *pose[:3], pose[3:].flatten())
    # The arrays are stored in float32; worst difference seen 6e-7 m.
    np.testing.assert_allclose(posed, plain_flame(twin, betas, poses), rtol=0, atol=5e-6)


def test_a_flame_file_loads_and_has_no_points(tmp_path: Path, twin: dict[str, Array]) -> None:
    np.savez(tmp_path / "twin.npz", **twin)  # type: ignore[arg-type]
    flame = Head.load(tmp_path / "twin.npz")
    assert (flame.num_vertices, len(flame.faces)) == (5023, 9976)
    assert (flame.num_shape, flame.num_expr) == (300, 100)
    with pytest.raises(ValueError, match="'flame' carries no face points"):
        flame.point_model()


def test_the_open_jaw_with_mouth_close_closes_the_lips(head: Head) -> None:
    lips = head.require_points().vertex_ids[head.require_points().regions["lips_inner"], 0]
    closed = head(expr=expression(head, mouthClose=1.0), jaw_pose=jaw(JAW_OPEN_RADIANS))
    opened = head(jaw_pose=jaw(JAW_OPEN_RADIANS))

    def opening(vertices: Tensor) -> float:
        line = vertices[lips]
        middle = line[line[:, 0].abs() < 0.004]
        return float(middle[:, 1].max() - middle[:, 1].min())

    assert opening(opened) > 0.025
    assert opening(closed) < opening(head()) + 0.002


def test_an_open_jaw_lowers_the_lower_teeth_only(head: Head) -> None:
    moved = head(jaw_pose=jaw(JAW_OPEN_RADIANS)) - head.v_template
    assert moved[head.parts["teeth_upper"]].abs().max() < 1e-5
    assert moved[head.parts["teeth_lower"], 1].max() < -0.01


def test_a_blink_brings_the_lids_together(head: Head) -> None:
    points = head.require_points()
    shut = head(expr=expression(head, eyeBlink=1.0))
    for side in ("left", "right"):
        upper = points.vertex_ids[points.regions[f"lid_upper_{side}"], 0]
        lower = points.vertex_ids[points.regions[f"lid_lower_{side}"], 0]
        gap = [float(v[upper, 1].max() - v[lower, 1].min()) for v in (head(), shut)]
        assert gap[0] > 0.008 and gap[1] < 0.5 * gap[0]


def test_turns_go_where_the_conventions_say(head: Head) -> None:
    nose = int(head.v_template[:, 2].argmax())
    rest = head.v_template[nose]
    nod = head(neck_pose=torch.tensor([0.3, 0.0, 0.0]))[nose] - rest
    turn = head(neck_pose=torch.tensor([0.0, 0.3, 0.0]))[nose] - rest
    assert nod[1] < -0.01  # +x pitches the face down
    assert turn[0] > 0.01  # +y turns it to the subject's left
    iris = int(head.parts["eye_left"][head.v_template[head.parts["eye_left"], 2].argmax()])
    look = head(eye_pose=torch.tensor([0.0, 0.3, 0.0, 0.0, 0.0, 0.0]))[iris]
    assert look[0] > head.v_template[iris, 0] + 0.003


def test_the_lids_follow_the_gaze(head: Head) -> None:
    points = head.require_points()
    upper = points.vertex_ids[points.regions["lid_upper_left"], 0]
    down = head(eye_pose=torch.tensor([0.3, 0.0, 0.0, 0.0, 0.0, 0.0])) - head.v_template
    assert down[upper, 1].min() < -0.002
    right = points.vertex_ids[points.regions["lid_upper_right"], 0]
    assert down[right].abs().max() < 1e-5


def test_eyeballs_are_spheres_that_look_straight_ahead(head: Head) -> None:
    for side in ("left", "right"):
        ball = head.v_template[head.parts[f"eye_{side}"]]
        offset = ball - ball.mean(0)
        radius = offset.norm(dim=1)
        assert radius.max() - radius.min() < 1e-5
        front = offset[offset[:, 2].argsort(descending=True)[:8]].mean(0)
        assert front[:2].abs().max() < 2e-5


def test_the_template_is_symmetric(head: Head) -> None:
    skin = head.v_template[head.parts["skin"]]
    mirrored = skin * torch.tensor([-1.0, 1.0, 1.0])
    nearest = torch.cdist(mirrored.double(), skin.double()).min(dim=1).values
    assert nearest.max() < 1e-4


def test_weights_and_regressor_rows_sum_to_one(head: Head) -> None:
    torch.testing.assert_close(head.lbs_weights.sum(1), torch.ones(head.num_vertices))
    torch.testing.assert_close(head.J_regressor.sum(1), torch.ones(5))
    assert head.lbs_weights.min() >= -1e-7


def test_joints_do_not_move_with_the_expression(head: Head) -> None:
    moved = head.joints(None, torch.ones(43)) - head.joints()
    assert moved.abs().max() < 1e-6


def test_the_texture_has_no_flipped_triangle_and_stays_in_its_sheet(head: Head) -> None:
    assert head.uv.min() >= 0 and head.uv.max() <= 1
    a, b, c = head.uv[head.uv_faces].double().unbind(1)
    doubled = (b - a)[:, 0] * (c - a)[:, 1] - (c - a)[:, 0] * (b - a)[:, 1]
    assert (doubled > 0).all()
    assert 0.8 < doubled.sum() / 2 < 0.9


def test_texture_islands_do_not_overlap(head: Head) -> None:
    triangles = head.uv[head.uv_faces].double()
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(600, 2, generator=generator, dtype=torch.float64)
    for start_row in range(0, 600, 200):
        chunk = places[start_row : start_row + 200]
        inside = torch.ones(len(chunk), len(triangles), dtype=torch.bool)
        for k in range(3):
            start, end = triangles[:, k], triangles[:, (k + 1) % 3]
            edge, offset = end - start, chunk[:, None] - start[None]
            inside &= edge[:, 0] * offset[..., 1] - edge[:, 1] * offset[..., 0] > 1e-12
        assert inside.sum(1).max() <= 1


def test_a_motion_poses_every_frame(head: Head) -> None:
    motion = Motion.rest(3).replace(jaw_pose=torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]]))
    vertices = head.vertices(motion)
    torch.testing.assert_close(vertices[2], head(jaw_pose=jaw(0.2)))


def test_wrong_widths_are_refused(head: Head) -> None:
    with pytest.raises(ValueError, match=r"`expr` of the head 'mien' has at most 43"):
        head(expr=torch.zeros(44))
    with pytest.raises(ValueError, match=r"`eye_pose` must be \[..., 6\], got \(2, 3\)"):
        head(eye_pose=torch.zeros(2, 3))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 'head.obj'"):
        Head.load(tmp_path / "head.obj")


def test_arrays_that_disagree_are_refused(twin: dict[str, Array]) -> None:
    broken = twin | {"weights": twin["weights"][:10]}
    with pytest.raises(ValueError, match=r"`lbs_weights` must be \(5023, 5\)"):
        head_from_flame(broken)


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_eyeball_turns_by_its_pose_and_stays_a_ball(side: str) -> None:
    head = Head.default()
    ids, joint = head.parts[f"eye_{side}"], 3 if side == "left" else 4
    center = head.joints().reshape(5, 3)[joint]
    pose = torch.zeros(6)
    pose[3 * (joint - 3) : 3 * (joint - 2)] = torch.tensor([0.1, 0.3, 0.0])
    rest, turned = head.v_template[ids] - center, head(eye_pose=pose).reshape(-1, 3)[ids] - center
    torch.testing.assert_close(
        turned, rest @ rotvec_to_rotmat(torch.tensor([0.1, 0.3, 0.0])).T, atol=2e-5, rtol=0
    )
