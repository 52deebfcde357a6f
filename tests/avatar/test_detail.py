import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mien.avatar.avatar import Avatar
from mien.avatar.avatar_file import SUFFIX
from mien.avatar.detail import DetailLayout, DetailSize, SkinDetail
from mien.avatar.detail_file import rounded_detail
from mien.avatar.gaussians import Gaussians
from mien.avatar.look import Look
from mien.avatar.paint import paint
from mien.avatar.prepared import bake_identity
from mien.avatar.sizes import tiny
from mien.avatar.splats import Kind
from mien.avatar.starts import start_from
from mien.avatar.train_detail import DetailConfig, DetailFrames, detail_figures, train_detail
from mien.avatar.uv_layout import write_texels
from mien.head import Head
from mien.motion import Motion

SIZE = DetailSize(32, 2, 3, (6, 8, 8, 8, 8))


@pytest.fixture(scope="module")
def plain() -> Avatar:
    head = Head.default()
    shape = torch.sin(torch.arange(head.num_shape).float()) * 0.002
    return paint(head, shape, Look(hair="short"), 0.2, name="test")


@pytest.fixture(scope="module")
def stirred(plain: Avatar) -> Avatar:
    """With a network that changes something at random."""
    torch.manual_seed(0)
    detail = SkinDetail(SIZE)
    torch.nn.init.normal_(detail.unet.exit.weight, std=0.3)
    return dataclasses.replace(plain, detail=rounded_detail(detail))


def smiling(strength: float = 1.0) -> Motion:
    head = Head.default()
    expr = torch.zeros(1, head.num_expr)
    expr[0, head.expr_names.index("mouthSmileLeft")] = strength
    return Motion.rest(1).replace(expr=expr)


def test_untaught_detail_changes_nothing(plain: Avatar) -> None:
    detailed = dataclasses.replace(plain, detail=SkinDetail(SIZE))
    one, other = next(plain.drive(smiling())), next(detailed.drive(smiling()))
    for f in dataclasses.fields(Gaussians):
        torch.testing.assert_close(getattr(one, f.name), getattr(other, f.name), atol=1e-6, rtol=0)


def test_detail_colors_moving_skin_and_nothing_else(plain: Avatar, stirred: Avatar) -> None:
    one, other = next(plain.drive(smiling())), next(stirred.drive(smiling()))
    own = stirred.detail_layout(SIZE.side).splats
    assert set(plain.splats.kinds[own].tolist()) == {int(Kind.SKIN)}
    changed = (one.colors - other.colors).abs().amax(-1) > 1e-4
    assert changed[own].float().mean() > 0.9
    changed[own] = False
    assert not changed.any()
    torch.testing.assert_close(one.means, other.means, atol=1e-6, rtol=0)
    assert float(other.colors.min()) >= 0 and float(other.colors.max()) <= 1


def test_the_turn_of_the_head_is_not_seen(stirred: Avatar) -> None:
    """What a head is turned by must not change the factors, only the light."""
    straight = smiling()
    turned = straight.replace(global_pose=torch.tensor([[0.1, 0.5, 0.0]]))
    layout = stirred.detail_layout(SIZE.side)
    assert stirred.detail is not None
    with torch.no_grad():
        one, other = (
            stirred.detail(stirred.driven(m).canonical, layout) for m in (straight, turned)
        )
    torch.testing.assert_close(one, other, atol=2e-3, rtol=0)


def test_the_layout_draws_points_where_it_reads_them(plain: Avatar) -> None:
    """The drawn surface, read at the splats, must be where the splats hang."""
    head = plain.head
    person = bake_identity(head, plain.shape)
    layout = DetailLayout.of(head, person, plain.splats, 192)
    vertices = person.v_template
    read = layout.read(layout.draw(vertices[None]))[0]
    splats = plain.splats
    bary = splats.bary[layout.splats]
    share = torch.cat([1 - bary.sum(-1, keepdim=True), bary], -1).unsqueeze(-1)
    roots = (vertices[head.faces[splats.faces[layout.splats]]] * share).sum(1)
    apart = (read - roots).norm(dim=-1)
    assert float(apart.median()) < 1e-3  # at seams and edges the grid mixes with what lies beside


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_a_gpu_learns_as_well(plain: Avatar) -> None:
    layout = plain.detail_layout(SIZE.side)
    learned = frames_of(plain, layout, [0.0, 0.3, 0.5, 0.8, 1.0])
    detail = train_detail(DetailConfig(SIZE, steps=120, warmup=5), layout, learned)
    figures = detail_figures(detail, layout, frames_of(plain, layout, [0.1, 0.65, 0.9]))
    assert figures.left < 0.5 * figures.change


def frames_of(avatar: Avatar, layout: DetailLayout, strengths: list[float]) -> DetailFrames:
    """Skin that reddens where and as far as a smile moves it."""
    motions = [smiling(strength) for strength in strengths]
    canonical = torch.cat([avatar.driven(motion).canonical for motion in motions])
    plain = torch.stack([next(avatar.drive(m)).colors[layout.splats] for m in motions])
    moved = (canonical - layout.neutral).norm(dim=-1)
    near = (moved[:, layout.corners] * layout.weights).sum(-1)
    read = layout.read(write_texels(near.unsqueeze(-1), layout.ids, layout.side))
    factor = torch.exp(torch.cat([read * 40, read * -40, read * 0], -1))
    return DetailFrames(canonical, plain, (plain * factor).clamp(0, 1))


def test_training_learns_what_follows_the_face(plain: Avatar) -> None:
    layout = plain.detail_layout(SIZE.side)
    learned = frames_of(plain, layout, [0.0, 0.3, 0.5, 0.8, 1.0])
    tested = frames_of(plain, layout, [0.1, 0.65, 0.9])
    config = DetailConfig(SIZE, steps=120, warmup=5, cpu=True)
    told: list[int] = []
    detail = train_detail(config, layout, learned, lambda step, _: told.append(step))
    figures = detail_figures(detail, layout, tested)
    assert figures.change > 0.01
    assert figures.left < 0.5 * figures.change
    assert told == [50, 100, 120]


def test_detail_is_kept(stirred: Avatar, plain: Avatar, tmp_path: Path) -> None:
    folder = tmp_path / f"me{SUFFIX}"
    assert stirred.detail is not None
    stirred.detail.card = {"command": "by hand"}
    stirred.save(folder)
    again = Avatar.load(folder)
    assert again.detail is not None and again.detail.size == SIZE
    assert again.detail.card == {"command": "by hand"}
    for name, value in stirred.detail.state_dict().items():
        torch.testing.assert_close(value, again.detail.state_dict()[name], rtol=1e-6, atol=0)
    plain.save(folder)
    assert Avatar.load(folder).detail is None
    assert not (folder / "detail.safetensors").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "is missing, but its avatar's skin has detail"),
        ("cut", "is damaged"),
        ("nan", "holds NaN or infinity"),
        ("other", "does not hold detail of the size"),
        ("no size", "does not say its detail's size"),
        ("side", "does not say its detail's size"),
        ("huge", "too large to read"),
    ],
)
def test_damaged_detail_is_refused(
    stirred: Avatar, tmp_path: Path, damage: str, message: str
) -> None:
    folder = tmp_path / f"me{SUFFIX}"
    stirred.save(folder)
    path, card = folder / "detail.safetensors", folder / "card.json"
    told = json.loads(card.read_text())
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "nan":
        save_file({k: v * float("nan") for k, v in load_file(path).items()}, path)
    elif damage == "other":
        save_file(dict(list(load_file(path).items())[1:]), path)
    elif damage == "no size":
        del told["detail"]["size"]
    else:
        told["detail"]["size"]["side"] = {"side": 50, "huge": 4096}[damage]
    card.write_text(json.dumps(told))
    with pytest.raises(ValueError, match=message):
        Avatar.load(folder)


def test_a_learned_head_leaves_detail_behind(stirred: Avatar) -> None:
    assert start_from(stirred, tiny()).detail is None


def test_settings_and_frames_are_checked() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        DetailSize(side=50)
    with pytest.raises(ValueError, match="`steps`, `frames` and `warmup`"):
        DetailConfig(steps=0)
    with pytest.raises(ValueError, match="`learning_rate` and `feature_rate`"):
        DetailConfig(feature_rate=0.0)
    with pytest.raises(ValueError, match="as many, one or more"):
        DetailFrames(torch.zeros(0, 5, 3), torch.zeros(0, 4, 3), torch.zeros(0, 4, 3))
