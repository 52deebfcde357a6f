from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mien.fit import fit
from mien.head import Head
from mien.landmarks68 import LINES, default_lines, lip_halves, match_landmarks
from mien.motion import Motion
from mien.retarget import retarget
from mien.shapes_files import ShapesFile, read_gnm_npz, read_ict_npz, read_obj_folder
from mien.shapes_head import head_from_shapes

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
Refuses = Callable[[str], AbstractContextManager[None]]

DEFAULT = Head.default()
POINTS = DEFAULT.require_points()


@dataclass(frozen=True)
class Stranger:
    """The default head as somebody else would bring it: other numbers, centimetres, one file."""

    shapes: ShapesFile
    new_id: Ids


def landmarks_of_default() -> dict[int, int]:
    """Set along the lines of lids and lips, not evenly, as people do."""
    found: dict[int, int] = {}
    for name, numbers in LINES.items():
        if not name.startswith("lips_inner"):
            half = default_lines()[name]
            places = np.linspace(0, 1, len(numbers)) ** 1.15 * (len(half) - 1)
            found |= dict(zip(numbers, half[places.round().astype(int)].tolist(), strict=True))
    return found


@pytest.fixture(scope="module")
def stranger() -> Stranger:
    kept = np.concatenate(
        [DEFAULT.parts[part].numpy() for part in ("skin", "eye_left", "eye_right", "tongue")]
    )
    order = np.random.default_rng(0).permutation(np.unique(kept))
    new_id = np.full(DEFAULT.num_vertices, -1)
    new_id[order] = np.arange(len(order))
    faces = new_id[DEFAULT.faces.numpy()]
    directions = DEFAULT.shapedirs[order, :, DEFAULT.num_shape :].numpy().astype(np.float64)
    shapes = ShapesFile(
        neutral=100 * DEFAULT.v_template.numpy().astype(np.float64)[order] + 3,
        faces=faces[(faces >= 0).all(1)],
        deltas={
            name: 100 * directions[..., column] for column, name in enumerate(DEFAULT.expr_names)
        },
        landmarks={number: int(new_id[v]) for number, v in landmarks_of_default().items()},
        parts={
            part: new_id[DEFAULT.parts[part].numpy()]
            for part in ("skin", "eye_left", "eye_right", "tongue")
        },
        unit_m=0.01,
    )
    return Stranger(shapes, new_id)


@pytest.fixture(scope="module")
def met(stranger: Stranger) -> Head:
    return stranger.shapes.head("stranger")


@pytest.fixture(scope="module")
def ict(shared: Path) -> Head:
    return read_ict_npz(shared / "ict_facekit/ict_facekit_light.npz").head("ict")


def with_changes(shapes: ShapesFile, **changes: object) -> Head:
    return replace(shapes, **changes).head("changed")  # type: ignore[arg-type]


def test_a_known_head_in_a_strange_file_has_the_same_points(met: Head) -> None:
    found = met.require_points().gather(met.v_template) - 0.03
    apart_mm = 1000 * (found - POINTS.gather(DEFAULT.v_template)).norm(dim=-1)
    is_behind = torch.zeros(len(POINTS), dtype=torch.bool)
    is_behind[POINTS.regions["lips_inner"]] = True  # these go where the lips meet, 5 mm in front
    assert float(apart_mm[~is_behind].mean()) < 0.6
    for region in ("lid_left", "lid_right", "iris_left", "iris_right", "nose", "tongue"):
        assert float(apart_mm[POINTS.regions[region]].mean()) < 0.5
    assert met.ipd == pytest.approx(DEFAULT.ipd, rel=1e-3)
    torch.testing.assert_close(met.require_points().loss_weights, POINTS.loss_weights)


def test_its_motion_comes_over_unit_by_unit(met: Head) -> None:
    rest = Motion.rest(43)
    units = rest.replace(expr=0.8 * torch.eye(43), head=met.name)
    found = retarget(units, met, DEFAULT, noise_mm=1.0)
    error = (found.motion.expr - units.expr).abs()
    assert float(found.error_mm.mean()) < 0.1
    assert float(error.mean()) < 0.01
    back = retarget(found.motion, DEFAULT, met, noise_mm=1.0)
    assert float((back.motion.expr - units.expr).abs().mean()) < 0.01


def test_eyeballs_that_no_shape_moves_turn(met: Head) -> None:
    gaze = torch.tensor([[0.1, 0.2, 0.0, 0.1, 0.15, 0.0]])
    motion = Motion.rest(1).replace(eye_pose=gaze, head=met.name)
    there = retarget(motion, met, DEFAULT).motion
    assert bool((there.eye_pose[:, [0, 1, 3, 4]] > 0.03).all())
    back = retarget(there, DEFAULT, met).motion
    torch.testing.assert_close(back.eye_pose, gaze, rtol=0, atol=0.02)
    own = fit(met, met.face_points(motion)).motion
    torch.testing.assert_close(own.eye_pose, gaze, rtol=0, atol=1e-3)


def test_a_fit_on_it_finds_its_own_motion(met: Head) -> None:
    generator = torch.Generator().manual_seed(3)
    expr = torch.rand(6, 43, generator=generator) * (torch.rand(6, 43, generator=generator) < 0.2)
    motion = Motion.rest(6).replace(expr=expr, head=met.name)
    found = fit(met, met.face_points(motion))
    assert float(found.error_mm.max()) < 0.05
    assert float((found.motion.expr - expr).abs().mean()) < 2e-3


def test_a_bare_skin_is_met_without_landmarks(stranger: Stranger) -> None:
    parts = {"skin": stranger.shapes.parts["skin"]}
    head = with_changes(stranger.shapes, landmarks=None, parts=parts)
    points = head.require_points()
    apart_mm = 1000 * (points.gather(head.v_template) - 0.03 - POINTS.gather(DEFAULT.v_template))
    is_there = points.loss_weights > 0
    assert float(apart_mm.norm(dim=-1)[is_there].mean()) < 1.0
    for region in ("iris_left", "iris_right", "tongue"):
        assert not bool(is_there[POINTS.regions[region]].any())
    assert bool(is_there[POINTS.regions["lips"]].all())
    assert head.ipd == pytest.approx(DEFAULT.ipd, rel=0.02)  # eyes from their lids


def test_lines_of_landmarks_are_lines_of_the_default_head() -> None:
    vertices = DEFAULT.v_template.numpy().astype(np.float64)
    marks = {number: vertices[vertex] for number, vertex in landmarks_of_default().items()}
    matched = match_landmarks(marks)
    apart_mm = 1000 * np.linalg.norm(vertices[matched.vertex_ids] - matched.positions, axis=1)
    inner = POINTS.vertex_ids[POINTS.regions["lips_inner"], 0].numpy()
    on_line = ~np.isin(matched.vertex_ids, inner)  # these go where the lips meet
    assert len(matched.vertex_ids) > 120
    assert float(apart_mm[on_line].mean()) < 1.0
    upper, lower = lip_halves()
    assert not set(upper.tolist()) & set(lower.tolist())
    assert float(vertices[upper, 1].mean()) > float(vertices[lower, 1].mean())


def test_landmarks_that_place_no_face_are_refused() -> None:
    with pytest.raises(ValueError, match="numbered 0 to 67"):
        match_landmarks({68: np.zeros(3)})
    with pytest.raises(ValueError, match="must hold the lines"):
        match_landmarks({36: np.zeros(3), 45: np.ones(3)})


def test_shapes_that_do_not_fit_are_refused(stranger: Stranger, refuses: Refuses) -> None:
    shapes = stranger.shapes
    count = len(shapes.neutral)
    broken = np.full((count, 3), np.nan)
    landmarks: Mapping[int, int] = shapes.landmarks or {}
    turned = shapes.neutral * np.array([-1.0, 1.0, -1.0])
    cases: tuple[tuple[dict[str, object], str], ...] = (
        ({"deltas": {}}, "at least one"),
        ({"deltas": {"jawOpen": broken[:-1]}}, rf"'jawOpen' must be \[{count}, 3\]"),
        ({"deltas": {"jawOpen": broken}}, "'jawOpen' must be finite"),
        ({"deltas": {"jawOpen": 0 * turned, "jaw_open": 0 * turned}}, "called 'jawOpen'"),
        ({"neutral": broken}, "finite"),
        ({"faces": np.zeros((9, 4), dtype=np.int64)}, "must be triangles"),
        ({"unit_m": 0.0}, "`unit_m` must be a positive"),
        ({"landmarks": {**landmarks, 36: count}}, "`landmarks` must name vertices"),
        ({"neutral": turned}, r"must look along \+Z"),
        ({"parts": {"eye_left": np.array([count])}}, "'eye_left' must list vertex ids"),
        ({"parts": {"eye_left": np.array([0])}}, "'eye_left' has no triangle"),
    )
    for changes, message in cases:
        with refuses(message):
            with_changes(shapes, **changes)


def test_a_mesh_too_small_for_a_face_is_refused() -> None:
    corners = np.eye(3)
    with pytest.raises(ValueError, match="at least 100 vertices"):
        head_from_shapes(corners, [[0, 1, 2]], {"smile": 0 * corners})


def write_obj(path: Path, vertices: Array, faces: list[str]) -> None:
    lines = ["# a comment", *(f"v {x} {y} {z} 1 1 1" for x, y, z in vertices), "vt 0 0"]
    path.write_text("\n".join(lines + faces) + "\n", encoding="utf-8")


def test_a_folder_of_meshes_is_read(tmp_path: Path) -> None:
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 2, 2]])
    faces = ["f 1/1 2/1 3/1 4/1", "f -1//2 -2//2 -3//2"]
    write_obj(tmp_path / "base.obj", corners, faces)
    write_obj(tmp_path / "mouthSmile_L.obj", corners + 0.5, faces)
    (tmp_path / "notes.txt").write_text("not a mesh", encoding="utf-8")
    found = read_obj_folder(tmp_path, "base", unit_m=0.1)
    np.testing.assert_array_equal(found.neutral, corners)
    assert found.faces.tolist() == [[0, 1, 2], [0, 2, 3], [4, 3, 2]]
    assert list(found.deltas) == ["mouthSmile_L"] and found.unit_m == 0.1
    np.testing.assert_allclose(found.deltas["mouthSmile_L"], 0.5)


def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file.*neutral\.obj"):
        read_obj_folder(tmp_path)
    write_obj(tmp_path / "neutral.obj", np.eye(3), ["f 1 2 3"])
    write_obj(tmp_path / "smile.obj", np.eye(3)[:2], [])
    with pytest.raises(ValueError, match=r"smile\.obj must have the neutral's 3 vertices, got 2"):
        read_obj_folder(tmp_path)
    (tmp_path / "smile.obj").write_text("v 1 2 three\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"smile\.obj is not an OBJ mesh"):
        read_obj_folder(tmp_path)


def test_another_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", neutral=np.zeros((5, 3)))
    with pytest.raises(ValueError, match="is not ICT-FaceKit as npz: it lacks"):
        read_ict_npz(tmp_path / "some.npz")


@pytest.mark.parametrize(
    ("key", "array"),
    [
        ("faces", np.array(3)),
        ("expression_names", np.array("jawOpen")),
        ("expression_names", np.arange(2)),
        ("neutral", np.array([["a", "b", "c"]])),
        ("landmarks68", np.full(68, 0.5)),
        ("expression_deltas", np.zeros((2, 4, 3), complex)),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path: Path, key: str, array: Any) -> None:
    arrays = {
        "neutral": np.zeros((4, 3)),
        "faces": np.zeros((1, 4), int),
        "expression_names": np.array(["jawOpen", "smile"]),
        "expression_deltas": np.zeros((2, 4, 3)),
        "landmarks68": np.zeros(68, int),
    }
    np.savez(tmp_path / "some.npz", **(arrays | {key: array}))
    with pytest.raises(ValueError, match=f"`{key}` of ICT-FaceKit must hold"):
        read_ict_npz(tmp_path / "some.npz")


def gnm_arrays() -> dict[str, Any]:
    """The default head under the names and in the order of GNM Head, its units turned about."""
    directions = DEFAULT.shapedirs[..., DEFAULT.num_shape :].numpy()
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(DEFAULT.num_expr,) * 2))[0]
    groups = {"skin": "skin", "left_eye": "eye_left", "right_eye": "eye_right", "gums": "tongue"}
    weights = np.zeros((len(groups), DEFAULT.num_vertices), np.float32)
    for row, part in enumerate(groups.values()):
        weights[row, DEFAULT.parts[part].numpy()] = 1.0
    return {
        "version": np.array("3.0"),
        "template_vertex_positions": DEFAULT.v_template.numpy(),
        "triangles": DEFAULT.faces.numpy().astype(np.int32),
        "expression_basis": (directions @ turn.astype(np.float32)).transpose(2, 0, 1),
        "vertex_groups": weights,
        "vertex_group_names": np.array(list(groups)),
    }


def test_the_layout_of_gnm_head_is_read(tmp_path: Path) -> None:
    path, arrays = tmp_path / "gnm_head.npz", gnm_arrays()
    np.savez(path, **arrays)
    found = read_gnm_npz(path, {30: 5}, num_expr=7)
    np.testing.assert_array_equal(found.neutral, DEFAULT.v_template.numpy())
    np.testing.assert_array_equal(found.faces, DEFAULT.faces.numpy())
    assert list(found.deltas) == [f"expr_{i}" for i in range(7)] and found.landmarks == {30: 5}
    np.testing.assert_array_equal(found.deltas["expr_3"], arrays["expression_basis"][3])
    assert set(found.parts) == {"skin", "eye_left", "eye_right"} and found.unit_m == 1.0
    for part, ids in found.parts.items():
        np.testing.assert_array_equal(ids, np.unique(DEFAULT.parts[part].numpy()))
    assert len(read_gnm_npz(path).deltas) == DEFAULT.num_expr


@pytest.mark.parametrize(
    ("key", "array", "message"),
    [
        ("expression_basis", None, "is not GNM Head as npz: it lacks"),
        ("expression_basis", np.zeros((2, 5, 3)), "`expression_basis` of GNM Head must be"),
        ("vertex_groups", np.zeros((9, 9)), "`vertex_groups` of GNM Head must be"),
        ("triangles", np.zeros((4, 4), int), "`triangles` of GNM Head must be"),
        ("vertex_group_names", np.arange(4), "must hold names"),
    ],
)
def test_another_layout_than_gnm_heads_is_refused(
    tmp_path: Path, key: str, array: Any, message: str
) -> None:
    arrays = {**gnm_arrays(), key: array}
    np.savez(tmp_path / "a.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(ValueError, match=message):
        read_gnm_npz(tmp_path / "a.npz")


def test_gnm_has_no_more_expressions_than_it_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **gnm_arrays())
    with pytest.raises(ValueError, match="`num_expr` must be 1 to 43, got 44"):
        read_gnm_npz(tmp_path / "a.npz", num_expr=44)


def test_ict_has_our_names_and_a_humans_size(ict: Head) -> None:
    assert ict.num_vertices == 26719 and ict.num_expr == 53
    assert {"eyeBlinkLeft", "mouthSmileRight", "jawOpen", "browInnerUpLeft"} <= set(ict.expr_names)
    assert 0.060 < ict.ipd < 0.066
    places = ict.require_points().gather(ict.v_template)
    mirrored = places[POINTS.mirror] * torch.tensor([-1.0, 1.0, 1.0])
    assert 1000 * float((places - mirrored).norm(dim=-1).mean()) < 0.5


def test_ict_closes_its_own_eyes_and_mouth_parts(ict: Head) -> None:
    """A blink closes that eye; the opening jaw takes the lower lip and leaves the upper."""
    rest = Motion.rest(2, ict.num_expr)
    expr = torch.zeros(2, ict.num_expr)
    expr[0, ict.expr_names.index("eyeBlinkLeft")] = 1.0
    expr[1, ict.expr_names.index("jawOpen")] = 1.0
    points = ict.face_points(rest.replace(expr=expr, head=ict.name)) * ict.ipd * 1000
    blink, jaw = points
    upper, lower = (POINTS.regions[f"lid_upper_{side}"] for side in ("left", "right"))
    assert float(blink[upper, 1].mean()) < -2.5 and float(blink[lower].abs().max()) < 0.5
    own = POINTS.vertex_ids[:, 0]
    is_middle = ict.require_points().gather(ict.v_template)[:, 0].abs() < 0.01
    lips = [torch.isin(own, torch.from_numpy(half)) & is_middle for half in lip_halves()]
    assert float(jaw[lips[0]].norm(dim=-1).max()) < 6
    assert float(jaw[lips[1], 1].max()) < -15


def test_motion_goes_to_ict_and_back(ict: Head) -> None:
    names = ("eyeBlinkLeft", "browDownRight", "mouthPucker", "jawOpen", "mouthShrugUpper")
    expr = torch.zeros(len(names), ict.num_expr)
    for row, name in enumerate(names):
        expr[row, ict.expr_names.index(name)] = 0.6
    motion = Motion.rest(len(names), ict.num_expr).replace(expr=expr, head=ict.name)
    there = retarget(motion, ict, DEFAULT, noise_mm=2.0).motion
    back = retarget(there, DEFAULT, ict, noise_mm=2.0).motion
    wanted, found = ict.face_points(motion), ict.face_points(back)
    # two different faces: 16 to 30 percent of the movement is what one cannot do of the other's
    assert float((found - wanted).norm(dim=-1).mean()) < 0.4 * float(wanted.norm(dim=-1).mean())
    assert float(there.jaw_pose[3, 0]) > 0.15
    assert int(there.expr[0].argmax()) == DEFAULT.expr_names.index("eyeBlinkLeft")
    assert int(there.expr[1].argmax()) == DEFAULT.expr_names.index("browDownRight")
