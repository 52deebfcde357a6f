import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from scipy.ndimage import binary_erosion, binary_fill_holes

from mien.avatar.avatar import Avatar
from mien.avatar.avatar_file import SUFFIX, find_avatar, shipped_names
from mien.avatar.gaussians import Gaussians
from mien.avatar.look import Look
from mien.avatar.paint import paint
from mien.avatar.placing import place, surface_frame, vertex_normals
from mien.avatar.pose_kernels import CompiledPose
from mien.avatar.render import render
from mien.avatar.shading import MaterialTable, linear_to_srgb, shade, srgb_to_linear
from mien.avatar.splats import Kind, Splats
from mien.avatar.windows import Window, interpolate
from mien.camera import Camera
from mien.head import Head
from mien.motion import Motion
from mien.rotations import quat_to_rotmat


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    """A coarse painting of a person who is not the mean."""
    head = Head.default()
    shape = torch.sin(torch.arange(head.num_shape).float()) * 0.002
    return paint(head, shape, Look(hair="short", freckles=0.4), 0.28, name="test")


def performed(**units: float) -> Motion:
    head = Head.default()
    expr = torch.zeros(1, head.num_expr)
    for name, value in units.items():
        expr[0, head.expr_names.index(name)] = value
    return Motion.rest(1).replace(expr=expr)


def showing(gaussians: Gaussians, avatar: Avatar, kind: Kind) -> int:
    return int((gaussians.opacities[avatar.splats.span(kind)] > 0).sum())


def test_an_avatar_has_every_material_and_sane_gaussians(avatar: Avatar) -> None:
    gaussians = next(avatar.drive(Motion.rest(1)))
    assert len(gaussians) == len(avatar) > 4000
    assert all(showing(gaussians, avatar, kind) for kind in Kind if kind != Kind.MOUTH)
    assert 1e-5 < float(gaussians.scales.median()) < 5e-3
    assert float(gaussians.means.abs().max()) < 0.4
    torch.testing.assert_close(gaussians.quats.norm(dim=-1), torch.ones(len(avatar)))


def test_frames_in_a_chunk_equal_frames_alone(avatar: Avatar) -> None:
    motion = Motion.rest(3).replace(jaw_pose=torch.tensor([[0.0, 0, 0], [0.2, 0, 0], [0.1, 0, 0]]))
    together = list(avatar.drive(motion))
    alone = next(avatar.drive(motion.slice(1, 2)))
    torch.testing.assert_close(together[1].means, alone.means, rtol=0, atol=1e-7)
    assert len(together) == 3
    assert float((together[1].means - together[0].means).abs().max()) > 0.005


def test_turning_the_whole_head_turns_every_gaussian(avatar: Avatar) -> None:
    turn = torch.tensor([[0.1, 0.5, -0.2]])
    motion = Motion.rest(1).replace(
        global_pose=turn, translation=torch.tensor([[0.01, 0.02, 0.03]])
    )
    rest, turned = avatar.pose(avatar.vertices(Motion.rest(1))[0]), next(avatar.drive(motion))
    distance = torch.pdist(rest.means[::97])
    torch.testing.assert_close(torch.pdist(turned.means[::97]), distance, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(turned.scales, rest.scales, rtol=2e-3, atol=1e-7)


def test_the_kernels_agree_with_the_torch_reference(avatar: Avatar) -> None:
    vertices = avatar.vertices(performed(mouthSmileLeft=0.8, browInnerUp=0.5))[0]
    faces, splats = avatar.head.faces, avatar.splats
    normals = vertex_normals(vertices, faces)
    materials = MaterialTable.of(splats)
    compiled = CompiledPose.of(avatar.head, splats, materials)
    fast, quats = compiled.place(vertices, normals)
    slow = place(splats, vertices, normals, faces)
    torch.testing.assert_close(fast.means, slow.means, rtol=0, atol=1e-6)
    torch.testing.assert_close(fast.scales, slow.scales, rtol=1e-3, atol=1e-8)
    # Float32 in another order: ribbons far out on sharp triangles lose four digits.
    torch.testing.assert_close(fast.rotmats, slow.rotmats, rtol=0, atol=2e-3)
    torch.testing.assert_close(quat_to_rotmat(quats), fast.rotmats, rtol=0, atol=1e-5)
    to_viewer = torch.tensor([0.28, 0.0, 0.96])
    dimming = torch.linspace(0.2, 1.0, len(splats))
    ours = compiled.shade(slow, to_viewer, dimming, avatar.studio)
    wanted = shade(splats, slow, materials, to_viewer, dimming, avatar.studio)
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-3)  # the sRGB table's step


def test_splats_ride_on_the_surface(avatar: Avatar) -> None:
    vertices = avatar.vertices(performed(mouthSmileLeft=0.8))[0]
    faces = avatar.head.faces
    placed = place(avatar.splats, vertices, vertex_normals(vertices, faces), faces)
    skin = avatar.splats.span(Kind.SKIN)
    corners = vertices[faces[avatar.splats.faces[skin]]]
    reach = (corners - corners.mean(1, keepdim=True)).norm(dim=-1).amax(-1)
    away = (placed.means[skin] - corners.mean(1)).norm(dim=-1)
    assert bool((away < 1.2 * reach + 1e-4).all())
    orthogonal = placed.rotmats.transpose(1, 2) @ placed.rotmats
    torch.testing.assert_close(orthogonal, torch.eye(3).expand_as(orthogonal), rtol=0, atol=1e-4)


def test_a_frame_undoes_itself() -> None:
    head = Head.default()
    vertices = head.v_template.double()
    ids = torch.arange(0, len(head.faces), 37)
    bary = torch.full((len(ids), 2), 0.25, dtype=torch.float64)
    normals = vertex_normals(vertices, head.faces)
    frame = surface_frame(ids, bary, vertices, normals, head.faces)
    vectors = torch.sin(torch.arange(3.0 * len(ids), dtype=torch.float64)).reshape(-1, 3)
    back = frame.to_world(frame.from_world(vectors))
    torch.testing.assert_close(back, vectors, rtol=1e-6, atol=1e-8)


def test_closed_lids_hide_the_eyes(avatar: Avatar) -> None:
    opened = next(avatar.drive(Motion.rest(1)))
    shut = next(avatar.drive(performed(eyeBlinkLeft=1.0, eyeBlinkRight=1.0)))
    assert showing(opened, avatar, Kind.EYE) > 100
    assert showing(shut, avatar, Kind.EYE) < 0.1 * showing(opened, avatar, Kind.EYE)


def test_the_inside_of_the_mouth_shows_only_between_the_lips(avatar: Avatar) -> None:
    motion = performed(mouthSmileLeft=1.0, mouthSmileRight=1.0)
    motion = motion.replace(jaw_pose=torch.tensor([[0.3, 0.0, 0.0]]))
    gaussians, vertices = next(avatar.drive(motion)), avatar.vertices(motion)[0]
    head, span = avatar.head, avatar.splats.span(Kind.MOUTH)
    on_tongue = torch.isin(head.faces, head.parts["tongue"]).all(1)[avatar.splats.faces[span]]
    lips = head.parts["mouth_bag"][torch.isin(head.parts["mouth_bag"], head.parts["skin"])]
    low, high = vertices[lips].amin(0) - 0.005, vertices[lips].amax(0) + 0.005
    shown = (gaussians.opacities[span] > 0) & ~on_tongue
    inside = (gaussians.means[span] > low)[:, :2] & (gaussians.means[span] < high)[:, :2]
    assert int(shown.sum()) > 100 and int((~shown & ~on_tongue).sum()) > 100
    assert bool(inside[shown].all())


def test_skin_that_faces_away_is_not_drawn(avatar: Avatar) -> None:
    rest = Motion.rest(1)
    front = next(avatar.drive(rest, Camera.portrait()))
    back = next(avatar.drive(rest, Camera.portrait(yaw=3.14)))
    skin = avatar.splats.span(Kind.SKIN)
    both = (front.opacities[skin] > 0) & (back.opacities[skin] > 0)
    assert 0 < int(both.sum()) < 0.6 * len(both)


def test_gains_tone_an_expression_down(avatar: Avatar) -> None:
    calm = dataclasses.replace(avatar, gains={"mouthSmileLeft": 0.5})
    full = avatar.vertices(performed(mouthSmileLeft=0.5))
    torch.testing.assert_close(calm.vertices(performed(mouthSmileLeft=1.0)), full)
    with pytest.raises(ValueError, match="lacks: .'mouthSmirk'"):
        dataclasses.replace(avatar, gains={"mouthSmirk": 0.5})


def test_a_motion_for_another_head_is_refused(avatar: Avatar) -> None:
    with pytest.raises(ValueError, match="moves with the head 'mien', got a motion for 'flame'"):
        next(avatar.drive(Motion.rest(1).replace(head="flame")))


def test_the_same_seed_paints_the_same_person() -> None:
    head = Head.default()
    first, again, other = (
        paint(head, torch.zeros(4), Look(hair="down", seed=seed), 0.1).splats for seed in (1, 1, 2)
    )
    for f in dataclasses.fields(Splats):
        assert torch.equal(getattr(first, f.name), getattr(again, f.name)), f.name
    assert len(first) != len(other) or not torch.equal(first.albedo, other.albedo)


def test_a_saved_avatar_loads_and_moves_alike(avatar: Avatar, tmp_path: Path) -> None:
    avatar.save(tmp_path / f"me{SUFFIX}")
    loaded = Avatar.load(tmp_path / f"me{SUFFIX}")
    assert (loaded.name, loaded.look, dict(loaded.gains)) == ("test", avatar.look, {})
    torch.testing.assert_close(loaded.shape, avatar.shape, rtol=0, atol=0)
    ours, theirs = (next(a.drive(performed(browInnerUp=0.7))) for a in (avatar, loaded))
    # Half floats keep 11 bits: 0.05 mm of the longest offset, and 1/255 of a color.
    torch.testing.assert_close(theirs.means, ours.means, rtol=0, atol=1e-4)
    torch.testing.assert_close(theirs.colors, ours.colors, rtol=0, atol=0.03)
    loaded.save(tmp_path / f"again{SUFFIX}")
    first, second = (tmp_path / f"{n}{SUFFIX}" / "splats.safetensors" for n in ("me", "again"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_avatars_load_and_move(name: str) -> None:
    avatar = Avatar.load(name)
    gaussians = next(avatar.drive(Motion.rest(1), Camera.portrait()))
    assert avatar.name == name
    assert bool(torch.isfinite(gaussians.means).all())
    assert (15_000 if name.endswith("small") else 20_000) < len(avatar) < 80_000


@pytest.mark.parametrize("yaw", [-0.78, 0.0, 0.78])
def test_nothing_shines_through_the_head(yaw: float) -> None:
    avatar, camera = Avatar.load("adult-small"), Camera.portrait(256, 256, yaw=yaw)
    motion = performed(mouthSmileLeft=0.9, mouthSmileRight=0.9, browInnerUp=0.8)
    alpha = render(next(avatar.drive(motion, camera)), camera).alpha.numpy()
    inside = binary_erosion(binary_fill_holes(alpha > 0.9), iterations=4)
    inside[150:] = False  # below the chin the garment fades out
    assert inside.sum() > 10_000
    assert alpha[inside].min() > 0.85 and (alpha[inside] < 0.95).mean() < 0.002


def test_shipped_avatars_are_small() -> None:
    folders = [find_avatar(name) for name in shipped_names()]
    assert sum(p.stat().st_size for folder in folders for p in folder.iterdir()) < 16 * 2**20


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"shipped name \(adult.*got 'nobody'"):
        Avatar.load("nobody")


def test_a_folder_name_without_the_suffix_is_refused(avatar: Avatar, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ends in .avatar, got 'me'"):
        avatar.save(tmp_path / "me")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("empty", "card.json is missing"),
        ("no splats", "splats.safetensors is missing"),
        ("cut short", "is damaged"),
        ("not json", "is not JSON"),
        ("other format", "format 1, got 99"),
        ("other head", "paint it again"),
        ("lost tensor", "does not hold an avatar's splats"),
        ("wrong count", "the card says 7 splats"),
        ("bad look", "does not describe a look"),
        ("bad gains", "`gains` as numbers"),
    ],
)
def test_damaged_and_foreign_folders_are_refused(
    avatar: Avatar, tmp_path: Path, damage: str, message: str
) -> None:
    folder = tmp_path / f"me{SUFFIX}"
    avatar.save(folder)
    spoil(folder, damage)
    with pytest.raises(ValueError, match=message):
        Avatar.load(folder)


def spoil(folder: Path, damage: str) -> None:
    card_path, splats_path = folder / "card.json", folder / "splats.safetensors"
    card = json.loads(card_path.read_text())
    changes: dict[str, dict[str, object]] = {
        "other format": {"format": 99},
        "other head": {"head": {"name": "flame", "faces": 3}},
        "wrong count": {"splats": 7},
        "bad look": {"look": {"beard": 1.0}},
        "bad gains": {"gains": {"jawOpen": "half"}},
    }
    if damage in changes:
        card_path.write_text(json.dumps(card | changes[damage]))
    elif damage == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    elif damage == "no splats":
        splats_path.unlink()
    elif damage == "cut short":
        splats_path.write_bytes(splats_path.read_bytes()[:1000])
    elif damage == "not json":
        card_path.write_text("{")
    else:
        from safetensors.torch import load_file, save_file

        tensors = load_file(splats_path)
        del tensors["bary"]
        save_file(tensors, splats_path)


def test_splats_refuse_wrong_shapes_values_and_order(avatar: Avatar) -> None:
    splats = avatar.splats
    with pytest.raises(ValueError, match="`bary` must be"):
        dataclasses.replace(splats, bary=splats.bary[1:])
    with pytest.raises(ValueError, match=r"`opacity` must lie in \[0, 1\]"):
        dataclasses.replace(splats, opacity=splats.opacity + 1)
    with pytest.raises(ValueError, match="must ascend"):
        dataclasses.replace(splats, kinds=splats.kinds.flip(0))
    with pytest.raises(ValueError, match="`offset` must be finite"):
        dataclasses.replace(splats, offset=splats.offset * float("nan"))


def test_a_window_tells_inside_from_outside_at_any_tilt() -> None:
    rim = torch.tensor([[-2.0, 0, 0], [0, 1, 0], [2, 0, 0], [0, -1, 0]])
    points = torch.tensor([[0.0, 0, -1], [0, 1.5, -1], [0, -1.5, -1], [3, 0, -1]])
    window = Window(torch.tensor([0, 1, 2]), torch.tensor([0, 3, 2]))
    cosine, sine = torch.cos(torch.tensor(0.7)), torch.sin(torch.tensor(0.7))
    roll = torch.tensor([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    view = window.look_through(rim @ roll.T, points @ roll.T, torch.tensor([0.0, 0, 1]))
    assert view.visible(0.1).tolist() == [True, False, False, False]
    torch.testing.assert_close(view.behind[0], torch.tensor(1.0))
    torch.testing.assert_close(view.gap, torch.tensor(1.0))


def test_interpolation_passes_through_knots_in_any_order() -> None:
    knots, values = torch.tensor([3.0, 0.0, 1.0]), torch.tensor([9.0, 0.0, 1.0])
    asked = torch.tensor([-1.0, 0.5, 1.0, 2.0, 5.0])
    found = interpolate(asked, knots, values)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.5, 1.0, 5.0, 9.0]))


def test_color_codes_undo_each_other() -> None:
    srgb = torch.linspace(0, 1, 50).reshape(-1, 1).expand(-1, 3)
    torch.testing.assert_close(linear_to_srgb(srgb_to_linear(srgb)), srgb, rtol=0, atol=1e-5)
