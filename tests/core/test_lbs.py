import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mien.lbs import chain_transforms, joint_rotmats, pose_features, skin

Array = NDArray[np.float64]
PARENTS = (-1, 0, 1, 1, 1)


def rotation(rotvec: Array) -> Array:
    """Rodrigues' formula, term by term."""
    angle = float(np.linalg.norm(rotvec))
    if angle == 0:
        return np.eye(3)
    x, y, z = rotvec / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: Array = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned


def plain_lbs(vertices: Array, poses: Array, joints: Array, weights: Array) -> Array:
    """Linear blend skinning with 4x4 matrices and loops."""
    world: list[Array] = []
    for joint, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = rotation(poses[joint])
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    posed = np.zeros_like(vertices)
    for v, vertex in enumerate(vertices):
        for joint in range(len(PARENTS)):
            rest = np.append(vertex - joints[joint], 1.0)
            posed[v] += weights[v, joint] * (world[joint] @ rest)[:3]
    return posed


def example(num_vertices: int = 17) -> tuple[Array, Array, Array, Array]:
    ramp = np.sin(np.arange(num_vertices * 3) * 0.37).reshape(-1, 3) * 0.1
    poses = np.cos(np.arange(15) * 1.3).reshape(5, 3) * 0.7
    joints = np.sin(np.arange(15) * 0.9).reshape(5, 3) * 0.05
    weights = np.abs(np.sin(np.arange(num_vertices * 5) * 0.61)).reshape(-1, 5)
    return ramp, poses, joints, weights / weights.sum(1, keepdims=True)


def pose(vertices: Array, poses: Array, joints: Array, weights: Array) -> Array:
    rotmats, offsets = chain_transforms(
        joint_rotmats(torch.from_numpy(poses)), torch.from_numpy(joints), PARENTS
    )
    posed = skin(torch.from_numpy(vertices), rotmats, offsets, torch.from_numpy(weights))
    return np.asarray(posed.numpy())


def test_skinning_agrees_with_four_by_four_matrices_in_loops() -> None:
    vertices, poses, joints, weights = example()
    posed = pose(vertices, poses, joints, weights)
    expected = plain_lbs(vertices, poses, joints, weights)
    np.testing.assert_allclose(posed, expected, rtol=1e-5, atol=1e-12)


def test_no_pose_leaves_every_vertex_where_it_was() -> None:
    vertices, poses, joints, weights = example()
    posed = pose(vertices, 0 * poses, joints, weights)
    np.testing.assert_allclose(posed, vertices, rtol=0, atol=1e-15)


def test_turning_the_root_turns_everything_rigidly() -> None:
    vertices, poses, joints, weights = example()
    only_root = np.where(np.arange(5)[:, None] == 0, poses, 0.0)
    posed = pose(vertices, only_root, joints, weights)
    expected = (vertices - joints[0]) @ rotation(poses[0]).T + joints[0]
    np.testing.assert_allclose(posed, expected, rtol=1e-10, atol=1e-14)


def test_pose_features_leave_out_the_root() -> None:
    rotmats = torch.eye(3).repeat(2, 5, 1, 1)
    rotmats[:, 0] = rotmats[:, 0] * 7
    assert pose_features(rotmats).shape == (2, 36)
    assert (pose_features(rotmats) == 0).all()


def test_skinning_refuses_weights_for_another_number_of_joints() -> None:
    with pytest.raises(ValueError, match=r"one column a joint \(5\), got \(4, 3\)"):
        skin(torch.zeros(4, 3), torch.zeros(5, 3, 3), torch.zeros(5, 3), torch.zeros(4, 3))
